"""What is told of each scheduler: what it does, its arguments with their defaults, its traps, and the line to type.

The texts are in explanations.toml beside this module; names, order and defaults of the arguments are read from the
class that is installed. What this does *not* do: print (`lrbench.explain`), or check an argument (`lrbench.levels`).
"""

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lrbench.calls import SCHEDULER_DEFAULTS, torch_version_file
from lrbench.errors import InputError, did_you_mean

_TORCH = "torch.optim.lr_scheduler"


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One argument of a class. default is Python's text for it, "" where it must be given.

    in_study is what a study puts in its place where that differs from `default`, "" elsewhere. by_name_only: Python
    takes it by its name alone.
    """

    name: str
    by_name_only: bool
    default: str
    in_study: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Trap:
    """What goes wrong, in words, and the issues (`pytorch#2545`) where others met it."""

    says: str
    issues: list[str]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that is said of one scheduler class. `own` traps are its own, `common` ones hold for its neighbours too.

    `example` is a call with arguments that make sense over 100 epochs; `warmup` is a table in TOML or ""; `in_python`
    is a line that builds it, or "".
    """

    name: str
    home: str
    brief: str
    says: str
    formula: str
    source: str
    example: str
    warmup: str
    in_python: str
    arguments: list[Argument]
    own: list[Trap]
    common: list[Trap]

    @property
    def study_line(self) -> str:
        """What to write into a study file."""
        line = f'scheduler = "{self.example}"'
        return f"{line}\nwarmup = {self.warmup}" if self.warmup else line

    @property
    def preview_line(self) -> str:
        """What to type for a preview."""
        line = f'lrbench preview "{self.example}" --epochs 100'
        return f"{line} --warmup '{self.warmup}'" if self.warmup else line

    @property
    def import_line(self) -> str:
        """What to write into a training loop of one's own."""
        line = f"from {self.home} import {self.name}"
        return f"{line}\n{self.in_python}" if self.in_python else line

    @property
    def to_type(self) -> list[tuple[str, str]]:
        """Where to type what: in a study file, for a preview, in Python."""
        return [
            ("in a study file", self.study_line),
            ("for a preview", self.preview_line),
            ("in a training loop of your own", self.import_line),
        ]


@cache
def _texts() -> dict:
    with Path(__file__).with_name("explanations.toml").open("rb") as file:
        return tomllib.load(file)


def names() -> list[str]:
    """Return every scheduler class that is explained: torch's, then lrbench's own, in the order of the texts."""
    return list(_texts()["scheduler"])


def signature(name: str) -> dict[str, str]:
    """Return {argument: its default as Python's text} of the installed class, "" for one without a default.

    Read from the source, never imported, as in lrbench.calls. Raises KeyError for a name that no class has.

    >>> signature("StepLR")
    {'optimizer': '', 'step_size': '', 'gamma': '0.1', 'last_epoch': '-1'}
    """
    init = _init(name)
    positional = init.args.args[1:]
    defaults = [None] * (len(positional) - len(init.args.defaults)) + list(init.args.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    return {argument.arg: "" if default is None else ast.unparse(default) for argument, default in pairs}


def _init(name: str) -> ast.FunctionDef:
    return {**_classes(_torchs_source()), **_own_classes()}[name]


@cache
def _classes(path: Path) -> dict[str, ast.FunctionDef]:
    """Return {class: its __init__} of a module's source."""
    return {
        node.name: method
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    }


def _torchs_source() -> Path:
    torch_version_file()  # says what to type where torch is not installed
    return Path(find_spec("torch").submodule_search_locations[0]) / "optim" / "lr_scheduler.py"


def _own_classes() -> dict[str, ast.FunctionDef]:
    files = Path(__file__).with_name("schedulers").glob("*.py")
    return {name: init for file in sorted(files) for name, init in _classes(file).items()}


def _is_torchs(name: str) -> bool:
    return name in _classes(_torchs_source())


def explanation(name: str) -> Explanation:
    """Return what is said of class `name`. Raises InputError for one that is not explained, with what is."""
    texts = _texts()
    if name not in texts["scheduler"]:
        raise InputError(
            f"{name!r} is no scheduler that is explained.{did_you_mean(name, names())} Known: {', '.join(names())}"
        )
    text = texts["scheduler"][name]
    torchs = _is_torchs(name)
    in_study = SCHEDULER_DEFAULTS.get(name, {})
    by_name_only = {argument.arg for argument in _init(name).args.kwonlyargs}
    arguments = [
        Argument(
            name=argument,
            by_name_only=argument in by_name_only,
            default=default,
            in_study=str(in_study.get(argument, "")),
            says=text["arguments"].get(argument) or texts["arguments"][argument],
        )
        for argument, default in signature(name).items()
    ]
    common = texts["everywhere"] + (texts["torchs_own"] if torchs else [])
    return Explanation(
        name=name,
        home=_TORCH if torchs else "lrbench.schedulers",
        brief=text["brief"],
        says=text["says"],
        formula=text["formula"],
        source=text.get("source", ""),
        example=text["example"],
        warmup=text.get("warmup", ""),
        in_python=text.get("in_python", ""),
        arguments=arguments,
        own=[Trap(**texts["trap"][trap]) for trap in text["traps"]],
        common=[Trap(**texts["trap"][trap]) for trap in common],
    )
