"""Refinement: which exemplars a chain shows to whom, what a round asks, that it resumes, and what is reported of it."""

from collections import Counter

import asked
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from loopback import serve

from lib.config import load_config
from lib.errors import UserError
from lib.records import Question, Rationale, Refined, Score, read_rows, write_rows
from lib.refinement import (
    Chain,
    Start,
    chains_of,
    control_teacher,
    exemplars,
    refine,
    refine_all,
)
from lib.rounds import Round, cost, round_table
from lib.sampling import sample_rationales
from lib.settings import Generate, Price, Refine
from lib.tasks import get_task, load_questions
from lib.teacher import OneByOne, Response, open_teacher, prompts
from lib.teacher.simulation import WRITERS
from lib.teacher.store import Store
from lib.teacher.terms import Terms

CFG = load_config()
TASK = get_task("arithmetic")
GENERATE = Generate(exemplars=0, temperature=0.9, max_tokens=64, rationales=8)
REFINE = Refine(rounds=2, chains=["slc_high", "random", "slc_low"], exemplars=3, questions=4, rationales=2)
TEXT = "Tom has {} pens. Ann has 90 pens. Tom buys 7 pens. How many pens does Tom have now?"


def quiet(iterable, total, label):
    return iterable


class Fake(OneByOne):
    """Answers by a function of the request and remembers what it was asked."""

    identity, notes = "fake", ()

    def __init__(self, answer=None, identity="fake"):
        self.answer, self.identity, self.asked = answer or right, identity, []

    def complete(self, request):
        self.asked.append(request)
        answer = self.answer(request)
        return answer if isinstance(answer, Response) else Response(answer, "stop", 10, 5)


def pens_of(request) -> str:
    return prompts.question_of(request.messages).split()[2]


def right(request):
    pens = pens_of(request)
    return f"Way {request.sample} of {pens}: buying adds. The answer is ({pens} + 7)."


def question(n: int) -> Question:
    return Question(question_id=f"q{n}", task="arithmetic", split="train", text=TEXT.format(n), gold_label=f"({n} + 7)")


def rationale(n: int, sample: int, correct: bool | None = True) -> Rationale:
    reasoning, label = f"First way {sample} of {n}.", f"({n} + {7 if correct else 90})"
    return Rationale(
        question_id=f"q{n}", sample=sample, split="train", text=f"{reasoning} The answer is {label}.",
        reasoning=reasoning, teacher_label=label, how="answer sentence", correct=correct, wrong_steps=(),
    )  # fmt: skip


def score(rows) -> list[Score]:
    """The higher its sample, the more consistent a rationale is to this student."""
    return [
        Score(
            question_id=r.question_id, sample=r.sample, student="base", scorer="fake",
            precision="fp32", rd_target="", chain=getattr(r, "chain", ""),
            round=getattr(r, "round", 0), slc=1.0 + r.sample, pmi=0, rd=1, rd_masked=1, rd_own=1, log_p=-1,
            log_p_answer=-1, tokens=10 + r.sample,
        )
        for r in rows
    ]  # fmt: skip


def start(count: int = 8) -> Start:
    """Three originals a question; the last one, which scores best, is wrong."""
    rows = [rationale(n, sample, sample < 2) for n in range(10, 10 + count) for sample in range(3)]
    return Start([question(n) for n in range(10, 10 + count)], rows, score(rows))


def chain(strategy="slc_high", teacher=None, name=None) -> Chain:
    return Chain(name or strategy, strategy, teacher or Fake())


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.jsonl") as opened:
        yield opened


def run(own, store, given=None, settings=REFINE, **more) -> list[Round]:
    return refine(own, given or start(), score, TASK, store, GENERATE, settings, progress=quiet, **more)


def shown_to(teacher) -> dict[tuple[str, ...], list[str]]:
    """Exemplar texts -> the questions that were asked with them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for request in teacher.asked:
        texts = tuple(m["content"] for m in request.messages if m["role"] == "assistant")
        found.setdefault(texts, []).append(prompts.question_of(request.messages))
    return found


def zero(given: Start) -> Round:
    return Round("", 0, *map(tuple, (given.questions, given.rationales, given.scores, given.failures)))


# -- exemplars -----------------------------------------------------------------------------------


def test_exemplars_are_each_questions_correct_rationale_that_the_chain_prefers():
    drawn = {name: exemplars(zero(start(40)), chain(name), 20, 0, 1) for name in ("slc_high", "slc_low", "random")}
    assert {r.sample for r in drawn["slc_high"]} == {1}  # sample 2 scores best and is wrong
    assert {r.sample for r in drawn["slc_low"]} == {0}
    assert {r.sample for r in drawn["random"]} == {0, 1}
    assert len(drawn["slc_high"]) == 21  # twenty and a spare one


def test_all_chains_show_exemplars_of_the_same_questions_and_the_next_round_of_others():
    ids = [[r.question_id for r in exemplars(zero(start()), chain(name), 3, 0, 1)] for name in REFINE.chains]
    assert ids[0] == ids[1] == ids[2] and len(set(ids[0])) == 4
    assert [r.question_id for r in exemplars(zero(start()), chain(), 3, 0, 2)] != ids[0]
    assert [r.question_id for r in exemplars(zero(start()), chain(), 3, 1, 1)] != ids[0]


def test_an_unscored_rationale_is_no_exemplar_even_for_a_chain_that_needs_no_score():
    given = start()
    scored = [s for s in given.scores if s.question_id in ("q10", "q11")]
    drawn = exemplars(zero(Start(given.questions, given.rationales, scored)), chain("random"), 5, 0, 1)
    assert {r.question_id for r in drawn} == {"q10", "q11"}


def test_two_questions_with_one_text_give_one_exemplar():
    given = start(3)
    twin = given.questions[0].model_copy(update={"question_id": "q11"})
    drawn = exemplars(zero(Start([given.questions[0], twin, given.questions[2]], given.rationales, given.scores)),
                      chain(), 5, 0, 1)  # fmt: skip
    assert len(drawn) == 2 and "q12" in {r.question_id for r in drawn}


@given(st.randoms())
def test_the_order_of_rows_does_not_matter(random):
    given, mixed = start(), start()
    for rows in (mixed.questions, mixed.rationales, mixed.scores):
        random.shuffle(rows)
    assert exemplars(zero(mixed), chain("random"), 3, 0, 1) == exemplars(zero(given), chain("random"), 3, 0, 1)


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_no_question_ever_sees_its_own_exemplar_and_each_sees_as_many_as_set(tmp_path, seed, count):
    own = chain()
    with Store(tmp_path / f"{seed}-{count}.jsonl") as store:
        run(own, store, settings=REFINE.model_copy(update={"exemplars": count, "questions": None}), seed=seed)
    for request in own.teacher.asked:
        *prefix, last = request.messages
        assert last["content"] not in {m["content"] for m in prefix if m["role"] == "user"}
        assert sum(m["role"] == "assistant" for m in prefix) == count


def test_the_sixth_stands_in_for_a_questions_own_exemplar(store):
    own = chain()
    one = run(own, store, settings=REFINE.model_copy(update={"rounds": 1}))[1]
    texts = {r.id: r.text for r in start().rationales}
    drawn = [texts[name] for name in one.shown]
    seen = shown_to(own.teacher)
    assert len(drawn) == 4 and seen[tuple(drawn[:3])]  # those who are no exemplar see the first three
    for at in range(3):
        others = tuple(text for text in drawn if text != drawn[at])
        assert set(seen[others]) == {TEXT.format(one.shown[at][1:3])}
    assert all(text.endswith(" + 7).") for text in drawn)  # with their answer sentence


# -- rounds --------------------------------------------------------------------------------------


def test_rounds_ask_the_drawn_questions_and_the_last_one_all(store):
    rounds = run(chain(), store)
    assert [len(one.questions) for one in rounds] == [8, 4, 8]
    assert [len(one.rationales) for one in rounds] == [24, 8, 16]
    other = run(chain("slc_low", Fake(identity="other")), store)
    assert other[1].questions == rounds[1].questions  # the same for every chain
    everywhere = run(chain(), store, settings=REFINE.model_copy(update={"questions": None}))
    assert [len(one.questions) for one in everywhere] == [8, 8, 8]


def test_each_round_shows_what_the_one_before_it_wrote(store):
    own = chain()
    _, first, second = run(own, store)
    assert all("@" not in name for name in first.shown)
    assert len(second.shown) == 4 and all(name.endswith("@slc_high/1") for name in second.shown)
    assert {name[4:7] for name in second.shown} == {"001"}  # the one that scores best
    assert {(r.temperature, r.max_tokens, r.sample) for r in own.teacher.asked} == {(0.9, 64, 0), (0.9, 64, 1)}


def test_rows_say_their_chain_and_round_and_all_fit_one_file(store, tmp_path):
    def refuses(request):
        return "I do not know" if request.sample and pens_of(request) == "10" else right(request)

    chains = [chain(name, Fake(refuses)) for name in REFINE.chains]
    found = refine_all(chains, start(), score, TASK, store, GENERATE, REFINE, progress=quiet)
    rows = [row for rounds in found.values() for one in rounds[1:] for row in one.rationales]
    failures = [row for rounds in found.values() for one in rounds[1:] for row in one.failures]
    assert found["random"][2].rationales[0].id == "q10/000@random/2"
    assert "q10@slc_low/2/001" in {failure.id for failure in failures}
    write_rows(tmp_path / "refined.jsonl", rows)
    write_rows(tmp_path / "failures.jsonl", failures)
    assert len(read_rows(tmp_path / "refined.jsonl", Refined)) == len(rows)
    assert all(row.correct for row in rows) and len(rows) + len(failures) == 3 * (8 + 16)
    scores = [s for rounds in found.values() for one in rounds[1:] for s in one.scores]
    assert {s.rationale_id for s in scores} == {row.id for row in rows}


def test_an_interrupted_chain_makes_only_the_calls_that_are_missing(store, tmp_path):
    def breaks(request):
        if len(dying.asked) == 8 + 5:  # the fifth call of round 2
            raise KeyboardInterrupt
        return right(request)

    dying = Fake(breaks)
    with pytest.raises(KeyboardInterrupt):
        run(chain(teacher=dying), store)
    resumed, silent = Fake(), Fake(lambda request: pytest.fail("asked again"))
    rounds = run(chain(teacher=resumed), store)
    assert len(resumed.asked) == 16 - 4
    assert [one.rationales for one in run(chain(teacher=silent), store)] == [one.rationales for one in rounds]
    with Store(tmp_path / "other.jsonl") as fresh:
        assert [one.rationales for one in run(chain(), fresh)] == [one.rationales for one in rounds]


def test_a_real_service_that_stumbles_is_asked_again_and_then_never_more(store, monkeypatch):
    monkeypatch.setenv("TEACHER_TEST_KEY", "k")
    questions = [asked.question(n) for n in range(12)]
    rows = [
        rationale(n, sample).model_copy(update={"question_id": f"q-{n:04d}"}) for n in range(12) for sample in (0, 1)
    ]
    given = Start(questions, rows, score(rows))
    settings = REFINE.model_copy(update={"exemplars": 5, "questions": 8})
    with serve(faults={"429": 0.2, "500": 0.1, "empty": 0.1}) as server:
        own = chain(teacher=asked.teacher_at(server))
        rounds = run(own, store, given, settings)
        sent = server.stats()
        again = run(own, store, given, settings)
        assert server.stats()["requests"] == sent["requests"]
    assert [len(one.rationales) for one in rounds] == [24, 16, 24] and not rounds[2].failures
    assert len(sent["by_body"]) == 8 + 12 and all(r.correct for r in rounds[2].rationales)
    assert [one.rationales for one in again] == [one.rationales for one in rounds]


def test_the_budget_counts_all_rounds_and_chains(store):
    class Priced(Fake):
        terms = Terms(Price(prompt=1.0, completion=1.0), budget=1.0)

        def complete_all(self, pending, deliver, budget=None):
            spent.append(budget.spent)
            super().complete_all(pending, deliver, budget)

    spent, call = [], 15e-6  # 10 + 5 tokens at 1 a million
    teacher = Priced()
    chains = [chain("slc_high", teacher), chain("slc_low", teacher)]
    found = refine_all(chains, start(), score, TASK, store, GENERATE, REFINE, spent=100 * call, progress=quiet)
    assert spent == pytest.approx([n * call for n in (100, 108, 124, 132)])
    assert cost(found["slc_low"]) == pytest.approx(24 * call)


def test_progress_names_chain_and_round(store):
    seen = []

    def watched(iterable, total, label):
        seen.append((total, label))
        return iterable

    refine(chain(), start(), score, TASK, store, GENERATE, REFINE, progress=watched)
    assert seen == [(8, "rationales (slc_high, round 1)"), (16, "rationales (slc_high, round 2)")]


# -- what is refused -----------------------------------------------------------------------------


def test_without_gold_labels_it_is_refused_before_anything_is_asked(store):
    given = start()
    unknown = [r.model_copy(update={"correct": None}) for r in given.rationales]
    teacher = Fake(lambda request: pytest.fail("asked"))
    with pytest.raises(UserError, match=r"refinement needs gold labels, .*none of the 24 rationales has one"):
        run(chain(teacher=teacher), store, Start(given.questions, unknown, given.scores))
    some = [r.model_copy(update={"correct": None}) if r.question_id == "q10" else r for r in given.rationales]
    assert "q10" not in {r.question_id for r in exemplars(zero(Start(given.questions, some, given.scores)), chain(),
                                                           8, 0, 1)}  # fmt: skip


def test_too_few_correct_rationales_are_refused_by_round(store):
    def wrong(request):
        return f"It is more. The answer is ({pens_of(request)} + 90)."

    with pytest.raises(UserError, match=r"round 2 of 'slc_high': 0 questions have a correct and scored rationale; "):
        run(chain(teacher=Fake(wrong)), store)
    with pytest.raises(UserError, match=r"round 1 of 'slc_high': 3 questions .* exemplars: 3 needs as many, and one"):
        run(chain(), store, start(3))


def test_held_out_questions_stray_rationales_and_two_students_are_refused(store):
    given = start()
    test = [*given.questions[:-1], given.questions[-1].model_copy(update={"split": "test"})]
    with pytest.raises(UserError, match=r"of training questions alone, given q17 \(test\)"):
        run(chain(), store, Start(test, given.rationales, given.scores))
    with pytest.raises(UserError, match="rationale q10/000 is of none of the 7 questions"):
        run(chain(), store, Start(given.questions[1:], given.rationales, given.scores))
    other = [s.model_copy(update={"student": "small"}) for s in given.scores]
    with pytest.raises(UserError, match="favours one student, given the scores of base, small"):
        run(chain(), store, Start(given.questions, given.rationales, [*given.scores, *other]))


# -- chains --------------------------------------------------------------------------------------


def teacher_settings(kind: str, imitation: bool = True, **changes):
    simulated = CFG.teacher.simulated.model_copy(update={"imitation": imitation})
    return CFG.teacher.model_copy(update={"kind": kind, "simulated": simulated, **changes})


def test_a_teacher_that_imitates_by_design_gets_a_chain_without_imitation():
    chains = chains_of(REFINE, teacher_settings("simulated"))
    assert [(one.name, one.strategy) for one in chains] == [
        ("slc_high", "slc_high"), ("random", "random"), ("slc_low", "slc_low"),
        ("slc_high, imitation off", "slc_high"),
    ]  # fmt: skip
    assert chains[0].teacher is chains[2].teacher and chains[3].teacher.identity != chains[0].teacher.identity
    assert control_teacher(teacher_settings("simulated", imitation=False)) is None
    openai = CFG.teacher.openai.model_copy(update={"model": "gpt-4o-mini"})
    assert len(chains_of(REFINE, teacher_settings("openai", openai=openai))) == 3
    assert control_teacher(teacher_settings("openai", openai=openai)) is None


def test_no_rounds_no_chains_and_what_cannot_be_refined_is_refused():
    assert chains_of(REFINE.model_copy(update={"rounds": 0}), teacher_settings("recorded")) == []
    with pytest.raises(UserError, match=r"slc\.refine\.rounds: a recorded teacher cannot rewrite"):
        chains_of(REFINE, teacher_settings("recorded"))
    with pytest.raises(UserError, match="slc_hihg"):
        chains_of(REFINE.model_copy(update={"chains": ["slc_hihg"]}), teacher_settings("simulated"))


def test_the_simulated_teacher_writes_in_the_style_it_is_shown_and_without_imitation_in_all(store):
    """Its styles are what a student's preference can act on; so the control must not follow them."""
    writer = WRITERS["arithmetic"]
    questions = [q for q in load_questions("arithmetic", CFG.tasks, CFG.data) if q.split == "train"][:60]

    def likes_style_two(rows):
        return [s.model_copy(update={"slc": 2.0 if writer.style_of(r.text) == 2 else 1.0})
                for s, r in zip(score(rows), rows)]  # fmt: skip

    chains = chains_of(REFINE.model_copy(update={"chains": ["slc_high"]}), teacher_settings("simulated"))
    originals = sample_rationales(questions, TASK, chains[0].teacher, store, GENERATE, quiet).rows
    settings = REFINE.model_copy(update={"exemplars": 5, "questions": 40})
    given = Start(questions, originals, likes_style_two(originals))
    found = refine_all(chains, given, likes_style_two, TASK, store, GENERATE, settings, progress=quiet)
    styles = {name: Counter(writer.style_of(r.text) for r in rounds[2].rationales) for name, rounds in found.items()}
    shown = [r for r in originals if r.id in found["slc_high"][1].shown]
    assert {writer.style_of(r.text) for r in originals} == {0, 1, 2, 3} and len(shown) == 6
    assert styles["slc_high"] == {2: 120}
    assert len(styles["slc_high, imitation off"]) == 4
    assert round_table(found["slc_high"])[2]["SLC"] == 2.0 > round_table(found["slc_high, imitation off"])[2]["SLC"]
    assert open_teacher(teacher_settings("simulated")).identity == chains[0].teacher.identity
