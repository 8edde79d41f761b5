"""Study files for tests, and the small workloads in them."""

import json
from pathlib import Path

USERS = "lrbench.tests.helpers.users"
SMALL = {"data": "digits", "train_limit": 72}  # 7 images validate, 65 train: 2 steps an epoch at batch size 32
DIGITS = {"base": "digits-cnn", "train_limit": 72}
RECIPE = {"epochs": 1, "batch_size": 32, "base_lr": 0.1, "optimizer": "SGD", "device": "cpu"}


def write_study(path: Path, *, replicates: int = 1, fixed: dict | None = None, grid: dict | None = None) -> Path:
    """Write a study file, with the recipe of these tests where `fixed` and `grid` say nothing else."""

    def toml(value) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        return json.dumps(value)

    grid = grid or {}
    fixed = {k: v for k, v in {**RECIPE, **(fixed or {})}.items() if k not in grid}
    lines = ['question = "Does it run?"', f"replicates = {replicates}", "[fixed]"]
    lines += [f"{k} = {toml(v)}" for k, v in fixed.items()]
    lines += ["[grid]", *(f"{k} = {toml(v)}" for k, v in grid.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def linear(**model_args) -> dict:
    """The workload table of a small linear model of `users`, sound unless `fault` says otherwise."""
    return {"model": f"{USERS}:Faulty", "model_args": model_args, **SMALL}
