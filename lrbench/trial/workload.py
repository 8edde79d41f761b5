"""A workload's name or table → a Workload: callables found, names checked, defaults filled in.

`load_attribute` is the one place where code that a user named as "module:attr" is imported. What this does *not* do:
build the model, read the data (`lrbench.trial.data`), or choose epochs and rates (the study and the recipe do).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch

from lrbench.errors import InputError, did_you_mean
from lrbench.factors import Problems, check_level
from lrbench.workloads import DEFAULTS, WORKLOADS, workload_label

_STANDS_FOR_A_CALLABLE = "python:callable"  # so that one validator serves tables from TOML and from Python
_MAY_BE_CALLABLE = ("model", "data", "loss", "groups")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Model, data and loss, ready to be called.

    model(num_classes=n, **model_args) → module; loss(logits, labels) → scalar; groups(model) → parameter groups.
    `data` is a name of lrbench.workloads or a callable; sizes and paddings are pixels, 0 meaning none.
    """

    label: str
    model: Callable
    model_args: dict[str, Any]
    data: str | Callable
    loss: Callable
    groups: Callable | Literal["single"]
    image_size: int
    crop_padding: int
    flip: bool
    train_limit: int


def resolve(workload: str | dict) -> Workload:
    """Return the Workload that a study's `workload` means: a built-in's name, a table, or "module:attr".

    `attr` is a table, or a function without arguments that returns one; its values may be callables. Raises InputError
    with every mistake in the table, or with the name that could not be imported.
    """
    if isinstance(workload, str) and workload in WORKLOADS:
        return _built_in(workload)
    label = workload_label(workload)
    if isinstance(workload, str):
        if ":" not in workload:
            allowed = f"{', '.join(WORKLOADS)}, or module:attr"
            raise InputError(
                f"workload {workload!r} is unknown; allowed: {allowed}.{did_you_mean(workload, WORKLOADS)}"
            )
        workload = _users_table(workload)
    return _resolve(workload, label)


@cache
def _built_in(name: str) -> Workload:
    return _resolve(WORKLOADS[name], name)


def _resolve(table: dict, label: str) -> Workload:
    _check(table, label)
    table = {**DEFAULTS, **WORKLOADS.get(table.get("base"), {}), **table}
    model, model_args = _model(table["model"], label), dict(table["model_args"])
    _check_arguments(model, model_args, label)
    loss, groups, data = table["loss"], table["groups"], table["data"]
    if loss == "cross_entropy":
        loss = torch.nn.functional.cross_entropy
    return Workload(
        label=label,
        model=model,
        model_args=model_args,
        data=_function(data, label, "data") if _is_reference(data) else data,
        loss=_function(loss, label, "loss"),
        groups=groups if groups == "single" else _function(groups, label, "groups"),
        **{key: table[key] for key in ("image_size", "crop_padding", "flip", "train_limit")},
    )


def _users_table(reference: str) -> dict:
    value = load_attribute(reference)
    if callable(value):
        value = value()
    if not isinstance(value, dict):
        raise InputError(
            f"workload {reference} gives a {type(value).__name__}; allowed: a table such as "
            '{"model": …, "data": …}, or a function without arguments that returns one'
        )
    return value


def _check(table: dict, label: str) -> None:
    """Raise InputError with everything that is wrong with a table; callables stand where names may."""
    names = {k: _STANDS_FOR_A_CALLABLE if k in _MAY_BE_CALLABLE and callable(v) else v for k, v in table.items()}
    try:
        check_level("workload", names)
    except Problems as error:
        problems = [("".join(f".{part}" for part in place), message) for place, message in error.found]
        raise InputError(*(f"workload {label}: {place.lstrip('.')} {message}" for place, message in problems)) from None


def _is_reference(data: Any) -> bool:
    return isinstance(data, str) and ":" in data and data.split(":")[0] not in ("torchvision", "imagefolder")


def _function(value: Any, label: str, key: str) -> Callable:
    found = load_attribute(value) if isinstance(value, str) else value
    if not callable(found):
        raise InputError(f"workload {label}: {key} = {value!r} is of type {type(found).__name__}, not a function")
    return found


def _model(value: str | Callable, label: str) -> Callable:
    if isinstance(value, str) and value.startswith("torchvision:"):
        return partial(_torchvision_model, _torchvision_name(value.removeprefix("torchvision:")))
    return _function(value, label, "model")


def _torchvision_name(name: str) -> str:
    from torchvision import models

    known = models.list_models(module=models)  # the classifiers; detection and video live in modules below
    if name not in known:
        elsewhere = name in models.list_models()
        why = "is no image classifier" if elsewhere else "is no model of torchvision.models"
        raise InputError(f"model 'torchvision:{name}' {why}.{did_you_mean(name, known)} Known: {', '.join(known)}")
    return name


def _torchvision_model(name: str, *, num_classes: int, **model_args: Any) -> torch.nn.Module:
    """Return torchvision's untrained model of that name."""
    from torchvision.models import get_model

    if name in ("googlenet", "inception_v3"):  # torchvision warns unless it is told; this is what it does then
        model_args = {"init_weights": True, **model_args}
    try:
        return get_model(name, weights=None, num_classes=num_classes, **model_args)
    except TypeError as error:
        raise InputError(f"model 'torchvision:{name}' does not take these model_args: {error}") from error


def _check_arguments(model: Callable, model_args: dict, label: str) -> None:
    try:
        call = signature(model)
    except ValueError:  # some builtins do not tell; the call itself will
        return
    try:
        call.bind(num_classes=2, **model_args)
    except TypeError as error:
        raise InputError(
            f"workload {label}: the model is called as model(num_classes=…, **model_args) and refuses "
            f"model_args = {model_args}: {error}; it is {getattr(model, '__name__', model)}{call}"
        ) from None


def load_attribute(reference: str) -> Any:
    """Import "module:attr" and return the attribute; dots in `attr` go deeper.

    The current folder is put first on sys.path, and stays there for what the module imports later. Raises InputError
    where the module or the attribute is not there; what the module itself raises passes through, except an import that
    it misses.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise InputError(f'{reference!r} is no name of something to import; write it as "module:attr"')
    here = str(Path.cwd())
    if here not in sys.path[:1]:
        sys.path.insert(0, here)
    try:
        found = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"{reference!r}: {module_name} was found, and it imports {error.name}, which was not"
            ) from error
        near = [path.stem for path in Path(here).glob("*.py")]
        raise InputError(
            f"{reference!r}: no module named {error.name!r}; looked in {here} first, then where Python finds packages."
            f"{did_you_mean(error.name, near)} Run the command in the folder that holds {error.name.split('.')[0]}.py"
        ) from None
    except SyntaxError as error:
        raise InputError(f"{reference!r}: {error.filename}, line {error.lineno}: {error.msg}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            where = getattr(found, "__file__", None) or found
            names = [name for name in dir(found) if not name.startswith("_")]
            raise InputError(f"{reference!r}: no {part!r} in {where}.{did_you_mean(part, names)}")
        found = getattr(found, part)
    return found
