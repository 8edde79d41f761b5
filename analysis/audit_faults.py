"""What breaks the reproducibility of a training, by name: what was seen, and what mends it. Arms in, faults out.

An audit names a fault where something was seen that only this fault explains; where runs differ and nothing else was
seen, what differs first says where to look. What this does *not* do: find the operator (`lrbench diverge` does).
"""

from dataclasses import dataclass

import pandas as pd

from analysis.audit import BITS, Arm, Audit, ended
from analysis.page.wording import count, listed

SEED_NUMPY = "Call numpy.random.seed(…), or draw from a numpy.random.Generator of your own that is seeded"
SEED_PYTHON = "Call random.seed(…), or draw from a random.Random(…) of your own"
UNEXPLAINED = "runs differ"
WORKERS = "items depend on num_workers"
# Where runs differ for no reason that was found otherwise: what differs first says what to look for.
LOOK_FOR = {
    "order": "Look for a sampler, or an order, that is not seeded",
    "images": "Look for augmentation, or data, that are made anew in each process",
    "rng": "Look for what draws from torch's generators a number of times that differs from run to run",
    "loss at once": "A batch repeats within a process: look at the initial weights, and at what a process draws once",
    "loss later": "Look for an operation of the forward, or a generator of its own, that is not deterministic",
    "lr": "Look for a scheduler that draws, or that follows a metric",
    "gradients": "Look for an operation of the backward that is not deterministic, or one of the forward whose loss "
    "rounds it away",
    "weights": "Look at the optimizer's step",
    "optimizer": "Look at the optimizer's step",
}
_LOOK_IN = {
    "forward": "Look",
    "backward": "Look in the forward of training mode, that of evaluation mode being the same each time, and in the "
    "backward",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that breaks reproducibility, by name: what was seen, and what mends it."""

    name: str
    seen: str
    mend: str


def faults(audit: Audit, seen: list[Arm]) -> list[Fault]:
    """Return what breaks the reproducibility of this training, each by its name; what explains most comes first."""
    rows = audit.rows
    loader = _loader(audit.examined.get("loaded", []))  # of the user's Dataset, on which no run trains
    found = [
        *_forgotten(rows),
        *_flags_not_held(rows),
        *_hash_order(audit.examined.get("begun", [])),
        *_other_data(rows),
    ]
    if found:
        return [*found, *loader]
    settled = not audit.inert and any(arm.reproducible for arm in seen)  # a setting makes them equal: no fault
    if not settled:
        see = to_see_the_operator(audit)
        # where fresh processes agree, it is a state that makes one process give other bits: no fault
        found = ([] if runs_agree(seen) else _in_process(seen, see)) or _runs_differ(seen, see)
    return [*(found or _other_parents(audit, seen) or _not_resumed(seen)), *loader]


def runs_agree(seen: list[Arm]) -> bool:
    """Return whether every condition that was run twice or more gave the same bits each time, and one was."""
    repeated = [arm for arm in seen if arm.num_runs > 1]
    return bool(repeated) and all(arm.reproducible for arm in repeated)


def to_see_the_operator(audit: Audit) -> str:
    """Return what to type to have a trial of the default condition run twice, and compared operator by operator."""
    return f"lrbench diverge {audit.folder}#{audit.flags['trial_id'].iloc[0]}"


def _used(rows, column: str) -> int:
    return int((rows[column] == True).sum())  # noqa: E712 (null is not True)


def _forgotten(rows) -> list[Fault]:
    found = []
    generators = (("NumPy", "NumPy's global generator", SEED_NUMPY), ("Python", "Python's random", SEED_PYTHON))
    for name, what, mend in generators:
        if used := _used(rows, f"{name.lower()}_rng_used"):
            seen = f"{used} of {count(len(rows), 'trial')} drew from {what}, which torch.manual_seed does not seed"
            found.append(
                Fault(
                    name=f"forgotten {name} seed",
                    seen=seen,
                    mend=mend,
                )
            )
    if used := _used(rows, "evaluation_rng_used"):
        seen = f"in {used} of {count(len(rows), 'trial')} validation drew from torch's generators"
        mend = "Give evaluation a torch.Generator of its own: how often you validate now decides how you train"
        found.append(Fault(name="evaluation consumes the training's random numbers", seen=seen, mend=mend))
    return found


def _flags_not_held(rows) -> list[Fault]:
    broken = rows[rows["flags_held"] == False]  # noqa: E712 (null is not False)
    if broken.empty:
        return []
    pairs = [
        (name, f"effective_{name}") for name in ("cudnn_benchmark", "cudnn_deterministic", "deterministic_algorithms")
    ]
    moved = [asked for asked, effective in pairs if (broken[asked] != broken[effective]).any()]
    what = listed(moved) if moved else "a flag"
    seen = (
        f"in {len(broken)} of {count(len(rows), 'trial')} what was asked for and what was in force differ ({what}): "
        "the code sets it itself"
    )
    return [Fault(name="mislabelled flag", seen=seen, mend="Take the assignment to torch.backends out of your code")]


def _hash_order(begun: list[dict]) -> list[Fault]:
    if not begun or begun[0] != begun[-1]:  # a process that differs from its twin says nothing of the others
        return []
    differs = next(
        (name for name in ("weights", "loss", "gradients") if any(p[name] != begun[0][name] for p in begun)), ""
    )
    if not differs:
        return []
    what = {"weights": "the initial weights", "loss": "the loss of a first batch", "gradients": "its gradients"}[
        differs
    ]
    return [
        Fault(
            name="order of a set or a hash",
            seen=f"{what} change with PYTHONHASHSEED, all seeds being equal",
            mend="Sort what comes out of a set before it is used, or set PYTHONHASHSEED=0 before Python starts",
        )
    ]


def _other_data(rows) -> list[Fault]:
    """Each part of an audit stages its data in a process of its own."""
    read = rows["data_sha256"].dropna().unique()
    if len(read) <= 1:
        return []
    return [
        Fault(
            name="data that differ between processes",
            seen=f"the data were read {len(read)} times with {len(read)} different results",
            mend="Seed what the data function draws, or store what it makes",
        )
    ]


def _loader(loaded: list[dict]) -> list[Fault]:
    if not loaded:
        return []
    alone, twin, workers, workers_twin = loaded
    found = []
    if alone["items"] != twin["items"]:
        seen = "two processes with equal torch seeds got other items from the Dataset, without any worker"
        found.append(Fault(name="Dataset with a forgotten seed", seen=seen, mend=f"{SEED_NUMPY}; {SEED_PYTHON}"))
    elif workers["items"] != workers_twin["items"]:
        seen = "with two workers, two processes with equal torch seeds got other items from the Dataset"
        mend = "Seed Python's and NumPy's generators in the DataLoader's worker_init_fn, from torch.initial_seed()"
        found.append(Fault(name="unseeded loader worker", seen=seen, mend=mend))
    if workers.get("workers_repeat", False):
        seen = "two workers, asked for the same item again and again, drew the same numbers: each has a copy of one "
        seen += "generator, which the Dataset keeps"
        mend = "Draw from torch's own generators, which differ from worker to worker, or seed the Dataset's generator "
        mend += "in worker_init_fn from torch.initial_seed()"
        found.append(Fault(name=WORKERS, seen=seen, mend=mend))
    return found


def _in_process(seen: list[Arm], see: str) -> list[Fault]:
    """Repeats of one batch in one process. That of the backward has a forward of training mode in it, which may be why
    it differs where the forward of evaluation mode repeats."""
    for what, name, said in (
        ("forward", "nondeterministic forward", "logits, in evaluation mode,"),
        ("backward", "training step does not repeat within a process", "gradients, in training mode,"),
    ):
        broken = [arm for arm in seen if not getattr(arm, what).all_identical]
        if broken:
            first = getattr(broken[0], what)
            times = f"{first.num_identical} of {first.num_repeats} repeats in the same process"
            where = listed([arm.name for arm in broken]) if len(broken) < len(seen) else "every condition"
            return [
                Fault(
                    name=name,
                    seen=f"one batch gave the first {said} again in {times} ({where})",
                    mend=f"{_LOOK_IN[what]} for an operation that is not deterministic, or a generator that is never "
                    "seeded (torch.Generator().seed(), the time, the system's entropy). The operator is named by "
                    f"{see}",
                )
            ]
    return []


def _runs_differ(seen: list[Arm], see: str) -> list[Fault]:
    parted = next((arm for arm in seen if arm.differs is not None), None)
    if parted is None:
        return []
    what, step = parted.differs.what, parted.differs.step
    look = LOOK_FOR.get(what, "")
    if what == "loss":
        look = LOOK_FOR["loss at once" if step == 1 else "loss later"]
    return [
        Fault(
            name=UNEXPLAINED,
            seen=f"{parted.num_runs} runs gave {parted.num_results} results; {parted.differs.sentence}",
            mend=f"{look}. The operator is named by {see}",
        )
    ]


def _other_parents(audit: Audit, seen: list[Arm]) -> list[Fault]:
    """Equal trials of two parts: forked from two parents, each with a hash seed and data of its own."""
    parts = [ended(part) for part in (audit.flags, audit.strict, audit.threads)]
    first = pd.concat([part.drop_duplicates("trial_id")[["trial_id", *BITS]].astype(object) for part in parts])
    results = first.fillna("").groupby("trial_id")["weights_sha256"].nunique()
    if not (results > 1).any() or not all(arm.reproducible for arm in seen if arm.num_runs > 1):
        return []
    return [
        Fault(
            name="processes of two parents differ",
            seen="equal trials repeat as long as their processes are forked from one parent, and differ from those of "
            "another",
            mend="Look at what a process inherits: the order of a set (PYTHONHASHSEED=0 fixes it), data that were read "
            "before, the environment",
        )
    ]


def _not_resumed(seen: list[Arm]) -> list[Fault]:
    broken = [arm for arm in seen if arm.reproducible and arm.resumed not in ("", "identical")]
    if not broken:
        return []
    seen_there = f"a trial stopped half-way that went on in a new process is not the whole one: {broken[0].resumed}"
    mend = "Keep what your modules change in buffers, so that state_dict() has it"
    return [Fault(name="not identical on resume", seen=seen_there, mend=mend)]
