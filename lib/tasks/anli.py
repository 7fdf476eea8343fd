"""Adversarial NLI, rounds 1 to 3 (Nie et al. 2020).

    {"uid": "4aae...", "premise": "Ernest Jones is a British jeweller ...", "hypothesis": "The first ... of Europe.",
     "label": 0, "reason": "..."}                                                                       hub
    {"uid": "4aae...", "context": "Ernest Jones ...", "hypothesis": "...", "label": "e", ...}           publishers

become the question "Ernest Jones ...\\nHypothesis: The first ... of Europe.\\nDoes the premise ...?" with the gold
label "entailment". (Hub columns and labels as its users name them; the publishers' archive has R1/, R2/
and R3/ with train, dev and test.)
"""

from lib.tasks.datasets import DataSet, Form, Hub, Part, Record, Row, one_of, text_of

CHOICES = ("entailment", "neutral", "contradiction")
QUESTION = (
    "Does the premise entail the hypothesis, contradict it, or neither? "
    "Answer with entailment, contradiction or neutral."
)
LABELS = dict(enumerate(CHOICES)) | {choice: choice for choice in CHOICES} | {choice[0]: choice for choice in CHOICES}


def _reader(premise: str):
    def read(row: Row) -> Record:
        text = f"{text_of(row, premise)}\nHypothesis: {text_of(row, 'hypothesis')}\n{QUESTION}"
        return Record(text, one_of(row, "label", LABELS), CHOICES)

    return read


def _round(number: int, train: int, development: int, test: int, characters: float) -> DataSet:
    def part(split: str) -> Part:
        return Part((f"r{number}_{split}.jsonl", f"R{number}/{split}.jsonl"), (f"{split}_r{number}",))

    return DataSet(
        name=f"anli_r{number}",
        title=f"ANLI round {number}",
        licence="CC BY-NC 4.0",
        hub=Hub("facebook/anli"),
        parts={"train": part("train"), "validation": part("dev"), "test": part("test")},
        forms=tuple(Form((premise, "hypothesis", "label"), _reader(premise)) for premise in ("context", "premise")),
        train_share=None,
        sizes={"train": train, "validation": development, "test": test},
        characters=characters,
    )


# The mean length was measured in round 1, in validation and test for want of train. Rounds 2 and 3 were not at hand and
# take the same number; it serves only to estimate costs before anything is read.
ROUND_1 = _round(1, 16946, 1000, 1000, 518.2)
ROUND_2 = _round(2, 45460, 1000, 1000, 518.2)
ROUND_3 = _round(3, 100459, 1200, 1200, 518.2)
