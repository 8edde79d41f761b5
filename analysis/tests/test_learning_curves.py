"""Learning curves of a study with [tune]; those of others are tested beside the schedulers' answer."""

import numpy as np
import pytest

from analysis import figures
from analysis.figures import learning_curves
from analysis.rows.arms import comparable
from analysis.tests.simulate import Truth, simulate, simulate_stages, study_of

THREE = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": "30%"}, "CosineAnnealingLR"]


def test_learning_curves_leave_out_trials_that_chose_a_rate():
    """Of a tuned study the chosen and the default rates are two lines; no trial that chose them is in."""
    tune = {"seeds": "100-101", "base_lr": [0.02, 0.05, 0.1]}
    study = study_of(grid={"seed": "0-3", "scheduler": THREE}, fixed={"base_lr": 0.1}, replicates=1, tune=tune)
    rows, _ = simulate_stages(study, Truth(best_lr={"StepLR": 0.02, "CosineAnnealingLR": 0.05}))
    parts = learning_curves.by_setting(comparable(rows))
    assert {label: len(part) for label, part in parts.items()} == {
        "at its chosen base_lr": 12,
        "at the default base_lr": 12,
    }
    assert not any((part["tuning"] == "selection").any() for part in parts.values())
    figure = learning_curves.draw(rows)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["at its chosen base_lr", "at the default base_lr"]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.90, 0.95, 0.97), "between CosineAnnealingLR with 3.0% and ConstantLR with 10.0%"),
        ((0.90, 0.97, 0.97), "between CosineAnnealingLR and StepLR with 3.0%, and ConstantLR with 10.0%"),
        ((0.90, 0.90, 0.97), "between CosineAnnealingLR with 3.0%, and ConstantLR and StepLR with 10.0%"),
    ],
)
def test_schedulers_that_end_alike_are_all_named(ends, said):
    """Where two read the same at the last epoch the title names both; of more than two it says how many."""
    rows = simulate(study_of(grid={"seed": "0-2", "scheduler": THREE}, replicates=1))
    accuracy = dict(zip(("ConstantLR", "StepLR", "CosineAnnealingLR"), ends, strict=True))
    curves = [np.array([0.5, accuracy[name]]) for name in rows["scheduler_name"].astype(str)]
    title = " ".join(learning_curves.draw(rows.assign(val_accuracy_curve=curves)).get_suptitle().split())
    assert title == f"At the end the validation error lies {said} (medians)"


def test_many_that_end_alike_are_counted():
    """Three of four at one error are no one scheduler's finding."""
    four = [*THREE, {"name": "ExponentialLR", "gamma": 0.9}]
    rows = simulate(study_of(grid={"seed": "0-2", "scheduler": four}, replicates=1))
    names = rows["scheduler_name"].astype(str)
    curves = [np.array([0.5, 0.9 if name == "ConstantLR" else 0.97]) for name in names]
    title = " ".join(learning_curves.draw(rows.assign(val_accuracy_curve=curves)).get_suptitle().split())
    assert "between 3 schedulers with 3.0%, and ConstantLR with 10.0%" in title


def test_the_legend_does_not_cover_what_stands_below_the_axis():
    """Of two settings the legend and the axis' words are both below the panels: neither lies on the other."""
    grid = {"seed": "0-2", "scheduler": THREE, "base_lr": [0.05, 0.1]}
    figure = learning_curves.draw(simulate(study_of(grid=grid, replicates=1)))
    with figures.style():
        figure.draw_without_rendering()
    (words,) = (text for text in figure.texts if text.get_text() == figure.get_supxlabel())
    box, num_lines = words.get_window_extent(), figure.get_supxlabel().count("\n") + 1
    assert figure.legends[0].get_window_extent().y1 <= box.y1 - box.height / num_lines
