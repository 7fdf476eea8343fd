"""The reliability figure."""

import pytest

from lib.errors import UserError
from lib.evaluate import calibration
from lib.figures_inference import reliability


def test_filled_bins_stand_where_they_belong():
    figure = reliability({"own": calibration([0.1, 0.15, 0.95, 0.95], [False, True, True, True])})
    diagonal, line = figure.axes[0].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().tolist() == [[0.125, 0.5], [0.95, 1.0]]
    small, large = figure.axes[0].collections[0].get_sizes()
    assert small == large  # two of four each


def test_nothing_to_draw_is_refused():
    with pytest.raises(UserError, match="reliability: no group"):
        reliability({})
