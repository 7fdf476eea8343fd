"""The simulated teacher: its errors are where, and as many as, its settings say."""

import hashlib
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from statistics import mean

import pytest

from lib.config import load_config
from lib.records import Question
from lib.tasks import get_task, load_questions
from lib.teacher import Request, open_teacher
from lib.teacher.prompts import Exemplar, cot_messages, parse_evaluation, self_eval_messages
from lib.teacher.simulated import VERSION, SimulatedTeacher
from lib.teacher.simulation import KINDS, STYLES, WRITERS, flaw_kind, writer_of
from lib.teacher.simulation.critiques import tells

CFG = load_config()
TASKS = sorted(WRITERS)
PENS = "Tom has 12 pens. Ann has 9 pens. Tom buys 7 pens. How many pens does Tom have now?"
NAMES = 'Take the last letters of each words in "Whitney Erika Tj Benito" and concatenate them.'
COIN = "A coin is heads up. Ada flips the coin. Abel does not flip the coin. Is the coin still heads up?"


def teacher(**settings) -> SimulatedTeacher:
    values = {"seed": 3, "styles": 4, "flaw_rate": 0.25, "flaw_correlation": 0.5, "verdict_reliability": 0.85,
              "uncertain_rate": 0.05, "imitation": True, **settings}  # fmt: skip
    return SimulatedTeacher(CFG.teacher.simulated.model_copy(update=values))


def questions(task: str, operations: int = 1, count: int = 300) -> list[Question]:
    arithmetic = CFG.tasks.arithmetic.model_copy(update={"operations": operations})
    loaded = load_questions(task, CFG.tasks.model_copy(update={"arithmetic": arithmetic}), CFG.data)
    return [question for question in loaded if question.split == "train"][:count]


def rationale(who, question: Question, sample: int = 0, temperature: float = 0.7, exemplars=5) -> str:
    return who.complete(Request(cot_messages(question.task, question.text, exemplars), temperature, 256, sample)).text


def evaluate(who, question: Question, text: str, sample: int = 0) -> tuple[str, str]:
    request = Request(self_eval_messages(question.task, question.text, text, 5), 0.7, 256, sample)
    return parse_evaluation(who.complete(request).text)


def sound(question: Question, text: str) -> bool:
    task = get_task(question.task)
    return not task.check(question, text).wrong_steps and task.equal(task.extract(text).label, question.gold_label)


def flaws(who, asked: list[Question], samples: int = 1, **settings) -> list[list[bool]]:
    """bool[questions][samples]: flawed according to the verifier."""
    return [[not sound(q, rationale(who, q, sample=i, **settings)) for i in range(samples)] for q in asked]


def near(share: float, expected: float, n: int) -> bool:
    """Within four standard errors of a binomial share."""
    return abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / n)


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", range(STYLES))
@pytest.mark.parametrize(("task", "operations"), [*((task, 1) for task in TASKS), ("arithmetic", 2)])
def test_the_verifier_sees_every_planted_flaw_and_no_other(task, operations, style):
    rng, seen = Random(style), Counter()
    for question in questions(task, operations):
        writer, problem = writer_of(question.text)
        assert (writer.task, writer.gold(problem)) == (task, question.gold_label)
        text = writer.word(problem, writer.solve(problem), style, rng)
        assert sound(question, text), text
        assert writer.style_of(text) == style
        assert get_task(task).extract(text).how == "answer sentence"
        for kind, plant in writer.flaws.items():
            if work := plant(problem, rng):
                text = writer.word(problem, work, style, rng)
                check = get_task(task).check(question, text)
                assert flaw_kind(task, question.text, check) == kind, text
                assert writer.style_of(text) == style
                seen[kind] += 1
    assert set(seen) == set(KINDS) and min(seen.values()) > 100


@pytest.mark.parametrize("task", TASKS)
def test_slips_keep_the_arithmetic_label_and_wrong_operations_change_it(task):
    writer, task_ = WRITERS[task], get_task(task)
    for question in questions(task, count=100):
        problem = writer.parse(question.text)
        for kind in KINDS:
            if work := writer.flaws[kind](problem, Random(1)):
                label = task_.extract(writer.word(problem, work, 0, Random(1))).label
                expected = task == "arithmetic" and kind == "slipped arithmetic"
                assert task_.equal(label, question.gold_label) == expected


def test_an_exact_rationale_of_each_style():
    writer, problem = writer_of(PENS)
    work = writer.solve(problem)
    texts = {writer.word(problem, work, style, Random(seed)) for style in range(STYLES) for seed in range(300)}
    end = "12 + 7 = 19. Tom has 19 pens now. The answer is (12 + 7)."
    assert {
        f"Tom has 12 pens. Tom buys 7 pens. So {end}",
        f"The numbers that count are 12 and 7. Thus {end}",
        f"We have to add 12 and 7. {end}",
        f"The number 9 does not matter. Tom has 12 pens. Now {end}",
    } <= texts
    assert all(text.endswith(end) for text in texts)


def test_rationales_and_critiques_keep_their_length_and_a_small_vocabulary():
    who, asked = teacher(), questions("arithmetic", count=400)
    texts = [rationale(who, q, sample=i) for q in asked for i in range(3)]
    judged = [evaluate(who, q, rationale(who, q), sample=i)[1] for q in asked for i in range(3)]
    assert all(15 <= len(_tokens(text)) <= 45 for text in texts)
    assert all(8 <= len(_tokens(text)) <= 30 for text in judged)
    known = {word for q in asked for word in _tokens(q.text)}
    new = {word for text in texts + judged for word in _tokens(text) if not word.isdigit()} - known
    assert len(new) <= 150


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def test_rationales_of_one_question_differ():
    who, asked = teacher(), questions("arithmetic")
    assert mean(len({rationale(who, q, sample=i) for i in range(5)}) for q in asked) > 4.5


# -- how many flaws, and where -------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("temperature", [0.7, 0.0])
def test_the_share_of_flawed_rationales_is_the_set_rate(rate, temperature):
    asked = questions("arithmetic", count=800)
    share = mean(row[0] for row in flaws(teacher(flaw_rate=rate), asked, temperature=temperature))
    assert near(share, rate, len(asked))


@pytest.mark.parametrize("task", ["coin_flip", "last_letter"])
def test_the_other_tasks_have_the_same_share(task):
    asked = questions(task, count=800)
    assert near(mean(row[0] for row in flaws(teacher(), asked)), 0.25, len(asked))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_two_rationales_of_a_question_correlate_with_the_square_of_the_setting(correlation):
    rate, asked = 0.4, questions("arithmetic", count=900)
    pairs = flaws(teacher(flaw_rate=rate, flaw_correlation=correlation), asked, samples=2)
    both = mean(a and b for a, b in pairs)
    expected = rate**2 + correlation**2 * rate * (1 - rate)
    assert near(both, expected, len(asked))
    assert correlation < 1 or all(a == b for a, b in pairs)


def test_shared_flaws_are_the_same_flaw():
    who, task = teacher(flaw_rate=1, flaw_correlation=1), get_task("arithmetic")
    for question in questions("arithmetic", count=100):
        texts = [rationale(who, question, sample=i) for i in range(4)]
        assert len({task.extract(text).label for text in texts}) == 1
        assert len({flaw_kind("arithmetic", question.text, task.check(question, text)) for text in texts}) == 1


def test_style_is_independent_of_flaw():
    who, asked = teacher(flaw_rate=0.5, imitation=False), questions("arithmetic", count=600)
    texts = [(q, rationale(who, q, sample=i)) for q in asked for i in range(4)]
    for style in range(STYLES):
        own = [not sound(q, text) for q, text in texts if WRITERS["arithmetic"].style_of(text) == style]
        # A question's rationales share flaws: only as many as there are questions count as independent.
        assert near(mean(own), 0.5, len(asked))


def test_a_rate_changed_leaves_what_it_does_not_govern():
    asked = questions("arithmetic", count=100)
    few, more = teacher(flaw_rate=0.2), teacher(flaw_rate=0.4)
    assert few.identity != more.identity
    for q in asked:
        one, other = rationale(few, q), rationale(more, q)
        assert one == other or sound(q, one)
        assert rationale(teacher(verdict_reliability=0.5), q) == rationale(teacher(), q)


# -- imitation -----------------------------------------------------------------------------------


def _styles(who, exemplars, asked) -> Counter:
    return Counter(WRITERS["arithmetic"].style_of(rationale(who, q, exemplars=exemplars)) for q in asked)


def test_styles_are_those_of_the_exemplars_as_often_as_shown():
    asked = questions("arithmetic", count=400)
    shown = [Exemplar("?", "We add 1 and 2. The answer is (1 + 2).")] * 3
    shown += [Exemplar("?", "The number 4 does not matter. The answer is (1 + 2).")]
    styles = _styles(teacher(), shown, asked)
    assert set(styles) == {2, 3} and near(styles[2] / 400, 0.75, 400)
    assert set(_styles(teacher(), 5, asked)) == {0, 1, 2, 3}


def test_without_imitation_or_exemplars_all_allowed_styles_occur():
    asked = questions("arithmetic", count=200)
    shown = [Exemplar("?", "We add 1 and 2. The answer is (1 + 2).")]
    assert set(_styles(teacher(imitation=False), shown, asked)) == {0, 1, 2, 3}
    assert set(_styles(teacher(), 0, asked)) == {0, 1, 2, 3}
    assert set(_styles(teacher(styles=2, imitation=False), shown, asked)) == {0, 1}
    assert set(_styles(teacher(styles=2), shown, asked)) == {0, 1}  # nothing shown is allowed


# -- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("reliability", "uncertain"), [(0.85, 0.05), (1.0, 0.0), (0.0, 0.0)])
def test_verdicts_agree_with_the_verifier_as_often_as_set(task, reliability, uncertain):
    asked = questions(task, count=400)
    who = teacher(flaw_rate=0.5, verdict_reliability=reliability, uncertain_rate=uncertain)
    verdicts = [(sound(q, text), evaluate(who, q, text)[0]) for q in asked for text in [rationale(who, q)]]
    definite = [(truth, verdict) for truth, verdict in verdicts if verdict != "uncertain"]
    assert near(1 - len(definite) / len(verdicts), uncertain, len(verdicts))
    agree = mean(verdict == ("correct" if truth else "wrong") for truth, verdict in definite)
    assert near(agree, reliability, len(definite))


def test_the_truth_is_read_from_the_rationale_that_is_shown():
    question = questions("arithmetic", count=1)[0]
    perfect = teacher(verdict_reliability=1, uncertain_rate=0)
    good = rationale(teacher(flaw_rate=0), question)
    bad = rationale(teacher(flaw_rate=1), question)
    assert [evaluate(perfect, question, text)[0] for text in (good, bad, "Nonsense.")] == ["correct", "wrong", "wrong"]


@pytest.mark.parametrize("task", TASKS)
def test_a_true_accusation_names_the_step_and_tells_no_label(task):
    who = teacher(flaw_rate=1, verdict_reliability=1, uncertain_rate=0)
    for question in questions(task, count=200):
        text = rationale(who, question)
        verdict, critique = evaluate(who, question, text)
        first = get_task(task).check(question, text).wrong_steps[0] + 1
        assert verdict == "wrong" and f"step {first}" in critique.lower()
        assert not tells(critique, question.gold_label)


@pytest.mark.parametrize("task", TASKS)
def test_no_critique_tells_the_gold_label_whatever_its_verdict(task):
    who, seen = teacher(flaw_rate=0.5, verdict_reliability=0.5, uncertain_rate=0.2), set()
    for question in questions(task, count=300):
        for sample in range(3):
            verdict, critique = evaluate(who, question, rationale(who, question), sample)
            assert not tells(critique, question.gold_label), critique
            seen.add(verdict)
    assert seen == {"correct", "wrong", "uncertain"}


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("It is 12+7, not 12 - 7.", "(12 + 7)", True),
        ("Step 2 uses 12.", "(12 + 7)", False),
        ("It is 112 + 7.", "(12 + 7)", False),
        ("The answer is No.", "no", True),
        ("Nothing is at fault, not even step 2.", "no", False),
        ("It gives 'Yajo'.", "yajo", True),
        ("", "no", False),
    ],
)
def test_what_telling_a_label_means(text, label, expected):
    assert tells(text, label) is expected


def test_a_false_accusation_is_worded_like_a_true_one():
    asked = questions("arithmetic", count=500)
    true = teacher(flaw_rate=1, verdict_reliability=1, uncertain_rate=0)
    false = teacher(flaw_rate=0, verdict_reliability=0, uncertain_rate=0)
    wordings = []
    for who in (true, false):
        critiques = [evaluate(who, q, rationale(who, q))[1] for q in asked]
        wordings.append({re.sub(r"\d+|adds|subtracts|multiplies|divides", "#", critique) for critique in critiques})
    assert wordings[1] <= wordings[0]


# -- repeatable, bounded, honest about what it cannot do -----------------------------------------


def _digest() -> str:
    """Of answers to prompts that nothing but the teacher's own code can change."""
    who, sha = teacher(), hashlib.sha256()
    for question in (PENS, COIN, NAMES):
        for sample in range(20):
            text = who.complete(Request(({"role": "user", "content": f"Q: {question}"},), 0.7, 99, sample)).text
            judge = ({"role": "user", "content": f"Question: {question}\nAnswer: {text}"},)
            sha.update(f"{text}\n{who.complete(Request(judge, 0.7, 99, sample)).text}\n".encode())
    return sha.hexdigest()[:16]


def test_answers_are_the_same_in_every_process():
    code = "from tests.test_teacher_simulated import _digest; print(_digest())"
    settings = {"capture_output": True, "text": True, "check": True, "cwd": Path(__file__).resolve().parents[1]}
    digests = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, **settings).stdout
        for seed in ("1", "2")
    ]
    assert digests[0].strip() == digests[1].strip() == _digest()


def test_changed_answers_need_a_new_version():
    # Stored answers are found by the identity: if this fails on purpose, raise VERSION and put the new digest here.
    assert (VERSION, _digest()) == (1, "1b73cfb3871547a5")


def test_identity_holds_every_setting():
    changed = {"seed": 4, "styles": 3, "flaw_rate": 0.3, "flaw_correlation": 0.6, "verdict_reliability": 0.9,
               "uncertain_rate": 0.1, "imitation": False}  # fmt: skip
    assert set(changed) == set(type(CFG.teacher.simulated).model_fields)
    assert len({teacher().identity, *(teacher(**{key: value}).identity for key, value in changed.items())}) == 8


def test_an_answer_over_the_token_limit_is_cut_and_says_so():
    response = teacher().complete(Request(cot_messages("coin_flip", COIN), 0.7, 5, 0))
    assert (response.failure, len(response.text.split())) == ("cut off at the length limit", 5)


def test_tokens_are_white_space_pieces():
    messages = cot_messages("coin_flip", COIN, 0)
    response = teacher().complete(Request(messages, 0.7, 256, 0))
    assert response.prompt_tokens == sum(len(m["content"].split()) for m in messages)
    assert response.completion_tokens == len(response.text.split())


def test_a_question_it_does_not_know_is_a_failure():
    response = teacher().complete(Request(cot_messages("svamp", "Luke scored 84 points.\nHow many?"), 0.7, 256, 0))
    assert "the simulated teacher knows no such question: 'Luke" in response.failure


def test_it_is_opened_by_its_kind_and_says_what_it_is():
    who = open_teacher(CFG.teacher)
    assert isinstance(who, SimulatedTeacher)
    assert who.notes[0].startswith("Simulated teacher:") and "25% of rationales flawed" in who.notes[1]
