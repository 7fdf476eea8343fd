"""What will it cost? Calls, tokens and money, before anything is sent.

    python -m lib.estimate                     # of params.yaml, for stages 01 to 03; `make estimate`
    python -m lib.estimate params/table1.yaml

A notebook estimates from its very requests (`estimate`). Before there are any, the command line reckons from the
number and the mean length of the questions (`planned`), for data sets that are not at hand from published figures.

Prompt tokens: by the teacher's own count of a text, about four characters a token for a service. Completion tokens:
the mean of what the store holds of these answers, if it holds enough; else the mean of the exemplars.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import mean

from lib.asking import Ask, distinct_asks, missing
from lib.config import load_config
from lib.errors import UserError
from lib.records import SPLITS, Split
from lib.settings import Config, TeacherSettings
from lib.tasks import Task, get_task, load_splits, published_source
from lib.teacher import Teacher, open_teacher, prompts
from lib.teacher.store import Store, request_key
from lib.teacher.terms import Terms
from lib.teacher.tokens import prompt_tokens
from lib.zero_shot import ANSWER_TOKENS, answer_ask

ENOUGH = 20  # stored answers whose mean length stands for the others'
ANSWER_EXPECTED = 8  # completion tokens of a second zero-shot call
RATING_EXPECTED = 4  # and of a rating


@dataclass(frozen=True)
class Estimate:
    """What asking will cost. Expected, and at most: every completion at its limit, money in the currency of prices.

    money   None where teacher.prices lacks the model
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    completion_tokens_at_most: int
    money: float | None
    money_at_most: float | None

    def __add__(self, other: "Estimate") -> "Estimate":
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return Estimate(*(None if None in pair else sum(pair) for pair in pairs))

    def line(self, begin: str = "") -> str:
        """In words, on one line."""
        tokens = f"{self.prompt_tokens:,} prompt + about {self.completion_tokens:,} completion tokens"
        text = f"{begin}{self.calls:,} calls, {tokens}; "
        return text + (
            "no price" if self.money is None else f"about {self.money:.2f}, at most {self.money_at_most:.2f}"
        )


def estimate(asks: Sequence[Ask], teacher: Teacher, store: Store | None = None) -> Estimate:
    """Cost before anything is sent; with a store, of what it does not hold."""
    requests = [item.request for item in missing(distinct_asks(asks, teacher), store, teacher)]
    prompt = sum(prompt_tokens(request.messages, teacher.count) for request in requests)
    at_most = sum(teacher.limit(request.max_tokens) for request in requests)
    expected = min(round(len(requests) * expected_completion(asks, teacher, store)), at_most)
    return _priced(teacher.terms, len(requests), prompt, expected, at_most)


def estimate_rationales(asks: Sequence[Ask], task: Task, teacher: Teacher, store: Store | None = None) -> Estimate:
    """The same for rationales: zero-shot, without exemplars, a second call follows each first one."""
    first = estimate(asks, teacher, store)
    if any(message["role"] == "assistant" for ask in asks[:1] for message in ask.request.messages):
        return first
    stored = [(ask, store.get(request_key(teacher.identity, ask.request))) for ask in asks] if store else []
    seconds = [answer_ask(ask, response, task) for ask, response in stored if response and not response.failure]
    known = estimate(seconds, teacher, store)
    trigger = teacher.count(prompts.load_zero_shot(task.prompts).answer)
    prompt = first.prompt_tokens + first.completion_tokens + first.calls * trigger
    at_most = first.calls * teacher.limit(ANSWER_TOKENS)
    to_come = _priced(teacher.terms, first.calls, prompt, first.calls * ANSWER_EXPECTED, at_most)
    return first + known + to_come


def expected_completion(asks: Sequence[Ask], teacher: Teacher, store: Store | None = None) -> float:
    """Mean completion tokens: of the stored answers to these asks; else of their exemplars; else the limit."""
    stored = [store.get(request_key(teacher.identity, ask.request)) for ask in asks] if store else []
    lengths = [response.completion_tokens for response in stored if response and not response.failure]
    if len(lengths) >= ENOUGH:
        return mean(lengths)
    return _mean_of_exemplars(asks[0].request.messages, asks[0].request.max_tokens, teacher) if asks else 0.0


def _mean_of_exemplars(messages, max_tokens: int, teacher: Teacher) -> float:
    limit = teacher.limit(max_tokens)
    shown = [teacher.count(message["content"]) for message in messages if message["role"] == "assistant"]
    return float(min(mean(shown), limit) if shown else limit)


def _priced(terms: Terms, calls: int, prompt: int, completion: int, at_most: int) -> Estimate:
    return Estimate(calls, prompt, completion, at_most, terms.money(prompt, completion), terms.money(prompt, at_most))


# -- before there is a single request ------------------------------------------------------------


@dataclass(frozen=True)
class Questions:
    """How many questions of each split, how long on average (characters), and how that is known."""

    sizes: dict[Split, int]
    characters: float
    known_from: str


def expected_questions(config: Config) -> Questions:
    """The questions themselves where they are at hand; else the published figures of a data set on the hub."""
    data_set = published_source(config.task, config.tasks)
    if data_set is None or config.data.raw is not None:
        found = load_splits(config.task, config.tasks, config.data)
        sizes = {split: len(found.of(split)) for split in SPLITS}
        return Questions(sizes, mean(len(question.text) for question in found.questions), "counted")
    limits = config.data.limits.model_dump()
    sizes = {split: min(n, limits[split] or n) for split, n in data_set.sizes.items()}
    return Questions(sizes, data_set.characters, "published sizes; data.raw or the hub gives exact ones")


def planned(config: Config, questions: Questions) -> dict[str, Estimate]:
    """Stage ("generate", "self_eval", "slc") -> its estimate, for empty stores and as if every answer were usable."""
    task, teacher = get_task(config.task), open_teacher(config.teacher)
    asked = teacher.count("word " * round(questions.characters / 5))
    first, reasoning = _planned_rationales(config, task, teacher, questions.sizes, asked)
    several = config.generate.rationales
    rationales = {split: n * (several if split == "train" else 1) for split, n in questions.sizes.items()}
    return {
        "generate": first,
        "self_eval": _planned_evaluations(config, task, teacher, rationales, asked + reasoning),
        "slc": _planned_refinement(config, task, teacher, questions.sizes["train"], asked)
        + _planned_ratings(config, teacher, questions.sizes["train"], asked + reasoning),
    }


def _planned_rationales(config: Config, task: Task, teacher: Teacher, sizes: dict, asked: int):
    """The estimate, and the tokens of one rationale."""
    settings, terms = config.generate, teacher.terms
    messages = prompts.cot_messages(task.prompts, "", settings.exemplars)
    calls = sum(n * (settings.rationales if split == "train" else 1) for split, n in sizes.items())
    prompt = prompt_tokens(messages, teacher.count) + asked
    length = round(_mean_of_exemplars(messages, settings.max_tokens, teacher))
    whole = _priced(terms, calls, calls * prompt, calls * length, calls * teacher.limit(settings.max_tokens))
    if settings.exemplars == 0:
        prompt += length + teacher.count(prompts.load_zero_shot(task.prompts).answer)
        whole += _priced(terms, calls, calls * prompt, calls * ANSWER_EXPECTED, calls * teacher.limit(ANSWER_TOKENS))
    return whole, length


def _planned_evaluations(config: Config, task: Task, teacher: Teacher, rationales: dict, judged: int) -> Estimate:
    settings = config.self_eval
    if settings.evaluations == 0:
        return _priced(teacher.terms, 0, 0, 0, 0)
    messages = prompts.self_eval_messages(task.prompts, "", "", settings.exemplars)
    calls = sum(n * (settings.evaluations if split == "train" else 1) for split, n in rationales.items())
    prompt = prompt_tokens(messages, teacher.count) + judged
    length = round(_mean_of_exemplars(messages, settings.max_tokens, teacher))
    return _priced(teacher.terms, calls, calls * prompt, calls * length, calls * teacher.limit(settings.max_tokens))


def _planned_refinement(config: Config, task: Task, teacher: Teacher, train: int, asked: int) -> Estimate:
    """Every chain's rounds, each shown as many exemplars as set, as long as the prompt file's."""
    settings, most = config.slc.refine, teacher.limit(config.generate.max_tokens)
    chains = len(settings.chains) + (bool(settings.chains) and _imitates(config.teacher))
    rounds = [min(settings.questions or train, train)] * (settings.rounds - 1) + [train] * (settings.rounds > 0)
    calls = chains * sum(rounds) * settings.rationales
    shown = prompts.load_prompt(task.prompts, prompts.COT)
    length = mean(teacher.count(exemplar.rationale) for exemplar in shown.exemplars)
    turn = mean(teacher.count(f"Q: {exemplar.question}") for exemplar in shown.exemplars) + length
    prompt = teacher.count(shown.system) + round(settings.exemplars * turn) + asked
    return _priced(teacher.terms, calls, calls * prompt, calls * min(round(length), most), calls * most)


def _imitates(teacher: TeacherSettings) -> bool:
    """Whether a control chain is run: with the simulated teacher's imitation off."""
    return teacher.kind == "simulated" and teacher.simulated.imitation


def _planned_ratings(config: Config, teacher: Teacher, train: int, judged: int) -> Estimate:
    """A call for each rationale that a strategy may choose, as if no two chose the same while there are others."""
    strategies = len(config.slc.strategies) * (1 + len(config.students))
    chosen = min(strategies * config.slc.keep, config.generate.rationales)
    rated = min(config.slc.judged, train) if config.teacher.kind == "openai" else 0
    prompt, calls = prompt_tokens(prompts.rating_messages("", ""), teacher.count) + judged, rated * chosen
    at_most = calls * teacher.limit(prompts.RATING_TOKENS)
    return _priced(teacher.terms, calls, calls * prompt, calls * RATING_EXPECTED, at_most)


def report(config: Config) -> str:
    """The estimate as text, one line a stage."""
    questions = expected_questions(config)
    who = config.teacher.openai.model if config.teacher.kind == "openai" else config.teacher.kind
    sizes = " / ".join(f"{questions.sizes[split]:,}" for split in SPLITS)
    lines = [f"profile {config.profile}: {config.task}, teacher {who}; {sizes} train / validation / test questions "
             f"({questions.known_from})"]  # fmt: skip
    stages = planned(config, questions)
    lines += [f"  {found.line(f'{name:<10} ')}" for name, found in [*stages.items(), ("together", sum_of(stages))]]
    return "\n".join(lines)


def sum_of(stages: dict[str, Estimate]) -> Estimate:
    """All stages together."""
    first, *others = stages.values()
    for other in others:
        first += other
    return first


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    try:
        print(report(load_config(*arguments[:1])))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
