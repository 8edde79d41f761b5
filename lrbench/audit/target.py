"""What `lrbench audit` is about: what was asked, what the target is, which workload that makes, where it is kept.

What this does *not* do: import the user's code (`lrbench.trial.examine` does, in processes of its own), or train.
"""

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lrbench.audit.plan import seconds_of, shape_of
from lrbench.calls import is_reference
from lrbench.errors import InputError, did_you_mean
from lrbench.references import source_file
from lrbench.workloads import WORKLOADS

DEFAULT_FOLDER = Path("results")
DEFAULT_BATCH_SIZE = 128
DEFAULT_INPUT = "3x32x32"
# Of a model alone: so small a rate that most networks do not diverge in forty steps, and momentum, so that the
# optimizer has a state.
RECIPE = {"base_lr": 0.01, "optimizer": {"name": "SGD", "momentum": 0.9}, "batch_size": DEFAULT_BATCH_SIZE}
MADE = "lrbench.trial.made:"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user asked for; "" and 0 leave a thing to the target, the machine or the time."""

    target: str
    input: str = ""
    classes: int = 10
    batch: int = 0
    budget: str = "2m"
    replicates: int = 0
    epochs: int = 0
    steps: int = 0
    device: str = "auto"
    dataset: str = ""
    data_root: str = ""

    def __post_init__(self):
        problems = []
        for name, least in (("classes", 2), ("batch", 0), ("replicates", 0), ("epochs", 0), ("steps", 0)):
            if getattr(self, name) < least:
                problems.append(
                    f"--{name} found {getattr(self, name)}; allowed: a whole number from {max(1, least)} on"
                )
        if self.replicates == 1:
            problems.append(
                "--replicates found 1; allowed: 2 or more, since a single run equals itself whatever happens"
            )
        if self.epochs and self.steps:
            problems.append(f"--epochs {self.epochs} and --steps {self.steps} are both given; keep one of them")
        for name, read, example in (("budget", seconds_of, "90s, 2m or 1h"), ("input", shape_of, "3x32x32")):
            try:
                read(getattr(self, name) or example)
            except ValueError:
                problems.append(f"--{name} found {getattr(self, name)!r}; write it as {example}")
        if self.target in WORKLOADS:
            problems += self.of_a_workload()
        if not is_reference(self.target) and self.target not in WORKLOADS:
            problems.append(
                f"TARGET found {self.target!r}; allowed: {', '.join(WORKLOADS)}, torchvision:NAME, or your own model "
                f"or workload as module:attr, e.g. mynet:Net.{did_you_mean(self.target, WORKLOADS)}"
            )
        if self.dataset and not is_reference(self.dataset):
            problems.append(f"--dataset found {self.dataset!r}; write your own Dataset as module:attr")
        if problems:
            raise InputError(*problems)

    @property
    def shape(self) -> str:
        """The shape of the images of a model alone."""
        return self.input or DEFAULT_INPUT

    def of_a_workload(self) -> list[str]:
        """Return what is wrong with this request where the target is a workload, which has images of its own."""
        if not self.input:
            return []
        what = f"--input found {self.input}, but {self.target} is a workload, with images of its own"
        return [f"{what}; --input is for a model alone. Type: lrbench audit {self.target}"]


class Processes:
    """Asks functions of `lrbench.trial.examine`, each call in a Python process of its own."""

    def __init__(self, device: str):
        from lrbench.claims.room import StudyRoom

        self.device = device
        self._room = StudyRoom(Path(), device)

    def answer(self, function: str, **arguments) -> dict:
        """Return the answer to one call. Raises InputError for what is wrong with the user's code."""
        return self.answers(function, [arguments], [""])[0]

    def answers(self, function: str, calls: list[dict], hash_seeds: list[str]) -> list[dict]:
        """Return an answer for each call, asked in a process with that PYTHONHASHSEED ("": its own)."""

        def ask(arguments: dict, seed: str) -> dict:
            environment = {"PYTHONHASHSEED": seed} if seed else {}
            try:
                return self._room.fresh(f"lrbench.trial.examine:{function}", [arguments], environment)[0]
            except RuntimeError as error:  # its process ended otherwise than by an answer
                raise InputError(f"the process that looked at the target ended: {str(error)[-600:]}") from None

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            found = list(pool.map(ask, calls, hash_seeds))
        if problems := [problem for answer in found for problem in answer.get("problems", [])]:
            raise InputError(*dict.fromkeys(problems))
        return found


def describe(asked: Asked, processes: Processes) -> dict:
    """Return what the target is; see `lrbench.trial.examine.describe`. torchvision's models need no process for it."""
    if asked.target.startswith("torchvision:"):
        return {"kind": "model", "call": "num_classes"}
    return processes.answer("describe", target=asked.target, num_classes=asked.classes, data_root=asked.data_root)


def workload_of(asked: Asked, described: dict) -> tuple[str | dict, dict]:
    """Return the workload without a limit on its images, and its recipe: base_lr, optimizer and batch_size.

    A model alone gets images that are made in the shape that was asked for; `limited` says how many.
    """
    if described["kind"] == "workload":
        workload, recipe = described["table"] or asked.target, {**RECIPE, **described["recipe"]}
    else:
        model = {"model": asked.target}
        if described["call"] == "nothing":
            arguments = {"target": asked.target, "asks_for_classes": False}
            model = {"model": f"{MADE}users_model", "model_args": arguments}
        shape = "x".join(map(str, shape_of(asked.shape)))
        workload, recipe = {**model, "data": f"{MADE}images_{shape}_of_{asked.classes}"}, dict(RECIPE)
    if asked.batch:
        recipe["batch_size"] = asked.batch
    return workload, {key: recipe[key] for key in RECIPE}


def limited(workload: str | dict, num_images: int) -> str | dict:
    """Return the workload on so many training images (0: all): made images are made so many, others are a part.

    >>> limited({"model": "a:b", "data": "lrbench.trial.made:images_1x8x8_of_2"}, 142)["data"]
    'lrbench.trial.made:images_1x8x8_of_2_n142'
    """
    if isinstance(workload, str) or not num_images:
        return workload
    if str(workload.get("data", "")).startswith(MADE):
        return {**workload, "data": f"{workload['data']}_n{num_images}"}
    return {**workload, "train_limit": num_images}


# --------------------------------------------------------------------------------------------------- where it is kept


class Notes:
    """What is known of an audit besides its rows: one JSON file for each thing, under DIR/audit."""

    def __init__(self, folder: Path):
        self.folder = folder / "audit"

    def known(self, name: str) -> bool:
        return (self.folder / f"{name}.json").is_file()

    def read(self, name: str):
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def check_writable(self) -> None:
        """Raise InputError where nothing can be written here, or where the folder is yet to be made; make none."""
        there = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            what = f"{self.folder} cannot be written: {error.strerror}"
            raise InputError(f"{what}. Name another folder: --out DIR") from None

    def write(self, name: str, value) -> None:
        path = self.folder / f"{name}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(f"{json.dumps(value, indent=1)}\n", encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}. Name another folder: --out DIR") from None


def key_of(asked: Asked, device: str) -> dict:
    """Return what an audit is of, the content of the user's modules among it: rows of another are not its own."""
    kept = ("target", "input", "classes", "batch", "budget", "replicates", "epochs", "steps", "dataset", "data_root")
    named = {name: getattr(asked, name) for name in kept}
    return {**named, "input": asked.shape, "device": device, "code": _code(asked)}


def _code(asked: Asked) -> dict[str, str]:
    """The sha256 of each module that was named. What those import in turn is not followed."""
    references = [name for name in (asked.target, asked.dataset) if is_reference(name)]
    modules = sorted({name.partition(":")[0] for name in references} - {"torchvision"})
    files = {module: source_file(module) for module in modules}
    return {module: sha256(path.read_bytes()).hexdigest() for module, path in files.items() if path is not None}


def slug(target: str) -> str:
    """Return a target's name as a folder's.

    >>> slug("mynet:Net")
    'mynet-Net'
    """
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in target)


def folder_for(target: str, key: dict, out: Path | None) -> Path:
    """Return the folder of this very audit: `out`, else results/audit-TARGET or the first of -2, -3, … that is free.

    Raises InputError where `out` holds something else.
    """
    if out is not None:
        _check_folder(out, key)
        return out
    number = 1
    while True:
        folder = DEFAULT_FOLDER / f"audit-{slug(target)}{'' if number == 1 else f'-{number}'}"
        notes = Notes(folder)
        if not folder.exists() or (notes.known("asked") and notes.read("asked") == key):
            return folder
        number += 1


def _check_folder(folder: Path, key: dict) -> None:
    notes = Notes(folder)
    if notes.known("asked"):
        before = notes.read("asked")
        differs = [
            f"{name} was {before.get(name)!r}, is {key[name]!r}" for name in key if before.get(name) != key[name]
        ]
        if differs:
            raise InputError(f"{folder} holds another audit: {'; '.join(differs)}. Name another folder: --out DIR")
    elif (folder / "study.json").exists():
        raise InputError(f"{folder} holds a study that is no audit. Name another folder: --out DIR")
