"""Requests, and a teacher behind a service to ask them of: for the tests of the teacher's engine."""

from lib.asking import Ask
from lib.records import Question
from lib.settings import OpenAITeacher as Settings
from lib.settings import Price
from lib.teacher import Pending, Request, Response
from lib.teacher.openai import OpenAITeacher
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Terms

PRICE = Price(prompt=1.0, completion=10.0)
DEFAULTS = Settings(
    model="m", base_url=None, api="chat", key_variable="TEACHER_TEST_KEY", parameters={}, concurrency=16,
    requests_per_minute=None, tokens_per_minute=None, timeout=10.0, attempts=8, poll=0.05,
)  # fmt: skip


def settings(url: str | None, **changes) -> Settings:
    return Settings(**{**DEFAULTS.model_dump(), "base_url": url, **changes})


def teacher_at(server, kind: type = OpenAITeacher, terms: Terms | None = None, **changes) -> OpenAITeacher:
    """A teacher behind a running service, or behind a URL."""
    teacher = kind(settings(getattr(server, "url", server), **changes))
    teacher.terms = terms or Terms()
    return teacher


def request(number: int, sample: int = 0, text: str = "Tom has {} pens. How many?") -> Request:
    messages = ({"role": "system", "content": "Solve."}, {"role": "user", "content": f"Q: {text.format(number)}"})
    return Request(messages, 0.7, 64, sample)


def requests(count: int) -> list[Request]:
    return [request(number) for number in range(count)]


def question(number: int, split: str = "train") -> Question:
    text = f"Tom has {number} pens. Ann has 90 pens. Tom buys 7 pens. How many pens does Tom have now?"
    return Question(question_id=f"q-{number:04d}", task="arithmetic", split=split, text=text, gold_label="(3 + 4)")


def asks(count: int, samples: int = 1) -> list[Ask]:
    return [Ask(question(number), request(number, sample)) for number in range(count) for sample in range(samples)]


def pending(teacher, asked: list[Request]) -> list[Pending]:
    return [Pending(request_key(teacher.identity, one), one) for one in asked]


def complete(teacher, asked: list[Request], budget=None) -> list[Response]:
    """Their responses in order; an answer delivered twice, or to nothing that was asked, fails."""
    items, got = pending(teacher, asked), {}

    def deliver(key: str, response: Response) -> None:
        assert key not in got
        got[key] = response

    teacher.complete_all(items, deliver, budget)
    assert set(got) == {item.key for item in items}
    return [got[item.key] for item in items]


def quiet(iterable, total, label):
    return iterable


def stored(path) -> list[Response]:
    """All responses of a store, in the order of their keys; a key that stands twice fails."""
    with Store(path) as store:
        lines = path.read_text().splitlines()
        assert len(lines) == len(store)
        return [store.get(key) for key in sorted(store._rows)]
