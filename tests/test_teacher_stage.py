"""Stage 01 with a live teacher, in a scratch clone: what is asked again, what stops it, and where the key stands."""

import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback import Server, serve
from test_pipeline import Clone, scratch_clone

from lib.profile import composed

pytestmark = pytest.mark.slow

KEY = "sk-" + "9876543210" * 3  # so that this file does not hold it
TRAIN, OTHERS = 40, 20
CALL = 3e-4  # what the service's 100 prompt and 20 completion tokens cost at the price below
SETTINGS = {
    "tasks.arithmetic.train": TRAIN, "tasks.arithmetic.validation": OTHERS // 2, "tasks.arithmetic.test": OTHERS // 2,
    "generate.rationales": 1, "teacher.kind": "openai", "teacher.openai.model": "m",
    "teacher.openai.key_variable": "TEACHER_TEST_KEY", "teacher.prices": "{m: {prompt: 1, completion: 10}}",
}  # fmt: skip


@dataclass(frozen=True)
class Asking(Clone):
    """A clone whose stage 01 asks a service on this machine, with a key in the environment."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"TEACHER_TEST_KEY": KEY, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def generate(self, server: Server, **changes) -> subprocess.CompletedProcess:
        """Put the settings in place, dots written as two underscores, and bring stage 01 up to date."""
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        settings = SETTINGS | {"teacher.openai.base_url": server.url} | changed
        text = composed("smoke", [f"{name}={value}" for name, value in settings.items()])
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")
        return self.run("dvc", "repro", "--single-item", "generate")

    @property
    def data(self) -> Path:
        return self.folder / "data" / "01_generate"

    def lines(self, name: str) -> int:
        return len((self.data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def cloned(tmp_path_factory) -> Asking:
    return Asking(scratch_clone(tmp_path_factory.mktemp("asking") / "a clone").folder)


@pytest.fixture
def clone(cloned) -> Asking:
    """With nothing asked yet."""
    shutil.rmtree(cloned.folder / "data", ignore_errors=True)
    shutil.rmtree(cloned.folder / "reports" / "_failed", ignore_errors=True)
    return cloned


def done(result: subprocess.CompletedProcess) -> None:
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def refused(result: subprocess.CompletedProcess) -> str:
    """The one line that says why a stage stopped."""
    assert result.returncode != 0 and "Traceback" not in result.stdout + result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def holding(folder: Path, secret: str) -> list[Path]:
    """All files below a folder that hold a secret, or the greater part of it."""
    parts = [secret.encode(), secret[:20].encode(), secret[-20:].encode()]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 100
    return [path for path in files if any(part in path.read_bytes() for part in parts)]


def test_adding_questions_or_changing_how_they_are_sent_repeats_no_call(clone):
    with serve() as server:
        done(clone.generate(server))
        assert server.stats()["requests"] == TRAIN + OTHERS == clone.lines("store")
        done(clone.generate(server, tasks__arithmetic__train=TRAIN + 15))
        assert clone.lines("questions") == TRAIN + OTHERS + 15
        done(clone.generate(server, tasks__arithmetic__train=TRAIN + 15, generate__rationales=2))
        seen = server.stats()
        assert seen["requests"] == clone.lines("store") == 2 * (TRAIN + 15) + OTHERS
        assert Counter(seen["by_body"].values()) == {1: OTHERS, 2: TRAIN + 15}  # the samples of a question share theirs
        sending = {"concurrency": 3, "timeout": 33, "attempts": 2, "requests_per_minute": 9999}
        changes = {f"teacher__openai__{name}": value for name, value in sending.items()}
        done(clone.generate(server, tasks__arithmetic__train=TRAIN + 15, generate__rationales=2, **changes))
        assert server.stats()["connections"] == seen["connections"] + 1  # that is this look


@pytest.mark.parametrize(
    ("change", "asked"),
    [({"generate__temperature": 0.8}, TRAIN), ({"teacher__openai__model": "n"}, TRAIN + OTHERS),
     ({"generate__exemplars": 4}, TRAIN + OTHERS)],
)  # fmt: skip
def test_what_changes_the_answer_is_asked_anew_and_the_old_is_kept(clone, change, asked):
    """Greedy answers do not depend on the temperature of the sampled ones."""
    prices = "{m: {prompt: 1, completion: 10}, n: {prompt: 1, completion: 10}}"
    with serve() as server:
        done(clone.generate(server))
        before = (clone.data / "store.jsonl").read_text(encoding="utf-8").splitlines()
        done(clone.generate(server, teacher__prices=prices, **change))
        assert server.stats()["requests"] == TRAIN + OTHERS + asked == clone.lines("store")
        assert set(before) < set((clone.data / "store.jsonl").read_text(encoding="utf-8").splitlines())
        done(clone.generate(server))
        assert server.stats()["requests"] == TRAIN + OTHERS + asked


def test_a_budget_stops_the_stage_and_it_goes_on_when_the_budget_is_raised(clone):
    with serve() as server:
        for budget in (0.012, 0.014):
            line = refused(clone.generate(server, teacher__budget=budget))
            paid = server.stats()["answered"]
            assert f"teacher.budget: {budget} reached" in line and f"{TRAIN + OTHERS - paid} calls are left" in line
            assert 0 < paid * CALL <= budget and clone.lines("store") == paid
            assert not (clone.data / "rationales.jsonl").exists()
        done(clone.generate(server, teacher__budget=1))
        assert server.stats()["requests"] == TRAIN + OTHERS == clone.lines("rationales")


def test_a_dry_run_stops_with_nothing_sent(clone):
    with serve() as server:
        assert "teacher.dry_run: true; nothing was sent" in refused(clone.generate(server, teacher__dry_run="true"))
        assert server.stats()["connections"] == 1  # that is this look


def test_the_key_stands_in_no_file_and_no_log(clone):
    """The service repeats it in every answer and in its error; that goes through store, data, notebook and reports."""
    with serve(echo=True, key=KEY) as server:
        good = clone.generate(server)
        done(good)
    page = (clone.folder / "reports" / "01_generate.html").read_text(encoding="utf-8")
    assert "Bearer [key]" in page and "Bearer [key]" in (clone.data / "rationales.jsonl").read_text(encoding="utf-8")
    with serve(key="another") as server:
        bad = clone.generate(server, teacher__openai__model="n", teacher__prices="{}")
    assert "the key is not accepted" in refused(bad) and "[key]" in refused(bad)
    assert list((clone.folder / "reports" / "_failed").iterdir())
    for output in (good.stdout, good.stderr, bad.stdout, bad.stderr):
        assert KEY[:20] not in output and KEY[-20:] not in output
    planted = clone.folder / "scratch" / "planted"
    planted.write_text(f"Authorization: Bearer {KEY}")
    found = holding(clone.folder.parent, KEY)
    planted.unlink()
    assert found == [planted]
