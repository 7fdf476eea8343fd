"""Random-looking choices that only their key decides: the same in every process, order and Python version.

sorted(questions, key=lambda q: draw(f"judged/{seed}/{q.id}"))[:10]      # ten questions, the same for a seed
"""

import hashlib


def draw(key: str) -> bytes:
    """32 bytes to sort by; keys of another purpose begin otherwise, or their draws would agree."""
    return hashlib.sha256(key.encode()).digest()


def uniform(key: str) -> float:
    """A number in [0, 1)."""
    return int.from_bytes(draw(key)[:8]) / 2**64
