"""Bare training: what a trial of `digits-cnn` computes, and nothing that lrbench adds to it.

The same staged tensors, initial weights, order, batches, optimizer, scheduler, validation after every epoch and test at
the end as `lrbench.trial.loop`, so that the final weights agree bit for bit (a test holds it to that). What it leaves
out: flags set and read back, the clock of each step, the applied rates, the losses of each step, digests, the row. It
knows only what `digits-cnn` needs: one parameter group, no crop, flip, warm-up, clipping or mixed precision.

    python -m benchmarks.bare once CORE TRIAL     one trial in this process, start-up and all: a shell loop's body
    python -m benchmarks.bare serve CORE TRIAL    warm up with it, say "ready", then train each trial read from stdin
    python -m benchmarks.bare against ROUNDS CORE TRIAL  print seconds a step, bare and lrbench's own, in turn

TRIAL is the JSON of a row's column `trial`.
"""

import json
import os
import sys
from dataclasses import dataclass
from time import perf_counter

import torch

from lrbench.factors import Trial
from lrbench.seeds import derive_seed
from lrbench.trial.data import Staged, normalise, stage
from lrbench.trial.evaluate import NUM_AT_ONCE
from lrbench.trial.workload import Workload, resolve


@dataclass(frozen=True, kw_only=True)
class Bare:
    """What bare training ends with; train_seconds is of the training steps alone, validation and test left out."""

    model: torch.nn.Module
    accuracy: float
    train_seconds: float


def train(trial: Trial, workload: Workload, staged: Staged) -> Bare:
    """Train as a hand-written loop does, on the CPU."""
    torch.manual_seed(derive_seed("init", trial.seed_init))
    model = workload.model(num_classes=staged.num_classes, **workload.model_args)
    arguments = {key: value for key, value in trial.optimizer.items() if key != "name"}
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.base_lr, **arguments)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=trial.scheduler["factor"])
    images, labels, mean, std = staged.train_images, staged.train_labels, staged.mean, staged.std
    size = trial.batch_size
    seconds = 0.0
    torch.manual_seed(derive_seed("dropout", trial.seed_dropout))
    for epoch in range(trial.epochs):
        model.train()
        began = perf_counter()
        generator = torch.Generator().manual_seed(derive_seed("order", trial.seed_order, epoch))
        order = torch.randperm(len(images), generator=generator)
        for step in range(len(images) // size):
            index = order[step * size : (step + 1) * size]
            x = normalise(images.index_select(0, index), mean, std)
            optimizer.zero_grad(set_to_none=True)
            loss = workload.loss(model(x), labels[index])
            loss.backward()
            optimizer.step()
        seconds += perf_counter() - began
        _accuracy(model, staged.val_images, staged.val_labels, mean, std)
        scheduler.step()
    accuracy = _accuracy(model, staged.test_images, staged.test_labels, mean, std)
    return Bare(model=model, accuracy=accuracy, train_seconds=seconds)


@torch.no_grad()
def _accuracy(model, images, labels, mean, std) -> float:
    model.eval()
    logits = torch.cat([model(normalise(part, mean, std)) for part in images.split(NUM_AT_ONCE["cpu"])])
    return (logits.argmax(dim=1) == labels).double().mean().item()


def alone(core: int) -> None:
    """Give this process one core and one thread, as the runner gives a trial."""
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)


def once(trial: Trial) -> float:
    workload = resolve(trial.workload)
    return train(trial, workload, stage(workload, None)).accuracy


def serve(trial: Trial) -> None:
    """Warm up with `trial`, then answer each trial on stdin with its accuracy on stdout, until stdin ends."""
    once(trial)
    print("ready", flush=True)
    for line in sys.stdin:
        print(once(Trial(**json.loads(line))), flush=True)


def linear(num_classes: int) -> torch.nn.Sequential:
    """Return the smallest model for the digits, whose step is short enough to see microseconds beside it."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, num_classes))


def against(trial: Trial, num_rounds: int) -> dict[str, list[float]]:
    """Return the seconds a step of each arm, one value a round: {"step", "bare", "again", "measured"}.

    What a measuring loop adds to a step does not depend on the model, and on a step of `digits-cnn` it drowns in the
    noise of a shared machine. So it is seen on a model whose step takes a twentieth of that: "bare" and "again" are the
    bare loop there, twice, "measured" is lrbench's own. "step" is a bare step of the trial's own model, to which the
    difference is set. The arms take turns, the first of them moving on in each round; one more round comes first.
    """
    from lrbench.trial.loop import run_here

    workload = {"base": "digits-cnn", "model": "benchmarks.bare:linear", "model_args": {}}
    small = Trial(**{**trial.content, "workload": workload})
    staged = stage(resolve(trial.workload), None)

    def bare(trial: Trial) -> float:
        return train(trial, resolve(trial.workload), staged).train_seconds

    def measured() -> float:
        row = run_here(small, device="cpu", data_root=None, where={})
        if row["status"] != "completed":
            raise RuntimeError(row["error"])
        return row["train_seconds"]

    arms = {"step": lambda: bare(trial), "bare": lambda: bare(small), "again": lambda: bare(small)}
    arms["measured"] = measured
    num_steps = trial.epochs * (len(staged.train_images) // trial.batch_size)
    found: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for number in range(num_rounds + 1):
        for name in names[number % 4 :] + names[: number % 4]:
            found[name].append(arms[name]() / num_steps)
    return {name: seconds[1:] for name, seconds in found.items()}


def main(mode: str, *arguments: str) -> None:
    *numbers, trial = arguments
    trial = Trial(**json.loads(trial))
    alone(int(numbers[-1]))
    if mode == "once":
        print(once(trial))
    elif mode == "serve":
        serve(trial)
    elif mode == "against":
        print(json.dumps(against(trial, int(numbers[0]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
