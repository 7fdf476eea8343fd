"""The edits of docs/extend.md, read from its very blocks, applied in a copy of the repository, do what it says.

The quick tests look at the edit's effect: an arm is planned, a strategy chooses. The slow ones run all notebooks, on
the scale of the profile smoke, and look for it in the tables.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lib import paths
from lib.profile import composed

PAGE = paths.ROOT / "docs" / "extend.md"
BLOCK = re.compile(r"^<!-- edit: (?P<name>[^>]+?) -->\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {found["name"]: (found["kind"], found["text"]) for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}
KEPT = ["lib", "notebooks", "params", "tests/tiny_world.py", "dvc.yaml", "params.yaml", "pyproject.toml"]
STAGES = ["01_generate", "02_self_eval", "03_slc", "04_train", "05_ablate"]


# -- applying ------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path) -> Path:
    """The code as it is now, in a folder of its own."""
    for name in KEPT:
        source, target = paths.ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return tmp_path


def apply(name: str, folder: Path) -> None:
    """One block of the page: a patch by `git apply`, or a cell of a notebook, or Python that writes files."""
    kind, text = BLOCKS[name]
    if kind == "python":
        run(folder, text)
    elif "@@ cell " in text:
        _edit_cell(text, folder)
    else:
        subprocess.run(["git", "apply", "-"], input=text, text=True, cwd=folder, check=True, env=_outside_of_git())


def _outside_of_git() -> dict[str, str]:
    """`git apply` then takes the folder for no part of a repository above it."""
    return os.environ | {"GIT_CEILING_DIRECTORIES": "/"}


def _edit_cell(text: str, folder: Path) -> None:
    """The lines without + stand in the cell named, one after the other; they become those without -."""
    path = folder / re.search(r"^\+\+\+ b/(.+)$", text, re.MULTILINE)[1]
    cell_id = re.search(r"^@@ cell (\S+) @@$", text, re.MULTILINE)[1]
    hunk = text.split("@@\n", 1)[1].splitlines()
    before, after = ("\n".join(line[1:] for line in hunk if line[0] in kept) for kept in (" -", " +"))
    content = json.loads(path.read_text(encoding="utf-8"))
    [cell] = [cell for cell in content["cells"] if cell["id"] == cell_id]
    source = "".join(cell["source"])
    assert source.count(before) == 1, f"{cell_id}: {before!r}"
    cell["source"] = source.replace(before, after).splitlines(keepends=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def run(folder: Path, code: str) -> str:
    """Python's output, with the copy's own lib and one thread."""
    own = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join([".", "tests"])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=own, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def arms_of(folder: Path) -> dict:
    """ARMS as the cell of 05 has them."""
    cells = json.loads((folder / "notebooks" / "05_ablate.ipynb").read_text(encoding="utf-8"))["cells"]
    [source] = ["".join(cell["source"]) for cell in cells if cell["id"] == "05-arms"]
    names: dict = {}
    exec(source.split("\nif ", 1)[0], names)
    return names["ARMS"]


def test_the_page_has_all_edits():
    parts = {name.split(", ")[0] for name in BLOCKS}
    assert parts == {"arm", "strategy", "loss", "task", "teacher"}
    marks = re.findall(r"^<!-- edit: ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(marks) == len(BLOCKS), "a mark without its block"


def test_a_patch_that_does_not_fit_is_refused(copy):
    (copy / "lib" / "selection.py").write_text("nothing of this\n", encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        apply("strategy", copy)


# -- their effect, at a glance --------------------------------------------------------------------

PLANNED = """
import sys
from lib.arms import make_arms
from lib.config import load_config
cfg = load_config()
arms = make_arms({{**cfg.train.arms, **{arms!r}}}, cfg.train, where="ARMS")
print(arms[{name!r}].recipe.select, arms[{name!r}].recipe.rationales, *arms[{name!r}].against)
"""


def test_arm(copy):
    apply("arm", copy)
    arms = arms_of(copy)
    assert list(arms) == ["3 CoTs, easiest"]
    assert run(copy, PLANNED.format(arms=arms, name="3 CoTs, easiest")) == "rd_low 3 5 CoTs"


def test_strategy(copy):
    apply("strategy", copy)
    apply("strategy, arm", copy)
    chosen = """
from dataclasses import replace
from pools import candidate
from lib.selection import select
pool = [candidate(i, reasoning=text) for i, text in enumerate(["So 7.", "3 and 4 make 7.", "It is 7."])]
print(*(r.sample for r in select("longest", pool, 2, 0)), *(r.sample for r in select("longest | rd_low", pool, 1, 0)))
"""
    shutil.copy2(paths.ROOT / "tests" / "pools.py", copy / "tests")
    assert run(copy, chosen)[:3] == "1 2"
    arms = arms_of(copy)
    assert run(copy, PLANNED.format(arms=arms, name="1 CoT, longest")) == "longest 1 1 CoT"


def test_loss(copy):
    """Two targets of one and of two tokens, 1 nat and 2 + 3 nats: (1 + 5) / 2, by both of its ways."""
    apply("loss", copy)
    worked = """
import torch
from lib.config import load_config
from lib.forward import TaskStates, _share
from lib.inputs import refuse_mistakes
from lib.losses import reduce_nll, token_weights
refuse_mistakes(load_config("params/sums.yaml"))
nll, rows = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 1])
print(reduce_nll(nll, rows, 2, "sums").item(), (token_weights(rows, 2, "sums") * nll).sum().item())
passed = TaskStates(torch.zeros(2, 1), torch.zeros(2), torch.zeros(2), 1)
print(_share(passed, (2, 3), "sums"), _share(passed, (2, 3), "examples"), round(_share(passed, (2, 3), "tokens"), 2))
print(load_config("params/sums.yaml").train.reduction, load_config().train.reduction)
"""
    assert run(copy, worked).splitlines() == ["3.0 3.0", "0.5 0.5 0.67", "sums examples"]


def test_task(copy):
    apply("task", copy)
    apply("task, files", copy)
    loaded = """
from collections import Counter
from statistics import mean
from lib.config import load_config
from lib.inputs import refuse_mistakes
from lib.sampling import rationale_asks
from lib.tasks import get_task, load_splits
from lib.teacher import open_teacher
cfg = load_config("params/crates.yaml")
refuse_mistakes(cfg)
task, splits = get_task(cfg.task), load_splits(cfg.task, cfg.tasks, cfg.data)
print(dict(sorted(Counter(q.split for q in splits.questions).items())))
print({s: n for s, n in sorted(task.data_set.sizes.items())})
print(abs(mean(len(q.text) for q in splits.questions) - task.data_set.characters) < 10)
teacher = open_teacher(cfg.teacher)
asks = rationale_asks(splits.questions, task, cfg.generate)
found = [(ask, task.extract(teacher.complete(ask.request).text)) for ask in asks[:500]]
gold = {q.question_id: q.gold_label for q in splits.questions}
print(None not in {answer.label for _, answer in found})
right = mean(task.equal(answer.label, gold[ask.item.question_id]) for ask, answer in found)
print(0.7 < right < 0.95)
first = splits.of("train")[0]
print(task.check(first, "So 3 + 4 = 8. The answer is 8.").wrong_steps)
"""
    sizes = "{'test': 390, 'train': 819, 'validation': 91}"
    assert run(copy, loaded).splitlines() == [sizes, sizes, "True", "True", "True", "(0,)"]


def test_teacher(copy):
    apply("teacher", copy)
    asked = """
from lib.config import load_config
from lib.inputs import refuse_mistakes
from lib.sampling import rationale_asks
from lib.tasks import get_task, load_splits
from lib.teacher import open_teacher
cfg = load_config("params/terse.yaml")
refuse_mistakes(cfg)
task, questions = get_task(cfg.task), load_splits(cfg.task, cfg.tasks, cfg.data).of("validation")
teacher, plain = open_teacher(cfg.teacher), open_teacher(load_config().teacher)
print(teacher.identity != plain.identity, cfg.teacher.kind)
asks = rationale_asks(questions, task, cfg.generate)[:50]
pairs = [(teacher.complete(a.request).text, plain.complete(a.request).text) for a in asks]
print(all(long.endswith(short) and short.count(". ") == 1 for short, long in pairs), sum(s != l for s, l in pairs) > 40)
print(all(task.extract(s).label == task.extract(l).label for s, l in pairs))
"""
    assert run(copy, asked).splitlines() == ["True terse", "True True", "True"]


# -- in the tables ---------------------------------------------------------------------------------


def notebooks(folder: Path, profile: str) -> None:
    """All five, on the scale of the profile smoke, as the stages run them."""
    path = folder / "params" / f"{profile}.yaml"
    if profile != "smoke":
        path.write_text(path.read_text(encoding="utf-8").replace("extends: default", "extends: smoke"), "utf-8")
    run(folder, f"from lib.profile import composed; open('params.yaml', 'w').write(composed({profile!r}))")
    own = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    for name in STAGES:
        command = [sys.executable, "-m", "lib.notebook", name]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "reports" / "tables" / "05_ablate" / f"{name}.csv", index_col=0)


@pytest.mark.slow
def test_arm_and_strategy_are_in_the_table(copy):
    assert "extends: default" in (copy / "params" / "smoke.yaml").read_text(encoding="utf-8")
    assert composed("smoke")
    apply("strategy", copy)
    apply("strategy, arm", copy)
    apply("arm", copy)
    notebooks(copy, "smoke")
    assert {"3 CoTs, easiest", "1 CoT, longest"} <= set(table(copy, "ablation").index)
    pairs = table(copy, "ablation_comparisons").reset_index()
    assert {("3 CoTs, easiest", "5 CoTs"), ("1 CoT, longest", "1 CoT")} <= set(zip(pairs.arm, pairs.against))


@pytest.mark.slow
@pytest.mark.parametrize("edits, profile", [
    (["loss"], "sums"),
    (["task", "task, files"], "crates"),
    (["teacher"], "terse"),
])  # fmt: skip
def test_profile_of_an_edit_runs_to_its_table(copy, edits, profile):
    for name in edits:
        apply(name, copy)
    notebooks(copy, profile)
    assert list(table(copy, "main").index) == ["standard", "1 CoT", "5 CoTs"]
