"""Token usage of teachers that have no tokenizer of their own: the number of white-space pieces, an estimate."""

from collections.abc import Sequence
from functools import lru_cache

from lib.teacher import Message


def count_tokens(text: str) -> int:
    """White-space pieces of a text."""
    return len(text.split())


def prompt_tokens(messages: Sequence[Message]) -> int:
    """White-space pieces of all messages. The few-shot part, which all questions share, is counted once."""
    *prefix, last = (message["content"] for message in messages)
    return _prefix_tokens(tuple(prefix)) + count_tokens(last)


@lru_cache(maxsize=256)
def _prefix_tokens(contents: tuple[str, ...]) -> int:
    return sum(map(count_tokens, contents))
