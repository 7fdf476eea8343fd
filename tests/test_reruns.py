"""What two reports say of the same runs: listed where it differs, and only there."""

import pytest

from lib import reruns


@pytest.fixture
def folders(tmp_path):
    """The same two arms under other names, of which one differs; and a report that lists no runs."""
    write(tmp_path / "sweeps", {"5 CoTs": ("58.7 ± 14.5", "ab"), "standard": ("43.8 ± 2.0", "cd")})
    write(tmp_path / "student-size", {"base: 5 CoTs": ("48.8 ± 2.4", "ba"), "base: standard": ("43.8 ± 2.0", "cd")})
    (tmp_path / "older").mkdir()
    return [tmp_path / name for name in ("sweeps", "student-size", "older")]


def write(folder, arms):
    tables = folder / "tables" / "05_ablate"
    tables.mkdir(parents=True)
    listed = [f"{arm},{seed},{run}" for arm, (_, ids) in arms.items() for seed, run in enumerate(ids)]
    (tables / "runs.csv").write_text("\n".join(["arm,seed,run", *listed]) + "\n", encoding="utf-8")
    measured = [f"{arm},{accuracy}" for arm, (accuracy, _) in arms.items()]
    (tables / "main.csv").write_text("\n".join(["arm,accuracy (%)", *measured]) + "\n", encoding="utf-8")


def test_only_what_differs_is_listed_whatever_it_is_called(folders):
    assert reruns.rows(folders) == [("sweeps", "5 CoTs", "58.7 ± 14.5", "student-size", "base: 5 CoTs", "48.8 ± 2.4")]
    assert reruns.text(folders).endswith(
        "| sweeps | 5 CoTs | 58.7 ± 14.5 | student-size | base: 5 CoTs | 48.8 ± 2.4 |\n"
    )


def test_where_all_agrees_nothing_is_said(folders):
    assert reruns.text(folders[:1]) == reruns.text(folders[1:]) == reruns.text([]) == ""


def test_arms_that_share_only_some_of_their_runs_are_not_the_same(folders):
    write(folders[2], {"5 CoTs, one more seed": ("60.0 ± 9.0", "abe")})
    assert len(reruns.rows(folders)) == 1
