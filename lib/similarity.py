"""How alike two texts are, 0 to 1. Symmetric; a text is wholly like itself.

jaccard("He has 3 pens.", "He has 4 pens.")   # 0.6: {he, has, pens} of {he, has, 3, 4, pens}
"""

import re
from collections.abc import Callable

Similarity = Callable[[str, str], float]


def jaccard(a: str, b: str) -> float:
    """Token-set Jaccard, |A ∩ B| / |A ∪ B|. Two texts without a token are alike: 1."""
    first, second = tokens(a), tokens(b)
    union = first | second
    return len(first & second) / len(union) if union else 1.0


def tokens(text: str) -> frozenset[str]:
    """The lower-cased words, numbers and operators of a text; punctuation does not count."""
    return frozenset(re.findall(r"\d+(?:\.\d+)?|\w+|[-+*/=]", text.lower()))


SIMILARITIES: dict[str, Similarity] = {"jaccard": jaccard}
