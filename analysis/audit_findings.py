"""What an audit means: what else changes the bits, and a recommendation. Numbers in, words out.

What this does *not* do: name faults (`analysis.audit_faults`), or lay anything out (`analysis.page.audit_page`).
"""

import math
from dataclasses import dataclass

import pandas as pd

from analysis.audit import STRICT, Arm, Audit, arms, ended, first_difference, ratio
from analysis.audit_faults import UNEXPLAINED, WORKERS, Fault, faults, runs_agree, to_see_the_operator
from analysis.page.wording import count, known, listed, number, percent
from analysis.statistics.intervals import Estimate

LEAST_BLOCKS = 3  # an interval from two reaches from nothing to thousands
SETTINGS = {
    "benchmark": "cudnn.benchmark=True",
    "deterministic": "cudnn.deterministic=True",
    "benchmark + deterministic": "cudnn.benchmark=True with cudnn.deterministic=True",
    STRICT: "torch.use_deterministic_algorithms(True)",
}


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A thing that is not a setting of the training, and whether it changes bits."""

    name: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that an audit says: a recommendation first, then why."""

    title: str
    recommendation: tuple[str, ...]
    faults: tuple[Fault, ...]
    arms: tuple[Arm, ...]
    operations: tuple[str, ...]
    sensitivities: tuple[Sensitivity, ...]
    notes: tuple[str, ...]


def findings(audit: Audit) -> Findings:
    """Return what an audit says."""
    seen = arms(audit)
    named = faults(audit, seen)
    return Findings(
        title=f"Is the training of {audit.asked['target']} reproducible?",
        recommendation=(*recommend(seen, named, audit.inert, to_see_the_operator(audit)), *of_the_dataset(audit)),
        faults=tuple(named),
        arms=tuple(seen),
        operations=tuple(operations(audit)),
        sensitivities=tuple(sensitivities(audit, seen)),
        notes=tuple(notes(audit)),
    )


# ------------------------------------------------------------------------------------------------------ recommendation


def recommend(seen: list[Arm], named: list[Fault], inert: bool, see: str) -> list[str]:
    """Say what to do, in sentences, from the arms and the faults alone."""
    by_name = {arm.name: arm for arm in seen}
    default = by_name.get("default")
    if default is None or not any(arm.num_runs for arm in seen):
        error = next((arm.error for arm in seen if arm.error), "no trial was run")
        return [f"No trial came to its end, so nothing can be said: {error}"]
    said = [_first_of_all(fault, see) for fault in named[:1]]
    said += [f"Then: {listed([fault.name for fault in named[1:]])}."] if len(named) > 1 else []
    if inert:
        return [*said, *_on_a_cpu(seen, named, see)]
    if default.reproducible:
        said.append(f"{_identical(default)} as it is: no setting is needed for the sake of reproducibility.")
        fast = by_name.get("benchmark")
        if fast is not None and fast.reproducible and fast.ratio.value > 1 and fast.ratio.excludes(1.0):
            said.append(f"{SETTINGS['benchmark']} {_cost(fast.ratio)} here, and {_identical(fast, small=True)}.")
        return said
    ways = sorted((a for a in seen if a.name != "default" and a.reproducible), key=lambda a: -a.ratio.value)
    if ways:
        said += [f"{SETTINGS[arm.name]} {_cost(arm.ratio)} here and makes {_alike(arm)} identical." for arm in ways[:1]]
        said += [f"So does {SETTINGS[arm.name]}, which {_cost(arm.ratio)}." for arm in ways[1:3]]
        without = f"Without, {default.num_runs} runs gave {default.num_results} results{_from(default)}."
        return [*said, f"{without} To see the operator: {see}"]
    said.append(
        f"No setting made the runs identical: as it is, {default.num_runs} runs gave {default.num_results} results"
        f"{_from(default)}. To see the operator: {see}"
    )
    return said


def _first_of_all(fault: Fault, see: str) -> str:
    if fault.name == UNEXPLAINED:
        return f"Find out first why {fault.name}: {see}"
    return f"Mend this first, then audit again: {fault.name}."


def _on_a_cpu(seen: list[Arm], named: list[Fault], see: str) -> list[str]:
    """The flags are inert, so that every condition but the strict one is the same one again."""
    runs = [arm for arm in seen if arm.num_runs]
    total = sum(arm.num_runs for arm in runs)
    if all(arm.num_results == 1 for arm in runs):
        bound = percent(1 - 0.05 ** (1 / max(1, total - len(runs))), 0)
        text = f"{total} of {total} runs in fresh processes are bit-identical on this CPU (95%: at most {bound} differ)"
        if named:
            return [f"{text}, as long as nothing of this changes between them."]
        return [f"{text}.", "What the cuDNN flags cost and buy can be told on a CUDA GPU alone: run this audit there."]
    worst = max(runs, key=lambda arm: arm.num_results / arm.num_runs)
    text = f"Training does not repeat on this CPU: {worst.num_runs} runs of one trial gave {worst.num_results} results"
    return [f"{text}{_from(worst)}. To see the operator: {see}", "The cuDNN flags are inert here and cannot be why."]


def of_the_dataset(audit: Audit) -> list[str]:
    """Say of a Dataset that was named what its loader gives, and that no run is of it."""
    name, loaded = audit.asked.get("dataset", ""), audit.examined.get("loaded", [])
    if not loaded:
        return []
    alone, twin, workers, workers_twin = (answer["items"] for answer in loaded)
    made = audit.described.get("kind") == "model"
    said = [f"The runs are of {'made-up images' if made else 'what the workload trains on'}, not of {name}."]
    if alone == twin and workers == workers_twin and alone != workers:
        repeat = loaded[2].get("workers_repeat", False)
        more = "; the two workers draw the same numbers" if repeat else ", each time the same"
        said.append(f"Of {name} {WORKERS}: without a worker and with two it gives other items{more}.")
    return said


def _identical(arm: Arm, small: bool = False) -> str:
    text = f"{_alike(arm)} are bit-identical"
    return text if small else text[0].upper() + text[1:]


def _alike(arm: Arm) -> str:
    return f"{arm.num_identical} of {arm.num_runs} runs"


def _cost(speed_ratio: Estimate) -> str:
    """Say what a setting costs or gains from its ratio of speeds, in percent with the 95% interval.

    >>> _cost(Estimate(value=0.96, low=0.95, high=0.97, n=5)), _cost(Estimate(value=1.25, low=1.2, high=1.3, n=5))
    ('costs 4% [3, 5]', 'is 25% [20, 30] faster')
    """
    if not known(speed_ratio.value):
        return "could not be timed"
    value, ends = 100 * (speed_ratio.value - 1), [100 * (end - 1) for end in (speed_ratio.low, speed_ratio.high)]
    if not speed_ratio.bounded or speed_ratio.n < LEAST_BLOCKS:
        return f"ran at {number(speed_ratio.value)} times the speed (too few runs for an interval)"
    if not speed_ratio.excludes(1.0):
        return f"costs nothing that can be seen ({-value:.0f}% [{-ends[1]:.0f}, {-ends[0]:.0f}])"
    if value < 0:
        return f"costs {-value:.0f}% [{-ends[1]:.0f}, {-ends[0]:.0f}]"
    return f"is {value:.0f}% [{ends[0]:.0f}, {ends[1]:.0f}] faster"


def _from(arm: Arm) -> str:
    return "" if arm.differs is None else f", {arm.differs.sentence}"


# -------------------------------------------------------------------------------------------------- what else matters


def operations(audit: Audit) -> list[str]:
    """Return a sentence for each operation of the model that torch documents as nondeterministic."""
    strict = {
        "fixed": "strict mode has a deterministic algorithm for it",
        "raises": "strict mode raises",
        "unsaid": "what strict mode does is not documented",
    }
    return [
        f"{o['name']} (on {listed([d.upper() for d in o['device']])}{', ' + o['when'] if o['when'] else ''}): "
        f"{strict[o['strict']]}"
        for o in audit.examined.get("model", {}).get("documented", [])
    ]


def sensitivities(audit: Audit, seen: list[Arm]) -> list[Sensitivity]:
    """Return what the number of threads, a row's company in a batch, loader workers and earlier calls change."""
    told = {"threads": _threads(audit), "batch": _batch(audit), "workers": _workers(audit)}
    if state := _state(seen):
        told["state"] = state
    return [Sensitivity(name=name, sentence=sentence) for name, sentence in told.items()]


def _state(seen: list[Arm]) -> str:
    """Say what it means that fresh processes agree where one process does not repeat a batch; "" where it does."""
    for what, gives in (("forward", "logits"), ("backward", "gradients")):
        broken = next((getattr(arm, what) for arm in seen if not getattr(arm, what).all_identical), None)
        if broken is not None and runs_agree(seen):
            return (
                "Your model keeps state between calls (a counter, a cache, a generator): one batch, given again, gives "
                f"other {gives} ({broken.num_identical} of {broken.num_repeats} as the first), though whole runs "
                "repeat."
            )
    return ""


def _threads(audit: Audit) -> str:
    rows = audit.threads
    if rows.empty:
        return "1 against 2 threads: not run."
    one, two = (ended(rows[rows["num_threads"] == threads]) for threads in (1, 2))
    if one.empty or two.empty:
        return "1 against 2 threads: no two trials came to their end."
    times = ratio(rows[rows["num_threads"] == 2], rows[rows["num_threads"] == 1])
    runs = f"n = {len(two)} runs each"
    speed = f"{times.value:.2f} times the speed, no interval" if known(times.value) else "speed not measured"
    apart = first_difference(pd.concat([one.head(1), two.head(1)]))
    if first_difference(one) is not None:
        return (
            f"1 against 2 threads: bits cannot be compared, since they differ at one thread already; {speed} ({runs})."
        )
    if apart is None:
        return f"1 against 2 threads: the same bits; {speed} ({runs})."
    return f"1 against 2 threads: other bits, {apart.sentence}; {speed} ({runs})."


def _batch(audit: Audit) -> str:
    seen = audit.examined.get("model", {})
    if not seen:
        return "A row of a batch against the row alone: not asked."
    if not seen.get("batch_repeats", True):  # an audit of before this was asked has no such key
        return (
            "A row of a batch against the row alone: cannot be told, since the same batch gives other logits each time."
        )
    rows, differ = seen["num_rows"], seen["num_rows_differ"]
    if not differ:
        return f"A row of a batch against the row alone: the same bits ({rows} of {rows} rows)."
    return (
        f"A row of a batch against the row alone: {differ} of {rows} rows have other logits, by at most "
        f"{number(seen['max_ulp'])} ulp ({number(seen['max_abs'])})."
    )


def _workers(audit: Audit) -> str:
    loaded = audit.examined.get("loaded", [])
    if not loaded:
        return "DataLoader workers: no Dataset was named; name yours by --dataset module:attr."
    order = all(answer["order"] == loaded[0]["order"] for answer in loaded)
    items = loaded[0]["items"] == loaded[2]["items"]
    return (
        f"0 against 2 DataLoader workers: {'the same' if order else 'another'} order, "
        f"{'the same' if items else 'other'} items ({count(len(loaded[0]['order']), 'item')})."
    )


def notes(audit: Audit) -> list[str]:
    """Return how it was done, and what could not be tested here."""
    plan, said = audit.plan, []
    if audit.inert:
        said.append(
            "On a CPU cudnn.benchmark and cudnn.deterministic are inert: the four conditions are one (A/A), and what "
            "they differ in speed is noise. Search time, break-even step and the device's memory cannot be had here."
        )
    said.append(
        f"Each run is {count(plan['num_steps'], 'training step')} in {count(plan['epochs'], 'epoch')}, in a fresh "
        f"process, {count(plan['replicates'], 'replicate')} each, with one seed; identical means weights, optimizer, "
        "gradients, losses, order, rates, logits and predictions, bit for bit."
    )
    said.append(
        "After n equal runs at most 1 − 0.05^(1/(n−1)) of runs give another result, at 95%. Intervals of speed are "
        "Student's over processes; ratios are of trials of one random block."
    )
    said += plan.get("cut", [])
    said.append(
        "Repeats are of one batch in one process, each compared with the first one there: the forward in evaluation "
        "mode, the backward with its forward in training mode."
    )
    if math.isfinite(audit.took_seconds):
        budget = audit.asked["budget"].strip()
        unit = "" if budget[-1:].isalpha() else " s"
        said.append(f"It took {number(audit.took_seconds)} s of {budget}{unit}.")
    return said
