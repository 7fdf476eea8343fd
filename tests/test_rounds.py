"""The table of a chain's rounds."""

import math

import numpy as np
import pandas as pd
import pytest
from test_refinement import question, rationale, score, start, zero

from lib.records import Failure, Question, Rationale, Refined
from lib.refinement import Start
from lib.rounds import Round, round_table


def same(texts) -> np.ndarray:
    """float[N, N]: 1 for equal texts, else 0."""
    return np.array([[float(a == b) for b in texts] for a in texts])


def test_a_round_by_hand():
    """Two questions, four originals, three refined ones of the first question and an answer that cannot be read."""
    given = Start([question(10), question(11)], [rationale(n, s) for n in (10, 11) for s in (0, 1)], [])
    given = Start(given.questions, given.rationales, score(given.rationales))
    new = [
        Refined(**rationale(10, sample, correct).model_dump(), chain="slc_high", round=1)
        for sample, correct in ((0, True), (1, False), (2, None))
    ]
    unread = Failure(item_id="q11@slc_high/1", sample=0, split="train", reason="no answer found", text="Hm.")
    silent = unread.model_copy(update={"sample": 1, "text": ""})
    one = Round("slc_high", 1, tuple(given.questions), tuple(new), tuple(score(new[:2])), (unread, silent))
    before, row = round_table([zero(given), one], same)
    assert (row["questions"], row["rationales"]) == (2, 3)
    assert (row["unusable"], row["unlabelled"], row["unscored"]) == (2, 1, 1)
    assert (
        row["correct"] == pytest.approx(1 / 3) and 0 <= row["correct low"] < row["correct"] < row["correct high"] <= 1
    )
    assert (row["with usable"], row["with correct"]) == (0.5, 0.5)
    assert (row["SLC"], row["SLC before"], row["tokens"], row["words"]) == (1.5, 1.5, 10.5, 11)
    assert (row["SLC gain"], before["SLC gain"]) == (0, 0)
    assert row["like originals"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert (before["round"], before["correct"], before["with correct"], before["like originals"]) == (0, 1, 1, 0)


def test_a_round_that_got_nothing_is_nan_not_an_error():
    empty = Round("slc_high", 1, (question(10),), (), (), ())
    row = round_table([zero(start()), empty])[1]
    assert (row["with usable"], row["rationales"]) == (0, 0)
    assert all(
        math.isnan(row[name])
        for name in ("correct", "correct low", "SLC", "SLC low", "tokens", "words", "like originals")
    )


def test_mean_slc_counts_a_question_once_and_its_interval_resamples_questions():
    """q10 has SLC 1 and 2, q11 has 5 alone: (1.5 + 5) / 2."""
    rows = [rationale(10, 0), rationale(10, 1), rationale(11, 4)]
    row = round_table([zero(Start([question(10), question(11)], rows, score(rows)))])[0]
    assert row["SLC"] == row["SLC before"] == 3.25 and row["SLC low"] < 3.25 < row["SLC high"]


def test_the_gain_of_a_round_is_paired_by_question():
    """Originals: q10 has SLC 1, q11 has 5; the round scored q11 alone, at 4. Its gain is −1, not 4 − 3."""
    rows = [rationale(10, 0), rationale(11, 4)]
    start = zero(Start([question(10), question(11)], rows, score(rows)))
    again = Round("slc_high", 1, start.questions, tuple(rows), tuple(score([rationale(11, 3)])), ())
    row = round_table([start, again])[1]
    assert (row["SLC"], row["SLC before"], row["SLC gain"], row["paired"]) == (4, 3, -1, 1)


def test_rows_fit_the_figure_of_rounds():
    frame = pd.DataFrame(round_table([zero(start())])).assign(chain="slc_high")
    assert {"chain", "round", "SLC", "SLC low", "SLC high", "correct", "correct low", "correct high"} <= set(frame)


def worded(question, reasoning, sample=0):
    said = {"text": reasoning, "reasoning": reasoning, "teacher_label": "7", "how": "answer sentence"}
    return Rationale(question_id=question, sample=sample, split="train", correct=True, wrong_steps=(), **said)


def rewritten(question, reasoning, correct):
    own = worded(question, reasoning).model_dump() | {"correct": correct}
    return Refined(**own, chain="slc_high", round=1)


def chain_of_two():
    asked = [Question(question_id=q, task="svamp", split="train", text=q, gold_label="7") for q in ("a", "b")]
    first = [worded("a", "3 pens"), worded("a", "4 pens", 1), worded("b", "so 7")]
    second = [rewritten("a", "3 pens", True), rewritten("b", "no idea at all", False)]
    return [Round("", 0, tuple(asked), tuple(first), (), ()), Round("slc_high", 1, tuple(asked), tuple(second), (), ())]


def test_intervals_of_rounds_by_hand():
    before, after = round_table(chain_of_two())
    assert (before["with correct"], before["words"]) == (1, 2)
    assert before["like originals"] == pytest.approx(1 / 3)  # of a's two; b has no other original
    assert (after["with correct"], after["with correct low"], after["with correct high"]) == (0.5, 0, 1)
    assert (after["words"], after["words low"], after["words high"]) == (3, 2, 4)
    assert after["like originals"] == pytest.approx((np.mean([1, 1 / 3]) + 0) / 2)
