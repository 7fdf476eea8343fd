"""The reliability figure: does what a student calls 80 % likely come true in 80 % of cases?

figure = reliability({"the teacher's, after phase 1": calibration(p, sound)}, "share that is sound")
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from lib.errors import UserError
from lib.evaluate import Calibration
from lib.figures import GREY, WIDTH, direct_labels

LARGEST = 90  # points², the dot of a bin that holds all


def reliability(groups: Mapping[str, Calibration], ylabel: str = "share that came true") -> Figure:
    """A line a group: mean probability of each filled bin against the share that came true; dots grow with the bin.

    The diagonal is perfect calibration. UserError for a figure of nothing.
    """
    if not groups:
        raise UserError("reliability: no group of probabilities to draw")
    names = [f"{name} (ECE {group.ece:.2f}, n = {group.n})" for name, group in groups.items()]
    figure, ax = plt.subplots(figsize=(WIDTH, 3.8 + 0.25 * len(names)), layout="constrained")
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=0)
    for i, group in enumerate(groups.values()):
        filled = [b for b in group.bins if b.n]
        p, share = [b.probability for b in filled], [b.share for b in filled]
        ax.plot(p, share, color=f"C{i}", linestyle=("-", "--", ":", "-.")[i % 4], linewidth=1.5)
        ax.scatter(p, share, s=[8 + LARGEST * b.n / group.n for b in filled], color=f"C{i}", zorder=3)
    ax.set(xlabel="P(correct)", ylabel=ylabel, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    direct_labels(ax, names)
    sns.despine(ax=ax)
    return figure
