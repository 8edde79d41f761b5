"""V22: the divergence finder, on faults that were planted and on pairs where nothing was.

What this does *not* do: plant (`lrbench.claims.faulty`), say where (`lrbench.claims.placements`), or find
(`lrbench.diverge`).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from lrbench.checkpoints import Checkpoint
from lrbench.claims.faulty import MODULE, RECIPE, SMALL_DIGITS
from lrbench.claims.frame import Room, Verdict, bound_after_none, claim
from lrbench.claims.placements import NUM_PLACEMENTS, kinds, names, pair, placements
from lrbench.diverge.steps import first_mismatch
from lrbench.errors import InputError
from lrbench.executors import Job, open_executor
from lrbench.factors import Trial
from lrbench.place import common_columns
from lrbench.watch import Watch

NUM_EQUAL_PAIRS = 60
POLL_SECONDS = 0.2


@claim(
    id="V22",
    where="C",
    kind="E",
    expected="yes",
    source="this suite's own finder; a detector is worth what it finds of planted faults",
    gate=True,
)
def v22(room: Room) -> Verdict:
    """The divergence finder finds and names each of seven kinds of planted fault from 20 of 20 placements, and raises
    no alarm in 60 pairs of runs where nothing was planted."""
    with tempfile.TemporaryDirectory(prefix="lrbench-finder-") as name, Finder(placements()) as finder:
        found = [finder.find(placement, Path(name)) for placement in placements()]
    equal = room.study(
        "equal-pairs",
        fixed={"workload": {"model": f"{MODULE}:one_ulp", **SMALL_DIGITS}, **RECIPE},
        grid={"seed": f"0-{NUM_EQUAL_PAIRS - 1}"},
        replicates=2,
        device="cpu",
        watch=Watch(digest_every=1),
    )
    pairs = [rows.to_dict("records") for _, rows in equal.groupby("seed")]
    alarms = sum(first_mismatch(one, other) is not None for one, other in pairs)
    control = {"what": "nothing planted", "num_pairs": len(pairs), "num_equal": len(pairs) - alarms}
    right = {kind: sum(row["holds"] for row in found if row["fault"] == kind) for kind in kinds()}
    missed = [f"{row['fault']} ({row['what']})" for row in found if not row["holds"]]
    each = f"each of {len(right)} kinds of fault was found and named from {NUM_PLACEMENTS} of {NUM_PLACEMENTS} places"
    if missed:
        counts = ", ".join(f"{kind} {count} of {NUM_PLACEMENTS}" for kind, count in right.items())
        each = f"found and named: {counts}; not: {', '.join(missed)}"
    return Verdict(
        word="refuted" if missed or alarms else "supported",
        seen=f"{each}; {alarms} alarms in {len(pairs)} pairs of equal runs (at most "
        f"{bound_after_none(len(pairs)):.0%}, 95 %)",
        evidence=(*found, {**control, "holds": not alarms}),
    )


class Finder:
    """Looks for planted faults, in processes that are started once for all `placements`. Use it as a context.

    `sides` (lrbench.diverge.sides.Sides) runs pairs of trials, where a kind of fault besides `forgetful` is among them.
    """

    def __init__(self, placements: list[dict], device: str = "cpu"):
        self._pairs = {str(placement): pair(placement, device) for placement in placements}
        by_kind = [(placement["fault"] == "forgetful", *self._pairs[str(placement)]) for placement in placements]
        self._resuming = [trial for resuming, *both in by_kind if resuming for trial in both]
        self._others = [trial for resuming, *both in by_kind if not resuming for trial in both]
        self._whole: dict[str, dict] = {}  # rows of trials that were not cut off, by the trial's name

    def __enter__(self) -> "Finder":
        from lrbench.diverge.sides import Sides

        with ExitStack() as stack:
            stack.enter_context(_hashes_seeded_anew())
            if self._others:
                self.sides = stack.enter_context(Sides(self._others))
            if self._resuming:
                self._executor = stack.enter_context(closing(open_executor("process", self._resuming, None)))
                if problems := self._executor.check(self._resuming, None):
                    raise InputError(*problems)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._open.close()

    def find(self, placement: dict, folder: Path) -> dict:
        """Run the pair of a placement, look for where it parts, and return the evidence of what was planted and named.

        The keys: fault, what (placed where), step, differs (what differs first), operator, module, sentence, holds.
        """
        answer = self.answer(placement, folder)
        return {
            "fault": placement["fault"],
            "what": ", ".join(f"{key} {value}" for key, value in placement.items() if key != "fault"),
            "differs": answer.mismatch.what if answer.mismatch else "",
            "step": answer.mismatch.step if answer.mismatch else 0,
            "operator": answer.parting.operator if answer.parting else "",
            "module": answer.parting.module if answer.parting else "",
            "sentence": "; ".join(answer.sentences),
            "holds": names(placement, answer),
        }

    def answer(self, placement: dict, folder: Path):
        """Return what `lrbench diverge` says of the pair of a placement (lrbench.diverge.command.Answer)."""
        from lrbench.diverge.command import answer_of_rows, diverge

        a, b = self._pairs[str(placement)]
        if placement["fault"] != "forgetful":
            return diverge(a, b, folder=folder, sides=self.sides)
        if a.trial_id not in self._whole:
            self._whole[a.trial_id] = self._run(a)
        cut = Checkpoint(path=folder / "cut.pt", every=placement["checkpoint_every"])
        cut.path.unlink(missing_ok=True)
        self._run(b, cut)  # is killed
        return answer_of_rows(a, b, self._whole[a.trial_id], self._run(b, cut))

    def _run(self, trial: Trial, checkpoint: Checkpoint | None = None) -> dict:
        """Return the row of a trial in a process of its own; {} where that was killed."""
        job = Job(
            trial=trial,
            cores=(),
            gpu=None,
            data_root=None,
            columns={**common_columns(os.getcwd()), "packed": False, "executor": "process"},
            checkpoint=checkpoint,
            watch=Watch(digest_every=1),
        )
        running = self._executor.start(job)
        while not self._executor.wait(POLL_SECONDS):
            pass
        return running.row or {}


@contextmanager
def _hashes_seeded_anew() -> Iterator[None]:
    """Let each interpreter that is started draw the seed of its hashes: the order of a set is one of the faults."""
    fixed = os.environ.pop("PYTHONHASHSEED", None)
    try:
        yield
    finally:
        if fixed is not None:
            os.environ["PYTHONHASHSEED"] = fixed
