"""Bare training: what a trial of `digits-cnn` computes, and nothing that lrbench adds to it.

The same staged tensors, initial weights, order, batches, optimizer, scheduler, validation after every epoch and test at
the end as `lrbench.trial.loop`, so that the final weights agree bit for bit (a test holds it to that). What it leaves
out: flags set and read back, the clock of each step, the applied rates, the losses of each step, digests, the row. It
knows only what `digits-cnn` needs: one parameter group, no crop, flip, warm-up, clipping or mixed precision.

    python -m benchmarks.bare once CORE TRIAL     one trial in this process, start-up and all: a shell loop's body
    python -m benchmarks.bare serve CORE TRIAL    warm up with it, say "ready", then train each trial read from stdin
    python -m benchmarks.bare against PAIRS CORE TRIAL   print train_seconds, bare and lrbench's own, in turn

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
    logits = model(normalise(images, mean, std))
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


def against(trial: Trial, num_pairs: int) -> list[tuple[float, float]]:
    """Return [(bare, measured)] train_seconds of one trial, in turn and in this process, after one unmeasured pair.

    Which of the two goes first alternates, so that a machine that drifts favours neither.
    """
    from lrbench.trial.loop import run_here

    workload = resolve(trial.workload)
    staged = stage(workload, None)

    def bare() -> float:
        return train(trial, workload, staged).train_seconds

    def measured() -> float:
        row = run_here(trial, device="cpu", data_root=None, where={})
        if row["status"] != "completed":
            raise RuntimeError(row["error"])
        return row["train_seconds"]

    pairs = []
    for number in range(num_pairs + 1):
        if number % 2:
            second, first = measured(), bare()
        else:
            first, second = bare(), measured()
        pairs.append((first, second))
    return pairs[1:]


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
