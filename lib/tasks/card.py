"""A data card: what is in the splits of a task, and what was left out of them.

rows = data_card(splits, count=lambda text: len(text.split()), published=None)
rows[0]     # CardRow(split="train", questions=2000, published=None, labels=1830, most_frequent="(12 + 7)", share=0.002,
            #         mean=21.7, ninety_fifth=26, longest=31, repeated=0, across=0, within=0, limit=0)
label_balance(splits, "yes_no")     # {"yes": {"train": 0.52, "validation": 0.49, "test": 0.5}, "no": {...}}
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lib.records import SPLITS, Question, Split
from lib.tasks.datasets import LETTERS
from lib.tasks.splits import ACROSS, LIMIT, WITHIN, Splits, key


@dataclass(frozen=True)
class CardRow:
    """One split.

    published       rows that the split has as published; None for generated questions
    labels          different gold labels; `most_frequent` is that of a `share` of the questions
    mean, ninety_fifth, longest     tokens of a question's text
    repeated        questions whose text an earlier one of the split has, kept all the same
    across          left out: their text is in a split that is kept whole before this one
    within          left out: their text stands in the split already
    limit           left out: over the limit that was set
    """

    split: Split
    questions: int
    published: int | None
    labels: int
    most_frequent: str
    share: float
    mean: float
    ninety_fifth: int
    longest: int
    repeated: int
    across: int
    within: int
    limit: int


def data_card(
    splits: Splits, count: Callable[[str], int], published: Mapping[Split, int] | None = None
) -> list[CardRow]:
    """A row for each split that has questions, in the order train, validation, test.

    count       the tokens of a text
    published   the sizes as published (DataSet.sizes)
    """
    return [_row(split, splits, count, published) for split in SPLITS if splits.of(split)]


def _row(split: Split, splits: Splits, count: Callable[[str], int], published: Mapping[Split, int] | None) -> CardRow:
    questions = splits.of(split)
    labels = Counter(str(question.gold_label) for question in questions)
    most_frequent, times = min(labels.items(), key=lambda pair: (-pair[1], pair[0]))
    tokens = sorted(count(question.text) for question in questions)
    left_out = splits.left_out.get(split, Counter())
    return CardRow(
        split=split,
        questions=len(questions),
        published=published and published[split],
        labels=len(labels),
        most_frequent=most_frequent,
        share=times / len(questions),
        mean=sum(tokens) / len(tokens),
        ninety_fifth=tokens[math.ceil(0.95 * len(tokens)) - 1],
        longest=tokens[-1],
        repeated=len(questions) - len({key(question.text) for question in questions}),
        across=left_out[ACROSS],
        within=left_out[WITHIN],
        limit=left_out[LIMIT],
    )


# -- balance of labels ---------------------------------------------------------------------------


def label_balance(splits: Splits, kind: str) -> dict[str, dict[Split, float]]:
    """Group of gold labels -> split -> its share of the split's questions; the most frequent group first.

    equation by operators ("* -") · number by digits ("2 digits", "not whole") · string by letters · choice and date by
    the letter of the right choice ("several letters" where its text stands twice: which was meant is not told), or by
    its text where all questions have the same choices · yes_no by itself
    """
    groups = {question.id: _group(question, kind, _same_choices(splits.questions)) for question in splits.questions}
    counts = {split: Counter(groups[question.id] for question in splits.of(split)) for split in SPLITS}
    total = sum(counts.values(), Counter())
    order = sorted(total, key=lambda group: (-total[group], group))
    return {group: {split: own[group] / own.total() for split, own in counts.items() if own} for group in order}


def _same_choices(questions: Sequence[Question]) -> bool:
    return len({question.choices for question in questions}) == 1


def _group(question: Question, kind: str, same_choices: bool) -> str:
    label = question.gold_label or "no label"
    if question.choices and not same_choices:
        return _letter(label, question.choices)
    return GROUPS.get(kind, str)(label)


def _letter(label: str, choices: Sequence[str]) -> str:
    """The letter of a label's choice: "y" among x and y -> "(b)"; the label itself where it is none of them."""
    letters = [letter.lower() for letter, choice in zip(LETTERS, choices) if key(choice) == key(label)]
    if len(letters) > 1:
        return "several letters"
    return f"({letters[0]})" if letters else label


def _digits(label: str) -> str:
    whole = re.fullmatch(r"-?([0-9]+)", label)
    return _plural(len(whole[1]), "digit") if whole else "not whole"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


GROUPS: dict[str, Callable[[str], str]] = {
    "equation": lambda label: " ".join(re.findall(r"[-+*/]", label)) or "no operator",
    "number": _digits,
    "string": lambda label: _plural(len(label), "letter"),
}
