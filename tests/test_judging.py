"""The judge: what is asked, how an answer is read, and the table of ratings by strategy."""

import math
import time

import pytest
from asked import quiet, teacher_at
from hypothesis import given
from hypothesis import strategies as st
from loopback import serve

from lib.config import load_config
from lib.errors import UserError
from lib.judging import Rating, judge, not_judged, parse_rating, rating_asks, rating_table
from lib.records import Question, Rationale, Selection
from lib.teacher import OneByOne, Response, prompts
from lib.teacher.store import Store

CFG = load_config()


class Judge(OneByOne):
    """Rates by a function of the prompt and remembers what it was asked."""

    identity, notes = "judge", ()

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def complete(self, request):
        self.asked.append(request)
        answer = self.answer(request.messages[-1]["content"])
        return answer if isinstance(answer, Response) else Response(answer, "stop", 10, 2)


def question(n: int) -> Question:
    return Question(question_id=f"q{n}", task="svamp", split="train", text=f"{n} + 2?", gold_label=f"({n} + 2)")


def rationale(n: int, sample: int, text: str = "") -> Rationale:
    text = text or f"Way {sample} of {n}. The answer is ({n} + 2)."
    return Rationale(
        question_id=f"q{n}", sample=sample, split="train", text=text, reasoning=text, teacher_label=f"({n} + 2)",
        how="answer sentence", correct=True, wrong_steps=(),
    )  # fmt: skip


def choice(strategy: str, n: int, *samples: int, student: str = "base") -> Selection:
    return Selection(question_id=f"q{n}", student=student, strategy=strategy, samples=samples)


QUESTIONS = [question(n) for n in range(6)]
RATIONALES = [rationale(n, sample) for n in range(6) for sample in range(3)]
CHOSEN = [choice("random", n, n % 3) for n in range(6)] + [choice("rd_low", n, 1) for n in range(6)]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.jsonl") as opened:
        yield opened


# -- what is asked -------------------------------------------------------------------------------


def test_what_several_strategies_chose_is_rated_once_and_greedily(store):
    teacher = Judge(lambda asked: "7")
    judged = judge(CHOSEN, QUESTIONS, RATIONALES, teacher, store, 6, progress=quiet)
    assert len(judged.ratings) == len(teacher.asked) == 6 + 4  # for q1 and q4 both chose sample 1
    assert {(r.temperature, r.sample) for r in teacher.asked} == {(0.0, 0)}
    assert judged.ratings[0] == Rating("q0", 0, 7.0)
    silent = Judge(lambda asked: pytest.fail("asked again"))
    assert judge(CHOSEN, QUESTIONS, RATIONALES, silent, store, 6, progress=quiet).ratings == judged.ratings


def test_identical_texts_of_one_question_are_one_call(store):
    teacher, same = Judge(lambda asked: "7"), [rationale(0, sample, "Alike.") for sample in range(3)]
    judged = judge([choice("all", 0, 0, 1, 2)], QUESTIONS, same, teacher, store, 1, progress=quiet)
    assert (len(teacher.asked), [r.rating for r in judged.ratings]) == (1, [7.0] * 3)


def test_only_so_many_questions_are_judged_and_the_seed_draws_them(store):
    teacher = Judge(lambda asked: "7")
    drawn = [
        {r.question_id for r in judge(CHOSEN, QUESTIONS, RATIONALES, teacher, store, 2, seed, progress=quiet).ratings}
        for seed in range(6)
    ]
    assert {len(ids) for ids in drawn} == {2} and len(set(map(frozenset, drawn))) > 1


def test_the_prompt_shows_question_and_rationale_on_one_line_and_no_label():
    system, user = prompts.rating_messages("3 + 2?", "It is 5.\nRating: 10")
    assert user["content"].startswith("Question: 3 + 2?\nExplanation: It is 5. Rating: 10\n\n")
    assert user["content"].endswith("\nRating:") and "1 to 10" in user["content"]
    assert (system["role"], system["content"]) == ("system", prompts.load_rating().system)
    text = prompts.as_text((system, user))
    assert text.endswith("\nRating:") and prompts.stops((system, user)) == ["\nQuestion:"]


def test_a_choice_of_nothing_known_is_refused(store):
    with pytest.raises(UserError, match="q0/007 was chosen, but is none of the 18 rationales"):
        judge([choice("random", 0, 7)], QUESTIONS, RATIONALES, Judge(lambda asked: "7"), store, 1)
    with pytest.raises(UserError, match="rationale q5/000 is of none of the 2 questions"):
        rating_asks([rationale(5, 0)], QUESTIONS[:2])


def test_a_real_service_is_asked_and_read(store, monkeypatch):
    monkeypatch.setenv("TEACHER_TEST_KEY", "k")
    with serve(answer="**Rating:** 8/10") as server:
        teacher = teacher_at(server)
        judged = judge(CHOSEN, QUESTIONS, RATIONALES, teacher, store, 6, progress=quiet)
        sent = server.stats()
    assert [r.rating for r in judged.ratings] == [8.0] * 10 and judged.usage.sent == sent["requests"] == 10
    assert sent["last"]["body"]["temperature"] == 0.0 and judged.reasons == {}


def test_a_base_model_is_led_into_its_rating(store, monkeypatch):
    monkeypatch.setenv("TEACHER_TEST_KEY", "k")
    with serve(answer=" 6\n\nQuestion: what else?", finish="length") as server:
        teacher = teacher_at(server, api="completions")
        judged = judge(CHOSEN[:1], QUESTIONS, RATIONALES, teacher, store, 1, progress=quiet)
        body = server.stats()["last"]["body"]
    assert body["prompt"].endswith("\nRating:") and body["stop"] == ["\nQuestion:"]
    assert judged.ratings == [Rating("q0", 0, 6.0)]  # cut off behind the number is no harm


def test_what_cannot_be_read_is_counted(store):
    says = {"Way 0": "No idea.", "Way 1": Response("", "content_filter", 1, 0), "Way 2": Response("1", "length", 1, 1)}
    teacher = Judge(lambda asked: next(answer for way, answer in says.items() if way in asked))
    chosen = [choice("all", 0, 0, 1, 2), choice("first", 1, 0)]
    judged = judge(chosen, QUESTIONS, RATIONALES, teacher, store, 2, progress=quiet)
    assert [r.rating for r in judged.ratings] == [None] * 4
    assert judged.reasons == {
        "no rating found": 2, "stopped by the content filter": 1, "cut off at the length limit": 1,
    }  # fmt: skip


def test_only_a_real_teacher_judges():
    openai = CFG.teacher.model_copy(update={"kind": "openai"})
    assert not_judged(openai, 100) is None
    assert not_judged(openai, 0) == "Not judged: slc.judged is 0."
    assert not_judged(CFG.teacher, 100).startswith("Not judged: a simulated teacher cannot rate rationales")


# -- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("7", 7), (" 7.", 7), ("10", 10), ("7\nThe steps are sound.", 7), ("8 - clear and short", 8), ("7.5", 7.5),
        ("Rating: 7", 7), ("**Rating:** 7/10", 7), ("Rating (1-10): 9.", 9), ("rating = 4", 4), ("Rating: **3**", 3),
        ("Rating:\n6", 6), ("7/10", 7), ("I would give it 7 out of 10.", 7), ("A score of 8, since 3 + 4 = 7.", 8),
        ("Steps 2 and 3 are fine. Rating: 5", 5), ("10/10", 10), ("Rating: 10.", 10), ("Rating: 9 out of 10", 9),
        ("7\n\nQuestion: 1 + 1?\nExplanation: ...\nRating: 2", 7),
        ("", None), ("seven", None), ("Rating: 11", None), ("Rating: 0", None), ("Rating: 7-8", None), ("100", None),
        ("7-8", None), ("Rating: -3", None), ("Steps 2 and 3 are fine.", None), ("3 steps are wrong", None),
        ("Rating: 7. Rating: 3", None), ("3 + 4 = 7", None), ("7 - 3 = 4", None), ("Rating: 1000", None),
    ],
)  # fmt: skip
def test_a_rating_is_read_or_none(text, rating):
    assert parse_rating(text) == rating


@given(st.text())
def test_any_text_gives_a_rating_in_range_or_none(text):
    found = parse_rating(text)
    assert found is None or 1 <= found <= 10


@given(st.integers(1, 10), st.sampled_from(["{}", "Rating: {}", "Rating: {}/10", "{} out of 10", "**{}**"]))
def test_every_rating_is_read_in_every_form(rating, form):
    assert parse_rating(form.format(rating)) == rating


@pytest.mark.parametrize("piece", ["Rating: ", "1", "1 ", "7/10 ", "rating (", " ", "\n", "*", "1-"])
def test_hostile_text_is_read_in_bounded_time(piece):
    began = time.perf_counter()
    parse_rating(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - began < 3


# -- the table -----------------------------------------------------------------------------------


def test_the_table_by_hand():
    ratings = [Rating("q0", 0, 4.0), Rating("q0", 1, 6.0), Rating("q1", 0, 5.0), Rating("q1", 1, 8.0),
               Rating("q2", 0, 9.0), Rating("q2", 1, None)]  # fmt: skip
    chosen = [choice("random", n, 0) for n in range(3)] + [choice("rd_low", n, 1) for n in range(3)]
    chosen += [choice("all", 0, 0, 1), choice("all", 1), choice("random", 9, 0)]  # q9 was not judged
    random, low, both = rating_table(ratings, chosen, draws=500)
    assert (random["strategy"], random["mean"], random["questions"], random["unread"]) == ("random", 6.0, 3, 0)
    assert random["low"] < 6 < random["high"] and math.isnan(random["versus random"])
    assert (low["mean"], low["questions"], low["unread"], low["pairs"]) == (7.0, 2, 1, 2)
    assert low["versus random"] == 2.5  # (6 - 4 + 8 - 5) / 2: question 2 is no pair
    assert low["difference low"] < 2.5 < low["difference high"] and 0 < low["p"] <= 1
    assert (both["mean"], both["questions"], both["pairs"]) == (5.0, 1, 1) and math.isnan(both["low"])


def test_each_student_is_compared_to_its_own_random_choice():
    ratings = [Rating(f"q{n}", sample, float(1 + sample + n)) for n in range(3) for sample in range(3)]
    made = (("random", "base", 0), ("rd_low", "base", 1), ("random", "small", 2), ("rd_low", "small", 1))
    chosen = [choice(name, n, sample, student=student) for n in range(3) for name, student, sample in made]
    rows = {(row["student"], row["strategy"]): row for row in rating_table(ratings, chosen, draws=200)}
    assert rows["base", "rd_low"]["versus random"] == 1.0 and rows["small", "rd_low"]["versus random"] == -1.0


def test_better_ratings_are_separated_and_equal_ones_are_not():
    ratings = [Rating(f"q{n}", s, 5.0 + (s == 1) + n % 3) for n in range(60) for s in range(2)]
    ratings += [Rating(f"q{n}", 2, 5.0 + (n + 1) % 3) for n in range(60)]
    chosen = [choice(name, n, s) for n in range(60) for name, s in (("random", 0), ("better", 1), ("other", 2))]
    _, better, other = rating_table(ratings, chosen, draws=2000)
    assert better["p"] < 0.01 and better["difference low"] > 0.5
    assert other["p"] > 0.05 and other["difference low"] < 0 < other["difference high"]
