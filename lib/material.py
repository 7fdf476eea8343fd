"""What arms learn from: the artefacts of 01 to 03, and the examples that a recipe takes from them.

data = load_data(get_task(cfg.task), paths.QUESTIONS, paths.RATIONALES, paths.EVALUATIONS, paths.SCORES, paths.REFINED)
unfed(arms["5 CoTs"], data)             # None, or "needs 5 rationales a question, at most 3 were written"
first, second = material(arms["5 CoTs"].recipe, data)       # the examples of phase 1 and of phase 2
materials(arms["random"].recipe, data, seeds=[0, 1])        # of each seed's run, which chooses for itself
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lib.arms import Arm, Recipe
from lib.examples import Example, judged_text, majority_labels, reasoning_examples, self_evaluation_examples
from lib.records import Evaluation, Question, Rationale, Refined, Score, read_rows
from lib.selection import candidates, select
from lib.steps import Candidate
from lib.tasks.base import Task

Material = tuple[list[Example], list[Example]]  # the examples of phase 1 and of phase 2


@dataclass
class Data:
    """What runs learn from (train) and are measured on (validation, test)."""

    task: Task
    questions: dict[str, Question]
    rationales: list[Rationale]
    evaluations: list[Evaluation]
    scores: list[Score] = field(default_factory=list)
    refined: list[Refined] = field(default_factory=list)

    def split(self, name: str) -> list[Question]:
        """The questions of one split, by id."""
        return [q for q in self.questions.values() if q.split == name]

    def pool(self, recipe: Recipe) -> list[Rationale]:
        """The train rationales that a recipe may choose from: the originals, or one chain's of one round."""
        if not recipe.round:
            return [r for r in self.rationales if r.split == "train"]
        place = recipe.chain, recipe.round
        return [r for r in self.refined if r.split == "train" and (r.chain, r.round) == place]

    def scored(self, recipe: Recipe) -> list[Score]:
        """The scores that a recipe chooses by: its scorer's, of the rationales of its chain and round."""
        place = (recipe.chain, recipe.round) if recipe.round else ("", 0)
        return [s for s in self.scores if s.student == recipe.scored_by and (s.chain, s.round) == place]

    def training_texts(self) -> list[str]:
        """All text that any arm may learn from; a tokenizer of words is trained on it, the same for every arm."""
        train = self.split("train")
        rationales = [r for r in [*self.rationales, *self.refined] if r.split == "train"]
        critiques = [e for e in self.evaluations if e.split == "train"]
        return [
            "predict: explain: correct wrong uncertain",
            *(q.text for q in train),
            *(q.gold_label for q in train if q.gold_label is not None),
            *(text for r in rationales for text in (r.text, r.teacher_label)),
            *(e.critique for e in critiques),
        ]


@dataclass(frozen=True)
class HeldOut:
    """What a run is measured on: validation and test questions, and the teacher's rationales of test questions.

    judged   (rationale, the text that the student is shown, the teacher's verdict if there is one)
    """

    task: str
    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    judged: tuple[tuple[Rationale, str, str | None], ...]


def load_data(task: Task, questions: Path, rationales: Path, evaluations: Path, scores: Path, refined: Path) -> Data:
    """The rows that stages 01 to 03 wrote. UserError names a file that is missing or a line that is none of its rows.

    The files are named by the caller, so that one sees, as `lib.stages` does, what a notebook depends on.
    """
    return Data(
        task=task,
        questions={q.question_id: q for q in read_rows(questions, Question)},
        rationales=read_rows(rationales, Rationale),
        evaluations=read_rows(evaluations, Evaluation),
        scores=read_rows(scores, Score),
        refined=read_rows(refined, Refined),
    )


def unfed(arm: Arm, data: Data) -> str | None:
    """Why the data cannot feed this arm; None if it can."""
    recipe = arm.recipe
    pool = data.pool(recipe)
    if recipe.round and not pool:
        return f"no rationales of chain {recipe.chain!r}, round {recipe.round}; refined rationales: {_held(data)}"
    most = max(Counter(r.question_id for r in pool).values(), default=0)
    if recipe.rationales > most:
        return f"needs {recipe.rationales} rationales a question, at most {most} were written"
    if recipe.labels == "majority" and most < 2:
        return "a majority needs several rationales a question, at most 1 was written"
    evaluations = max((e.sample + 1 for e in data.evaluations if e.split == "train"), default=0)
    if recipe.evaluations > evaluations:
        return f"needs {recipe.evaluations} self-evaluations a rationale, at most {evaluations} were written"
    if recipe.labels == "gold" and any(q.gold_label is None for q in data.split("train")):
        return "needs a gold label for every train question"
    return None


def unchosen(recipe: Recipe, data: Data) -> str:
    """Why a strategy may have selected nothing at all: it, or that its scorer has scored nothing to choose by."""
    reason = f"strategy {recipe.select!r} selects no rationale"
    if data.scored(recipe):
        return reason
    place = (recipe.chain, recipe.round) if recipe.round else ("", 0)
    by = sorted({s.student for s in data.scores if (s.chain, s.round) == place})
    which = f"{_place(*place)}: " if recipe.round else ""
    return f"{reason}; {which}student {recipe.scored_by!r} scored none, scored by: {', '.join(by) or 'nobody'}"


def chosen_rationales(recipe: Recipe, data: Data, seed: int = 0) -> dict[str, list[Rationale]]:
    """The rationales that the arm's strategy selects, by train question (questions with none are absent)."""
    return _chosen(recipe, _candidates(recipe, data), seed)


def material(recipe: Recipe, data: Data, seed: int = 0) -> Material:
    """Examples of phase 1 (none without evaluations) and of phase 2, of the rationales chosen with this seed."""
    return _examples(recipe, data, chosen_rationales(recipe, data, seed))


def materials(recipe: Recipe, data: Data, seeds: Iterable[int]) -> dict[int, tuple[Recipe, Material]]:
    """By seed the recipe as plainly as it can be put, and its `material`; seeds that choose alike share one object.

    Eight of eight rationales are the same eight, whatever ranked them: where with this seed the strategy takes every
    rationale of every question, the plain recipe has `first`, and arms that learn alike are one run.
    A strategy that draws nothing, such as "first", chooses alike with every seed.
    """
    pools = _candidates(recipe, data)
    made: dict[tuple[str, ...], Material] = {}
    found = {}
    for seed in seeds:
        plain, chosen = _plainest(recipe, pools, seed)
        key = tuple(r.id for group in chosen.values() for r in group)
        if key not in made:
            made[key] = _examples(recipe, data, chosen)
        found[seed] = plain, made[key]
    return found


def held_out(recipe: Recipe, data: Data) -> HeldOut:
    """Measurement questions; for arms with phase 1 also the teacher's test rationales, to be judged."""
    verdicts = {e.rationale_id: e.verdict for e in data.evaluations if e.split == "test" and e.sample == 0}
    judged = [
        (r, judged_text(data.questions[r.question_id], r, recipe.judge_sees), verdicts.get(r.id))
        for r in data.rationales
        if r.split == "test" and recipe.evaluations
    ]
    return HeldOut(data.task.name, tuple(data.split("validation")), tuple(data.split("test")), tuple(judged))


def _candidates(recipe: Recipe, data: Data) -> dict[str, list[Candidate]]:
    return candidates(data.pool(recipe), data.scored(recipe), data.evaluations)


def _chosen(recipe: Recipe, pools: dict[str, list[Candidate]], seed: int) -> dict[str, list[Rationale]]:
    chosen = {q: select(recipe.select, group, recipe.rationales, seed) for q, group in sorted(pools.items())}
    return {q: rationales for q, rationales in chosen.items() if rationales}


def _plainest(
    recipe: Recipe, pools: dict[str, list[Candidate]], seed: int
) -> tuple[Recipe, dict[str, list[Rationale]]]:
    """The recipe itself, or with `first` if its strategy takes all there are; and what it chooses."""
    chosen = _chosen(recipe, pools, seed)
    if recipe.select == "first" or any(len(chosen.get(question, ())) < len(pool) for question, pool in pools.items()):
        return recipe, chosen
    if any(len(pool) > recipe.rationales for pool in pools.values()):  # `first` would take fewer
        return recipe, chosen
    plain = recipe.model_copy(update={"select": "first"})
    return plain, _chosen(plain, pools, seed)


def _examples(recipe: Recipe, data: Data, chosen: dict[str, list[Rationale]]) -> Material:
    votes = majority_labels(data.pool(recipe), data.task.equal) if recipe.labels == "majority" else {}
    reasoning = reasoning_examples(data.questions, chosen, recipe.labels, recipe.explain, votes, recipe.rationale_first)
    if not recipe.evaluations:
        return [], reasoning
    by_id = {r.id: r for group in chosen.values() for r in group}
    evaluations = self_evaluation_examples(
        data.questions, by_id, data.evaluations, recipe.evaluations, recipe.judge_sees
    )
    return evaluations, reasoning


def _held(data: Data) -> str:
    """Which refined rationales there are: "slc_high 1 (400), slc_high 2 (390)"."""
    held = Counter((r.chain, r.round) for r in data.refined if r.split == "train")
    listed = ", ".join(f"{_place(*place)} ({count})" for place, count in sorted(held.items()))
    return listed or "none; set slc.refine.rounds"


def _place(chain: str, round: int) -> str:
    return f"{chain} {round}"
