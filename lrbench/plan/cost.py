"""How long will the trials take? From rows of like trials, scaled by epochs; or not known. No torch here.

A trial is like another in workload, batch size, device, threads, precision and compilation. What this does *not* do:
find the rows (`lrbench.plan.command`), or promise: the load of a machine is not foreseen.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lrbench
from lrbench.factors import Trial
from lrbench.plan.shape import Part, Shape
from lrbench.watch import Watch

START_SECONDS = 4.0  # until the first trial begins: torch is loaded, data are read (2 cores, 2026-11-23)
BETWEEN_SECONDS = 0.04  # from one trial's end to the next one's start (448 trials of digits on 2 cores, 2026-11-22)
PILOT_SECONDS = 30.0  # of training in a trial of a pilot, at most; what is left of its epoch is reckoned
KEYS = ("workload", "batch_size", "device", "num_threads", "precision", "compile")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a kind of trial takes, as so many rows of each folder have it; `scaled_from`: their epochs, if others."""

    seconds: float
    sources: Mapping[str, int]
    scaled_from: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Span:
    """How long a part takes: on the wall, and summed over its trials, at least and at most."""

    name: str
    least_seconds: float
    most_seconds: float
    least_busy_seconds: float
    most_busy_seconds: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a study takes with so many trials at once, as so many rows of each folder have it.

    `unknown` are the kinds of trials that no row tells of; with any of them there are no spans.
    """

    jobs: int
    start_seconds: float
    spans: tuple[Span, ...]
    least_seconds: float
    most_seconds: float
    least_busy_seconds: float
    most_busy_seconds: float
    sources: Mapping[str, int]
    scaled_from: tuple[int, ...]
    unknown: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether every kind of trial is known."""
        return not self.unknown


def key_of(trial: Trial) -> tuple:
    """Return what decides how fast a trial is, as a row has it; a GPU's number does not."""
    labels = trial.labels()
    return tuple(str(labels[name]).partition(":")[0] if name == "device" else labels[name] for name in KEYS)


def like(rows, trials: Sequence[Trial]):
    """Return the rows whose trials are like one of these: (rows) → (rows with a column `kind`, the key)."""
    wanted = {key_of(trial) for trial in trials}
    texts = [rows[name].astype(object) for name in KEYS]
    keys = [
        tuple(
            str(value).partition(":")[0] if name == "device" else value for name, value in zip(KEYS, key, strict=True)
        )
        for key in zip(*texts, strict=True)
    ]
    found = rows.assign(kind=keys)
    return found[[key in wanted for key in keys]]


def cost_of(shape: Shape, rows, jobs: int, start_seconds: float = START_SECONDS) -> Cost:
    """Return what the stages take, from rows of like trials (`like`); kinds without a row are named."""
    timed = rows[(rows["status"] == "completed") & rows["total_seconds"].notna()]
    timed = timed[timed["num_resumes"].fillna(0) == 0] if len(timed) else timed
    parts = dict(list(timed.groupby("kind", sort=False))) if len(timed) else {}
    kinds: dict[tuple, Kind] = {}
    unknown: dict[str, None] = {}
    for trial in shape.conditions:
        key = key_of(trial)
        if (*key, trial.epochs) in kinds:
            continue
        if key in parts:
            kinds[*key, trial.epochs] = _kind(parts[key], trial.epochs)
        else:
            named = ", ".join(f"{name} {value}" for name, value in zip(KEYS[:3], key[:3], strict=True))
            unknown[named] = None
    spans = tuple(_span(part, kinds, jobs) for part in shape.parts) if not unknown else ()
    first, optional = [], []
    for part, span in zip(shape.parts, spans, strict=bool(spans)):
        (optional if part.optional else first).append(span)
    start = start_seconds if spans else 0.0
    used = {(key[:-1], kind.scaled_from or key[-1:]): Counter(kind.sources) for key, kind in kinds.items()}
    sources = sum(used.values(), Counter())
    return Cost(
        jobs=jobs,
        start_seconds=start,
        spans=spans,
        least_seconds=start + sum(span.least_seconds for span in first),
        most_seconds=start + sum(span.most_seconds for span in spans),
        least_busy_seconds=sum(span.least_busy_seconds for span in first),
        most_busy_seconds=sum(span.most_busy_seconds for span in spans),
        sources=dict(sources),
        scaled_from=tuple(sorted({epochs for kind in kinds.values() for epochs in kind.scaled_from})),
        unknown=tuple(unknown),
    )


def _kind(rows, epochs: int) -> Kind:
    """Return what a trial of so many epochs takes: as rows of as many have it, or scaled from the nearest budget.

    Steady steps and a validation are what an epoch more costs. The row has one time for validations and test together:
    the test is taken for as long as two validations.
    """
    distance = (rows["epochs"].astype(float) / epochs).map(math.log).abs()
    rows = rows[distance <= distance.min()]
    there = int(rows["epochs"].iloc[0])
    if there == epochs:
        return Kind(seconds=float(rows["total_seconds"].mean()), sources=_sources(rows))
    once = rows["first_step_seconds"].fillna(0.0) + rows["settle_seconds"].fillna(0.0)
    steady = (rows["train_seconds"] - once) / rows["num_steady_steps"].where(rows["num_steady_steps"] > 0)
    step = steady.fillna(rows["train_seconds"] / rows["num_steps"])  # too few steps to settle: the mean of all
    evaluate = rows["evaluate_seconds"].fillna(0.0) / (there + 2)
    more = (epochs - there) * (rows["steps_per_epoch"] * step + evaluate)
    seconds = float((rows["total_seconds"] + more).mean())
    return Kind(seconds=seconds, sources=_sources(rows), scaled_from=(there,))


def _sources(rows) -> dict[str, int]:
    return {str(name): int(n) for name, n in rows["folder"].value_counts().items()}


def _span(part: Part, kinds: dict[tuple, Kind], jobs: int) -> Span:
    each = [kinds[*key_of(trial), trial.epochs].seconds for trial in part.conditions]
    mean = sum(each) / len(each)
    busy = [n * mean for n in (part.least, part.most)]
    wall = [n * (mean + BETWEEN_SECONDS) / min(jobs, max(1, n)) for n in (part.least, part.most)]
    return Span(
        name=part.name,
        least_seconds=wall[0],
        most_seconds=wall[1],
        least_busy_seconds=busy[0],
        most_busy_seconds=busy[1],
    )


# --------------------------------------------------------------------------------------------------------------- pilot


def pilot_trials(shape: Shape, num_trials: int) -> list[Trial]:
    """Return so many trials of one epoch, of each kind in turn: the kinds are those that differ in speed (`KEYS`)."""
    kinds = list({key_of(trial): trial for trial in shape.conditions}.values())
    found = (kinds[number % len(kinds)] for number in range(num_trials))
    return [Trial(**{**trial.content, "epochs": 1}) for trial in found]


def run_pilot(trials: Sequence[Trial], data_root, say) -> tuple[list[dict], float]:
    """Run trials one by one, each in a fresh process: their rows, and how long one took to start. Nothing is written.

    A trial is ended after `PILOT_SECONDS` of training. Each run starts anew what a study starts once, which is how that
    becomes known. Raises InputError.
    """
    watch = Watch(stop_after_seconds=PILOT_SECONDS)
    rows, began = [], time.monotonic()
    for number, trial in enumerate(trials, 1):
        what = f"one epoch of {trial.labels()['workload']}, no longer than {PILOT_SECONDS:g} s"
        say(f"pilot {number} of {len(trials)}: {what}")
        rows.append(lrbench.run_trial(trial, data_root=data_root, watch=watch))
    inside = sum(row["total_seconds"] for row in rows)
    return rows, (time.monotonic() - began - inside) / len(rows)


def was_cut(row: Mapping) -> bool:
    """Tell whether a trial of a pilot was ended before its epoch was, and its evaluation."""
    return row["status"] == "completed" and row.get("final_accuracy") is None


def reckoned(row: Mapping) -> dict:
    """Return the row of a pilot that was cut off as that of a whole epoch: its steps go on, and it is evaluated.

    The validation images are a ninth of the training images, the test is taken for two validations as everywhere here,
    and an image that is evaluated for a third of one that is trained on: a forward without its backward.
    """
    once = (row["first_step_seconds"] or 0.0) + (row["settle_seconds"] or 0.0)
    steady = row["num_steady_steps"]
    step = (row["train_seconds"] - once) / steady if steady else row["train_seconds"] / row["num_steps"]
    missing = row["steps_per_epoch"] - row["num_steps"]
    evaluate = row["steps_per_epoch"] * step / 9
    return {
        **row,
        "num_steps": row["steps_per_epoch"],
        "num_steady_steps": steady + missing,
        "train_seconds": row["train_seconds"] + missing * step,
        "evaluate_seconds": evaluate,
        "total_seconds": row["total_seconds"] + missing * step + evaluate,
    }
