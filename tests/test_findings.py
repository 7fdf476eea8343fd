"""Means over questions, overlaps of students' choices, repetition, comparisons in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import UserError
from lib.evaluate import Interval
from lib.findings import (
    Overlap,
    against,
    agreement_of_all,
    agreements,
    alikeness,
    beaten,
    beside_chance,
    chosen_texts,
    difference_text,
    extremes,
    first_choices,
    overlaps,
    repetition,
    sides,
    signed,
    standings,
    told_apart,
)
from lib.records import Rationale, Selection

NAN = float("nan")


def rationale(question, reasoning, sample=0):
    said = {"text": reasoning, "reasoning": reasoning, "teacher_label": "7", "how": "answer sentence"}
    return Rationale(question_id=question, sample=sample, split="train", correct=True, wrong_steps=(), **said)


CHOICES = {
    "base": {"q1": "0", "q2": "1", "q3": "0", "q4": "2", "q5": "1"},
    "small": {"q1": "0", "q2": "1", "q3": "1", "q4": "2"},
    "large": {"q1": "0", "q2": "0", "q3": "2", "q4": "2"},
}


def test_overlaps_by_hand():
    found = {o.members: o for o in overlaps(CHOICES, dict.fromkeys(["q1", "q2", "q3", "q4", "q5"], "0123"))}
    assert {members: o.share for members, o in found.items() if o.share} == {
        ("base", "small", "large"): 0.5,  # q1, q4
        ("base", "small"): 0.25,  # q2
        ("base",): 0.25,  # q3
        ("small",): 0.25,
        ("large",): 0.5,  # q2, q3
    }
    everyone = agreement_of_all(found.values())
    assert everyone.n == 4  # q5: not all chose
    assert everyone.chance == pytest.approx(1 / 16) and everyone.low < 0.5 < everyone.high
    assert found["base", "small"].chance == pytest.approx(1 / 4 * 3 / 4)


def test_agreements_count_what_several_choose_whatever_others_do():
    found = {o.members: o for o in agreements(CHOICES, dict.fromkeys(["q1", "q2", "q3", "q4", "q5"], "0123"))}
    assert {members: (o.share, o.n) for members, o in found.items()} == {
        ("base", "small"): (0.75, 4),  # q1, q2, q4: large, too, in two of them
        ("base", "large"): (0.5, 4),  # q1, q4
        ("small", "large"): (0.5, 4),
        ("base", "small", "large"): (0.5, 4),
    }
    assert found["base", "small"].chance == pytest.approx(1 / 4)
    assert found["base", "small", "large"].chance == pytest.approx(1 / 16)


def test_agreements_of_two_are_the_same_beside_a_third_that_never_chose():
    [found, *_] = agreements({"a": {"q": "x"}, "b": {"q": "x"}, "c": {}}, {"q": ["x", "y"]})
    assert (found.members, found.share, found.n) == (("a", "b"), 1, 1)


def test_chance_counts_equal_texts_as_one_choice():
    found = overlaps({"a": {"q": "x"}, "b": {"q": "x"}}, {"q": ["x", "x", "y", "z"]})
    assert agreement_of_all(found).chance == pytest.approx(6 / 16)  # 1/2² + 1/4² + 1/4²
    assert [o.chance for o in found] == pytest.approx([6 / 16, 10 / 16, 10 / 16])  # both the same, one alone


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=9), st.sampled_from(["012", "00122"]))
def test_every_choice_belongs_to_one_overlap(picks, texts):
    choices = {name: {str(q): str(own[i]) for q, own in enumerate(picks)} for i, name in enumerate("abc")}
    found = overlaps(choices, {str(q): texts for q in range(len(picks))})
    assert sum(o.share * len(o.members) for o in found) == pytest.approx(3)
    assert sum(o.chance * len(o.members) for o in found) == pytest.approx(3)


def test_with_one_rationale_a_question_agreement_is_no_surprise():
    found = overlaps({"a": {"q": "x"}, "b": {"q": "x"}}, {"q": ["x"]})
    assert {o.members: (o.share, o.chance) for o in found} == {("a", "b"): (1, 1), ("a",): (0, 0), ("b",): (0, 0)}


def test_overlaps_of_students_without_a_common_question_and_of_one_student():
    assert all(math.isnan(o.share) and o.n == 0 for o in overlaps({"a": {"q": "x"}, "b": {}}, {"q": ["x"]}))
    with pytest.raises(UserError, match=r"1 student given \(a\)"):
        overlaps({"a": {}}, {})


def test_choices_as_texts_leave_out_empty_rows():
    rows = [Selection(question_id=q, student="base", strategy="x", samples=s) for q, s in (("a", (3, 1)), ("b", ()))]
    texts = {"a/003": "same", "a/001": "same"}
    assert [chosen_texts(row, texts) for row in rows] == [["same", "same"], []]
    assert first_choices(rows, texts) == {"a": "same"}


def test_repetition_by_hand():
    found = repetition([rationale("a", "He has 3 pens and he has 3 pens"), rationale("b", "So seven.")])
    assert found["words"] == (5.5, 2, 9)
    assert repetition([rationale("a", "He has 3").model_copy(update={"text": "He has 3. So 3."})])["words"][0] == 5
    assert found["repeated"][0] == pytest.approx((1 / 6 + 0) / 2)  # "he has 3 pens" twice among 6


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.15, 0.1, 0.2), "SLC beats log P (+.150 [+.100, +.200])"),
        ((-0.15, -0.2, -0.1), "SLC loses to log P (−.150 [−.200, −.100])"),
        ((0.001, -0.03, 0.02), "SLC is not separated from log P (+.001 [−.030, +.020])"),
        ((0.1, float("nan"), float("nan")), "SLC could not be compared with log P"),
    ],
)
def test_words_for_a_difference(interval, said):
    assert against("SLC", "log P", Interval(*interval, undefined=0)) == said


def test_signed_numbers():
    assert [signed(x) for x in (1.0, -0.5, -0.0001, float("nan"))] == ["+1.000", "−.500", ".000", "–"]


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.038, 0.0004, 0.074), "+.038 [+.000, +.074]"),  # beats: the verdict can be read off
        ((0.024, -0.0004, 0.048), "+.024 [−.000, +.048]"),  # does not
        ((0.0, 0.0, 0.0), ".000 [.000, .000]"),
        ((-0.0001, float("nan"), float("nan")), ".000 [–, –]"),
    ],
)
def test_the_ends_of_a_difference_say_on_which_side_of_0_they_are(interval, said):
    assert difference_text(Interval(*interval, undefined=0)) == said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sound": 1.93, "flawed": 1.82}, "Median SLC is higher for sound (1.9) than for flawed (1.8)"),
        ({"sound": 1.5, "flawed": 1.75}, "Median SLC is higher for flawed (1.8) than for sound (1.5)"),
        ({"a": 2.0, "b": 3.0, "c": 1.0}, "Median SLC is highest for b (3.0), lowest for c (1.0)"),
        ({"a": 2.01, "b": 2.02}, "Median SLC is the same for a, b (2.0)"),
        ({"all": 2.0, "none": NAN}, "Median SLC for all is 2.0"),
        ({"none": NAN}, "Median SLC is not known"),
    ],
)
def test_where_a_number_is_highest_and_lowest(values, said):
    assert extremes("Median SLC", values, {name: f"{value:.1f}" for name, value in values.items()}) == said


@pytest.mark.parametrize(
    ("auc", "said"),
    [
        ((0.552, 0.53, 0.574), "SLC is higher for sound rationales than for flawed ones (AUC .552 [.530, .574],"),
        ((0.4, 0.3, 0.499), "SLC is lower for sound rationales than for flawed ones (AUC .400 [.300, .499],"),
        ((0.52, 0.5, 0.54), "SLC of sound and of flawed rationales is not separated (AUC .520 [.500, .540],"),
        ((0.9, NAN, NAN), "SLC of sound and of flawed rationales could not be compared (AUC .900 [–, –],"),
        ((0.512, 0.5002, 0.52), "SLC is higher for sound rationales than for flawed ones (AUC .5120 [.5002, .5200],"),
        ((1.0, 1.0, 1.0), "SLC is higher for sound rationales than for flawed ones (AUC 1.000 [1.000, 1.000],"),
    ],
)
def test_a_score_is_called_higher_only_where_its_auc_is_separated_from_chance(auc, said):
    assert told_apart("SLC", Interval(*auc, undefined=0)) == f"{said} chance .500)"


def test_paired_differences_are_told_by_the_side_of_0_on_which_their_interval_lies():
    found = {"a": (1.25, 0.5, 2.0), "b": (-0.5, -0.75, -0.25), "c": (0.5, 0.0, 1.0), "d": (1.0, 0.5, 1.5)}
    found["e"] = (NAN, NAN, NAN)
    assert sides("Words", found, ("longer", "shorter"), "{:+.1f}".format) == (
        "Words: longer for a (+1.2 [+0.5, +2.0]), d (+1.0 [+0.5, +1.5]); shorter for b (−0.5 [−0.8, −0.2]); "
        "not separated for c (+0.5 [+0.0, +1.0]); not compared for e (– [–, –])"
    )
    assert sides("Words", {}, ("longer", "shorter")) == "Words: nothing to compare"


@pytest.mark.parametrize(
    ("chance", "n", "said"),
    [
        (0.3, 9, "in 50.0% [40.0%, 60.0%] of questions, more often than by chance (30.0%)"),
        (0.7, 9, "in 50.0% [40.0%, 60.0%] of questions, less often than by chance (70.0%)"),
        (0.45, 9, "in 50.0% [40.0%, 60.0%] of questions, not separated from chance (45.0%)"),
        (NAN, 0, "in no question, for none has a choice of each of them"),
    ],
)
def test_what_happens_beside_chance_is_told_by_the_interval(chance, n, said):
    assert beside_chance(Overlap(("a", "b"), 0.5, 0.4, 0.6, chance, n)) == said


def test_a_rank_correlation_in_words():
    found = [alikeness(r) for r in (0.972, 0.6, 0.1, -0.8, NAN)]
    assert len(set(found)) == 5 and found[:3] == [
        "in nearly the same order",
        "in a similar order",
        "in different orders",
    ]


def test_which_scores_beat_a_plain_one():
    better, same, worse = (Interval(v, v - 0.05, v + 0.05, 0) for v in (0.1, 0.0, -0.1))
    unknown = Interval(*[float("nan")] * 3, 9)
    overall = {"SLC": worse, "RD": better, "PMI": same, "self-evaluation": unknown}
    assert beaten({"overall": overall}) == "beaten by RD"
    assert beaten({"overall": overall, "within style": overall | {"RD": worse, "PMI": better}}) == (
        "beaten by RD (overall); PMI (within style)"
    )
    assert beaten({"overall": {"SLC": worse}}) == beaten({}) == "beaten by none"


def test_plain_scores_that_stand_alike_share_a_sentence():
    better, worse = ({"overall": {"RD": Interval(v, v - 0.05, v + 0.05, 0)}} for v in (0.1, -0.1))
    found = standings({"log P": worse, "few tokens": better, "log P(a)": worse})
    assert found == ["log P, log P(a): beaten by none", "few tokens: beaten by RD"]
