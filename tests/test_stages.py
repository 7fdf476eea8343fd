"""dvc.yaml declares what the stages really use; whatever it lacks, or names in vain, is reported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lib import paths, stages


@pytest.fixture
def doctored(tmp_path):
    """Runs `python -m lib.stages` in a copy whose dvc.yaml went through `change`; returns its lines."""
    for folder in ("lib", "notebooks"):
        shutil.copytree(paths.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    declared = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text(encoding="utf-8"))

    def lines(change=lambda stages: None) -> list[str]:
        change(declared["stages"])
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(declared, sort_keys=False), encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-m", "lib.stages"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (result.returncode == 1) == bool(result.stdout) and not result.stderr
        return result.stdout.splitlines()

    lines.folder = tmp_path
    return lines


def test_dvc_yaml_declares_what_is_used():
    assert stages.differences() == []


def test_the_copy_is_as_sound_as_the_repository(doctored):
    assert doctored() == []


@pytest.mark.parametrize(
    ("stage", "dep", "line"),
    [
        ("slc", "lib/text.py", "slc: missing dep lib/text.py"),
        ("generate", "lib/render.css", "generate: missing dep lib/render.css"),
        ("train", "notebooks/04_train.ipynb", "train: missing dep notebooks/04_train.ipynb"),
        ("report", "lib/report.py", "report: missing dep lib/report.py"),
        (
            "self_eval",
            "data/01_generate/rationales.jsonl",
            "self_eval: data/01_generate/rationales.jsonl is neither a dep nor an out",
        ),
    ],
)
def test_missing_dep(doctored, stage, dep, line):
    assert doctored(lambda stages: stages[stage]["deps"].remove(dep)) == [f"dvc.yaml: {line}"]


@pytest.mark.parametrize("dep", ["lib/runs.py", "lib/gone.py", "data/03_slc/scores.jsonl"])
def test_unused_dep(doctored, dep):
    assert doctored(lambda stages: stages["generate"]["deps"].append(dep)) == [f"dvc.yaml: generate: unused dep {dep}"]


def test_package_stands_for_all_of_its_files(doctored):
    lines = doctored(lambda stages: stages["slc"]["deps"].remove("lib/tasks"))
    assert "dvc.yaml: slc: missing dep lib/tasks/arithmetic.py" in lines
    assert all(line.startswith("dvc.yaml: slc: missing dep lib/tasks/") for line in lines)


def test_missing_section(doctored):
    """A section that the notebook reads, and one that may name files outside the repository."""
    assert doctored(lambda stages: stages["slc"]["params"].remove("slc")) == ["dvc.yaml: slc: missing param slc"]


def test_missing_section_of_inputs(doctored):
    def change(stages):
        stages["train"]["params"][-1]["inputs.lock"].remove("student")

    assert doctored(change) == ["dvc.yaml: train: missing param of inputs.lock student"]


def test_unused_section(doctored):
    lines = doctored(lambda stages: stages["generate"]["params"].append("ablate"))
    assert lines == ["dvc.yaml: generate: unused param ablate"]


def test_missing_notebook(doctored):
    def change(stages):
        stages["slc"]["cmd"] = "python -m lib.notebook 03_gone"

    assert doctored(change) == ["dvc.yaml: slc: no notebook notebooks/03_gone.ipynb"]


def test_import_added_to_a_module_is_needed_by_the_stages_that_use_it(doctored):
    """similarity.py is used in notebook 3 itself; what it imports is needed there, too."""
    module = doctored.folder / "lib" / "similarity.py"
    module.write_text(module.read_text(encoding="utf-8") + "\nfrom lib import profile\n", encoding="utf-8")
    assert "dvc.yaml: slc: missing dep lib/profile.py" in doctored()


def test_sections_are_the_attributes_of_cfg():
    assert stages.used_sections("cfg.train.steps + cfg.slc.keep\nother.task\nf(cfg.train)") == ["slc", "train"]
    assert stages.used_sections("x = 1") == []


def test_cfg_handed_on_whole_is_seen():
    assert stages.bare_config("cfg = load_config()\ncfg.train.steps\nf(cfg)\ng(settings=cfg)") == [3, 4]
    assert stages.bare_config("cfg = load_config()\nf(cfg.train)") == []


def test_data_is_what_is_named_below_data():
    source = "read(paths.QUESTIONS)\nwrite(paths.RUNS)\npaths.ROOT, paths.REPORTS, paths.DATA, other.SCORES"
    assert stages.named_data(source) == {"data/01_generate/questions.jsonl", "data/04_train/runs"}


def test_source_of_a_notebook_is_its_code(tmp_path):
    cells = '{"cells": [{"cell_type": "markdown", "source": ["import no"]}, %s, %s]}'
    first = '{"cell_type": "code", "source": ["%time 1\\n", "a = 1\\n", "!ls"]}'
    (tmp_path / "n.ipynb").write_text(cells % (first, '{"cell_type": "code", "source": ["b = 2"]}'))
    assert stages.source_of(tmp_path / "n.ipynb") == "a = 1\nb = 2"


def test_code_is_followed_through_imports():
    needed = stages.needed_code(Path(paths.ROOT / "lib" / "notebook.py"))
    modules = ("__init__", "errors", "kernel", "paths", "provenance", "records", "render")
    assert needed == {f"lib/{name}.py" for name in modules} | {"lib/render.css", "lib/render.html"}


def test_every_out_of_every_stage_is_named_once():
    """Two stages that write one file would undo each other's work."""
    declared = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = [path for stage in declared.values() for path, _ in stages._outputs(stage)]
    assert len(outs) == len(set(outs))
