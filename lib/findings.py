"""What 03 says of scores and choices beyond tables: repetition, overlaps of students, comparisons in words.

overlaps({"base": {"q": "r"}, "small": {"q": "r"}}, {"q": list("rstu")})   # both chose r; by chance in 1 of 4
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lib.clusters import cluster_mean
from lib.errors import UserError
from lib.evaluate import Interval, repeated_ngram_share
from lib.records import Rationale, Selection, refined_id
from lib.statistics import wilson
from lib.tables import percent

NAN = float("nan")


@dataclass(frozen=True)
class Overlap:
    """In which share of the questions these students chose the same rationale; no other did too (`overlaps`), or any.

    members   the students, in the order given
    chance    the same share if each student chose at random
    low, high Wilson's 95% interval
    n         questions for which every student that is looked at chose something
    """

    members: tuple[str, ...]
    share: float
    low: float
    high: float
    chance: float
    n: int


def chosen_texts(row: Selection, texts: Mapping[str, str]) -> list[str]:
    """What a strategy chose for one question, best first, as texts: those of two samples may be equal.

    texts   rationale id -> its text, such as the completion that a student would learn
    """
    return [texts[refined_id(row.question_id, sample, "", 0)] for sample in row.samples]


def first_choices(rows: Iterable[Selection], texts: Mapping[str, str]) -> dict[str, str]:
    """question_id -> the text that was chosen first (`chosen_texts`); questions without a choice left out."""
    return {row.question_id: chosen_texts(row, texts)[0] for row in rows if row.samples}


def overlaps(choices: Mapping[str, Mapping[str, str]], options: Mapping[str, Sequence[str]]) -> list[Overlap]:
    """How often each set of students agrees on a rationale that no other student chose; most frequent first.

    choices   student -> question_id -> the text it chose, one a question
    options   question_id -> the texts there were to choose from, one a rationale: equal texts are one choice, and
              one that is as many times likelier by chance
    Over the questions for which every student chose. Raises UserError for fewer than two students.
    """
    if len(choices) < 2:
        raise UserError(f"overlaps: {len(choices)} student given ({', '.join(choices)}); at least 2 can agree")
    sets = [own for size in range(1, len(choices) + 1) for own in combinations(choices, size)]
    found = [_overlap(own, choices, options) for own in sets]
    return sorted(found, key=lambda o: (-o.share, len(o.members), o.members))


def agreements(choices: Mapping[str, Mapping[str, str]], options: Mapping[str, Sequence[str]]) -> list[Overlap]:
    """How often all of some students choose the same, whatever the others do: for each two of them, three, ..., all.

    Arguments as of `overlaps`; each set over the questions for which all of its own students chose, so that adding a
    student changes nothing about the others.
    """
    sets = [own for size in range(2, len(choices) + 1) for own in combinations(choices, size)]
    return [_overlap(own, {name: choices[name] for name in own}, options) for own in sets]


def agreement_of_all(found: Iterable[Overlap]) -> Overlap:
    """The overlap of all students: the share of questions in which everyone chose the same rationale."""
    return max(found, key=lambda o: len(o.members))


def repetition(rationales: Sequence[Rationale], draws: int = 1000) -> dict[str, tuple[float, float, float]]:
    """How long rationales are and how often they repeat themselves, each as (mean, low, high) over questions.

    words      white-space pieces of the whole text, its answer sentence included
    repeated   share of the text's 4-grams that occurred in it before (PeCoTD, appendix)
    """
    words, questions = [r.text.lower().split() for r in rationales], [r.question_id for r in rationales]
    measures: dict[str, Callable] = {"words": len, "repeated": repeated_ngram_share}
    return {name: cluster_mean([of(own) for own in words], questions, draws) for name, of in measures.items()}


def against(name: str, reference: str, difference: Interval) -> str:
    """Whether a score tells sound from flawed better than a plain one, in words with the difference of their AUCs.

    "high SLC loses to log P(c|q) (−.153 [−.174, −.132])", or "… is not separated from …"
    """
    verbs = {"beaten by": "beats", "better than": "loses to", "not separated from": "is not separated from"}
    if (place := _place(difference)) not in verbs:
        return f"{name} could not be compared with {reference}"
    return f"{name} {verbs[place]} {reference} ({difference_text(difference)})"


def beaten(differences: Mapping[str, Mapping[str, Interval]]) -> str:
    """Which scores tell sound from flawed better than a plain one, in which ways of comparing: one sentence.

    differences   way ("overall", "within a question") -> score -> its AUC minus the plain score's
    beaten({"overall": {"RD": worse}, "within style": {"RD": better}})   # "beaten by RD (within style)"
    """
    ways: dict[str, list[str]] = {}
    for way, own in differences.items():
        for name in (name for name, one in own.items() if _place(one) == "beaten by"):
            ways.setdefault(name, []).append(way)
    said = [name if len(own) == len(differences) else f"{name} ({', '.join(own)})" for name, own in ways.items()]
    return f"beaten by {'; '.join(said) or 'none'}"


def standings(differences: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> list[str]:
    """`beaten` for each plain score; one sentence for all plain scores of which the same is to be said.

    differences   plain score -> way of comparing -> score -> its AUC minus the plain score's
    standings({"log P(c|q)": ways, "log P(a|q)": ways})    # ["log P(c|q), log P(a|q): beaten by none"]
    """
    groups: dict[str, list[str]] = {}
    for plain, own in differences.items():
        groups.setdefault(beaten(own), []).append(plain)
    return [f"{', '.join(names)}: {said}" for said, names in groups.items()]


def difference_text(difference: Interval) -> str:
    """A difference of AUCs with its interval: "+.153 [+.132, +.174]".

    An end that is not 0 keeps its sign, also where it rounds to nothing: "[+.000, +.050]" does not hold 0.
    """
    low, high = (_end(x) for x in (difference.low, difference.high))
    return f"{signed(difference.value)} [{low}, {high}]"


def signed(value: float) -> str:
    """0.1534 as "+.153", −0.02 as "−.020", what rounds to nothing as ".000"; a dash where it is no number."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:+.3f}"
    if float(text) == 0:
        return ".000"
    return text.replace("-", "−").replace("0.", ".", 1)


def extremes(what: str, values: Mapping[str, float], texts: Mapping[str, str]) -> str:
    """Where a number is highest and where lowest, as a sentence without its full stop; it tests nothing.

    values   name -> number; what is no number counts as absent
    texts    name -> the number as it is shown: numbers that look alike are called the same
    extremes("Mean SLC", {"base": 1.93, "small": 1.85}, ...)
    # "Mean SLC is higher for base (1.93) than for small (1.85)"
    """
    known = {name: value for name, value in values.items() if np.isfinite(value)}
    if not known:
        return f"{what} is not known"
    top, bottom = max(known, key=known.get), min(known, key=known.get)
    if len(known) == 1:
        return f"{what} for {top} is {texts[top]}"
    if texts[top] == texts[bottom]:
        return f"{what} is the same for {', '.join(known)} ({texts[top]})"
    first, last = (f"for {name} ({texts[name]})" for name in (top, bottom))
    return f"{what} is higher {first} than {last}" if len(known) == 2 else f"{what} is highest {first}, lowest {last}"


def told_apart(score: str, separation: Interval) -> str:
    """Whether a score is higher for sound rationales than for flawed ones, by its AUC, without a full stop.

    "SLC is higher for sound rationales than for flawed ones (AUC .552 [.530, .574], chance .500)"
    """
    low, high = separation.low, separation.high
    number = f"(AUC {_beside(0.5, separation)}, chance .500)"
    if not np.isfinite([low, high]).all():
        return f"{score} of sound and of flawed rationales could not be compared {number}"
    if low > 0.5 or high < 0.5:
        side = "higher" if low > 0.5 else "lower"
        return f"{score} is {side} for sound rationales than for flawed ones {number}"
    return f"{score} of sound and of flawed rationales is not separated {number}"


def sides(
    what: str,
    differences: Mapping[str, tuple[float, float, float]],
    words: tuple[str, str],
    text: Callable[[float], str] = "{:+.2f}".format,
) -> str:
    """On which side of 0 paired differences lie, each by its own interval, as a sentence without its full stop.

    differences   name -> (mean, low, high)
    words         what a difference above 0 is called, and one below
    sides("SLC beside base", {"small": (0.1, 0.05, 0.15), "gpt2": (0.0, -0.1, 0.1)}, ("higher", "lower"))
    # "SLC beside base: higher for small (+0.10 [+0.05, +0.15]); not separated for gpt2 (+0.00 [−0.10, +0.10])"
    """
    groups: dict[str, list[str]] = {words[0]: [], words[1]: [], "not separated": [], "not compared": []}
    for name, (mean, low, high) in differences.items():
        kind = words[0] if low > 0 else words[1] if high < 0 else "not separated"
        shown, *ends = (text(x).replace("-", "−") if np.isfinite(x) else "–" for x in (mean, low, high))
        kind = kind if np.isfinite([low, high]).all() else "not compared"
        groups[kind].append(f"{name} ({shown} [{', '.join(ends)}])")
    said = "; ".join(f"{kind} for {', '.join(names)}" for kind, names in groups.items() if names)
    return f"{what}: {said or 'nothing to compare'}"


def beside_chance(own: Overlap) -> str:
    """How often some students choose the same, beside what chance gives, by Wilson's interval; with the numbers.

    "in 42.0% [38.1%, 46.0%] of questions, more often than by chance (12.5%)"
    """
    if not own.n:
        return "in no question, for none has a choice of each of them"
    share = f"in {percent(own.share)} [{percent(own.low)}, {percent(own.high)}] of questions"
    if own.low <= own.chance <= own.high:
        return f"{share}, not separated from chance ({percent(own.chance)})"
    return f"{share}, {'more' if own.low > own.chance else 'less'} often than by chance ({percent(own.chance)})"


def alikeness(correlation: float) -> str:
    """A rank correlation in words, for a sentence that also gives the number."""
    if not np.isfinite(correlation):
        return "in orders that cannot be compared"
    steps = ((0.9, "in nearly the same order"), (0.5, "in a similar order"), (-0.5, "in different orders"))
    return next((words for least, words in steps if correlation >= least), "in opposite orders")


def _beside(chance: float, share: Interval) -> str:
    """A share with its interval, ".552 [.530, .574]", in so many digits that no end reads as chance that is not."""
    ends = (share.low, share.high)
    digits = next(n for n in range(3, 9) if n == 8 or all(x == chance or round(x, n) != chance for x in ends))
    shown, *said = (f"{x:.{digits}f}".removeprefix("0") if np.isfinite(x) else "–" for x in (share.value, *ends))
    return f"{shown} [{', '.join(said)}]"


def _end(value: float) -> str:
    """An end of an interval, as `signed`, but with its sign also where it rounds to nothing."""
    text = signed(value)
    return text if text != ".000" or value == 0 else f"{'+' if value > 0 else '−'}.000"


def _place(difference: Interval) -> str:
    """Where the reference stands, given another's AUC minus its own."""
    if not np.isfinite([difference.low, difference.high]).all():
        return "not compared with"
    if difference.low > 0:
        return "beaten by"
    return "better than" if difference.high < 0 else "not separated from"


def _overlap(own: tuple[str, ...], choices: Mapping, options: Mapping[str, Sequence[str]]) -> Overlap:
    """Of the questions for which every student chose, those in which just `own` made the same choice."""
    common = sorted(set.intersection(*(set(one) for one in choices.values())))
    others = [name for name in choices if name not in own]
    hits = sum(_only_these(own, others, choices, question) for question in common)
    low, high = wilson(hits, len(common))
    each = [_by_chance(options[q], len(own), len(others)) for q in common]
    share, chance = (hits / len(common), float(np.mean(each))) if common else (NAN, NAN)
    return Overlap(own, share, low, high, chance, len(common))


def _by_chance(options: Sequence[str], agree: int, others: int) -> float:
    """P(so many choose one text and all others another): Σ over texts of p^agree (1 − p)^others."""
    shares = [count / len(options) for count in Counter(options).values()]
    return sum(p**agree * (1 - p) ** others for p in shares)


def _only_these(own: Sequence[str], others: Sequence[str], choices: Mapping, question: str) -> bool:
    first = choices[own[0]][question]
    return all(choices[s][question] == first for s in own) and all(choices[s][question] != first for s in others)
