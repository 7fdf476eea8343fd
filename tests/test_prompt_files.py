"""The exemplars themselves: five a file, correct where they say so, varied, none of them a question of its data set.

What a prompt file may look like is tested in test_teacher_prompts.py.
"""

import json
import re
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

import pytest

from lib.equations import equation_value
from lib.similarity import tokens
from lib.tasks import answers
from lib.teacher.prompts import COT, SELF_EVAL, ZERO_SHOT, load_prompt, load_zero_shot, parse_evaluation
from lib.text import sentences
from lib.verification import check_equations

NUMBER = ("single_eq", "add_sub", "multi_arith", "gsm8k")
LETTERED = ("aqua", "commonsense_qa", "date_understanding", "tracking_shuffled_objects")
PUBLISHED = (*NUMBER, *LETTERED, "strategy_qa", "anli")
FAMILIES = (*PUBLISHED, "svamp", "arithmetic", "coin_flip", "last_letter")
NLI = ("entailment", "neutral", "contradiction")
TOO_ALIKE = 0.6

READ = {
    **dict.fromkeys(NUMBER, answers.extract_number),
    **dict.fromkeys(LETTERED, answers.extract_choice),
    "date_understanding": answers.extract_date,
    "strategy_qa": answers.extract_yes_no,
    "anli": answers.extract_named_choice,
}
# How a closing sentence is read.
HOW = {**dict.fromkeys(LETTERED, "letter and text"), "anli": "text"}


def day(month: int, number: int, year: int, days: int = 0) -> str:
    return (date(year, month, number) + timedelta(days)).strftime("%m/%d/%Y")


# The right answers of the CoT exemplars, worked out from their questions by hand.
GOLD = {
    "single_eq": (72 - 29, 6 * 14, Fraction("2.75") + Fraction("1.5"), Fraction(126, 9), 6 * 8 - 35),
    "add_sub": (57 - 23, Fraction("14.35") + Fraction("6.20"), 46 + 81 + 39, 38 - 27, 40 - 12),
    "multi_arith": (Fraction(94 - 10, 12), 7 * (4 + 5), 8 * 11 + 36, 75 - 9 * 4, 15 + Fraction(84, 7)),
    # 5 days and 2 half days; 85% and two thirds; what two leave to one; h = 3 s and h + s + 12 = 52; whole boxes only
    "gsm8k": ((5 * 14 + 2 * 7) * 9, Fraction(240 * 85 * 2, 300), Fraction(600 - 12 * (20 + 25), 20),
              Fraction(52 - 12, 4), 100 - -(-45 // 6) * 8),
    "aqua": ("$360", "30", "40", "128 sq m", "14.4 km/hr"),
    "commonsense_qa": ("trunk", "mountain hut", "weary", "hammer", "dries up"),
    "strategy_qa": ("yes", "no", "no", "yes", "no"),
    "anli": ("entailment", "contradiction", "neutral", "contradiction", "entailment"),
    "date_understanding": (day(3, 18, 2014, 14), day(3, 1, 2016, -1), day(1, 1, 1998, -1), day(10, 2, 1987),
                           day(5, 1, 2011, 14 + 1)),
    "tracking_shuffled_objects": ("west gate", "spotted apron", "cello", "bottom bunk", "blue van"),
}  # fmt: skip


def choices_of(family: str, question: str) -> tuple[str, ...]:
    """The choices that a question lists at its end; ANLI's are the same for all and not listed."""
    if family == "anli":
        return NLI
    listed = question.rpartition("Answer choices: ")[2].removesuffix(".")
    return tuple(re.split(r"(?:^|, )\([a-fA-F]\) ", listed)[1:])


def answer_of(family: str, exemplar):
    return READ[family](exemplar.rationale, choices_of(family, exemplar.question))


def labels(family: str, kind: str) -> list[str]:
    return [answer_of(family, exemplar).label for exemplar in load_prompt(family, kind).exemplars]


def gold_labels(family: str) -> dict[str, str]:
    """The right answer of each question of the CoT file."""
    return dict(zip((e.question for e in load_prompt(family, COT).exemplars), labels(family, COT)))


def wrong_steps(exemplar) -> tuple[int, ...]:
    return check_equations(exemplar.rationale).wrong_steps


def verdict_of(exemplar) -> str | None:
    return parse_evaluation(exemplar.evaluation)[0]


# -- all files -----------------------------------------------------------------------------------


def test_every_family_has_its_three_files_and_no_file_is_of_none():
    folder, kinds = load_prompt("svamp", COT).path.parent, (COT, SELF_EVAL, ZERO_SHOT)
    there = [path for kind in kinds for path in folder.glob(f"*.{kind}.txt")]
    assert {path.name for path in there} == {f"{family}.{kind}.txt" for family in FAMILIES for kind in kinds}
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in there)


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
@pytest.mark.parametrize("family", FAMILIES)
def test_five_different_exemplars_and_a_system_line(family, kind):
    prompt = load_prompt(family, kind)
    assert len({exemplar.question for exemplar in prompt.exemplars}) == len(prompt.exemplars) == 5
    assert "\n" not in prompt.system
    ending = "Evaluation result: the given answer is correct." if kind == SELF_EVAL else "The answer is"
    assert ending in prompt.system


ASKED = {
    **dict.fromkeys(NUMBER, "as one number, is"),
    **dict.fromkeys(("svamp", "arithmetic"), "as one equation in brackets, is"),
    **dict.fromkeys(("strategy_qa", "coin_flip"), "yes or no, is"),
    **dict.fromkeys(("aqua", "commonsense_qa"), "as one of (a) to (e), is"),
    "tracking_shuffled_objects": "as one of (a) to (c), is",
    "date_understanding": "as one of the lettered dates, is",
    "anli": "as one of entailment, contradiction and neutral, is",
    "last_letter": "as one word in lower case, is",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_second_zero_shot_call_asks_for_the_label_kind(family):
    prompt = load_zero_shot(family)
    assert prompt.reasoning == "Let's think step by step."
    assert prompt.answer == f"Therefore, the answer, {ASKED[family]}"
    assert "\n" not in prompt.system and "The answer is " in prompt.system


# -- chains of thought ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", PUBLISHED)
def test_rationales_reach_the_right_answer(family):
    found, gold = labels(family, COT), GOLD[family]
    assert [equation_value(label) for label in found] == list(gold) if family in NUMBER else found == list(gold)


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
@pytest.mark.parametrize("family", PUBLISHED)
def test_rationales_close_as_a_student_learns_them_and_are_short(family, kind):
    for exemplar in load_prompt(family, kind).exemplars:
        answer = answer_of(family, exemplar)
        assert (answer.text, answer.how) == (exemplar.rationale, HOW.get(family, "answer sentence"))
        assert 2 <= len(sentences(answer.reasoning)) <= (5 if family == "gsm8k" else 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_arithmetic_of_rationales_holds(family):
    assert not any(wrong_steps(exemplar) for exemplar in load_prompt(family, COT).exemplars)


@pytest.mark.parametrize(
    ("family", "signs"), [("single_eq", "+-*/"), ("add_sub", "+-"), ("multi_arith", "+-*/"), ("gsm8k", "+-*/")]
)
def test_all_operations_of_the_data_set_occur_and_every_rationale_computes(family, signs):
    rationales = [exemplar.rationale for exemplar in load_prompt(family, COT).exemplars]
    assert all(check_equations(rationale).checkable for rationale in rationales)
    assert set(re.findall(r" ([-+*/]) ", " ".join(rationales))) == set(signs)


@pytest.mark.parametrize(
    ("family", "spread"),
    [
        ("aqua", {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}),
        ("commonsense_qa", {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}),
        ("date_understanding", {0: 1, 1: 1, 2: 1, 3: 1, 5: 1}),
        ("tracking_shuffled_objects", {0: 2, 1: 1, 2: 2}),
        ("strategy_qa", {"yes": 2, "no": 3}),
        ("anli", {"entailment": 2, "contradiction": 2, "neutral": 1}),
    ],
)
def test_answers_are_spread_over_letters_and_labels(family, spread):
    exemplars, found = load_prompt(family, COT).exemplars, labels(family, COT)
    if family in LETTERED:
        found = [choices_of(family, e.question).index(label) for e, label in zip(exemplars, found)]
    assert Counter(found) == spread


FORMS = {
    **dict.fromkeys(NUMBER + ("strategy_qa",), r"[^\n]+\?"),
    **dict.fromkeys(("aqua", "commonsense_qa"), r"[^\n]+[?.]\nAnswer choices: "
                    r"\(a\) [^\n]+, \(b\) [^\n]+, \(c\) [^\n]+, \(d\) [^\n]+, \(e\) [^\n]+[^.\n]"),
    "date_understanding": r"[^\n]+What is the date [a-z ]+ in MM/DD/YYYY\?\nWhich choice is true\? Answer choices: "
                          r"(?:\([A-F]\) \d\d/\d\d/\d{4}(?:, |\.)){6}",
    "tracking_shuffled_objects": r"[^\n]+ First, [^\n]+ Then, [^\n]+ Finally, [^\n]+ the\nWhich choice is true\? "
                                 r"Answer choices: \(A\) [^\n]+, \(B\) [^\n]+, \(C\) [^\n]+\.",
    "anli": r"[^\n]+\nHypothesis: [^\n]+\.\nDoes the premise entail the hypothesis, contradict it, or neither\? "
            r"Answer with entailment, contradiction or neutral\.",
}  # fmt: skip


@pytest.mark.parametrize("kind", [COT, SELF_EVAL])
@pytest.mark.parametrize("family", PUBLISHED)
def test_questions_have_the_form_of_their_task(family, kind):
    for exemplar in load_prompt(family, kind).exemplars:
        assert re.fullmatch(FORMS[family], exemplar.question), exemplar.question
        choices = choices_of(family, exemplar.question)
        assert family not in LETTERED or 3 <= len(set(choices)) == len(choices)


@pytest.mark.parametrize("place", range(5))
def test_swaps_lead_where_the_rationale_says(place):
    """Replay the swaps that the question tells."""
    exemplar = load_prompt("tracking_shuffled_objects", COT).exemplars[place]
    story = exemplar.question.partition("\n")[0]
    choices = choices_of("tracking_shuffled_objects", exemplar.question)
    people = re.match(r"(\w+), (\w+), and (\w+) ", story).groups()
    has = dict(zip(people, choices))
    assert all(re.search(rf"{person} [a-z]+ (?:[a-z]+ )?(?:the|a) {thing}", story) for person, thing in has.items())
    swaps = re.findall(r"(?:First|Then|Finally), (\w+) and (\w+) ", story)
    assert len(swaps) == 3
    for one, other in swaps:
        has[one], has[other] = has[other], has[one]
    asked = re.search(r", (\w+) [a-z]+(?: [a-z]+)? the$", story)[1]
    assert has[asked] == labels("tracking_shuffled_objects", COT)[place]


# -- self-evaluations ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", (*PUBLISHED, "svamp"))
def test_verdicts_are_spread(family):
    exemplars = load_prompt(family, SELF_EVAL).exemplars
    assert Counter(map(verdict_of, exemplars)) == {"correct": 2, "wrong": 2, "uncertain": 1}


@pytest.mark.parametrize("family", PUBLISHED)
def test_verdicts_agree_with_the_worked_answers(family):
    """Right and wrong answers are to questions of the CoT file, uncertain ones to a question of their own."""
    gold = gold_labels(family)
    for exemplar, label in zip(load_prompt(family, SELF_EVAL).exemplars, labels(family, SELF_EVAL)):
        known = "correct" if label == gold.get(exemplar.question) else "wrong"
        assert verdict_of(exemplar) == (known if exemplar.question in gold else "uncertain")


@pytest.mark.parametrize("family", [*NUMBER, "aqua", "strategy_qa", "anli"])
def test_one_wrong_rationale_slips_and_the_other_misunderstands(family):
    slips = [e for e in load_prompt(family, SELF_EVAL).exemplars if wrong_steps(e)]
    assert [verdict_of(exemplar) for exemplar in slips] == ["wrong"]


@pytest.mark.parametrize("family", PUBLISHED)
def test_critiques_are_short_and_do_not_give_the_answer(family):
    gold = gold_labels(family)
    for exemplar in load_prompt(family, SELF_EVAL).exemplars:
        verdict, critique = parse_evaluation(exemplar.evaluation)
        ending = f"Evaluation result: the given answer is {verdict}."
        assert exemplar.evaluation == f"Evaluation:\n\n{critique}\n\n{ending}"
        assert 1 <= len(sentences(critique)) <= 3
        untold = [gold[exemplar.question]] if exemplar.question in gold else gold.values()
        assert not any(re.search(rf"(?<!\w){re.escape(label)}(?!\w)", critique, re.I) for label in untold)
        assert not re.search(r"\byes\b|\bentail|\bcontradict|\bneutral|\([a-fA-F]\)", critique, re.I)


# -- against the data sets -----------------------------------------------------------------------


def read(folder, path: str) -> list[dict]:
    text = (folder / path).read_text(encoding="utf-8")
    if path.endswith("jsonl") or path.startswith("AQuA"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = json.loads(text)
    return rows["examples"] if isinstance(rows, dict) else rows


# family: its files, and the question of a row (of ANLI premise and hypothesis)
SOURCES = {
    "single_eq": (["SingleEq/questions.json"], "{sQuestion}"),
    "add_sub": (["AddSub/AddSub.json"], "{sQuestion}"),
    "multi_arith": (["MultiArith/MultiArith.json"], "{sQuestion}"),
    "svamp": (["SVAMP/SVAMP.json"], "{Body} {Question}"),
    "gsm8k": (["grade-school-math/train.jsonl", "grade-school-math/test.jsonl"], "{question}"),
    "aqua": (["AQuA/test.json"], "{question}"),
    "commonsense_qa": ([f"CommonsenseQA/{name}.jsonl" for name in (
        "train_rand_split", "dev_rand_split", "test_rand_split_no_answers")], "{question[stem]}"),
    "strategy_qa": (["StrategyQA/task.json"], "{input}"),
    "anli": (["ANLI/r1_dev.jsonl", "ANLI/r1_test.jsonl"], "{premise} {hypothesis}"),
    "date_understanding": (["Bigbench_Date/task.json"], "{input}"),
    "tracking_shuffled_objects": (["Bigbench_object_tracking/task.json"], "{input}"),
    "coin_flip": (["coin_flip/coin_flip.json"], "{question}"),
    "last_letter": (["last_letters/last_letters.json"], "{question}"),
}  # fmt: skip
# What every question of a kind ends in counts for nothing.
COMMON = re.compile(r"\n(?:Which choice is true\?|Answer choices:|Does the premise entail).*")


def published(real_data, family: str) -> list[str]:
    files, question = SOURCES[family]
    return [question.format(**row) for path in files for row in read(real_data / "datasets", path)]


def exemplar_questions(family: str) -> set[str]:
    return {COMMON.sub("", e.question) for kind in (COT, SELF_EVAL) for e in load_prompt(family, kind).exemplars}


def names_in(question: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]\w*", question)) - {"A", "Is", "Note", "Take"}


def nearest(question: str, others: list[frozenset[str]]) -> float:
    """The largest token-set Jaccard similarity of a question to any of the others."""
    own = tokens(question)
    return max(len(own & other) / len(own | other) for other in others)


@pytest.mark.parametrize("family", (*PUBLISHED, "svamp"))
def test_no_exemplar_is_nearly_a_question_of_its_data_set(real_data, family):
    others = [tokens(text) for text in published(real_data, family)]
    shown = (question.replace("\nHypothesis: ", " ") for question in exemplar_questions(family))
    assert {question: score for question in shown if (score := nearest(question, others)) >= TOO_ALIKE} == {}


def test_no_hypothesis_is_nearly_one_of_anli(real_data):
    files = SOURCES["anli"][0]
    others = [tokens(row["hypothesis"]) for path in files for row in read(real_data / "datasets", path)]
    hypotheses = [question.partition("\nHypothesis: ")[2] for question in exemplar_questions("anli")]
    assert max(nearest(hypothesis, others) for hypothesis in hypotheses) < TOO_ALIKE


@pytest.mark.parametrize("family", ["coin_flip", "last_letter"])
def test_no_exemplar_shares_two_names_with_a_published_question(real_data, family):
    """Questions of these kinds are all alike but for the names in them."""
    shown = [names_in(question) for question in exemplar_questions(family)]
    taken = [names_in(text) for text in published(real_data, family)]
    assert min(map(len, shown)) >= 2 and len(taken) == 500
    assert max(len(own & other) for own in shown for other in taken) <= 1
