"""The data card by hand."""

from collections import Counter

import pytest

from lib.config import load_config
from lib.records import SPLITS, Question
from lib.tasks import load_splits
from lib.tasks.card import CardRow, data_card, label_balance
from lib.tasks.splits import ACROSS, LIMIT, WITHIN, Splits


def question(number, split, gold, text=None, choices=()):
    return Question(
        question_id=f"x-{split}-{number:05d}",
        task="x",
        split=split,
        text=text or " ".join(["word"] * number),
        gold_label=gold,
        choices=choices,
    )


def words(text):
    return len(text.split())


def test_by_hand():
    questions = [question(n, "train", "no" if n % 4 else "yes") for n in range(1, 21)]
    questions += [question(n, "test", "yes", "Same  text") for n in (1, 2)]
    left_out = {"train": {ACROSS: 3, WITHIN: 2, LIMIT: 1}}
    splits = Splits(questions, {split: Counter(own) for split, own in left_out.items()})
    train, test = data_card(splits, words, {"train": 26, "validation": 4, "test": 2})
    assert train == CardRow(
        split="train", questions=20, published=26, labels=2, most_frequent="no", share=0.75,
        mean=10.5, ninety_fifth=19, longest=20, repeated=0, across=3, within=2, limit=1,
    )  # fmt: skip
    assert (test.questions, test.repeated, test.published) == (2, 1, 2)
    assert (test.across, test.within, test.limit) == (0, 0, 0)


def test_a_tie_goes_to_the_first_in_the_alphabet():
    (row,) = data_card(Splits([question(1, "train", "b"), question(2, "train", "a")]), words)
    assert (row.most_frequent, row.share, row.published) == ("a", 0.5, None)
    assert data_card(Splits([]), words) == []


LETTERED = [("x", "y"), ("y", "x"), ("z", "y")]
TWICE = [("x", "y", "X "), ("y", "x", "z"), ("y", "y", "x")]
SAME = [("entailment", "neutral")] * 3


@pytest.mark.parametrize(
    ("kind", "labels", "choices", "groups"),
    [
        ("equation", ["(1 + 2)", "( 3.0 + 1.0 )", "4"], None, {"+": 2 / 3, "no operator": 1 / 3}),
        ("number", ["42", "-17", "0.5"], None, {"2 digits": 2 / 3, "not whole": 1 / 3}),
        ("number", ["7", "5", "1/3"], None, {"1 digit": 2 / 3, "not whole": 1 / 3}),
        ("string", ["yajo", "eeak", "a"], None, {"4 letters": 2 / 3, "1 letter": 1 / 3}),
        ("yes_no", ["yes", "no", "no"], None, {"no": 2 / 3, "yes": 1 / 3}),
        ("choice", ["x", "x", "z"], LETTERED, {"(a)": 2 / 3, "(b)": 1 / 3}),
        ("date", ["y", "y", "z"], LETTERED, {"(a)": 2 / 3, "(b)": 1 / 3}),
        ("choice", ["x", "x", "x"], TWICE, {"(b)": 1 / 3, "(c)": 1 / 3, "several letters": 1 / 3}),
        ("choice", ["x", "x", "w"], LETTERED, {"(a)": 1 / 3, "(b)": 1 / 3, "w": 1 / 3}),
        ("choice", ["neutral", "neutral", "entailment"], SAME, {"neutral": 2 / 3, "entailment": 1 / 3}),
    ],
)
def test_balance(kind, labels, choices, groups):
    questions = [question(n, "train", gold, choices=choices[n] if choices else ()) for n, gold in enumerate(labels)]
    balance = label_balance(Splits(questions), kind)
    assert balance == {group: {"train": pytest.approx(share)} for group, share in groups.items()}
    assert list(balance) == list(groups)


def test_shares_of_a_split_sum_to_one():
    cfg = load_config()
    splits = load_splits("arithmetic", cfg.tasks, cfg.data)
    balance = label_balance(splits, "equation")
    for split in SPLITS:
        assert sum(shares[split] for shares in balance.values()) == pytest.approx(1)
    assert [row.questions for row in data_card(splits, words)] == [
        getattr(cfg.tasks.arithmetic, split) for split in SPLITS
    ]
