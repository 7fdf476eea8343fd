"""Finished students are read with what is known of them; what does not fit is refused before it is used."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from lib import checkpoint
from lib.checkpoint import BARE, open_checkpoint
from lib.errors import UserError
from lib.words import continuing_tokenizer, words_tokenizer


@pytest.fixture
def run(trained_kinds, tmp_path):
    """A copy of a T5's run, to be spoilt."""
    return shutil.copytree(trained_kinds["t5"]["judge"], tmp_path / "run")


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_a_run_comes_with_its_recipe(trained_kinds, kind):
    finished = open_checkpoint(trained_kinds[kind]["judge"])
    assert finished.recipe["evaluations"] == 1 and finished.limits == (8, 32) and not finished.rationale_first
    assert open_checkpoint(trained_kinds[kind]["first"]).rationale_first
    assert finished.student.decoder_only == (kind == "gpt2")


def test_a_bare_folder_is_taken_to_explain(run):
    finished = open_checkpoint(run / "student", task="svamp")
    assert (finished.recipe, finished.limits, finished.task) == (BARE, (32, 256), "svamp")


@pytest.mark.parametrize(
    ("first", "task"), [("svamp-test-0", "svamp"), ("anli_r1-test-7", "anli_r1"), ("mine-test-0", None)]
)
def test_the_task_is_told_by_what_was_answered(run, first, task):
    (run / "predictions.jsonl").write_text(json.dumps({"question_id": first}) + "\n")
    assert open_checkpoint(run).task == task


def test_a_folder_without_a_student_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no student: expected config\.json"):
        open_checkpoint(tmp_path)


def test_pickled_weights_are_not_read(run):
    (run / "student" / "model.safetensors").unlink()
    torch.save({"weight": torch.ones(1)}, run / "student" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no weights in safetensors .* pickled ones .* are not read"):
        open_checkpoint(run)


def test_pickled_weights_beside_other_safetensors_are_not_read_either(run):
    """An adapter lies there in safetensors, the model itself pickled: loading takes what it finds, unless told."""
    folder = run / "student"
    (folder / "model.safetensors").rename(folder / "adapter.safetensors")
    torch.save(load_file(folder / "adapter.safetensors"), folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"cannot be loaded as a student \(Error no file named model\.safetensors"):
        open_checkpoint(run)


def test_torn_weights_are_refused(run):
    weights = run / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="student: cannot be loaded as a student"):
        open_checkpoint(run)


def test_a_checkpoint_of_another_recipe_is_refused(run):
    said = json.loads((run / "recipe.json").read_text())
    said["student"]["d_model"] = 128
    (run / "recipe.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"another recipe: recipe\.json says d_model 128, config\.json 16"):
        open_checkpoint(run)


@pytest.mark.parametrize("text", ["{", "[]", '{"recipe": {"explain": true}}', '{"recipe": null}'])
def test_what_is_no_recipe_is_refused(run, text):
    (run / "recipe.json").write_text(text)
    with pytest.raises(UserError, match=r"recipe\.json: no recipe of a run"):
        open_checkpoint(run)


def test_a_tokenizer_of_another_model_is_refused(run):
    words_tokenizer([" ".join(f"w{i}" for i in range(900))]).save_pretrained(run / "student")
    with pytest.raises(UserError, match=r"its tokenizer has 90\d tokens, the model only \d+; give the tokenizer"):
        open_checkpoint(run)


@pytest.mark.parametrize("key", ["d_model", "d_ff", "layers", "heads"])
def test_each_size_of_the_recipe_is_looked_at(run, key):
    said = json.loads((run / "recipe.json").read_text())
    said["student"][key] += 1
    (run / "recipe.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=rf"another recipe: recipe\.json says {key} "):
        open_checkpoint(run)


def test_another_architecture_is_another_recipe(run):
    said = json.loads((run / "recipe.json").read_text())
    said["student"]["architecture"] = "gpt2"
    (run / "recipe.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=r"says architecture gpt2, config\.json t5"):
        open_checkpoint(run)


@pytest.mark.parametrize(
    ("key", "given", "said"),
    [("student", None, "student is None; expected"), ("task", "sums", "task is 'sums'; allowed:")],
)
def test_other_keys_of_the_recipe_are_checked(run, key, given, said):
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {key: given}))
    with pytest.raises(UserError, match=rf"recipe\.json: {said}"):
        open_checkpoint(run)


@pytest.mark.parametrize("line", ['{"question_id": "sv', "[]"])
def test_torn_predictions_are_told(run, line):
    (run / "predictions.jsonl").write_text(line)
    with pytest.raises(UserError, match=r"predictions\.jsonl: row 1 is no prediction"):
        open_checkpoint(run)


def test_a_tokenizer_that_ends_otherwise_is_refused(run):
    config = json.loads((run / "student" / "config.json").read_text())
    (run / "student" / "config.json").write_text(json.dumps(config | {"eos_token_id": 7}))
    with pytest.raises(UserError, match="its tokenizer ends a text by token 1, the model by 7"):
        open_checkpoint(run)


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_without_a_padding_token_a_decoder_pads_with_its_end_and_a_t5_is_refused(trained_kinds, tmp_path, kind):
    folder = shutil.copytree(trained_kinds[kind]["judge"], tmp_path / "run")
    make = words_tokenizer if kind == "t5" else continuing_tokenizer
    tokenizer = make(["Ann has pens ."])
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder / "student")
    if kind == "t5":
        with pytest.raises(UserError, match="no padding token"):
            open_checkpoint(folder)
    else:
        found = open_checkpoint(folder).student.tokenizer
        assert found.pad_token_id == found.eos_token_id is not None


def test_without_an_end_nothing_is_read(run):
    tokenizer = words_tokenizer(["Ann has pens ."])
    tokenizer.eos_token = None
    tokenizer.save_pretrained(run / "student")
    with pytest.raises(UserError, match="no end token"):
        open_checkpoint(run)


def test_too_little_memory_is_no_damage_to_a_checkpoint(run, monkeypatch):
    error = torch.OutOfMemoryError("CUDA")

    def load(folder):
        raise error

    monkeypatch.setattr(checkpoint, "load_student", load)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        open_checkpoint(run)
    assert raised.value is error
