"""torch's classes by their own names: reading `StepLR(step_size=30, gamma=0.1)` and checking it, without torch.

The signatures are read from the source of the torch that is installed (parsed, never imported: importing takes
seconds), so the names, arguments and literal choices are always those of that version. What this does *not* do is
build anything: `lrbench.trial.optim` does.
"""

import ast
import keyword
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from lrbench.errors import InputError, did_you_mean

Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
Share = Annotated[str, StringConstraints(pattern=r"^(100(\.0+)?|\d{1,2}(\.\d+)?)%$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

# Arguments counted in scheduler steps: each may be a share of the budget ("30%"). Zero makes torch divide by zero
# in some of them, so those must be at least 1.
STEP_COUNTS = {
    "step_size": Positive,
    "T_max": Positive,
    "T_0": Positive,
    "total_steps": Positive,
    "step_size_up": Positive,
    "step_size_down": Positive,
    "total_iters": Count,
    "milestones": Count,
    "patience": Count,
    "cooldown": Count,
    "decay_steps": Positive,
    "timescale": Positive,
}
# Left out, they mean the whole budget. torch has no default for T_max and T_0; OneCycleLR wants total_steps.
# Momentum stays where the optimizer put it unless asked: otherwise a schedule changes two things at once.
SCHEDULER_DEFAULTS = {
    "CosineAnnealingLR": {"T_max": "100%"},
    "OneCycleLR": {"total_steps": "100%", "cycle_momentum": False},
    "CyclicLR": {"cycle_momentum": False},
    "WarmupStableDecayLR": {"total_steps": "100%", "decay_steps": "20%"},
    "CosineDecayLR": {"total_steps": "100%"},
    "LinearDecayLR": {"total_steps": "100%"},
    "REXLR": {"total_steps": "100%"},
    "TanhDecayLR": {"total_steps": "100%"},
}
# Schedulers made of others: they hold a list of tables under `schedulers`.
COMPOSITES = ("SequentialLR", "ChainedScheduler", "SequenceLR", "ProductLR", "PerGroupLR")
_NOT_ARGUMENTS = {"self", "optimizer", "params", "lr"}
_ABSTRACT = {"LRScheduler", "Optimizer"}


def _optim_folder() -> Path:
    spec = find_spec("torch")
    if spec is None:
        raise InputError("torch is not installed. Type: pip install torch torchvision")
    return Path(spec.submodule_search_locations[0]) / "optim"


def torch_version_file() -> dict:
    """Return {"version": "2.15.0", "cuda": "13.2" or None} of the installed torch, read without importing it."""
    values = {}
    for node in ast.parse((_optim_folder().parent / "version.py").read_text()).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant):
            values[target.id] = node.value.value
    return {"version": values["__version__"], "cuda": values.get("cuda")}


@cache
def _constructors(kind: Literal["scheduler", "optimizer"]) -> dict[str, ast.FunctionDef]:
    folder = _optim_folder()
    if kind == "scheduler":
        files = [folder / "lr_scheduler.py"]
    else:
        imports = ast.parse((folder / "__init__.py").read_text()).body
        modules = {n.module.rsplit(".", 1)[1] for n in imports if isinstance(n, ast.ImportFrom) and n.module}
        files = [path for module in sorted(modules) if (path := folder / f"{module}.py").exists()]
    found = {}
    for path in files:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in _ABSTRACT:
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                        found[node.name] = method
    if kind == "scheduler":
        found.pop("LRScheduler", None)
    else:  # only what torch.optim itself exports: no functional helpers, no AveragedModel
        exported = {a.asname or a.name for n in imports if isinstance(n, ast.ImportFrom) for a in n.names}
        found = {name: init for name, init in found.items() if name in exported and "params" in _names(init)}
    return dict(sorted(found.items()))


def _names(init: ast.FunctionDef) -> list[str]:
    return [a.arg for a in [*init.args.args, *init.args.kwonlyargs]]


def class_names(kind: Literal["scheduler", "optimizer"]) -> list[str]:
    """Return the concrete torch.optim.lr_scheduler (or torch.optim) classes of the installed torch, sorted."""
    return list(_constructors(kind))


@cache
def _own_constructors() -> dict[str, ast.FunctionDef]:
    folder = Path(__file__).parent / "schedulers"
    found = {}
    for path in (folder / "shapes.py", folder / "composition.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                methods = {method.name: method for method in node.body if isinstance(method, ast.FunctionDef)}
                found[node.name] = methods["__init__"]
    return dict(sorted(found.items()))


def own_schedulers() -> list[str]:
    """Return the classes of lrbench.schedulers that a study can name beside torch's, sorted."""
    return list(_own_constructors())


def known_names(kind: Literal["scheduler", "optimizer"]) -> list[str]:
    """Return every class that a study can name: torch's, and for schedulers those of lrbench.schedulers."""
    return [*class_names(kind), *(own_schedulers() if kind == "scheduler" else [])]


def is_reference(name: str) -> bool:
    """Tell whether a name is that of the user's own code, "module:attr"."""
    return bool(_IS_REFERENCE.fullmatch(name))


def _union(annotation: ast.expr) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _union(annotation.left) + _union(annotation.right)
    return [annotation]


def _type(text: str, name: str) -> Any | None:
    """Return the pydantic type of one member of an annotation, or None for what a study file cannot hold."""
    if name in STEP_COUNTS and text == "int":
        return STEP_COUNTS[name] | Share
    if name in STEP_COUNTS and text in ("Iterable[int]", "list[int]", "Sequence[int]"):
        return list[STEP_COUNTS[name] | Share]
    if name == "last_epoch":
        return Annotated[int, Field(ge=-1)]
    simple = {
        "int": int,
        "float": Finite,
        "bool": bool,
        "str": str,
        "list[float]": list[Finite],
        "Callable[[int], float]": Reference,
        "Callable[[float], float]": Reference,
        "list[Callable[[int], float]]": list[Reference],
        "list[LRScheduler]": list[dict | str],
        "Sequence[LRScheduler]": list[dict | str],
        "list[Factory]": list[dict | str],
    }
    if text in simple:
        return simple[text]
    if text.startswith("Literal["):
        return Literal[ast.literal_eval(ast.parse(text, mode="eval").body.slice)]
    if text.startswith("tuple["):
        length = len(ast.parse(text, mode="eval").body.slice.elts)
        return Annotated[list[Finite], Field(min_length=length, max_length=length)]
    return None


@cache
def arguments_model(kind: Literal["scheduler", "optimizer"], name: str) -> type[BaseModel]:
    """Return a strict pydantic model of the arguments that class `name` takes in the installed torch."""
    init = _constructors(kind).get(name) or _own_constructors()[name]
    positional = init.args.args
    defaults = [None] * (len(positional) - len(init.args.defaults)) + list(init.args.defaults)
    fields: dict[str, Any] = {}
    pairs = [*zip(positional, defaults, strict=True), *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    for argument, default in pairs:
        if argument.arg in _NOT_ARGUMENTS:
            continue
        types = [_type(ast.unparse(member), argument.arg) for member in _union(argument.annotation)]
        types = [t for t in types if t is not None]
        if not types:
            continue
        union = types[0]
        for other in types[1:]:
            union = union | other
        required = default is None and argument.arg not in SCHEDULER_DEFAULTS.get(name, {})
        fields[argument.arg] = (union, ...) if required else (union, Field(default=None))
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def written_out(table: dict, kind: Literal["scheduler", "optimizer"]) -> dict:
    """Return a checked table with torch's defaults written out: two that give the same mean the same. To compare alone.

    >>> short, long = ({"name": "StepLR", "step_size": 3, **more} for more in ({}, {"gamma": 0.1}))
    >>> written_out(short, "scheduler") == written_out(long, "scheduler")
    True
    """
    given = dict(table)
    if isinstance(given.get("schedulers"), list):
        given["schedulers"] = [written_out(child, kind) for child in given["schedulers"]]
    return {**_defaults(kind, table["name"]), **given}


@cache
def _defaults(kind: Literal["scheduler", "optimizer"], name: str) -> dict:
    """Return the defaults of a class that a study file can hold; of the user's own nothing is known."""
    init = (_constructors(kind) | (_own_constructors() if kind == "scheduler" else {})).get(name)
    if init is None:
        return {}
    model, found = arguments_model(kind, name), {}
    positional = init.args.args[len(init.args.args) - len(init.args.defaults) :]
    pairs = [*zip(positional, init.args.defaults, strict=True)]
    pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    for argument, default in pairs:
        if argument.arg not in model.model_fields or default is None:
            continue
        try:
            value = ast.literal_eval(default)
        except ValueError:  # a default that is computed
            continue
        if value is not None:
            found[argument.arg] = list(value) if isinstance(value, tuple) else value
    return found


# What may stand without quotes in a call, as format_call writes it: a share of the budget, the name of a callable.
_REFERENCE = r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"
_UNQUOTED = rf"\d+(?:\.\d+)?%|{_REFERENCE}"
# compiled here: every process that is forked would do it again
_IS_REFERENCE, _IS_UNQUOTED = re.compile(_REFERENCE), re.compile(_UNQUOTED)
_BARE = re.compile(
    rf"""(?P<text>'[^']*'|"[^"]*")"""
    rf"""|(?P<before>[=(\[,]\s*)(?P<bare>{_UNQUOTED})(?=\s*[,)\]])"""
    rf"""|(?P<around>^|[=(\[,]\s*)(?P<own>{_REFERENCE})(?=\s*(?:\(|$))"""
)
_COLON = "\u02d0"  # a letter to Python that looks like a colon: "my:Decay(power=2)" is a call of one name with it
_EXAMPLE = "Write it as torch does, e.g. StepLR(step_size=30, gamma=0.1)"


def parse_call(text: str, kind: Literal["scheduler", "optimizer"]) -> dict:
    """Read a call in torch's own words into a table. Parsed, never evaluated: literals, words and nested calls only.

    >>> parse_call("StepLR(30, gamma=0.1)", "scheduler")
    {'name': 'StepLR', 'step_size': 30, 'gamma': 0.1}
    >>> parse_call("LambdaLR(optimizer, lr_lambda=my_schedules:decay)", "scheduler")
    {'name': 'LambdaLR', 'lr_lambda': 'my_schedules:decay'}

    >>> parse_call("SequentialLR([my_schedules:Decay(power=2), StepLR(9)], [5])", "scheduler")["schedulers"][0]
    {'name': 'my_schedules:Decay', 'power': 2}

    A bare name is a call without arguments; the optimizer may stand first, as in torch, and is left out, and so is an
    argument that is None (torch's word for "not given"). Raises InputError for anything else, with the part at fault.
    """
    text = text.strip().replace("\n", " ")
    quoted = _BARE.sub(_as_python, text)
    try:
        return _table(ast.parse(quoted, mode="eval").body, text, kind)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        where = f" at column {error.offset}" if len(quoted) == len(text) and getattr(error, "offset", 0) else ""
        raise InputError(f"{text!r} is not a call: {getattr(error, 'msg', error)}{where}. {_EXAMPLE}") from None
    except (RecursionError, MemoryError):
        raise InputError(f"{text[:40]!r}… is not a call: it nests too deeply. {_EXAMPLE}") from None


def _as_python(found: re.Match) -> str:
    if found["own"]:
        return found["around"] + found["own"].replace(":", _COLON)
    return found["text"] or f"{found['before']}'{found['bare']}'"


def _table(node: ast.expr, text: str, kind) -> dict:
    def refuse(part: ast.expr, why: str) -> InputError:
        return InputError(f"{text!r}: {ast.unparse(part).replace(_COLON, ':')!r} {why}. {_EXAMPLE}")

    def value(part: ast.expr):
        if isinstance(part, ast.Call):
            return _table(part, text, kind)
        if isinstance(part, ast.List | ast.Tuple):
            return [value(item) for item in part.elts]
        if isinstance(part, ast.Name):
            return part.id
        if isinstance(part, ast.Lambda):
            raise refuse(part, 'is code, and calls are read, never run: put it into a file, and name it "module:attr"')
        try:
            return ast.literal_eval(part)
        except ValueError:
            raise refuse(part, "is not a number, a text or a list (calls are read, never run)") from None

    if isinstance(node, ast.Name) or _COLON in _dotted(node):
        return {"name": _class_name(node)}
    if not isinstance(node, ast.Call):
        raise refuse(node, "is not a call")
    name = _class_name(node.func)
    if not name:
        raise refuse(node, "is not a call of a named class")
    table = {"name": name}
    positional = [part for part in node.args if _dotted(part).rpartition(".")[2] not in ("optimizer", "opt")]
    if positional and is_reference(name):
        raise refuse(positional[0], "has no name: arguments of your own code are given by name, as in decay(power=2)")
    if positional and name not in known_names(kind):
        raise InputError(f"{text!r}: {unknown_class(kind, name)}")
    known = list(arguments_model(kind, name).model_fields) if positional else []
    if len(positional) > len(known):
        raise refuse(positional[len(known)], f"is one argument too many for {name}")
    for key, part in zip(known, positional, strict=False):
        table[key] = value(part)
    for given in node.keywords:
        if given.arg is None:
            raise refuse(given.value, "is unpacked with **: write the arguments out")
        if given.arg == "optimizer" and _dotted(given.value):
            continue
        if given.arg in table:
            raise refuse(given.value, f"gives {given.arg} a second time")
        table[given.arg] = value(given.value)
    return {key: item for key, item in table.items() if item is not None}


def _class_name(node: ast.expr) -> str:
    """Return "StepLR" for `lr_scheduler.StepLR`, the whole "module:attr" for code of the user's own, "" for no name."""
    dotted = _dotted(node)
    return dotted.replace(_COLON, ":") if _COLON in dotted else dotted.rpartition(".")[2]


def _dotted(node: ast.expr) -> str:
    """Return `a.b.C` for names joined by dots, and "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    before = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before else ""


def format_call(table: dict) -> str:
    """Write a table as the call that parse_call reads back: words, shares and names of callables stay bare.

    >>> format_call({"name": "MultiStepLR", "milestones": ["50%", 8]})
    'MultiStepLR(milestones=[50%, 8])'
    """

    def value(item) -> str:
        if isinstance(item, dict):
            return format_call(item)
        if isinstance(item, list):
            return "[" + ", ".join(value(part) for part in item) + "]"
        return item if isinstance(item, str) and _stays_bare(item) else repr(item)

    return f"{table['name']}({', '.join(f'{k}={value(v)}' for k, v in table.items() if k != 'name')})"


def _stays_bare(text: str) -> bool:
    return (text.isidentifier() and not keyword.iskeyword(text)) or bool(_IS_UNQUOTED.fullmatch(text))


_WARMUP = (
    "WarmupLR is for training loops of your own; here a warm-up stands beside any scheduler, not around it. In a "
    'study: warmup = { kind = "linear", fraction = 0.1 }; for a preview: --warmup \'{kind="linear", fraction=0.1}\'; '
    "lrbench explain WarmupLR tells more"
)


def unknown_class(kind: str, name: str) -> str:
    """Say that `name` is no torch class of this kind, what is, and what was probably meant."""
    if kind == "scheduler" and name == "WarmupLR":
        return _WARMUP
    home = "torch.optim.lr_scheduler" if kind == "scheduler" else "torch.optim"
    known = ", ".join(class_names(kind))
    if kind == "scheduler":
        known += f"; of lrbench.schedulers: {', '.join(own_schedulers())}; or your own as module:attr"
    return (
        f"{name!r} is no class of {home} {torch_version_file()['version'].split('+')[0]}."
        f"{did_you_mean(name, known_names(kind))} Known: {known}"
    )
