"""When patience is lost; what is heard of a training while it goes on."""

from types import SimpleNamespace

import pytest
import torch

from lib import callbacks
from lib.callbacks import Curves, LiveCurves, out_of_patience, sparkline, thinned

INF, NAN = float("inf"), float("nan")


def history(*accuracies: float) -> list[dict]:
    """Losses are logged between the looks."""
    return [row for a in accuracies for row in ({"step": 1, "loss": 2.0}, {"step": 1, "eval_accuracy": a})]


@pytest.mark.parametrize(
    ("accuracies", "looks", "lost"),
    [
        ([], 1, False),
        ([0.1], 1, False),
        ([0.1, 0.4], 1, False),
        ([0.4, 0.4], 1, True),  # as good is not better
        ([0.1, 0.4, 0.4, 0.3], 2, True),
        ([0.1, 0.4, 0.4, 0.3], 3, False),
        ([0.1, 0.4, 0.3, 0.5], 2, False),
    ],
)
def test_patience_is_lost_after_so_many_looks_that_were_no_better(accuracies, looks, lost):
    assert out_of_patience(history(*accuracies), looks) == lost


def test_a_run_writes_one_file_and_taken_up_again_one_beside_it(tmp_path):
    live = Curves("run", tmp_path / "curves", steps=20)
    live.add(10, {"loss": 1.5})
    live.add(20, {"loss": 1.0, "accuracy": 0.5})
    assert len(list((tmp_path / "curves").iterdir())) == 1
    Curves("run", tmp_path / "curves").add(20, {"loss": 1.0})
    assert len(list((tmp_path / "curves").iterdir())) == 2


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Curves("run").add(1, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_a_curve_as_bars():
    assert sparkline([3.0, 1.0, 2.0]) == "█▁▄"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([1.0, NAN, INF, -INF, 8.0]) == "▁!!!█"
    assert sparkline([]) == ""


@pytest.mark.parametrize(
    ("values", "most", "expected"),
    [
        ([], 2, []),
        ([4.0, 2.0], 2, [4.0, 2.0]),
        ([4.0, 2.0, 1.0], 2, [3.0, 1.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3, [1.5, 3.5, 5.0]),
    ],
)
def test_a_long_curve_is_thinned_by_means_of_neighbours(values, most, expected):
    assert thinned(values, most) == expected


def test_the_terminal_hears_of_a_run_now_and_then(monkeypatch):
    said, now = [], iter([0.0, 1.0, 20.0, 20.0, 21.0, 41.0, 41.0])
    monkeypatch.setattr(callbacks, "say", said.append)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(now))
    live = Curves("1 CoT, seed 0", steps=100)
    live.add(10, {"loss": 3.0})
    live.add(20, {"accuracy": 0.25})
    live.add(30, {"loss": 2.0})
    live.add(40, {"loss": 1.0})
    assert said == [
        "1 CoT, seed 0: step 20 of 100, loss 3 ▁, accuracy 0.25",
        "1 CoT, seed 0: step 40 of 100, loss 1 █▄▁, accuracy 0.25",
    ]


def heard_of(steps: int, of: int) -> list[tuple[int, dict]]:
    """What curves are given in so many of a phase's steps; the loss of step n is n."""
    heard, now = [], SimpleNamespace(global_step=0)
    curves = SimpleNamespace(add=lambda step, values: heard.append((step, values)))
    live = LiveCurves(curves, lambda: torch.tensor(float(now.global_step)), of)
    rate = SimpleNamespace(get_last_lr=lambda: [0.5])
    for now.global_step in range(1, steps + 1):
        live.on_step_end(None, now, None, lr_scheduler=rate)
    live.on_log(None, now, None, logs={"loss": 1.0, "grad_norm": 2.0, "eval_accuracy": 0.25})
    live.on_log(None, now, None, logs={"train_runtime": 9.0})
    return heard


def test_a_point_of_a_long_curve_is_the_mean_of_the_steps_since_the_last():
    points = [(3, {"loss": 2.0, "learning_rate": 0.5}), (6, {"loss": 5.0, "learning_rate": 0.5})]
    assert heard_of(7, of=799) == [*points, (7, {"grad_norm": 2.0, "accuracy": 0.25})]


def test_a_short_curve_has_a_point_a_step():
    assert [(step, row["loss"]) for step, row in heard_of(2, of=2)[:2]] == [(1, 1.0), (2, 2.0)]
