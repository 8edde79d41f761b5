"""The figure of trainings that part: how the gap in their losses grows, and the churn between every two runs.

What this does *not* do: find the pairs or word them (`analysis.divergence` does).
"""

from collections import Counter

import numpy as np
import pandas as pd

from analysis import figures
from analysis.divergence import Pairs, all_pairs, brief
from analysis.page.wording import count, known, percent
from analysis.rows.conditions import SEEDS, places
from analysis.rows.replicates import digested
from analysis.statistics.growth import growth, middle

MOST_GROUPS = 6
MOST_LINES = 12
MOST_RUNS = 16


def drawn(rows: pd.DataFrame) -> list:
    """Return the figure of how the differing pairs part, of the place with most rows; none where no pair differs."""
    rows = digested(places(rows)[0].rows)
    found = [pairs for pairs in all_pairs(rows) if pairs.different]
    curves = [(pairs.label, [p.loss_gaps for p in pairs.different if (p.loss_gaps > 0).any()]) for pairs in found]
    curves = [(label, lines) for label, lines in curves if lines]
    if not curves:
        return []
    widest = max(found, key=lambda pairs: (not pairs.ulps, len(pairs.different)))
    labels, shares = churn_matrix(rows, widest)
    return [_draw(curves[:MOST_GROUPS], labels, shares, _title(found))]


def churn_matrix(rows: pd.DataFrame, pairs: Pairs) -> tuple[list[str], np.ndarray]:
    """Return the churn between every two runs of the condition of most differing pairs: (labels, (runs, runs)).

    Runs of one seed stand side by side; at most MOST_RUNS of them. Without predictions it is empty.
    """
    both = [names for names, pair in zip(pairs.conditions, pairs.found, strict=True) if pair.weights_differ]
    here = Counter(both).most_common(1)[0][0]
    runs = rows[rows["condition_id"].isin(here)].sort_values([*SEEDS, "poke_ulps", "replicate"])
    if "predictions" not in runs:
        return [], np.zeros((0, 0))
    runs = runs[runs["predictions"].map(lambda value: np.ndim(value) == 1).astype(bool)][:MOST_RUNS]
    if len({len(value) for value in runs["predictions"]}) != 1:
        return [], np.zeros((0, 0))
    classes = np.stack(runs["predictions"].to_list())
    shares = np.stack([(classes != one).mean(axis=1) for one in classes])
    seeds = runs["seed"].tolist()
    labels = [str(seed) if seed not in seeds[:index] else "" for index, seed in enumerate(seeds)]
    return labels, shares


def _title(found: list[Pairs]) -> str:
    gaps = [growth(pair.loss_gaps).largest_gap for pairs in found for pair in pairs.different]
    churns = [pair.churn for pairs in found for pair in pairs.different if known(pair.churn)]
    title = f"Once two trainings part, their losses come to differ by up to {brief(max(gaps))}"
    return f"{title} and their answers on {percent(max(churns))} of test images" if churns else title


@figures.styled
def _draw(curves, labels: list[str], shares: np.ndarray, title: str):
    two = len(labels) > 2
    figure, axes = figures.canvas(3.6, title, num_columns=1 + two, squeeze=False, width_ratios=[3, 2][: 1 + two])
    left = axes[0][0]
    for (label, lines), colour in zip(curves, figures.palette(len(curves)), strict=True):
        for gaps in lines[:MOST_LINES]:
            left.plot(np.arange(1, len(gaps) + 1), np.where(gaps > 0, gaps, np.nan), color=colour, lw=0.6, alpha=0.3)
        median = middle(lines)
        name = f"{label} ({count(len(lines), 'pair')})"
        left.plot(np.arange(1, len(median) + 1), median, color=colour, lw=1.6, label=name)
    left.set_yscale("log")
    left.minorticks_off()
    left.grid(axis="y")
    left.set_xlabel("training step")
    left.set_ylabel("difference in training loss")
    figure.legend(loc="outside lower left", ncols=1 if len(curves) < 3 else 2, handlelength=1.2)
    if two:
        _heat_map(axes[0][1], labels, shares)
    return figure


def _heat_map(axes, labels: list[str], shares: np.ndarray) -> None:
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=max(1e-9, 100 * shares.max()))
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("seed of the run")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.7)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
    bar.outline.set_visible(False)
    axes.set_title("test images classified differently", fontsize=9, fontweight="normal")
