"""What only torch or the user's code can tell of a study, asked before anything trains."""

import json
from pathlib import Path

import torch

from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.trial.data import stage
from lrbench.trial.optim import build_optimizer, build_scheduler
from lrbench.trial.workload import resolve


def problems(trials: list[Trial], data_root: Path | None) -> list[str]:
    """Return every problem with the trials' workloads, data, optimizers and schedulers; an empty list is good news.

    Data is staged, optimizers and schedulers are built on the model's own parameter groups, and each scheduler is asked
    for its first rate. Models are built once each; nothing trains.
    """
    found: dict[str, None] = {}
    seen = set()
    groups: dict[str, list | None] = {}
    for trial in trials:
        key = json.dumps(
            [trial.workload, trial.scheduler, trial.optimizer, trial.batch_size, trial.epochs], sort_keys=True
        )
        if key in seen:
            continue
        seen.add(key)
        name = json.dumps(trial.workload, sort_keys=True)
        try:
            workload = resolve(trial.workload)
            staged = stage(workload, data_root)
            if name not in groups:
                model = workload.model(num_classes=staged.num_classes, **workload.model_args)
                parameters = list(model.parameters()) if workload.groups == "single" else workload.groups(model)
                groups[name] = parameters
        except InputError as error:
            found.update(dict.fromkeys(error.problems))
            continue
        except Exception as error:  # noqa: BLE001 (the user's model or data code)
            found[f"workload {trial.labels()['workload']}: {type(error).__name__}: {error}"] = None
            continue
        steps = len(staged.train_images) // trial.batch_size
        if steps == 0:
            found[f"batch_size: {trial.batch_size} is more than the {len(staged.train_images)} training images"] = None
            continue
        interval = trial.scheduler["interval"]
        for what in ("optimizer", "scheduler"):
            try:
                optimizer = build_optimizer(trial.optimizer, _fresh(groups[name]), trial.base_lr)
                if what == "scheduler":
                    budget = trial.epochs * (steps if interval == "step" else 1)
                    scheduler = build_scheduler(trial.scheduler, optimizer, budget)
                    rates = scheduler.get_last_lr()
                    if not all(torch.isfinite(torch.tensor([float(rate) for rate in rates]))) or min(rates) < 0:
                        raise InputError(f"its first rate is {rates}; a rate is a finite number from 0 on")
            except InputError as error:
                found.update(dict.fromkeys(f"{what}: {trial.labels()[what]}: {p}" for p in error.problems))
                break
            except Exception as error:  # noqa: BLE001 (torch's own refusal, or the user's callable)
                found[f"{what}: {trial.labels()[what]}: {type(error).__name__}: {error}"] = None
                break
    return list(found)


def _fresh(groups: list) -> list:
    """Parameter groups for one more optimizer: it writes its own keys into the tables that it is given."""
    return [dict(group) if isinstance(group, dict) else group for group in groups]
