"""Case studies: where the baseline's rationale goes wrong and the method's does not, and the reverse, side by side.

    case_studies(results, data, cfg.ablate, cfg.train.headline, "05_ablate", NOTE)    # three tables, HTML

A case is a test question answered by the students of one seed. A rationale goes wrong if the task's verifier refutes a
step of it, or if it does not arrive at the right answer; without a verifier the answer alone decides. All cases are
counted, and the two arms' shares of rationales that go wrong are compared over them. Those that are shown are the first
by a hash of `ablate.cases.seed`, the question and the students' seed: no one picks them, and the order is the same for
other arms.
"""

from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML

from lib import statistics, tables
from lib.comparison import by_arm
from lib.draws import draw
from lib.material import Data
from lib.records import Question
from lib.runs import Result
from lib.settings import Ablate, Cases
from lib.tasks import Task

# Which of the two went wrong, (baseline, method) -> in words; the first two are shown.
KINDS = {
    (True, False): "only the baseline's goes wrong",
    (False, True): "only the method's goes wrong",
    (True, True): "both go wrong",
    (False, False): "neither goes wrong",
}
SHOWN = tuple(KINDS.values())[:2]


def case_studies(
    results: Sequence[Result], data: Data, ablate: Ablate, headline: str, stage: str, note: str | None = None
) -> HTML:
    """The counts of all kinds, and `cases.count` drawn cases of each of the two kinds in which one goes wrong.

    headline   the method where the settings name none
    writes     tables/<stage>/case_counts; case_difference; and cases: kind, question, seed and what both wrote, a row
               a case shown
    Where an arm was not run, or writes no rationales, the caption says so and nothing is counted.
    """
    settings, groups = ablate.cases, by_arm(results)
    names = _as_run(settings.baseline, groups), _as_run(settings.method or headline, groups)
    reason = _why_not(names, groups)
    found = pd.DataFrame(columns=COLUMNS) if reason else cases([groups[name] for name in names], data.task)
    chosen = drawn(found, settings.count, settings.seed)
    counts = tables.save_table(counted(found), "case_counts", _caption(names, found, reason, data.task), stage, note)
    tested = difference(found, ablate.alpha, ablate.bootstrap)
    caption = f"Share of rationales that go wrong, the method's less the baseline's, with its {1 - ablate.alpha:.0%} "
    caption += "interval: bootstrap of seeds and questions, paired."
    shares = dict.fromkeys(SHARES, tables.percent)
    less = tables.save_table(tested, "case_difference", caption, stage, note, shares | {"p": statistics.p_text})
    tables.save_table(_as_rows(chosen, data), "cases", _rule(settings, chosen), stage, note)
    shown = [_section(kind, chosen[chosen.kind == kind], names, data) for kind in SHOWN]
    return HTML("\n".join([counts.data, less.data, f"<p>{escape(_rule(settings, chosen))}</p>", *shown]))


COLUMNS = ["kind", "question_id", "seed", "baseline", "method"]
SHARES = ["baseline", "method", "difference", "low", "high"]


def cases(groups: Sequence[Sequence[Result]], task: Task) -> pd.DataFrame:
    """One row a question and seed that both arms have: its kind and both predictions, in order of ids and seeds."""
    baseline, method = ({(r.run.seed, p["question_id"]): p for r in group for p in r.predictions()} for group in groups)
    shared = sorted(baseline.keys() & method.keys(), key=lambda key: key[::-1])
    rows = [
        (KINDS[goes_wrong(baseline[key]), goes_wrong(method[key])], key[1], key[0], baseline[key], method[key])
        for key in shared
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def goes_wrong(prediction: dict) -> bool:
    """Whether a student's rationale has a refuted step, or does not arrive at the right answer."""
    return bool(prediction["wrong_steps"]) or not prediction["rationale_correct"]


def drawn(found: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most `count` cases of each shown kind, the first by a hash."""
    keys = [draw(f"cases/{seed}/{row.question_id}/{row.seed}") for row in found.itertuples()]
    order = found.iloc[sorted(range(len(found)), key=keys.__getitem__)]
    return pd.concat([order[order.kind == kind].head(count) for kind in SHOWN])


def counted(found: pd.DataFrame) -> pd.DataFrame:
    """One row a kind: how many cases, and their share."""
    counts = [int((found.kind == kind).sum()) for kind in KINDS.values()]
    shares = [tables.percent(n / len(found)) if len(found) else tables.DASH for n in counts]
    return pd.DataFrame({"rationales": KINDS.values(), "cases": counts, "share": shares})


def difference(found: pd.DataFrame, alpha: float, draws: int) -> pd.DataFrame:
    """How much more often the method's rationale goes wrong than the baseline's; below 0: less often.

    found     rows of `cases`
    returns   one row, "goes wrong": both shares, their difference with its interval and p, seeds and questions; none
              of fewer than two questions, which tell nothing
    """
    columns = ["rationales", *SHARES, "p", "seeds", "questions"]
    if found.question_id.nunique() < 2:
        return pd.DataFrame(columns=columns)
    wrong = found[["baseline", "method"]].map(goes_wrong).astype(float).join(found[["seed", "question_id"]])
    baseline, method = (
        wrong.pivot(index="seed", columns="question_id", values=role) for role in ("baseline", "method")
    )
    less = statistics.paired_bootstrap(method, baseline, draws, alpha=alpha)
    shares = [wrong.baseline.mean(), wrong.method.mean(), less.mean, less.low, less.high]
    return pd.DataFrame([["goes wrong", *shares, less.p, less.n_seeds, less.n_questions]], columns=columns)


def _as_run(name: str, groups: dict[str, list[Result]]) -> str:
    """An arm by its name, or with H-labels, where it ran with those alone."""
    with_gold = f"{name} (H)"
    return with_gold if name not in groups and with_gold in groups else name


def _why_not(names: tuple[str, str], groups: dict[str, list[Result]]) -> str | None:
    """Why there are no cases of these arms; None if there can be."""
    for name in names:
        if name not in groups:
            return f"arm {name!r} was not run"
        if not groups[name][0].run.recipe.explain:
            return f"the students of {name!r} write no rationales"
    return f"baseline and method are both {names[0]!r}" if names[0] == names[1] else None


def _caption(names: tuple[str, str], found: pd.DataFrame, reason: str | None, task: Task) -> str:
    if reason:
        return f"No case studies: {reason} (ablate.cases)."
    questions, seeds = found.question_id.nunique(), found.seed.nunique()
    fault = "a refuted step or a wrong answer" if task.check else "a wrong answer (the task has no verifier of steps)"
    return (
        f"Baseline {names[0]!r}, method {names[1]!r}: whose rationale has {fault}, over "
        f"{questions} test questions × {seeds} seeds = {len(found)} cases."
    )


def _rule(settings: Cases, chosen: pd.DataFrame) -> str:
    return f"Shown: {len(chosen)} cases, at most {settings.count} of a kind, drawn by a hash with seed {settings.seed}."


def _as_rows(chosen: pd.DataFrame, data: Data) -> pd.DataFrame:
    """The shown cases as a table holds them; wrong steps are numbers of sentences, counted from 1."""
    rows = []
    for case in chosen.itertuples():
        question = data.questions[case.question_id]
        row = {"kind": case.kind, "question_id": case.question_id, "seed": case.seed}
        row |= {"question": question.text, "gold_label": question.gold_label}
        for role in ("baseline", "method"):
            p = getattr(case, role)
            row |= {f"{role} rationale": p["rationale"], f"{role} answer": p["rationale_label"]}
            row[f"{role} wrong steps"] = " ".join(str(i + 1) for i in p["wrong_steps"] or ())
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["kind", "question_id", "seed"])


def _section(kind: str, chosen: pd.DataFrame, names: tuple[str, str], data: Data) -> str:
    shown = [_case(case, names, data.questions[case.question_id], data.task).data for case in chosen.itertuples()]
    return "\n".join([f"<h3>{escape(kind.capitalize())}</h3>", *(shown or ["<p>None.</p>"])])


def _case(case, names: tuple[str, str], question: Question, task: Task) -> HTML:
    """The question, and below it what both students wrote."""
    heading = f"{question.text} Right answer: {question.gold_label} ({question.question_id}, seed {case.seed})"
    passages = {name: _passage(p, question, task) for name, p in zip(names, (case.baseline, case.method))}
    return tables.side_by_side(passages, heading)


def _passage(prediction: dict, question: Question, task: Task) -> HTML:
    """A student's rationale, its refuted sentences marked with the verifier's reason, and what it arrives at."""
    text, answer = prediction["rationale"], prediction["rationale_label"]
    steps = task.check(question, text).steps if task.check else ()
    marked = tables.marked_steps([(s.text, s.wrong) for s in steps] or [(text, None)])
    verdict = "right" if prediction["rationale_correct"] else "wrong"
    said = f"Arrives at {answer}: {verdict}." if answer is not None else "Arrives at no answer."
    said += f" Refuted steps: {len(prediction['wrong_steps'])}." if prediction["wrong_steps"] is not None else ""
    return HTML(f"{marked.data}<p>{escape(said)}</p>")
