"""The card of an exported student says what was computed and what is known, and leaves out the rest."""

import json

import pytest
import yaml

from lib.checkpoint import Finished, open_checkpoint
from lib.errors import UserError
from lib.model_card import measures, model_card
from lib.statistics import wilson

SIMULATED = "Simulated teacher: its errors are planted."


@pytest.fixture
def left(tmp_path):
    """A folder with predictions: three right of four; their rationales were not looked at."""
    rows = [{"question_id": f"q{i}", "correct": i > 0} for i in range(4)]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def changed(finished: Finished, task: str | None = None, labels: str = "teacher", **student) -> Finished:
    """The student as if its recipe said something else."""
    said = finished.said | {"labels": labels, "student": finished.said["student"] | student}
    return Finished(finished.student, finished.folder, said, task)


def metadata(card: str) -> dict:
    first, head, body = card.split("---\n", 2)
    assert first == "" and body.startswith("\n# ")
    return yaml.safe_load(head)


def test_the_shares_and_their_intervals_are_computed(trained, left):
    card = model_card(open_checkpoint(trained["judge"]), left)
    low, high = wilson(3, 4)
    assert f"| answers right | {3 / 4:.1%} | {low:.1%} to {high:.1%} | 4 |" in card
    [index] = metadata(card)["model-index"]
    assert index["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.75}]
    assert "verdicts" not in card.partition("## What it reached")[2].partition("## Use")[0]  # nothing was judged


def test_without_predictions_there_is_no_card(trained, tmp_path):
    with pytest.raises(UserError, match=r"predictions\.jsonl: no predictions"):
        model_card(open_checkpoint(trained["judge"]), tmp_path)


@pytest.mark.parametrize(
    ("task", "source", "teacher", "expected"),
    [
        ("arithmetic", "scratch", [SIMULATED], {"license": "apache-2.0", "language": ["en"]}),
        ("arithmetic", "scratch", [], {"language": ["en"]}),
        ("arithmetic", "scratch", ["gpt-4o-mini"], {"language": ["en"]}),
        ("svamp", "scratch", [SIMULATED], {"language": ["en"]}),
        ("coin_flip", "scratch", [SIMULATED], {"language": ["en"]}),  # perhaps of the published questions
        (None, "scratch", [SIMULATED], {}),
        ("arithmetic", "google/flan-t5-base", [SIMULATED], {"language": ["en"], "base_model": "google/flan-t5-base"}),
        (None, "gpt2", [], {"base_model": "gpt2"}),
        (None, "/home/me/models/t5: large", [], {}),
        (None, "lib", [], {}),  # a folder that is here
    ],
)
def test_what_is_known_is_said_and_no_more(trained, left, task, source, teacher, expected):
    finished = changed(open_checkpoint(trained["judge"]), task, source=source)
    found = metadata(model_card(finished, left, teacher))
    assert {key: found[key] for key in ("license", "language", "base_model") if key in found} == expected
    assert found["library_name"] == "transformers"
    kind = "text-generation" if finished.student.decoder_only else "text2text-generation"
    assert found["pipeline_tag"] == found["model-index"][0]["results"][0]["task"]["type"] == kind


@pytest.mark.parametrize(
    ("task", "name"), [("svamp", "ChilleD/SVAMP"), ("arithmetic", "arithmetic"), (None, "unknown")]
)
def test_the_data_set_has_its_name_of_the_hub(trained, left, task, name):
    found = metadata(model_card(changed(open_checkpoint(trained["judge"]), task), left))
    assert found["model-index"][0]["results"][0]["dataset"] == {
        "name": task or "unknown",
        "type": name,
        "split": "test",
    }


@pytest.mark.parametrize("task", ["svamp", None])
def test_a_teacher_is_noted_or_not_known(trained, left, task):
    finished = changed(open_checkpoint(trained["judge"]), task)
    unknown, noted = model_card(finished, left), model_card(finished, left, [SIMULATED])
    assert "- Its teacher is not known." in unknown and "simulated" not in unknown.lower()
    assert f"- {SIMULATED}" in noted and "not known." not in noted.replace("Its task is not known.", "")
    assert "nothing about real teachers follows" in noted and "nothing about real teachers" not in unknown


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("gold", "human labels"),
        ("majority", "the majority of the teacher's answers"),
        ("teacher", "the teacher's answers"),
        ("?", "not known"),
    ],
)
def test_the_labels_it_learned_are_named(trained, left, labels, said):
    card = model_card(changed(open_checkpoint(trained["judge"]), "svamp", labels), left)
    assert f"Learned labels: {said}." in card and "licence: MIT, https://huggingface.co/datasets/ChilleD/SVAMP" in card


def test_what_it_learned_is_said(trained, left):
    said = {arm: model_card(open_checkpoint(trained[arm]), left).partition("## Data")[0] for arm in trained}
    assert "answers questions, writes a rationale, judges rationales." in said["judge"]
    assert said["labels"].rstrip().endswith("It answers questions.")


def test_it_says_nothing_of_what_was_not_learned(trained, left):
    """Neither verdicts nor a loss that weighs them, of who judges not; no rationale of who writes none."""
    judge, labels, first = (model_card(open_checkpoint(trained[arm]), left) for arm in ("judge", "labels", "first"))
    of_judging = ("P(correct)", "p_correct", "recipe.self_eval_steps", "recipe.judge_sees")
    for words in of_judging:
        assert words in judge and words not in labels and words not in first, words
    for words in ("said.rationale", "a rationale is no proof"):
        assert words in judge and words in first and words not in labels, words
    assert "recipe.lam" in judge and "recipe.lam" not in labels and "recipe.lam" not in first


def test_how_good_its_beliefs_are_stands_in_the_table(trained, left):
    """Three of four pairs are in order; errors of .1, .65, .5 and .2, each in a tenth of its own."""
    rows = [
        {"phase": "after phase 2", "rationale_id": f"q{i}/000", "p_correct": p, "sound": sound,
         "student_verdict": "correct", "teacher_verdict": None}
        for i, (p, sound) in enumerate([(0.9, True), (0.65, False), (0.5, True), (0.2, False)])
    ]  # fmt: skip
    (left / "judgements.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = model_card(open_checkpoint(trained["judge"]), left)
    assert "| AUROC of P(correct), after phase 2 (.5: chance) | 0.75 | " in card
    assert "| calibration error (ECE) of P(correct), after phase 2 | 0.36 | – | 4 |" in card


def test_beliefs_about_one_kind_alone_have_no_auroc(trained, left):
    row = {"phase": "after phase 1", "rationale_id": "q/0", "p_correct": 0.7, "sound": True,
           "student_verdict": "correct", "teacher_verdict": None}  # fmt: skip
    (left / "judgements.jsonl").write_text(json.dumps(row) + "\n")
    card = model_card(open_checkpoint(trained["judge"]), left)
    assert "AUROC of" not in card and "after phase 1 | 0.30 | – | 1 |" in card


def test_verdicts_are_counted_a_phase(trained):
    rows = [{"phase": "after phase 2", "student_verdict": "correct", "teacher_verdict": "correct", "sound": False}]
    assert measures([{"correct": False}], rows) == [
        ("answers right", 0, 1), ("verdicts as the teacher's, after phase 2", 1, 1),
        ("verdicts right, after phase 2", 0, 1),
    ]  # fmt: skip


def test_measures_by_hand():
    predictions = [
        {"correct": True, "rationale": "", "rationale_correct": False, "rationale_label": None, "wrong_steps": [0]},
        {"correct": True, "rationale": "", "rationale_correct": True, "rationale_label": "7", "wrong_steps": None},
    ]
    judgements = [
        {"phase": "after phase 1", "student_verdict": "wrong", "teacher_verdict": "correct", "sound": False},
        {"phase": "after phase 1", "student_verdict": "correct", "teacher_verdict": None, "sound": None},
    ]
    assert measures(predictions, judgements) == [
        ("answers right", 2, 2), ("rationales whose answer is right", 1, 2), ("rationales without an answer", 1, 2),
        ("rationales with a step that the verifier refutes", 1, 1),
        ("verdicts as the teacher's, after phase 1", 0, 1), ("verdicts right, after phase 1", 1, 1),
    ]  # fmt: skip
