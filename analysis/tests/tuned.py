"""A study with [tune] whose best rates are known, for the tests of tuning: simulated, nothing is trained."""

import pandas as pd

from analysis.tests.simulate import Truth, study_of

RATES = [0.01, 0.1, 1.0]
CONSTANT, STEP, COSINE = (
    {"name": "ConstantLR", "factor": 1.0},
    {"name": "StepLR", "step_size": 2, "gamma": 0.1},
    {"name": "CosineAnnealingLR"},
)
TRUTH = Truth(
    seed_sd=0.003,
    tenfold_loss=0.04,
    best_lr={"ConstantLR": 0.01, "StepLR": 1.0, "CosineAnnealingLR": 0.1},
    effects={"StepLR": 0.02, "CosineAnnealingLR": 0.01},
    diverges_above={"ConstantLR": 0.5},
)


def tuned_study(schedulers=(CONSTANT, STEP, COSINE), seeds: str = "0-5", tune=None, **grid):
    tune = {"seeds": "1000-1003", "base_lr": RATES, **(tune or {})}
    grid = {"seed": seeds, "scheduler": list(schedulers), **grid}
    return study_of(replicates=1, fixed={"base_lr": 0.1}, grid=grid, tune=tune)


def by_name(found) -> dict:
    return {item.arm.partition("(")[0]: item for item in found}


def tie(rows: pd.DataFrame, name: str, rate: float, like: float, val_loss: float) -> pd.DataFrame:
    """Give the selection trials of a scheduler at one rate the accuracies of those at another, seed by seed."""
    mine = (rows["tuning"] == "selection") & (rows["scheduler_name"].astype(str) == name)
    scores = rows[mine & (rows["base_lr"] == like)].set_index("seed")["final_val_accuracy"]
    at = mine & (rows["base_lr"] == rate)
    rows = rows.copy()
    rows.loc[at, "final_val_accuracy"] = rows.loc[at, "seed"].map(scores)
    rows.loc[at, "final_val_loss"] = val_loss
    return rows


# A best max_lr of 0.2; base_lr does nothing
CYCLE = {"name": "OneCycleLR", "max_lr": 0.05, "interval": "step"}
CYCLE_CALL = "OneCycleLR(max_lr={}, total_steps=100%, cycle_momentum=False)"
