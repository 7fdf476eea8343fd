"""Coin flip and last letter concatenation."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.records import Question
from lib.settings import CoinFlip, LastLetter, Seeds
from lib.tasks import coin_flip, get_task, last_letter, load_questions

SEEDS = Seeds(train=1, validation=2, test=3)
COIN = "A coin is heads up. Ka flips the coin. Bo does not flip the coin. Is the coin still heads up?"
LETTERS = 'Take the last letters of each words in "Whitney Erika Tj Benito" and concatenate them.'


def question(task, text, gold=None):
    return Question(question_id="x", task=task, split="test", text=text, gold_label=gold)


def reasons(task, text, rationale):
    return [step.wrong for step in get_task(task).check(question(task, text), rationale).steps]


@given(seed=st.integers(0, 2**32), people=st.integers(1, 8))
def test_coin_flip_parse_inverts_generate(seed, people):
    text, gold = coin_flip.generate(random.Random(seed), people)
    coin = coin_flip.parse(text)
    assert coin.gold == gold
    assert len(set(coin.people)) == people
    assert gold == ("no" if sum(coin.flips) % 2 else "yes")


@given(seed=st.integers(0, 2**32), words=st.integers(1, 8))
def test_last_letter_parse_inverts_generate(seed, words):
    text, gold = last_letter.generate(random.Random(seed), words)
    assert last_letter.concatenated(last_letter.parse(text)) == gold
    assert len(gold) == words


def test_by_hand():
    coin = coin_flip.parse(COIN)
    assert coin == coin_flip.Coin(("Ka", "Bo"), (True, False))
    assert coin.states == ("tails", "tails")
    assert coin.gold == "no"
    assert last_letter.concatenated(last_letter.parse(LETTERS)) == "yajo"


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (coin_flip.parse, ""),
        (coin_flip.parse, "A coin is heads up. Is the coin still heads up?"),
        (coin_flip.parse, "A coin is heads up. Ka eats the coin. Is the coin still heads up?"),
        (last_letter.parse, ""),
        (last_letter.parse, 'Take the last letters of each words in " " and concatenate them.'),
    ],
)
def test_another_text_is_refused(parse, text):
    with pytest.raises(UserError, match="not a "):
        parse(text)


def test_splits_are_disjoint_and_full():
    sizes = {"train": 60, "validation": 10, "test": 20, "seeds": SEEDS}
    for questions in (
        coin_flip.load(CoinFlip(source="generated", people=4, **sizes)),
        last_letter.load(LastLetter(source="generated", words=4, **sizes)),
    ):
        assert len({q.text for q in questions}) == len({q.id for q in questions}) == 90


def test_more_questions_than_there_are_is_a_users_error():
    settings = LastLetter(source="generated", words=1, train=1000, validation=1, test=1, seeds=SEEDS)
    with pytest.raises(UserError, match=r"tasks\.last_letter\.train: 1000 questions asked for"):
        last_letter.load(settings)


@pytest.mark.parametrize(
    ("rationale", "wrong"),
    [
        ("The coin is heads up. Ka flips the coin, so it is tails up. Bo does not flip it. The answer is no.", []),
        ("The coin was flipped by Ka. So the coin was flipped 1 time, which is odd. It is not heads up.", []),
        ("So the coin is no longer heads up. The answer is no.", []),
        ("Ka does not flip the coin.", [0]),
        ("Nobody flipped the coin.", [0]),
        ("There is nobody who did not flip the coin.", [0]),
        ("Ka flips the coin but Bo does not flip the coin.", []),
        ("Ka and Bo flip the coin.", [0]),
        ("Ka flips the coin. It is heads up.", [1]),
        ("The coin was flipped 2 times. 2 is even. So it is still heads up. The answer is yes.", [0, 1, 2, 3]),
        ("The coin is tails up. The answer is no.", [0]),
    ],
)
def test_coin_flip_steps(rationale, wrong):
    found = reasons("coin_flip", COIN, rationale)
    assert [i for i, reason in enumerate(found) if reason] == wrong


def test_coin_flip_reasons():
    assert reasons("coin_flip", COIN, "Bo flips the coin.") == ["Bo does not flip the coin"]
    assert reasons("coin_flip", COIN, "Coins are round.") == [None]


@pytest.mark.parametrize(
    ("rationale", "reason"),
    [
        ('The last letter of "Whitney" is "y".', None),
        ("Erika ends in a. Tj -> j. Benito: o. Whitney - y, Erika - a.", None),
        ("Whitney gives y and Tj gives j. The letters make yajo.", None),
        ("Whitney gives y and Tj gives t.", "Tj ends in j, not t"),
        ("Concatenating them is yajo.", None),
        ("So we get yajo. The answer is yajo.", None),
        ('The last letter of "Whitney" is "e".', "Whitney ends in y, not e"),
        ("The last letter of Tom is m.", "Tom is not one of the words"),
        ('Putting them together, we get "yajb".', "the letters do not make yajb"),
        ("The answer is yaja.", "yaja is not what the letters make"),
    ],
)
def test_last_letter_steps(rationale, reason):
    found = reasons("last_letter", LETTERS, rationale)
    assert found == [reason] * len(found)
    assert get_task("last_letter").check(question("last_letter", LETTERS), rationale).checkable == len(found)


def test_a_published_name_of_two_words_counts_once():
    """Which words make a name is seen in the gold label alone."""
    text = 'Take the last letters of each words in "Ira Jose Antonio" and concatenate them.'
    asked = question("last_letter", text, "ao")
    rationale = "Ira ends in a. Antonio ends in o. The letters make ao. The answer is ao."
    assert get_task("last_letter").check(asked, rationale).wrong_steps == ()
    assert get_task("last_letter").check(asked, "The answer is aeo.").wrong_steps == (0,)


@pytest.mark.parametrize(("task", "text"), [("coin_flip", COIN), ("last_letter", LETTERS)])
@given(rationale=st.text(max_size=300))
def test_no_rationale_raises(task, text, rationale):
    get_task(task).check(question(task, text), rationale)


@pytest.mark.parametrize(("task", "text"), [("coin_flip", COIN), ("last_letter", LETTERS)])
def test_garble_has_nothing_to_check(task, text):
    assert get_task(task).check(question(task, text), "the the pens of. and?").checkable == 0


def test_the_published_questions_are_read(real_data):
    coins = json.loads((real_data / "datasets/coin_flip/coin_flip.json").read_text(encoding="utf-8"))["examples"]
    assert [coin_flip.parse(row["question"]).gold for row in coins] == [row["answer"] for row in coins]
    words = json.loads((real_data / "datasets/last_letters/last_letters.json").read_text(encoding="utf-8"))["examples"]
    parsed = [(last_letter.parse(row["question"]), row["answer"].lower()) for row in words]
    four = [(names, answer) for names, answer in parsed if len(names) == 4]
    assert (len(words), len(four)) == (500, 485)  # 15 have a name of two words, "Jose Antonio", that counts as one
    assert [names for names, answer in parsed if last_letter.concatenated(names) == answer] == [n for n, _ in four]


def test_an_unknown_task_is_named():
    with pytest.raises(UserError, match="unknown task 'chess'; allowed: arithmetic, coin_flip, last_letter, svamp, "):
        load_questions("chess", None, None)


def test_a_task_without_questions_is_refused():
    with pytest.raises(UserError, match="task 'coin_flip': neither generate nor data_set"):
        replace(get_task("coin_flip"), generate=None, data_set=None)
