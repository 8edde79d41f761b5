"""What one process sees of a model that no row of a trial holds. Asked by `lrbench audit`, each time of a new process.

What a target is; which operators it runs; what a row of a batch becomes alone; what the process's hash seed changes;
what a DataLoader hands out. Arguments and answers are plain JSON; what is wrong with the user's code comes back as
{"problems": […]}. What this does *not* do: train, compare, or judge.
"""

import functools
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset
from xxhash import xxh3_128

from lrbench.errors import InputError, users_frames
from lrbench.seeds import derive_seed
from lrbench.trial.data import Staged, normalise, stage
from lrbench.trial.digest import fast_digest, gradients_of, weights_of
from lrbench.trial.made import how_to_call
from lrbench.trial.models import logits_of
from lrbench.trial.workload import Workload, load_attribute, resolve
from lrbench.workloads import WORKLOADS

MOST_ROWS = 16
MOST_BATCHES = 8
SMALL_BATCH = 8
NUM_DRAWS = 16  # a flip of one coin is the same for two workers once in 65,536 times


def _tells_problems(ask: Callable[..., dict]) -> Callable[..., dict]:
    """Return the function with what goes wrong in the user's code as its answer."""

    @functools.wraps(ask)
    def asked(**arguments) -> dict:
        try:
            return ask(**arguments)
        except InputError as error:
            return {"problems": list(error.problems)}
        except (Exception, SystemExit) as error:  # noqa: BLE001 (user code runs here)
            where = users_frames(error)
            return {"problems": [f"{type(error).__name__}: {error}" + (f" (at {where})" if where else "")]}

    return asked


# ------------------------------------------------------------------------------------------------- what a target is


@_tells_problems
def describe(target: str, num_classes: int, data_root: str) -> dict:
    """Return what "module:attr" or a workload's name is.

    {"kind": "model", "call": "num_classes" or "nothing"}, or {"kind": "workload", "table": …, "num_train_images": …}:
    the table as JSON, {} where it cannot be written as such (a value that has no name of its own).
    """
    if target not in WORKLOADS:
        value = load_attribute(target)
        if isinstance(value, nn.Module):
            raise InputError(
                f"{target} is a model that is built already: it was drawn when its module was imported, before any "
                f"seed. Name its class, or a function that builds it: lrbench audit {target.split(':')[0]}:NAME"
            )
        if not isinstance(value, dict):
            if not callable(value):
                raise InputError(
                    f"{target} is of type {type(value).__name__}; allowed: a model's class, a function that builds a "
                    "model, a workload's table, or a function that returns one"
                )
            call = how_to_call(value)
            if call not in ("num_classes", "nothing"):
                raise InputError(
                    f"{target} asks for {call!r}, which nobody gives: a model is called as model(num_classes=…) or "
                    f"model(). Give it a default, or name a function that builds it"
                )
            made = value(**({"num_classes": num_classes} if call == "num_classes" else {}))
            if isinstance(made, nn.Module):
                return {"kind": "model", "call": call}
            value = made
        if not isinstance(value, dict):
            raise InputError(
                f"{target} gives a {type(value).__name__}; allowed: a torch.nn.Module, or a workload's table such as "
                '{"model": …, "data": …}'
            )
    workload = resolve(target)
    staged = stage(workload, Path(data_root) if data_root else None)
    return {
        "kind": "workload",
        "table": {"base": target} if target in WORKLOADS else _as_json(value),
        "recipe": WORKLOADS[target]["recipe"] if target in WORKLOADS else value.get("recipe", {}),
        "num_train_images": len(staged.train_images) + len(staged.val_images),
        "shape": list(staged.train_images.shape[1:]),
        "num_classes": staged.num_classes,
    }


def _as_json(table: dict) -> dict:
    """Return a workload's table with its functions by name; {} where one cannot be found by its name."""
    named = {key: _name(value) if callable(value) else value for key, value in table.items()}
    return {} if "" in named.values() else named


def _name(function: Callable) -> str:
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    try:
        return name if load_attribute(name) is function else ""
    except InputError:
        return ""


# --------------------------------------------------------------------------------------------------- what it runs


@_tells_problems
def examine(workload: str | dict, device: str, batch_size: int, data_root: str) -> dict:
    """Return a model's operators, and the bits of its logits for rows of a batch together and alone.

    `forward`, `backward` are names as torch's dispatcher has them, `modules` the classes of its modules; `together` and
    `alone` the bits of the float32 logits of up to MOST_ROWS images in evaluation mode, `batch_repeats` whether the
    batch itself gives the same bits when it is given again, before and after its rows; `data_sha256` as a row's.
    """
    found, staged, model, images, labels = _built(workload, device, batch_size, data_root)
    seen = _Seen()
    model.train()
    with seen:
        found.loss(logits_of(model(images)), labels).backward()
    model.eval()
    with torch.no_grad():
        together, again = (logits_of(model(images))[:MOST_ROWS] for _ in range(2))
        alone = torch.cat([logits_of(model(images[row : row + 1])) for row in range(len(together))])
        afterwards = logits_of(model(images))[:MOST_ROWS]
    return {
        "forward": sorted(seen.forward),
        "backward": sorted(seen.backward),
        "modules": sorted({type(module).__name__ for module in model.modules()}),
        "num_rows": len(together),
        "together": _bits(together),
        "alone": _bits(alone),
        "batch_repeats": _bits(together) == _bits(again) == _bits(afterwards),
        "data_sha256": staged.sha256,
    }


def _built(
    workload: str | dict, device: str, batch_size: int, data_root: str
) -> tuple[Workload, Staged, nn.Module, Tensor, Tensor]:
    torch.set_num_threads(1)
    found = resolve(workload)
    staged = stage(found, Path(data_root) if data_root else None)
    torch.manual_seed(derive_seed("init", 0))
    model = found.model(num_classes=staged.num_classes, **found.model_args).to(device)
    torch.manual_seed(derive_seed("dropout", 0))
    mean, std = staged.mean.to(device), staged.std.to(device)
    images = normalise(staged.train_images[:batch_size].to(device), mean, std)
    return found, staged, model, images, staged.train_labels[:batch_size].to(device)


class _Seen(TorchDispatchMode):
    """Collects the names of the operators that run inside it, those of the backward apart."""

    def __init__(self):
        super().__init__()
        self.forward: set[str] = set()
        self.backward: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        into = self.forward if torch._C._current_autograd_node() is None else self.backward
        name = str(func).split(".")[1]
        sparse = any(isinstance(value, Tensor) and value.layout != torch.strided for value in args)
        into.add(f"sparse {name}" if sparse else name)
        return func(*args, **(kwargs or {}))


def _bits(values: Tensor) -> list[int]:
    return values.float().cpu().contiguous().reshape(-1).view(torch.int32).tolist()


@_tells_problems
def begin(workload: str | dict, data_root: str) -> dict:
    """Return digests of the initial weights, and of loss and gradients of a small first batch, every seed being set.

    Python's and NumPy's generators are seeded here, so that between two processes nothing is left but what Python
    itself draws anew for each: the hash seed, by which sets of strings are ordered.
    """
    random.seed(0)
    numpy.random.seed(0)
    found, _, model, images, labels = _built(workload, "cpu", SMALL_BATCH, data_root)
    weights = fast_digest(weights_of(model))
    model.train()
    loss = found.loss(logits_of(model(images)), labels)
    loss.backward()
    return {
        "weights": weights,
        "loss": fast_digest([("loss", loss)]),
        "gradients": fast_digest(gradients_of(model)),
    }


# ------------------------------------------------------------------------------------------------ what a loader gives


@dataclass(frozen=True, kw_only=True)
class _Raised:
    """Why there is no item: sent as a value, since a worker sends an exception as a nested traceback."""

    problem: str


class _Numbered(Dataset):
    """Each item of a data set, with its number."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> tuple:
        try:
            return item, self.dataset[item]
        except Exception as error:  # noqa: BLE001 (user code runs here)
            where = users_frames(error)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return item, _Raised(problem=f"its item {item} raises {text}" + (f" (at {where})" if where else ""))


class _FirstAgain(_Numbered):
    """The first item of a data set, so many times: what differs between two of them was drawn."""

    def __init__(self, dataset: Dataset, num_items: int):
        super().__init__(dataset)
        self.num_items = num_items

    def __len__(self) -> int:
        return self.num_items

    def __getitem__(self, item: int) -> tuple:
        return super().__getitem__(0)


@_tells_problems
def loaded(dataset: str, num_workers: int, batch_size: int) -> dict:
    """Return what a shuffled DataLoader gives of "module:attr", a Dataset, its class or a function that makes it.

    `order` are the items' numbers and `items` a digest of each; `workers_repeat` whether two workers that are asked for
    the first item again and again draw the same numbers (False without workers, or where nothing is drawn). torch is
    seeded with 0, and so is the loader's own generator. Python's and NumPy's generators are left as the process began
    with them.
    """
    torch.manual_seed(0)
    found = load_attribute(dataset)
    if not isinstance(found, Dataset) and callable(found):
        found = found()
    if not hasattr(found, "__getitem__") or not hasattr(found, "__len__"):
        raise InputError(
            f"--dataset {dataset} is of type {type(found).__name__}; allowed: a Dataset with a length, its class, or a "
            "function without arguments that makes it"
        )
    loader = DataLoader(
        _Numbered(found),
        batch_size=batch_size,
        shuffle=True,
        num_workers=num_workers,
        generator=torch.Generator().manual_seed(0),
        collate_fn=list,
    )
    order, items = [], []
    for number, batch in enumerate(loader, 1):
        order += [item for item, _ in batch]
        items += _digests(dataset, batch)
        if number == MOST_BATCHES:
            break
    repeat = num_workers > 1 and bool(order) and _workers_repeat(dataset, found)
    return {"order": order, "items": items, "workers_repeat": repeat}


def _workers_repeat(name: str, dataset: Dataset) -> bool:
    """The first batch is the first worker's and the second the second's."""
    loader = DataLoader(
        _FirstAgain(dataset, 2 * NUM_DRAWS),
        batch_size=NUM_DRAWS,
        num_workers=2,
        generator=torch.Generator().manual_seed(0),
        collate_fn=list,
    )
    one, two = (_digests(name, batch) for batch in loader)
    return one == two and len(set(one)) > 1


def _digests(name: str, batch: list[tuple]) -> list[str]:
    for _, value in batch:
        if isinstance(value, _Raised):
            raise InputError(f"--dataset {name}: {value.problem}")
    return [_item_digest(value) for _, value in batch]


def _item_digest(value: object) -> str:
    leaves = torch.utils._pytree.tree_leaves(value)
    plain = [leaf.detach().cpu().numpy() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return xxh3_128(pickle.dumps(plain)).hexdigest()
