"""The whole pipeline, once, on the smallest profile in a scratch clone; what follows looks at what came of it.

Tests that change something work in a copy of that clone, which holds its data, reports and cache.
"""

import base64
import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from lib import paths
from lib.profile import composed

STAGES = ["generate", "self_eval", "slc", "train", "ablate", "report"]
PAGES = ["01_generate", "02_self_eval", "03_slc", "04_train", "05_ablate", "index"]
UP_TO_DATE = "Data and pipelines are up to date."


@dataclass(frozen=True)
class Clone:
    """A clone of the repository, in which commands run as a user's would, with no way to the network."""

    folder: Path

    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PROGRESS_TTY"}}
        own |= dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"], "http://127.0.0.1:9")
        own |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        own |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}
        places = {"DVC_SITE_CACHE_DIR": "site", "DVC_GLOBAL_CONFIG_DIR": "global", "DVC_SYSTEM_CONFIG_DIR": "system"}
        return own | {name: str(self.folder.parent / "dvc" / place) for name, place in places.items()}

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=1800
        )

    def start(self, *command: str) -> subprocess.Popen:
        """The command in a process group of its own, with its output to be read line by line."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment(), start_new_session=True, **output)

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands in a file exactly once."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file}: {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")


@dataclass(frozen=True)
class Reproduced(Clone):
    """A clone in which `dvc repro` ran to its end, with what it printed."""

    result: subprocess.CompletedProcess

    def copy(self, folder: Path) -> Clone:
        shutil.copytree(self.folder, folder / "a copy", symlinks=True)
        return Clone(folder / "a copy")


def scratch_clone(folder: Path) -> Clone:
    """The repository as it is now, what is not committed included, with the smallest profile in place."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(paths.ROOT), str(folder)], check=True)
    changed = ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"]
    names = subprocess.run(changed, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (source := paths.ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    (folder / "params.yaml").write_text(composed("smoke"), encoding="utf-8")
    clone = Clone(folder)
    assert clone.run("python", "-m", "lib.inputs").returncode == 0
    return clone


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Reproduced:
    clone = scratch_clone(tmp_path_factory.mktemp("pipeline") / "a clone")
    result = clone.run("dvc", "repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return Reproduced(clone.folder, result)


@pytest.fixture(scope="module")
def workshop(reproduced, tmp_path_factory) -> Clone:
    """One copy for the quick tests that change something; each puts back what it changed."""
    return reproduced.copy(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def copy(reproduced, tmp_path) -> Clone:
    return reproduced.copy(tmp_path)


def stages_run(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def trained_and_found(result: subprocess.CompletedProcess) -> tuple[int, int]:
    """What a stage's last line of the kind "3 runs trained, 30 found" says; it stands on stderr."""
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    trained, found = re.findall(r"^(\d+) runs trained, (\d+) found$", result.stderr, re.MULTILINE)[-1]
    return int(trained), int(found)


def smoke() -> dict:
    return yaml.safe_load(composed("smoke"))


def test_every_stage_runs_once_and_in_order(reproduced):
    assert stages_run(reproduced.result.stdout) == STAGES


def test_every_arm_is_trained_with_every_seed(reproduced):
    train = smoke()["train"]
    counts = re.findall(r"^(\d+) runs trained, (\d+) found$", reproduced.result.stderr, re.MULTILINE)
    assert counts[0] == (str(len(train["arms"]) * len(train["seeds"])), "0")


def test_log_has_no_noise(reproduced):
    """Neither bars, colours, warnings nor tracebacks where no terminal is."""
    for noise in ("\r", "\x1b", "it/s", "Traceback", "IPKernelApp"):
        assert noise not in reproduced.result.stderr
    assert not re.search(r"^.*\w+Warning\b.*$", reproduced.result.stderr, re.MULTILINE)


def test_running_again_runs_nothing(reproduced):
    again = reproduced.run("dvc", "repro")
    assert (again.returncode, stages_run(again.stdout)) == (0, [])
    assert UP_TO_DATE in again.stdout
    assert UP_TO_DATE in reproduced.run("dvc", "status").stdout


def test_clone_elsewhere_has_nothing_to_run(workshop):
    """Nothing depends on where the repository lies."""
    assert UP_TO_DATE in workshop.run("dvc", "status").stdout


@pytest.mark.parametrize("name", PAGES)
def test_page_needs_nothing_but_itself(reproduced, name):
    text = (reproduced.folder / "reports" / f"{name}.html").read_text(encoding="utf-8")
    assert re.search(r"<title>[^<]+</title>", text)
    assert not re.search(r"<(script|link|iframe|object|embed)\b", text)
    assert not re.search(r"""\bsrc=["']?(?!data:)[^"'\s]""", text)
    assert not re.search(r"""url\(["']?http|@import""", text)
    prose = re.sub(r"<(pre|code|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert "$$" not in prose and not re.search(r"\\(frac|sum|lambda|log|ell)\b", prose)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(reproduced, name):
    """Every image can be decoded and fetches nothing, every link between pages has an end, nothing failed."""
    text = (reproduced.folder / "reports" / f"{name}.html").read_text(encoding="utf-8")
    for kind, content in re.findall(r'src="data:([\w/+]+);base64,([^"]+)"', text):
        image = base64.b64decode(content, validate=True)
        assert kind != "image/svg+xml" or (b"<svg" in image and not re.search(rb'href="(?!#|data:)', image))
    for link in re.findall(r'<a href="([^"#:]+)', text):
        assert (reproduced.folder / "reports" / link).exists(), link
    assert "Traceback" not in text.partition("<main>")[2] and 'class="error"' not in text
    assert text.count("<h1") == 1


def test_the_browser_holds_records_and_is_listed(reproduced):
    index = (reproduced.folder / "reports" / "index.html").read_text(encoding="utf-8")
    text = (reproduced.folder / "reports" / "browser.html").read_text(encoding="utf-8")
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    questions = json.loads(data)["questions"]
    assert any(q["students"] for q in questions) and any(q["rationales"] for q in questions)
    assert 'href="browser.html"' in index and 'href="index.html"' in text


def test_headline_stands_under_the_title_and_in_the_index(reproduced):
    index = (reproduced.folder / "reports" / "index.html").read_text(encoding="utf-8")
    for name in PAGES[:-1]:
        text = (reproduced.folder / "reports" / f"{name}.html").read_text(encoding="utf-8")
        assert re.search(r'</h1>\s*<aside class="headline">', text), name
        assert f'href="{name}.html"' in index


@pytest.mark.parametrize("stage", ["01_generate", "02_self_eval"])
def test_words_about_the_teachers_answers_fit_what_stands_below_them(reproduced, stage):
    """No money without prices, a sentence where no answer failed, no number alone as what a cell shows."""
    tables = reproduced.folder / "reports" / "tables" / stage
    cost = (tables / "cost.md").read_text(encoding="utf-8")
    assert "| calls |" in cost and "money" not in cost
    assert (tables / "failures.md").read_text(encoding="utf-8").startswith("Answers that cannot be used: none of ")
    page = (reproduced.folder / "reports" / f"{stage}.html").read_text(encoding="utf-8")
    assert not re.search(r'<div class="output"><pre>\d+\s*</pre>', page)


def test_pairs_and_calls_are_counted_as_the_text_says(reproduced):
    """Each pair of evaluations once; identical requests as one call."""
    page = (reproduced.folder / "reports" / "02_self_eval.html").read_text(encoding="utf-8")
    lines = (reproduced.folder / "data" / "02_self_eval" / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
    several = Counter((row["question_id"], row["rationale_sample"]) for row in map(json.loads, lines)
                      if row["split"] == "train")  # fmt: skip
    pairs = sum(n * (n - 1) // 2 for n in several.values())
    assert f", {pairs:,} pairs\n</pre>" in page
    metrics = json.loads((reproduced.folder / "reports" / "metrics" / "02_self_eval.json").read_text(encoding="utf-8"))
    assert metrics["calls"] < metrics["evaluations"] and "identical requests are one call" in page


def test_curves_say_in_words_what_each_arm_reaches(reproduced):
    page = (reproduced.folder / "reports" / "04_train.html").read_text(encoding="utf-8")
    alt, caption = re.search(
        r'id="figure-04_train-curves" role="img" aria-label="([^"]*)".*?<figcaption>(.*?)</figcaption>', page, re.DOTALL
    ).groups()
    reached = [float(share) for share in re.findall(r" ([\d.]+)%(?:;|$)", alt)]
    assert len(reached) == len(smoke()["train"]["arms"])
    low, top = re.match(r"At the last step the arms reach from ([\d.]+)% \(.*?\) to ([\d.]+)% \(", caption).groups()
    assert (float(low), float(top)) == (min(reached), max(reached))


def test_smoke_results_leave_the_readme_alone(workshop):
    before = (workshop.folder / "README.md").read_bytes()
    assert workshop.run("python", "-m", "lib.report", "readme").returncode == 0
    assert (workshop.folder / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("  lam: 0.5 ", "  lam: 0.25 ", {"train", "ablate", "report"}),
        ("  bootstrap: 500 ", "  bootstrap: 400 ", {"ablate", "report"}),
        ("  keep: 1 ", "  keep: 2 ", {"slc", "ablate"}),
        ("  evaluations: 5 ", "  evaluations: 4 ", {"self_eval"}),
    ],
)
def test_setting_makes_stale_what_reads_it(workshop, old, new, stale):
    """Whatever else is run again follows from changed data; a changed setting of training asks the teacher nothing."""
    original = (workshop.folder / "params.yaml").read_text(encoding="utf-8")
    workshop.change("params.yaml", old, new)
    status = json.loads(workshop.run("dvc", "status", "--json").stdout)
    (workshop.folder / "params.yaml").write_text(original, encoding="utf-8")
    assert set(status) == stale


@pytest.mark.parametrize(
    ("old", "new"), [("palette: colorblind", "palette: deep"), ("context: notebook", "context: paper")]
)
def test_style_of_figures_trains_nothing(workshop, old, new):
    original = (workshop.folder / "params.yaml").read_text(encoding="utf-8")
    workshop.change("params.yaml", old, new)
    result = workshop.run("dvc", "repro", "--single-item", "train")
    (workshop.folder / "params.yaml").write_text(original, encoding="utf-8")
    assert stages_run(result.stdout) == ["train"]
    trained, found = trained_and_found(result)
    assert trained == 0 and found > 0


def test_arm_added_and_renamed(workshop):
    """One more line trains one run a seed; another name for it, none."""
    train, notebook = smoke()["train"], "notebooks/05_ablate.ipynb"
    added, renamed = (rf"    \"{name}\": dict(rationales=4, lam=0.75),\n" for name in ("my arm", "arm of mine"))
    original = (workshop.folder / notebook).read_text(encoding="utf-8")
    at_first = len(train["arms"]) * len(train["seeds"])

    workshop.change(notebook, '"ARMS = {\\n",', f'"ARMS = {{\\n",\n    "{added}",')
    trained, found = trained_and_found(workshop.run("dvc", "repro", "--single-item", "ablate"))
    assert trained == len(train["seeds"]) and found >= at_first

    workshop.change(notebook, added, renamed)
    assert trained_and_found(workshop.run("dvc", "repro", "--single-item", "ablate")) == (0, found + trained)
    page = (workshop.folder / "reports" / "05_ablate.html").read_text(encoding="utf-8")
    assert "arm of mine" in page and "my arm" not in page
    (workshop.folder / notebook).write_text(original, encoding="utf-8")


@pytest.mark.slow
def test_misspelt_key_of_an_arm_is_one_line(copy):
    page = (copy.folder / "reports" / "05_ablate.html").read_bytes()
    line = r"    \"my arm\": dict(rationale=4),\n"
    copy.change("notebooks/05_ablate.ipynb", '"ARMS = {\\n",', f'"ARMS = {{\\n",\n    "{line}",')
    result = copy.run("python", "-m", "lib.notebook", "05_ablate")
    assert result.returncode == 1
    message = [row for row in result.stderr.splitlines() if row]
    assert len(message) == 1 and message[0].startswith("error: ARMS: 'my arm': unknown key 'rationale'; allowed: ")
    assert (copy.folder / "reports" / "05_ablate.html").read_bytes() == page


@pytest.mark.slow
def test_same_bytes_from_nothing(reproduced, copy):
    kept = copy.folder / "reports" / "sweeps"  # other profiles': no stage makes these
    made = [path for path in (copy.folder / "reports").iterdir() if path != kept]
    for path in [copy.folder / "data", copy.folder / ".dvc/cache", *made]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = copy.run("dvc", "repro")
    assert stages_run(result.stdout) == STAGES, result.stderr[-3000:]
    assert copy.lock() == reproduced.lock()


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes(reproduced, tmp_path):
    """kill -9 of everything in each stage: the next attempt goes on, and what comes of it is the same."""
    clone = scratch_clone(tmp_path / "a clone")
    chance = random.Random(0)
    killed = 0
    for stage, seconds in zip(STAGES, durations(reproduced.result.stdout)):
        killed += kill_in(clone, stage, chance.uniform(0.2, 0.9) * seconds)
        assert_nobody_left(clone)
    assert killed >= 3  # a stage may be done before its moment comes
    result = clone.run("dvc", "repro")
    assert result.returncode == 0, result.stderr[-3000:]
    assert clone.lock() == reproduced.lock()
    assert rows_of(clone) == rows_of(reproduced)
    for stage, name in (("04_train", "runs"), ("05_ablate", "runs")):
        folders = [sorted(p.name for p in (c.folder / "data" / stage / name).iterdir()) for c in (clone, reproduced)]
        assert folders[0] == folders[1]


@pytest.fixture
def committed(copy) -> Clone:
    """A copy whose results are committed, as a user's are who tries experiments."""
    for command in (["config", "user.name", "a"], ["config", "user.email", "a@b.c"], ["add", "--all"]):
        assert copy.run("git", *command).returncode == 0
    assert copy.run("git", "commit", "--quiet", "--message", "results").returncode == 0
    return copy


def done(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.slow
def test_metrics_and_plots_are_shown_and_an_experiment_is_compared(committed, tmp_path):
    shown = json.loads(done(committed.run("dvc", "metrics", "show", "--json")))[""]["data"]
    assert set(shown) == {"reports/metrics/summary.json"}  # few, and numbers only: a column each
    assert set(shown["reports/metrics/summary.json"]["data"]["accuracy"]) >= set(smoke()["train"]["arms"])
    done(committed.run("dvc", "plots", "show", "-o", str(tmp_path / "plots")))
    page = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    assert "Test accuracy" in page and "Paired differences in test accuracy" in page
    drawn = {path.name for path in (tmp_path / "plots" / "static").iterdir()}
    assert {"workspace_reports_figures_05_ablate_main.svg", "workspace_reports_figures_04_train_curves.svg"} <= drawn

    steps = smoke()["train"]["steps"] + 1
    ran = done(committed.run("dvc", "exp", "run", "--name", "longer", "-S", f"train.steps={steps}"))
    assert stages_run(ran) == ["train", "ablate", "report"]
    changed = json.loads(done(committed.run("dvc", "metrics", "diff", "HEAD", "--json")))
    assert changed["reports/metrics/summary.json"]["million_tokens"]["diff"] > 0
    table = csv.DictReader(io.StringIO(done(committed.run("dvc", "exp", "show", "--csv"))))
    assert [row["train.steps"] for row in table if row["Experiment"] == "longer"] == [str(steps)]


@pytest.mark.slow
def test_kept_stores_and_checkpoints_come_back_and_a_queued_experiment_finds_them(committed, tmp_path):
    """In a fresh clone, from a folder as remote: nothing to run, and a new setting of the tests trains nothing."""
    done(committed.run("bash", ".ci/keep"))
    done(committed.run("git", "commit", "--quiet", "--all", "--message", "keep"))
    remote = ("dvc", "remote", "add", "--default", "--local", "mine", str(tmp_path / "a remote"))
    done(committed.run(*remote))
    done(committed.run("dvc", "push"))
    fresh = Clone(tmp_path / "fresh")
    subprocess.run(["git", "clone", "--quiet", str(committed.folder), str(fresh.folder)], check=True)
    for command in (remote, ("git", "config", "user.name", "a"), ("git", "config", "user.email", "a@b.c")):
        done(fresh.run(*command))
    done(fresh.run("dvc", "pull"))
    assert UP_TO_DATE in fresh.run("dvc", "status").stdout
    for kept in ("01_generate/store.jsonl", "02_self_eval/store.jsonl", "04_train/runs", "05_ablate/inference"):
        assert files_below(fresh.folder / "data" / kept) == files_below(committed.folder / "data" / kept) != {}

    done(fresh.run("dvc", "exp", "run", "--queue", "--name", "fewer", "-S", "ablate.bootstrap=400"))
    done(fresh.run("dvc", "queue", "start"))
    end = time.monotonic() + 900
    while re.search(r"Queued|Running", done(fresh.run("dvc", "queue", "status"))) and time.monotonic() < end:
        time.sleep(3)
    assert "Success" in fresh.run("dvc", "queue", "status").stdout
    log = fresh.run("dvc", "queue", "logs", "fewer")
    assert re.search(r"^0 runs trained, \d+ found$", log.stdout + log.stderr, re.MULTILINE)
    assert "fewer" in done(fresh.run("dvc", "exp", "show", "--csv"))


@pytest.mark.slow
def test_what_is_stale_is_not_kept(copy):
    copy.change("params.yaml", "  bootstrap: 500 ", "  bootstrap: 400 ")
    before = (copy.folder / "dvc.yaml").read_bytes()
    result = copy.run("bash", ".ci/keep")
    assert result.returncode == 1 and result.stderr.startswith("error: something is not up to date")
    assert (copy.folder / "dvc.yaml").read_bytes() == before


def files_below(path: Path) -> dict[str, bytes]:
    """The content of each file below a folder, or of the file itself."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def durations(output: str) -> list[float]:
    """Seconds that each notebook took."""
    return [float(seconds) for seconds in re.findall(r"^\d\d_\w+: ([\d.]+) s, reports/", output, re.MULTILINE)]


def kill_in(clone: Clone, stage: str, seconds: float) -> bool:
    """Reproduce until a stage has been running for so long; then kill -9 the process group. Whether that hit it."""
    process = clone.start("dvc", "repro")
    if any(f"Running stage '{stage}'" in line for line in process.stdout):
        time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def assert_nobody_left(clone: Clone) -> None:
    """Within ten seconds no process that works in the clone is left: no runner, kernel or training worker."""
    end = time.monotonic() + 10
    while (left := list(processes_in(clone.folder))) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left


def processes_in(folder: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                yield f"{process.pid} {' '.join(process.cmdline())}"
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue


def rows_of(clone: Clone) -> dict[str, list[str]]:
    """The lines of each data file; a line that stands twice fails."""
    rows = {}
    for path in sorted((clone.folder / "data").glob("*/*.jsonl")):
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        assert len(set(lines)) == len(lines), path
        rows[str(path.relative_to(clone.folder))] = lines
    return rows
