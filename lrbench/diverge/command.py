"""`lrbench diverge A B`: where two trials part, to the step, then to the operator, and how far.

First both are run with digests at every step; the first digest that differs names the cause. Where an operator can be
at fault, both are run again up to that step, whose operators are traced, and the traces are compared. Each run is a
fresh process. What this does *not* do: judge whether the parting matters (`lrbench audit` counts and weighs).
"""

import json
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lrbench.diverge.notes import notes_on
from lrbench.diverge.sides import Say, Sides
from lrbench.diverge.steps import Mismatch, first_mismatch
from lrbench.diverge.targets import Target, read_target
from lrbench.diverge.traces import Parting, ask_to_keep, compare_traces, kept_distance
from lrbench.errors import InputError
from lrbench.factors import Trial
from lrbench.ulps import Distance
from lrbench.watch import Watch

__all__ = ["Answer", "answer_of_rows", "compare_traces", "diverge", "diverge_command", "notes_on"]

MAX_TRIES = 3
DEFAULT_FOLDER = Path("results") / "diverge"
# the phase in which an operator is at fault, if what the first digest suggests is so
_SUGGESTED = {"gradients": "backward", "weights": "optimizer", "optimizer": "optimizer"}
_FROM_OPERATORS = ("loss", "gradients", "weights", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was found. `mismatch` is None where nothing differs; `parting` where no operator was looked for or met.

    `between` says what lies outside the operators of a step, `notes` what else may matter; `num_tries` counts how often
    the step was traced.
    """

    mismatch: Mismatch | None
    parting: Parting | None = None
    distance: Distance | None = None
    between: str = ""
    notes: tuple[str, ...] = ()
    num_steps: int
    num_tries: int = 0

    @property
    def equal(self) -> bool:
        return self.mismatch is None

    @property
    def sentences(self) -> list[str]:
        """Say it, the most important first."""
        if self.mismatch is None:
            said = [f"equal to the bit: {self.num_steps:,} steps, from the batches to the optimizer's state"]
        else:
            said = [self.mismatch.seen if self._found_elsewhere() else self.mismatch.sentence]
        if self.parting is not None:
            said.append(self.parting.sentence)
        if self.distance is not None:
            said.append(self.distance.sentence)
        elif self.parting is not None and self.parting.sampled:
            said.append(self.parting.sampled)
        if self.between:
            said.append(self.between)
        if self.parting is not None:
            said += [f"hidden: {operator}: {why}" for operator, why in self.parting.hidden.items()]
        return [*said, *(f"note: {note}" for note in self.notes)]

    def as_json(self) -> dict:
        """Return plain values: the fields, `equal` and `sentences`."""
        found = {name: asdict(part) if part else None for name, part in self._parts().items()}
        if self.mismatch is not None:
            found["mismatch"] |= {"exact": self.mismatch.exact, "sentence": self.mismatch.sentence}
        plain = {"between": self.between, "notes": list(self.notes), "num_tries": self.num_tries}
        return {"equal": self.equal, "sentences": self.sentences, "num_steps": self.num_steps, **found, **plain}

    def _found_elsewhere(self) -> bool:
        """Tell whether the operator that was found is of another phase than the first digest suggests."""
        suggested = _SUGGESTED.get(self.mismatch.what, "")
        found = self.parting is not None and self.parting.kind != "none"
        return bool(suggested and found and self.parting.phase != suggested)

    def _parts(self) -> dict:
        return {"mismatch": self.mismatch, "parting": self.parting, "distance": self.distance}


def diverge(
    a: Trial,
    b: Trial,
    *,
    folder: str | Path,
    stop_after: int = 0,
    data_root: Path | None = None,
    sides: Sides | None = None,
    say: Say = lambda text: None,
) -> Answer:
    """Run A and B in fresh processes and return where they part; the same trial twice is a question too.

    Traces are left in `folder` as a.trace and b.trace. `stop_after` compares no more than so many steps (0: all).
    Raises InputError for what cannot be run here or a folder that cannot be written, before anything trains, and
    RunError where a trial does not come to its end.
    """
    folder = _writable(Path(folder))
    with ExitStack() as stack:
        sides = sides or stack.enter_context(Sides([a, b], data_root, say))
        watch = Watch(digest_every=1, stop_after=stop_after)
        rows = sides.run(a, b, (watch, watch), "running A and B, with digests at every step")
        answer = answer_of_rows(a, b, *rows)
        if answer.mismatch is None or answer.mismatch.what not in (*_FROM_OPERATORS, "rng"):
            return answer
        steps_per_epoch = rows[0]["steps_per_epoch"]
        inside = _look_inside(a, b, sides, answer.mismatch, steps_per_epoch, folder.resolve())
    return Answer(**{**vars(answer), **inside})


def _writable(folder: Path) -> Path:
    """Return the folder, made where it is not there. Raises InputError where nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Name another folder: --out DIR") from None
    return folder


def answer_of_rows(a: Trial, b: Trial, row_a: dict, row_b: dict) -> Answer:
    """Return what two rows tell of two trials by themselves, nothing being run."""
    mismatch = first_mismatch(row_a, row_b)
    between = ""
    if mismatch is not None and mismatch.what == "images" and row_a.get("data_sha256") != row_b.get("data_sha256"):
        between = "the data differ: the images or labels were not the same when they were read"
    steps = [
        len(row.get("train_loss_steps") if row.get("train_loss_steps") is not None else []) for row in (row_a, row_b)
    ]
    return Answer(mismatch=mismatch, between=between, notes=notes_on(a, b, row_a, row_b), num_steps=min(steps))


# ------------------------------------------------------------------------------------------------------ inside a step


def _look_inside(a: Trial, b: Trial, sides: Sides, first: Mismatch, steps_per_epoch: int, folder: Path) -> dict:
    """Trace the step at which A and B part; where they part elsewhere this time, that step: three times at most."""
    mismatch = first
    for tries in range(1, MAX_TRIES + 1):
        drawn = mismatch.what == "rng"
        step = mismatch.step - drawn  # the state before a step is what the step before has left
        if step == 0:
            return {"between": "the random state differs before the first step: the seeds, or how the model was built"}
        again = _trace(a, b, sides, step, folder, f"tracing the operators of step {step}")
        expected = None if drawn else mismatch.step
        if (again.step if again else None) == expected:
            parting = compare_traces(folder / "a.trace", folder / "b.trace")
            found = {"mismatch": again or mismatch, "parting": parting, "num_tries": tries}
            if parting.kind == "source":
                found["distance"] = _distance(a, b, sides, step, folder, parting)
            return {**found, "between": _between(a, b, parting, mismatch, steps_per_epoch)}
        if again is not None:
            mismatch = again
    why = (
        f"no operator was named: in {MAX_TRIES} more pairs of processes A and B did not part at the step that was "
        "traced; where they part changes from run to run"
    )
    return {"mismatch": first, "between": why, "num_tries": MAX_TRIES}


def _trace(a: Trial, b: Trial, sides: Sides, step: int, folder: Path, doing: str) -> Mismatch | None:
    watches = [Watch(digest_every=1, stop_after=step, trace=folder / f"{side}.trace") for side in "ab"]
    return first_mismatch(*sides.run(a, b, tuple(watches), doing))


def _distance(a: Trial, b: Trial, sides: Sides, step: int, folder: Path, parting: Parting) -> Distance | None:
    """Run both once more, keeping the outputs of the operator at fault; None where they part elsewhere this time."""
    traces = [folder / f"{side}.trace" for side in "ab"]
    for trace in traces:
        ask_to_keep(trace, parting.number)
    _trace(a, b, sides, step, folder, f"keeping the outputs of operator {parting.number}")
    again = compare_traces(*traces)
    return kept_distance(*traces) if (again.kind, again.number) == (parting.kind, parting.number) else None


def _between(a: Trial, b: Trial, parting: Parting, mismatch: Mismatch, steps_per_epoch: int) -> str:
    """Say what it means that the operators of a step did not make the difference; "" where one of them did."""
    step = mismatch.step
    if parting.kind == "none" and mismatch.what == "rng":
        drew = f"the operators of step {step - 1} drew alike: the generator was drawn from after it, before step {step}"
        if step % steps_per_epoch == 1 % steps_per_epoch:
            drew += ", which is where an epoch ends: by the evaluation"
        return drew
    if parting.kind == "none":
        return f"step {step} differs and no operator of it does: what made the difference is hidden from a trace"
    named = [argument for argument in parting.arguments if argument.endswith(")")]
    parameters = [argument for argument in named if not argument.endswith(".grad)")]
    if parting.kind == "entry" and parameters:
        if step == 1 and a.poke_ulps != b.poke_ulps:
            return f"the initial weights differ: one was poked (poke_ulps = {a.poke_ulps} and {b.poke_ulps})"
        if step == 1:
            return (
                "the initial weights differ: the seed of the initialisation, a seed set in the code, or the order in "
                "which layers are made"
            )
        return f"weights or buffers that were equal after step {step - 1} were changed by no operator of step {step}"
    return ""


# --------------------------------------------------------------------------------------------------------- the command


def folder_of(a: Trial, b: Trial) -> Path:
    """Return where the answer to these two lies: another pair's stays beside it."""
    return DEFAULT_FOLDER / f"{a.trial_id[:8]}-{b.trial_id[:8]}"


def _remove_old_answer(folder: Path) -> None:
    """Remove what an earlier command has left in the folder: should this one fail, nothing there looks like its answer.

    Raises InputError where it cannot be removed.
    """
    traces = [f"{side}.trace{suffix}" for side in "ab" for suffix in ("", ".keep", ".outputs.npz")]
    for name in ("diverge.json", *traces):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder / name} cannot be removed: {error.strerror}. Name another folder: --out DIR"
            ) from None


@contextmanager
def _telling_of_interrupts():
    """Say on stderr that Ctrl-C was heard, and let it go on."""
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted")
        raise


@_telling_of_interrupts()
def diverge_command(
    a: str,
    b: str | None,
    *,
    levels: dict,
    levels_a: dict,
    levels_b: dict,
    steps: int | None,
    device: str,
    out: Path | None,
    as_json: bool,
    data_root: Path | None,
) -> int:
    """Print where A and B part, and write it to OUT/diverge.json; return 0 where they are equal to the bit, else 1.

    Without B, A is run twice. `levels` hold for both, `levels_a` and `levels_b` for one of them. Two files that end in
    .trace are compared as they are. Raises InputError, and RunError where a trial does not come to its end.
    """
    if a.endswith(".trace"):
        return _traces_command(a, b, as_json)
    targets = [read_target(a, {**levels, **levels_a}, device), read_target(b or a, {**levels, **levels_b}, device)]
    trial_a, trial_b = (target.trial for target in targets)
    folder = Path(out) if out is not None else folder_of(trial_a, trial_b)
    _remove_old_answer(_writable(folder))
    recorded = None
    if b not in (None, a) and all(target.row for target in targets):  # a row against itself tells nothing
        recorded = answer_of_rows(trial_a, trial_b, *(target.row for target in targets))
    answer = diverge(trial_a, trial_b, folder=folder, stop_after=steps or 0, data_root=data_root, say=_say)
    told = answer.as_json() | {
        "a": {"label": targets[0].label, "trial_id": trial_a.trial_id, "trial": trial_a.content},
        "b": {"label": targets[1].label, "trial_id": trial_b.trial_id, "trial": trial_b.content},
        "recorded": recorded.as_json() if recorded else None,
    }
    text = json.dumps(told, indent=2)
    (folder / "diverge.json").write_text(f"{text}\n", encoding="utf-8")
    if as_json:
        print(text)
    else:
        _print(targets, answer, recorded, folder)
    return 0 if answer.equal else 1


def _print(targets: list[Target], answer: Answer, recorded: Answer | None, folder: Path) -> None:
    for side, target in zip("AB", targets, strict=True):
        print(f"{side}: {target.label} (trial {target.trial.trial_id}, {target.trial.device})")
    if recorded is not None:
        print(f"as recorded: {'; '.join(recorded.sentences)}")
        if answer.equal and not recorded.equal:
            print("the recorded rows part and these runs do not: by what the notes say of them, or it comes and goes")
    for sentence in answer.sentences:
        print(sentence)
    traced = f", {folder}/a.trace and {folder}/b.trace" if answer.num_tries else ""
    print(f"written: {folder}/diverge.json{traced}")


def _traces_command(a: str, b: str | None, as_json: bool) -> int:
    if b is None:
        raise InputError(f"{a} is a trace, which is compared with another: lrbench diverge {a} OTHER.trace")
    parting = compare_traces(a, b)
    if as_json:
        print(json.dumps(asdict(parting), indent=2))
    else:
        said = [parting.sentence, parting.sampled, *(f"hidden: {name}: {why}" for name, why in parting.hidden.items())]
        print("\n".join(line for line in said if line))
    return 0 if parting.kind == "none" else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
