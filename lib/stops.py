"""Where a student that runs on into a next question is to be stopped.

before_stop("7\\nQ: Ann"), before_stop("7 predict: Ann has ... ###")        # "7", "7"

A pretrained decoder-only student may not write its end, but go on with a next question, as the text did that it was
pretrained on. No target has a second line, and only a question has its task before it and " ###" behind it, so a row
also ends at a new line, " ###", " predict:" or " explain:" behind any text.
"""

import re

import torch

from lib.examples import EXPLAIN, PREDICT
from lib.student import Student
from lib.words import SEPARATOR

STOP = re.compile(rf"(?<=\S)(?:[^\S\n]*\n|\s+(?:{SEPARATOR}|{PREDICT.strip()}|{EXPLAIN.strip()}))")
TAIL = 12  # a stop is found within so many tokens


def runs_on(student: Student) -> bool:
    """Whether `STOP` ends what it writes: a decoder-only student's whose tokenizer knows lines, as pretrained ones do.

    A tokenizer of words, as students from scratch have it, knows none.
    """
    tokenizer = student.tokenizer
    return student.decoder_only and "\n" in tokenizer.decode(tokenizer("a\nb", verbose=False)["input_ids"])


def before_stop(text: str) -> str:
    """A text up to where a next question begins: "7\\nQ: Ann" and "7 predict: Ann ###" are "7"."""
    found = STOP.search(text)
    return text[: found.start()] if found else text


def stopped(student: Student, tails: torch.Tensor) -> torch.Tensor:
    """Whether each row has just run into a stop, bool[B]; tails: long[B, T], the last tokens written."""
    texts = student.tokenizer.batch_decode(tails.tolist())
    return torch.tensor([STOP.search(text.lstrip()) is not None for text in texts], device=tails.device)
