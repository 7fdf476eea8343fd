"""What arms learn from: which rationales and scores a recipe is given, and what the data cannot feed."""

import json

import pytest
from tiny_world import TRAIN, data

from lib import paths
from lib.arms import Recipe, make_arms
from lib.errors import UserError
from lib.material import Data, chosen_rationales, held_out, load_data, material, materials, unchosen, unfed
from lib.records import Refined, Score, write_rows
from lib.tasks import get_task


def recipe(**difference) -> Recipe:
    return make_arms({"arm": difference}, TRAIN)["arm"].recipe


def fed(given: Data, **difference) -> str | None:
    return unfed(make_arms({"arm": difference}, TRAIN)["arm"], given)


def score(r, rd: float, student: str = "base") -> Score:
    measured = dict.fromkeys(("slc", "pmi", "rd_masked", "rd_own", "log_p", "log_p_answer"), 0.0)
    place = {"chain": r.chain, "round": r.round} if isinstance(r, Refined) else {}
    return Score(
        question_id=r.question_id,
        sample=r.sample,
        student=student,
        scorer="s",
        precision="fp32",
        rd_target="",
        tokens=1,
        rd=rd,
        **measured,
        **place,
    )


def refined(world: Data, chain: str, round: int, samples: int = 2) -> list[Refined]:
    """The first samples of the train questions, rewritten."""
    return [
        Refined(**{**r.model_dump(), "reasoning": f"{chain} {round}: {r.reasoning}"}, chain=chain, round=round)
        for r in world.rationales
        if r.split == "train" and r.sample < samples
    ]


@pytest.fixture
def world() -> Data:
    """Two students' scores, who disagree; two chains of refined rationales, one of them scored by one student."""
    made = data()
    made.refined = [row for chain, round in (("slc_high", 1), ("slc_high", 2), ("random", 1))
                    for row in refined(made, chain, round)]  # fmt: skip
    train = [r for r in made.rationales if r.split == "train"]
    made.scores = [score(r, 3.0 - r.sample) for r in train] + [score(r, r.sample, "small") for r in train]
    made.scores += [score(r, 9.0 - r.sample) for r in made.refined if r.round == 1]
    return made


def chosen(given: Data, **difference) -> set[str]:
    return {r.id.split("/", 1)[1] for group in chosen_rationales(recipe(**difference), given).values() for r in group}


def test_the_strategy_chooses_by_the_scores_of_the_arms_student(world):
    assert chosen(world, select="rd_low") == {"002"}
    assert chosen(world, select="rd_high") == {"000"}
    assert chosen(world, select="rd_low", student="small") == {"000"}
    assert sorted(chosen_rationales(recipe(), world)) == [f"train-{i}" for i in range(4)]


def test_another_student_may_be_the_one_who_scores(world):
    assert chosen(world, select="rd_low", scorer="small") == {"000"}
    assert chosen(world, select="rd_low", student="small", scorer="base") == {"002"}


def test_refined_rationales_are_those_of_the_chain_and_round(world):
    assert chosen(world, chain="slc_high", round=1) == {"000@slc_high/1"}
    assert chosen(world, chain="random", round=1, select="rd_low") == {"001@random/1"}
    assert chosen(world, chain="slc_high", round=2, rationales=2) == {"000@slc_high/2", "001@slc_high/2"}
    assert chosen(world, chain="slc_high", select="rd_low") == {"002"}  # round 0: the originals and their scores


def test_each_seed_draws_for_itself_and_seeds_that_choose_alike_share_their_examples(world):
    seeds = range(4)
    drawn = materials(recipe(select="random"), world, seeds)
    assert len({tuple(e.id for e in reasoning) for _, (_, reasoning) in drawn.values()}) > 1
    own = recipe(select="random")
    assert drawn == {seed: (own, material(own, world, seed)) for seed in seeds}
    for select in ("first", "rd_low"):
        fixed = materials(recipe(select=select, evaluations=1), world, seeds)
        assert {id(phases) for _, phases in fixed.values()} == {id(fixed[0][1])}
        assert fixed[3][1] == material(recipe(select=select, evaluations=1), world)


@pytest.mark.parametrize(
    ("rationales", "select", "plain"),
    [(3, "rd_low", "first"), (3, "random", "first"), (1, "all", "all"), (2, "rd_low", "rd_low")],
)
def test_what_takes_all_there_are_is_plainly_the_first_ones(world, rationales, select, plain):
    own = recipe(select=select, rationales=rationales)
    [(found, (_, reasoning))] = materials(own, world, [0]).values()
    assert found == own.model_copy(update={"select": plain})
    assert reasoning == material(found, world)[1]


def test_all_takes_all_whatever_the_number(world):
    assert chosen(world, select="all") == chosen(world, select="all", rationales=3) == {"000", "001", "002"}


def test_a_majority_is_that_of_the_rationales_of_the_round(world):
    world.refined = [r.model_copy(update={"teacher_label": "(1 + 1)"}) for r in world.refined]
    _, examples = material(recipe(chain="slc_high", round=1, labels="majority", explain=False), world)
    assert {e.label for e in examples} == {"(1 + 1)"}
    _, examples = material(recipe(labels="majority", explain=False), world)
    assert "(1 + 1)" not in {e.label for e in examples}


def test_what_is_refined_counts_among_the_training_texts_only_where_there_is_any(world):
    texts = world.training_texts()
    assert world.refined[0].text in texts and len(texts) == len(data().training_texts()) + 2 * len(world.refined)


# -- what the data cannot feed -----------------------------------------------------------------------


def test_a_chain_or_round_that_there_is_not_is_said_with_those_there_are(world):
    there = "refined rationales: random 1 (8), slc_high 1 (8), slc_high 2 (8)"
    assert fed(world, chain="slc_high", round=3) == f"no rationales of chain 'slc_high', round 3; {there}"
    assert fed(world, round=1) == f"no rationales of chain '', round 1; {there}"
    none = "no rationales of chain 'random', round 1; refined rationales: none; set slc.refine.rounds"
    assert fed(data(), chain="random", round=1) == none
    assert fed(world, chain="slc_high", round=2) is None
    assert fed(data(), chain="slc_high", round=0) is None


def test_more_rationales_than_the_round_has_are_said(world):
    assert fed(world, rationales=3) is None
    few = "needs 3 rationales a question, at most 2 were written"
    assert fed(world, rationales=3, chain="slc_high", round=1) == few


def test_a_strategy_without_scores_is_said_with_the_students_that_scored(world):
    reason = "strategy 'rd_low' selects no rationale"
    said = unchosen(recipe(select="rd_low", student="gpt2"), world)
    assert said == f"{reason}; student 'gpt2' scored none, scored by: base, small"
    said = unchosen(recipe(select="rd_low", chain="slc_high", round=1, student="small"), world)
    assert said == f"{reason}; slc_high 1: student 'small' scored none, scored by: base"
    said = unchosen(recipe(select="rd_low", chain="slc_high", round=2), world)
    assert said == f"{reason}; slc_high 2: student 'base' scored none, scored by: nobody"
    assert unchosen(recipe(select="rd_low"), world) == reason


def test_an_arm_with_no_evaluations_to_learn_from_is_unfed():
    assert fed(data(evaluations=0), evaluations=1) == "needs 1 self-evaluations a rationale, at most 0 were written"
    assert fed(data(evaluations=1), evaluations=1) is None


def test_gold_arms_need_gold_labels_of_train_questions_only():
    for name, reason in (("train-0", "needs a gold label for every train question"), ("test-1", None)):
        world = data()
        world.questions[name] = world.questions[name].model_copy(update={"gold_label": None})
        assert fed(world, labels="gold") == reason


# -- reading -----------------------------------------------------------------------------------------


@pytest.fixture
def written(world, tmp_path, monkeypatch):
    """The world as the stages would have written it."""
    for name in ("QUESTIONS", "RATIONALES", "EVALUATIONS", "SCORES", "REFINED"):
        monkeypatch.setattr(paths, name, tmp_path / f"{name}.jsonl")
    write_rows(paths.QUESTIONS, world.questions.values())
    for name in ("RATIONALES", "EVALUATIONS", "SCORES", "REFINED"):
        write_rows(getattr(paths, name), getattr(world, name.lower()))
    return world


def loaded():
    files = (paths.QUESTIONS, paths.RATIONALES, paths.EVALUATIONS, paths.SCORES, paths.REFINED)
    return load_data(get_task("svamp"), *files)


def test_what_the_stages_wrote_is_read(written):
    found = loaded()
    assert found.questions == written.questions
    for name in ("rationales", "evaluations", "scores", "refined"):
        own = sorted(getattr(written, name), key=lambda row: row.id)
        assert sorted(getattr(found, name), key=lambda row: row.id) == own
    assert held_out(recipe(), found).test == tuple(written.split("test"))


@pytest.mark.parametrize("name", ["SCORES", "REFINED"])
def test_a_missing_file_is_named(written, name):
    getattr(paths, name).unlink()
    with pytest.raises(UserError, match=rf"{name}\.jsonl: no such file"):
        loaded()


def test_a_row_of_another_kind_is_named(written):
    paths.REFINED.write_text(json.dumps({"question_id": "train-0"}) + "\n")
    with pytest.raises(UserError, match=r"REFINED\.jsonl:1: .*chain, round"):
        loaded()
