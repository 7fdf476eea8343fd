"""`make sweep`: the copy follows the work tree and keeps its own results; its reports, and only they, come back.

`make smoke`: its copy follows the work tree, too.

`python` and `dvc` are stand-ins here, which write what the real ones would; the pipeline itself is test_pipeline's.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lib import paths

PYTHON = """#!/bin/sh
case "$*" in
  "-c "*opening*" levels") echo "What it shows (about 9 minutes)."; echo "More of it." ;;
  "-m lib.profile "*) echo "profile: $3" > params.yaml; echo "params.yaml is now profile $3" ;;
esac
"""
# what dvc finds of an earlier call shows that the copy was kept
DVC = """#!/bin/sh
[ ! -e FAIL ] || exit 3
cat dvc.lock 2>/dev/null > seen.lock || true
echo "of $(cat params.yaml) with $(cat lib/a.py)" > dvc.lock
mkdir -p data reports/figures/x reports/metrics reports/tables/x
echo once >> data/rows
cp dvc.lock reports/index.html
echo "this machine" > reports/provenance.html
echo figure > reports/figures/x/f.svg; echo {} > reports/metrics/m.json; echo table > reports/tables/x/t.csv
"""
LEVELS = "# What it shows (about 9 minutes).\n# More of it.\nextends: default\nprofile: levels\n# not of the top\n"


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "a repository"
    for folder in (".ci", "params", "lib", "reports/sweeps", "bin"):
        (root / folder).mkdir(parents=True)
    for script in ("sweep", "smoke"):
        shutil.copy(paths.ROOT / ".ci" / script, root / ".ci" / script)
    files = {".gitignore": "/data/\n/scratch/\n/bin/\n", "params/levels.yaml": LEVELS, "params/default.yaml": "a: 1\n"}
    files |= {"lib/a.py": "first", "lib/b.py": "gone later", "params.yaml": "mine", "dvc.lock": "committed\n"}
    files |= {"reports/index.html": "committed", "reports/sweeps/README.md": "how"}
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    for name, text in {"python": PYTHON, "dvc": DVC}.items():
        (root / "bin" / name).write_text(text, encoding="utf-8")
        (root / "bin" / name).chmod(0o755)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def sweep(root: Path, *arguments: str, script: str = "sweep") -> subprocess.CompletedProcess:
    environment = os.environ | {"PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(root / ".ci" / script), *arguments]
    return subprocess.run(command, env=environment, cwd=root.parent, capture_output=True, text=True, check=False)


def test_the_reports_come_back_and_nothing_else_changes(root):
    done = sweep(root, "levels")
    assert done.returncode == 0, done.stderr
    kept = root / "reports" / "sweeps" / "levels"
    assert sorted(str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()) == [
        "figures/x/f.svg",
        "index.html",
        "metrics/m.json",
        "tables/x/t.csv",
    ]
    assert (kept / "index.html").read_text() == "of profile: levels with first\n"
    assert [(root / name).read_text() for name in ("params.yaml", "dvc.lock", "reports/index.html")] == [
        "mine",
        "committed\n",
        "committed",
    ]


def test_it_says_first_what_the_profile_shows(root):
    assert sweep(root, "levels").stdout.startswith("What it shows (about 9 minutes).\nMore of it.\nreport: ")


def test_a_second_call_goes_on_with_its_own_results_and_the_files_of_now(root):
    sweep(root, "levels")
    (root / "lib" / "a.py").write_text("second")
    (root / "lib" / "b.py").unlink()
    (root / "lib" / "new.py").write_text("not committed")
    assert sweep(root, "levels").returncode == 0
    copy = root / "scratch" / "sweeps" / "levels"
    assert (copy / "seen.lock").read_text() == "of profile: levels with first\n"
    assert (copy / "data" / "rows").read_text() == "once\nonce\n"
    assert sorted(p.name for p in (copy / "lib").iterdir()) == ["a.py", "new.py"]
    assert (root / "reports/sweeps/levels/index.html").read_text() == "of profile: levels with second\n"


def test_a_smoke_run_follows_the_work_tree_staged_or_not(root):
    (root / "lib" / "a.py").write_text("staged")
    (root / "lib" / "b.py").unlink()
    (root / "lib" / "new.py").write_text("staged")
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    (root / "lib" / "newer.py").write_text("not staged")
    done = sweep(root, script="smoke")
    assert done.returncode == 0, done.stderr
    copy = root / "scratch" / "smoke"
    assert sorted(p.name for p in (copy / "lib").iterdir()) == ["a.py", "new.py", "newer.py"]
    assert (copy / "reports" / "index.html").read_text() == "of profile: smoke with staged\n"
    assert (root / "params.yaml").read_text() == "mine"


def test_a_kept_sweep_holds_no_other(root):
    (root / "reports/sweeps/older").mkdir()
    (root / "reports/sweeps/older/index.html").write_text("older")
    assert sweep(root, "levels").returncode == 0
    assert not (root / "scratch/sweeps/levels/reports/sweeps/older").exists()
    assert (root / "reports/sweeps/older/index.html").read_text() == "older"


def test_a_sweep_that_fails_leaves_the_kept_reports(root):
    sweep(root, "levels")
    (root / "FAIL").touch()
    assert sweep(root, "levels").returncode == 3
    assert (root / "reports/sweeps/levels/index.html").read_text() == "of profile: levels with first\n"


def test_a_second_sweep_at_the_same_time_is_refused(root):
    folder = root / "scratch" / "sweeps"
    folder.mkdir(parents=True)
    with (folder / "levels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = sweep(root, "levels")
    assert (done.returncode, done.stderr) == (
        1,
        "error: a sweep of profile 'levels' is under way; wait for it\n",
    )
    assert not (folder / "levels").exists()
    assert sweep(root, "levels").returncode == 0


def test_a_clone_that_was_interrupted_is_made_anew(root):
    half = root / "scratch" / "sweeps" / "levels.partial" / ".git"
    half.mkdir(parents=True)
    assert sweep(root, "levels").returncode == 0
    assert not half.exists()


def name_paths(root: Path, *named: str) -> None:
    """Let the stand-in for python say what the profile names."""
    lines = " ".join(f"'{name}'" for name in named)
    (root / "bin" / "python").write_text(PYTHON.replace("esac", f"  -) printf '%s\\n' {lines} ;;\nesac"))


def test_a_relative_path_that_git_ignores_is_found_from_the_copy(root):
    (root / "data").mkdir()
    (root / "data" / "raw.json").write_text("raw")
    name_paths(root, "data/raw.json", "", "a-hub/name", "/absolute", "scratch", "words")
    done = sweep(root, "levels")
    assert done.returncode == 0, done.stderr
    copy = root / "scratch" / "sweeps" / "levels"
    assert (copy / "data" / "raw.json").read_text() == "raw"
    assert not (copy / "a-hub").exists()
    assert not (copy / "scratch").is_symlink()  # a student's source, not the folder: results would be shared
    assert sweep(root, "levels").returncode == 0


def test_runs_finished_elsewhere_are_found_again(root):
    runs = {"data/04_train/runs/here": "here", "scratch/sweeps/other/data/05_ablate/runs/there": "there"}
    for name, text in runs.items():
        (root / name).mkdir(parents=True)
        (root / name / "metrics.json").write_text(text)
    own = root / "scratch/sweeps/levels"
    assert sweep(root, "levels").returncode == 0
    (own / "data/04_train/runs/own").mkdir(parents=True)
    assert sweep(root, "levels").returncode == 0
    shared = {p.name: (p / "metrics.json").read_text() for p in (own / "scratch" / "retired").iterdir()}
    assert shared == {"here": "here", "there": "there"}
    assert (root / "data/04_train/runs/here/metrics.json").exists()


def copying(root: Path, fails: str) -> None:
    """A `cp` that fails for some of what is taken over."""
    program = root / "bin" / "cp"
    script = f'case "$*" in {fails}) echo "no space" >&2; exit 1 ;; esac'
    program.write_text(f'#!/bin/sh\n{script}\nexec /bin/cp "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def test_runs_that_cannot_be_taken_over_are_counted_and_one_is_named(root):
    runs = [root / "data/04_train/runs" / name for name in ("here", "there")]
    for run in runs:
        run.mkdir(parents=True)
    copying(root, fails="*.shared*")
    done = sweep(root, "levels")
    assert done.returncode == 0
    assert done.stderr == (
        "note: 2 finished runs can be neither linked nor copied; those of this profile are trained anew; "
        f"{runs[0]}/: no space\n"
    )
    assert not list((root / "scratch/sweeps/levels/scratch/retired").iterdir())


def test_where_files_cannot_be_linked_they_are_copied(root):
    run = root / "data/04_train/runs/here"
    run.mkdir(parents=True)
    (run / "metrics.json").write_text("here")
    copying(root, fails="-Rl*")
    done = sweep(root, "levels")
    assert (done.returncode, done.stderr) == (0, "")
    taken = root / "scratch/sweeps/levels/scratch/retired/here/metrics.json"
    assert taken.read_text() == "here" and not taken.samefile(run / "metrics.json")


def test_the_kept_page_of_contents_links_to_where_things_are_from_there(root):
    page = '<a href="../README.md">README</a> <a href="../docs/claims.md">Claims</a> <a href="01.html">01</a>'
    other = "<title>5 · Why</title>\n<h1>5 · Why</h1>"
    index = "<title>Contents: profile levels</title>"
    written = f"echo '{page}\n{index}' > reports/index.html\necho '{other}' > reports/05.html\n"
    (root / "bin" / "dvc").write_text(DVC + written, encoding="utf-8")
    assert sweep(root, "levels").returncode == 0
    kept = (root / "reports/sweeps/levels/index.html").read_text()
    assert kept == (
        '<a href="../../index.html">All reports</a> · <a href="../../../README.md">README</a> '
        f'<a href="../../../docs/claims.md">Claims</a> <a href="01.html">01</a>\n{index}\n'
    )
    named = "<title>5 · Why · profile levels</title>\n<h1>5 · Why · profile levels</h1>\n"
    assert (root / "reports/sweeps/levels/05.html").read_text(encoding="utf-8") == named


def test_each_title_of_a_kept_page_names_the_profile_once(root):
    one = "<title>a</title><h1>b</h1><p>as in profile levels</p>"
    two = "<h1>c, profile levels</h1> <h1>d</h1><h1>e of profile levels-coin-flip</h1>"
    (root / "bin" / "dvc").write_text(f"{DVC}echo '{one}\n{two}' > reports/05.html\n", encoding="utf-8")
    assert sweep(root, "levels").returncode == 0
    kept = root / "reports/sweeps/levels/05.html"
    assert kept.read_text(encoding="utf-8") == (
        "<title>a · profile levels</title><h1>b · profile levels</h1><p>as in profile levels</p>\n<h1>c, profile levels"
        "</h1> <h1>d · profile levels</h1><h1>e of profile levels-coin-flip · profile levels</h1>\n"
    )
    before = kept.read_bytes()
    shutil.copy(kept, root / "again.html")
    (root / "bin" / "dvc").write_text(f"{DVC}cp again.html reports/05.html\n", encoding="utf-8")
    assert sweep(root, "levels").returncode == 0
    assert kept.read_bytes() == before, "what is named already is not named again"


def test_a_path_out_of_the_repository_is_to_be_absolute(root):
    (root.parent / "raw.json").write_text("raw")
    name_paths(root, "../raw.json")
    done = sweep(root, "levels")
    assert done.returncode == 1
    assert done.stderr == (
        "error: params/levels.yaml: given '../raw.json'; allowed: an absolute path, or one below the repository\n"
    )


@pytest.mark.parametrize("name", ["", "levles", "../levels"])
def test_an_unknown_profile_is_refused_with_those_there_are(root, name):
    done = sweep(root, name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: no profile '{name}'; make sweep P=... takes one of: default levels\n"
    assert not (root / "scratch").exists()
