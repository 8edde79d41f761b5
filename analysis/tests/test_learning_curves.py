"""Learning curves of a study with [tune]; those of others are tested beside the schedulers' answer."""

from analysis.figures import learning_curves
from analysis.rows.arms import comparable
from analysis.tests.simulate import Truth, simulate_stages, study_of

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
