"""Processes that train one run together do what one would do, and end together."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import EXAMPLES, Interrupted, encoded, fresh
from test_training import PLAN as ONE_PLAN
from tiny_world import STUDENT, runs

from lib import distributed, paths
from lib.distributed import add_up, again_if_killed, as_first, draw_alike_when_resumed, rank, share, together
from lib.encoding import step_collator
from lib.errors import UserError
from lib.forward import batch_loss
from lib.runs import train_run
from lib.training import fit
from lib.workers import AGAIN, spread

PLAN = replace(ONE_PLAN, steps=12, batch=3, validate_every=3)  # the second process has one example of three


# -- alone -----------------------------------------------------------------------------------------


def test_a_process_that_is_alone_takes_all_and_waits_for_none():
    value = torch.tensor([1.0, 2.0])
    add_up([value])
    assert (rank(), share(), value.tolist(), as_first(lambda: 3)) == (0, (0, 1), [1.0, 2.0], 3)


def test_a_process_that_is_alone_draws_on():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draw_alike_when_resumed(5, 1)
    assert torch.equal(torch.rand(3), expected)


def test_draws_differ_between_processes_and_steps_and_come_again(monkeypatch):
    def drawn(r: int, step: int, seed: int = 0) -> float:
        monkeypatch.setattr(distributed, "rank", lambda: r)
        draw_alike_when_resumed(seed, step)
        return torch.rand(1).item()

    monkeypatch.setattr(distributed, "_several", lambda: True)
    cases = [(0, 0), (1, 0), (0, 1), (0, 0, 1)]
    first = [drawn(*case) for case in cases]
    assert len(set(first)) == 4 and [drawn(*case) for case in reversed(cases)] == first[::-1]


@pytest.mark.parametrize("reduction", ["examples", "tokens"])
@pytest.mark.parametrize("budget", [None, 60])
def test_the_shares_of_a_step_sum_to_its_loss(reduction, budget):
    student = fresh(dropout=0.0)
    rows = encoded(student)

    def loss(own: tuple[int, int]) -> float:
        passes = step_collator(student, budget, own)(rows)["passes"]
        return sum(batch_loss(student.model, batch, 0.5, reduction).item() for batch in passes)

    assert loss((0, 2)) + loss((1, 2)) == pytest.approx(loss((0, 1)), rel=1e-6)
    assert sum(loss((r, 5)) for r in range(5)) == pytest.approx(loss((0, 1)), rel=1e-6)
    assert loss((0, 2)) < loss((0, 1))


def test_neighbours_of_one_type_share_a_message(monkeypatch):
    monkeypatch.setattr(distributed, "AT_ONCE", 4)
    sizes = [3, 1, 2, 7, 1]
    tensors = [torch.zeros(n) for n in sizes] + [torch.zeros(1, dtype=torch.double)]
    assert [[len(t) for t in group] for group in distributed._groups(tensors)] == [[3, 1], [2], [7], [1], [1]]
    assert list(distributed._groups([])) == []


# -- two of them ------------------------------------------------------------------------------------


def sums(*_) -> tuple[list, list, list]:
    r = rank()
    tensors = [torch.full((2,), r + 1.0), torch.tensor(10.0 * (r + 1)), torch.ones(3, dtype=torch.double)]
    add_up(tensors)
    return [t.tolist() for t in tensors], [as_first(lambda: f"from {r}"), share()[1]], [torch.get_num_threads()]


def test_tensors_are_added_up_and_the_first_ones_word_holds():
    assert together(sums, (), 2) == ([[3.0, 3.0], 30.0, [2.0, 2.0, 2.0]], ["from 0", 2], [1])


def trained(folder: Path, accuracies, fails_at=None, dropout=0.0):
    """Fit a fresh student; returns its weights, the history, and which of the processes looked at validation."""
    student, looks = fresh(dropout=dropout), []

    def validate() -> float:
        if len(looks) == fails_at:
            raise Interrupted
        looks.append(rank())
        (folder / f"look of {rank()}").touch()
        return accuracies[len(looks) - 1]

    folder.mkdir(exist_ok=True)
    history = fit(student, encoded(student, EXAMPLES), PLAN, folder, validate)
    mine = {name: weight.numpy() for name, weight in student.model.state_dict().items()}
    torch.save(mine, folder / f"weights of {rank()}")
    return mine, history


def compare(found, expected) -> None:
    weights, history = found
    for name, value in expected[0].items():
        assert weights[name] == pytest.approx(value, abs=1e-5), name
    assert [set(row) for row in history] == [set(row) for row in expected[1]]
    for row, other in zip(history, expected[1]):
        assert row == pytest.approx(other, rel=1e-4), row


@pytest.mark.slow
def test_two_processes_train_as_one_and_resume(tmp_path):
    accuracies = [0.1, 0.9, 0.3, 0.2]  # the best weights are not the last
    alone = trained(tmp_path / "alone", accuracies)
    both = together(trained, (tmp_path / "both", accuracies), 2)
    compare(both, alone)
    assert [path.name for path in (tmp_path / "both").glob("look*")] == ["look of 0"]
    own = [torch.load(tmp_path / "both" / f"weights of {r}", weights_only=False) for r in (0, 1)]
    assert all((own[0][name] == own[1][name]).all() for name in own[0])
    with pytest.raises(Interrupted):
        together(trained, (tmp_path / "cut", accuracies, 3), 2)
    assert any((tmp_path / "cut").glob("checkpoint-*"))
    again = together(trained, (tmp_path / "cut", accuracies[3:]), 2)
    assert all((again[0][name] == both[0][name]).all() for name in both[0])
    assert again[1] == both[1]


@pytest.mark.slow
def test_with_dropout_they_resume_bit_for_bit_too(tmp_path):
    accuracies, dropped = [0.1, 0.2, 0.3, 0.4], 0.1
    whole = together(trained, (tmp_path / "whole", accuracies, None, dropped), 2)
    with pytest.raises(Interrupted):
        together(trained, (tmp_path / "cut", accuracies, 2, dropped), 2)
    assert any((tmp_path / "cut").glob("checkpoint-*"))
    again = together(trained, (tmp_path / "cut", accuracies[2:], None, dropped), 2)
    assert all((again[0][name] == whole[0][name]).all() for name in whole[0])
    assert again[1] == whole[1]
    still = together(trained, (tmp_path / "still", accuracies), 2)
    assert any((whole[0][name] != still[0][name]).any() for name in whole[0])


def dies_at_first(folder: Path) -> int:
    """The second process is killed as often as a file says; returns how often all were begun."""
    (folder / f"{rank()} {os.getpid()}").touch()
    begun = len(list(folder.glob("1 *")))
    if rank() == 1 and begun <= int((folder / "deaths").read_text()):
        os.kill(os.getpid(), signal.SIGKILL)
    add_up([torch.ones(1)])
    return len(list(folder.glob("1 *")))


def in_two_processes(folder: Path) -> int:
    return again_if_killed(dies_at_first, (folder,), 2)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "deaths"), [(1, 1), (1, AGAIN + 1), (2, AGAIN + 1)])
def test_a_run_of_which_a_process_is_killed_is_begun_again(tmp_path, workers, deaths):
    (tmp_path / "deaths").write_text(str(deaths))
    [(_, outcome)] = spread(in_two_processes, [tmp_path], workers)
    if deaths <= AGAIN:
        assert outcome == 1 + deaths
    else:
        assert isinstance(outcome, UserError) and "one of its processes was killed 3 times" in str(outcome)
        assert len(list(tmp_path.glob("1 *"))) == AGAIN + 1


def dies(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    if rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    add_up([torch.ones(1)])
    time.sleep(60)


@pytest.mark.slow
def test_when_one_dies_the_others_end(tmp_path):
    with pytest.raises(distributed.TerminatedWorkerError):
        together(dies, (tmp_path,), 2)
    assert len(list(tmp_path.iterdir())) == 2
    assert not any(Path("/proc", path.name).exists() for path in tmp_path.iterdir())


def refuses() -> None:
    if rank() == 1:
        raise UserError("no memory left")
    add_up([torch.ones(1)])


def test_the_one_that_knows_what_went_wrong_is_heard():
    with pytest.raises(UserError, match=r"^no memory left$"):
        together(refuses, (), 2)


@pytest.mark.slow
def test_a_whole_run_is_what_one_process_makes_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SCRATCH", tmp_path / "scratch")
    still = {"base": STUDENT.model_copy(update={"dropout": 0.0})}
    [one] = runs({"w/ SE": {"evaluations": 1}}, students=still)
    [two] = runs({"w/ SE": {"evaluations": 1}}, students=still, devices=2)
    assert one.id == two.id  # it changes how numbers are rounded
    train_run(one, tmp_path / "one")
    train_run(two, tmp_path / "two")
    found = [tmp_path / name / one.id / "predictions.jsonl" for name in ("one", "two")]
    assert found[0].read_bytes() == found[1].read_bytes()
