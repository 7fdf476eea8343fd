"""When patience is lost."""

import pytest

from lib.callbacks import out_of_patience


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
