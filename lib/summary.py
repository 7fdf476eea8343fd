"""What the page of contents says above all: what was asked, found, how surely, on what, at what cost.

    found(rows, arms)       # rows of reports/tables/05_ablate/comparisons.csv, arms = make_arms(cfg.train.arms, ...)
    # ["At equal compute **0 of 1** differences from controls are separated.",
    #  "5 CoTs against labels (equal compute): **+1.8 points [+0.4, +3.2], not separated** (p = .23).", ...]

All is read from what the stages recorded; nothing in it differs between two machines that reproduce the same bytes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from lib.arms import Arm, Recipe, counterparts

ASKED = (
    "Does a small student learn more from several chains of thought (CoTs) of a teacher, and from judging them "
    "(self-evaluation, SE), than from the teacher's labels alone, at equal compute?"
)
NOT_SEPARATED = re.compile(r"not separated \((?P<effect>[^\]]*\]),? ?(?P<rest>.*)\)")
SEPARATED = re.compile(r"(?P<effect>[+−-]?[\d.]+ points \[[^\]]*\]),? ?(?P<rest>.*)")
SIZE = re.compile(r"(^|; )n = [^;]*; ")
NAMED = 5  # of the separated pairs, at most
PACKAGES = ("torch", "transformers", "numpy", "dvc", "papermill")


def found(rows: Iterable[Mapping[str, str]], arms: Mapping[str, Arm]) -> list[str]:
    """The comparisons that answer the question: first how many of them are separated, then each with its interval.

    rows      mappings with "arm", "against" and "verdict", as comparisons.csv has them
    returns   sentences, none where no arm was compared with a control or its like
    """
    told, pairs = _told(rows, arms)
    return [*_counts(told, pairs, arms), *(sentence(arm, name, told[arm, other]) for arm, other, name in pairs)]


def counts(rows: Iterable[Mapping[str, str]], arms: Mapping[str, Arm]) -> list[str]:
    """The first sentences of `found`: how many differences from controls are separated, at equal compute and steps."""
    return _counts(*_told(rows, arms), arms)


def matched(arms: Mapping[str, Arm]) -> list[tuple[str, str, str]]:
    """Pairs that differ in what is asked about: (arm, what it is compared with, what that one is called).

    {"a": {}, "a w/ SE": {"evaluations": 5}, "c": {"tokens_of": "a"}, "s": {"steps_of": "a w/ SE"}}   ->
    [("a", "c", "c (equal compute)"), ("a w/ SE", "s", "s (without self-evaluation, as many steps)"),
     ("a w/ SE", "a", "a (the same without self-evaluation and its 200 steps)")]
    What is matched to one arm is so to all that read alike: as many steps of the same kinds of examples.
    P-labels first, then equal compute, then equal steps; the more rationales, the earlier.
    """
    recipes = {name: arm.recipe for name, arm in arms.items()}
    pairs = [
        (arm, name, f"{name} (equal compute)")
        for name, own in recipes.items() if own.tokens_of
        for arm, recipe in recipes.items() if _reads(recipe) == _reads(recipes[own.tokens_of])
    ]  # fmt: skip
    pairs += [
        (arm, name, _of_equal_steps(name, own))
        for name, own in recipes.items() if own.steps_of
        for arm, recipe in recipes.items() if _reads(recipe) == _reads(recipes[own.steps_of])
        if not own.explain or recipe.rationales == own.rationales  # else it would differ in more than self-evaluation
    ]  # fmt: skip
    pairs += [
        (name, other, f"{other} (the same without self-evaluation and its {recipes[name].self_eval_steps} steps)")
        for name, other in counterparts(recipes).items()
    ]

    def place(pair: tuple[str, str, str]) -> tuple:
        recipe, other = recipes[pair[0]], recipes[pair[1]]
        kind = 0 if other.tokens_of else 1 if other.steps_of else 2
        return recipe.labels == "gold", kind, -recipe.rationales, list(arms).index(pair[0])

    return sorted(pairs, key=place)


def _reads(recipe: Recipe) -> tuple:
    """What two arms must share for one control to be matched to both; one that is matched itself shares with none."""
    matched_to = recipe.steps_of or recipe.tokens_of
    phases = (recipe.steps, (recipe.self_eval_steps, recipe.judge_sees) if recipe.evaluations else 0)
    chosen = (recipe.select, recipe.scored_by, recipe.chain, recipe.round)  # other texts are longer or shorter
    return recipe.student, recipe.labels, recipe.explain, recipe.format, phases, chosen, matched_to


def _told(rows: Iterable[Mapping[str, str]], arms: Mapping[str, Arm]) -> tuple[dict, list[tuple[str, str, str]]]:
    """Each pair's verdict, and those of the `matched` pairs that have one."""
    told = {(row["arm"], row["against"]): row["verdict"] for row in rows}
    return told, [(arm, other, name) for arm, other, name in matched(arms) if (arm, other) in told]


def _counts(told: Mapping, pairs: Sequence[tuple[str, str, str]], arms: Mapping[str, Arm]) -> list[str]:
    if not pairs:
        return []
    recipes = {name: arm.recipe for name, arm in arms.items()}
    compute = [(arm, told[arm, other]) for arm, other, _ in pairs if recipes[other].tokens_of]
    steps = [(arm, told[arm, other]) for arm, other, _ in pairs if recipes[other].steps_of]
    none = [] if compute else ["No arm is compared with a control of equal compute."]
    return [*_counted("equal compute", compute), *none, *_counted("equal steps", steps)]


def _counted(at: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """How many of the tested arms (name, verdict) are separated from their controls, and which; nothing of none."""
    if not (pairs := [(arm, verdict) for arm, verdict in pairs if SEPARATED.search(verdict)]):
        return []
    sure = [(arm, SEPARATED.match(verdict)) for arm, verdict in pairs]
    named = [f"{arm} ({match['effect'].split(' ')[0]} points)" for arm, match in sure if match]
    which = f": {', '.join(named)}" if named else ""
    return [f"At {at} **{len(named)} of {len(pairs)}** differences from controls are separated{which}."]


def _of_equal_steps(name: str, recipe: Recipe) -> str:
    return f"{name} ({'without self-evaluation, as many steps' if recipe.explain else 'equal steps'})"


def sentence(arm: str, against: str, verdict: str) -> str:
    """A verdict of lib/statistics.describe as a sentence that begins with the difference; other words stay theirs.

    Without how many questions and seeds there were, which a list of such sentences would say over and over.
    """
    if match := NOT_SEPARATED.fullmatch(verdict):
        rest = SIZE.sub(r"\1", match["rest"])
        return f"{arm} against {against}: **{match['effect']}, not separated** ({rest})."
    if match := SEPARATED.fullmatch(verdict):
        return f"{arm} against {against}: **{match['effect']}, separated** ({match['rest']})."
    return f"{arm} against {against}: {verdict}."


def certainty(rows: Sequence[Mapping[str, str]], questions: int, seeds: int, alpha: float) -> str:
    """How sure: what the intervals are, what is corrected for, and which of all the pairs are separated."""
    tested = [row for row in rows if SEPARATED.search(row["verdict"])]
    sure = [row for row in tested if not NOT_SEPARATED.fullmatch(row["verdict"])]
    effects = [SEPARATED.search(row["verdict"])["effect"] for row in sure[:NAMED]]
    named = [f"{row['arm']} against {row['against']} ({effect})" for row, effect in zip(sure, effects)]
    named += [f"{len(sure) - NAMED} more"] if len(sure) > NAMED else []
    which = ": " + "; ".join(named) if named else ""
    return (
        f"{len(sure)} of {len(tested)} paired differences of arms are separated at α = {alpha:g} after Holm's "
        f"correction for all of them{which}. Findings and ways to answer are corrected by themselves. Intervals of "
        f"{1 - alpha:.0%} resample {questions} test questions and {seeds} seed{'s' if seeds != 1 else ''}, before the "
        "correction. Not separated does not mean equal: the text says which difference would have been seen."
    )


def teacher(generate: Mapping) -> str:
    """The teacher in its own words, and how often its test answers are right; generate = the metrics of 01."""
    share = generate.get("accuracy", {}).get("test")
    right = (
        f"{share['share']:.1%} [{share['low']:.1%}, {share['high']:.1%}] of {share['n']} test answers right."
        if share
        else ""
    )
    return " ".join([*generate.get("teacher", ["not recorded."]), right]).strip()


def student(settings, others: Mapping[str, Mapping] | None = None) -> str:
    """The student's settings as words; settings = cfg.student, others = cfg.students, each in what it differs."""
    s = settings
    if s.source == "scratch":
        made = f"{s.architecture} from scratch, {s.layers} layers of width {s.d_model}, tokenizer {s.tokenizer}"
    else:
        made = f"{s.source}, tokenizer {s.tokenizer}"
    named = [f"{name} ({', '.join(f'{k} {v}' for k, v in own.items())})" for name, own in (others or {}).items()]
    return f"{'; beside it: '.join([made, ', '.join(named)] if named else [made])}."


def cost(asked: Sequence[Mapping], trained: Mapping) -> str:
    """Calls, tokens, money and training; asked = the metrics of 01 and 02, trained = those of 04."""
    calls, read, written = (sum(m.get(key) or 0 for m in asked)
                            for key in ("calls", "prompt_tokens", "completion_tokens"))  # fmt: skip
    money = [m["money"] for m in asked if m.get("money") is not None]
    paid = f"{sum(money):.2f} in the currency of `teacher.prices`" if money else "no money recorded"
    return (
        f"{calls:,} calls of the teacher for rationales and judgements: {read / 1e6:.2f} million tokens of prompts, "
        f"{written / 1e6:.2f} million written, {paid}. Training: {trained.get('runs', 0)} runs, "
        f"{trained.get('million_tokens', 0):.2f} million tokens."
    )


def versions(requirements: str) -> str:
    """The pinned versions of what the numbers depend on most; requirements = the text of requirements.txt."""
    pinned = dict(re.findall(r"^([\w-]+)==([^\s;]+)", requirements, re.MULTILINE))
    return ", ".join(f"{name} {pinned[name]}" for name in PACKAGES if name in pinned)


def anchor(page: str, made: str) -> str:
    """ "#<cell>": the cell of a rendered page that shows a table or figure; "" where the page does not say.

    made   the element's own id, such as "table-05_ablate-main", or "said" for the cell with the page's headline
    """
    cells = [(m.start(), m[1], m[2]) for m in re.finditer(r'<section id="([^"]+)"( class="said")?>', page)]
    if made == "said":
        return next((f"#{name}" for _, name, said in cells if said), "")
    place = page.find(f'id="{made}"')
    above = [name for start, name, _ in cells if start < place]
    return f"#{above[-1]}" if above else ""
