"""Untrusted text made manageable: bounded, in single spaces, without an invented next question, in sentences.

tidy("He has 2.5 cups.\\n So 5.  \\n\\nQ: Next?")     # "He has 2.5 cups. So 5."
sentences("He has 2.5 cups. So 5.")               # ["He has 2.5 cups.", "So 5."]
"""

import re

LIMIT = 20_000  # characters of a text that are read
NEXT_QUESTION = ("Q:", "Question:", "Q :", "Question :")


def tidy(text: str) -> str:
    """The text up to an invented next question, in single spaces, at most LIMIT characters."""
    lines = []
    for line in text[:LIMIT].split("\n"):
        line = " ".join(line.split())
        if line.startswith(NEXT_QUESTION):
            break
        lines.append(line)
    return " ".join(filter(None, lines))


def sentences(text: str) -> list[str]:
    """The sentences of a tidy text, in order; a decimal point ends none."""
    return [sentence for sentence in re.split(r"(?<=[.!?]) ", text) if sentence]
