"""`lrbench explain`: what each scheduler does, its arguments with their defaults, its traps, and the line to type.

The texts are in explanations.toml beside this module; names, order and defaults of the arguments are read from the
class that is installed. What this does *not* do: check an argument (`lrbench.levels`), or compute a rate: the curve
comes from `lrbench.preview`, by the closed forms for an example, which tests hold to torch, and by torch for a call.
"""

import ast
import textwrap
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lrbench.calls import SCHEDULER_DEFAULTS, format_call, parse_call, torch_version_file
from lrbench.errors import InputError, did_you_mean

_COLUMN = 62  # a sentence in the list of all schedulers is cut no earlier
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


def always_97_percent(step: int) -> float:
    """Return 0.97, whatever the step: an example for MultiplicativeLR, which makes base_lr · 0.97^t of it.

    >>> always_97_percent(0)
    0.97
    """
    return 0.97


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


# ---------------------------------------------------------------------------------------------------------- the command


def explain_command(scheduler: str | None) -> None:
    """Print what is said of a scheduler, named or called as in torch; of all, one line each, where none is given.

    Raises InputError for an unknown one, and for a call that could not stand in a study.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if scheduler is None:
        _print_list(console)
        return
    table = parse_call(scheduler, "scheduler")
    told = explanation(table["name"])
    if len(table) > 1:
        from lrbench.preview import compute

        plans, notes = _plans(scheduler, told.warmup)
        _print_one(console, told, table, compute(plans), notes)
    else:
        from lrbench.preview import by_formula

        plans, notes = _plans(told.example, told.warmup)
        _print_one(console, told, {}, [by_formula(plan) for plan in plans], notes)


def _plans(call: str, warmup: str) -> tuple[list, list[str]]:
    """Return the plan that `call` makes over 100 epochs, and what the preview notes of it."""
    from lrbench.preview_plans import read_plans

    level = tomllib.loads(f"level = {warmup}")["level"] if warmup else None
    return read_plans([call], lr=None, epochs=None, steps_per_epoch=100, interval="epoch", warmup=level)


def _print_list(console) -> None:
    from rich.text import Text

    width = max(map(len, names()))
    for number, name in enumerate(names()):
        if number and _is_torchs(name) != _is_torchs(names()[number - 1]):
            console.print()
        console.print(Text.assemble((f"{name:{width}}", "bold"), f"  {_texts()['scheduler'][name]['brief']}"))
    console.print(Text("\nlrbench explain StepLR tells more; lrbench preview --gallery DIR draws all", style="dim"))


def _print_one(console, told: Explanation, table: dict, drawn: list, notes: list[str]) -> None:
    from rich.text import Text

    from lrbench.sparkline import lines_of

    width = max(40, min(100, console.width))
    console.print(Text(told.name, style="bold"), Text(f"({told.home})", style="dim"))
    _print_wrapped(console, _sentence(told.says), width)
    console.print()
    _print_wrapped(console, told.formula, width, style="cyan")
    _print_wrapped(
        console, "t: calls of step() so far" + (f"; source: {told.source}" if told.source else ""), width, "dim"
    )
    for schedule in drawn:
        console.print()
        _print_wrapped(
            console, f"{schedule.label}, base_lr {schedule.base_lr:g}, {schedule.epochs} epochs", width, "bold"
        )
        for line in lines_of(schedule, width):
            console.print(line)
    console.print("\narguments", style="bold")
    rows = [(f"{a.name} = {_given(a, table)}".removesuffix(" = "), _about(a)) for a in told.arguments]
    _print_columns(console, rows, min(30, max(len(name) for name, _ in rows)), "  ")
    for title, traps in (("traps", told.own), ("with every scheduler" if told.own else "traps", told.common)):
        if traps:
            console.print(f"\n{title}", style="bold")
        for trap in traps:
            issues = f" ({', '.join(trap.issues)})" if trap.issues else ""
            _print_columns(console, [("-", trap.says + issues)], 1, "  ")
    console.print("\nto type", style="bold")
    call = format_call(table) if table else ""
    for where, lines in told.to_type:
        console.print(Text(f"  # {where}", style="dim"))
        for line in lines.splitlines():
            console.print(Text(f"  {line.replace(told.example, call) if call else line}"))
    if notes:
        console.print()
    for note in notes:
        _print_wrapped(console, note, width, "dim")


def _given(argument: Argument, table: dict) -> str:
    """Return the value in the call where it is given, else the default; "" where it must be given and is not."""
    if argument.name not in table:
        return argument.default
    value = table[argument.name]
    return format_call({"name": "", "value": value}).removeprefix("(value=").removesuffix(")")


def _about(argument: Argument) -> str:
    if argument.name == "optimizer":
        return argument.says
    required = " (must be given)" if not argument.default and not argument.in_study else ""
    study = f" (in a study {argument.in_study} unless given)" if argument.in_study else ""
    by_name = " (by its name only)" if argument.by_name_only else ""
    return argument.says + required + by_name + study


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _print_wrapped(console, text: str, width: int, style: str = "") -> None:
    from rich.text import Text

    for line in textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False):
        console.print(Text(f"  {line}", style=style))


def _print_columns(console, rows: list[tuple[str, str]], width: int, indent: str) -> None:
    """Print names with their texts beside them, the texts wrapped into a column of their own."""
    from rich.text import Text

    room = max(_COLUMN if console.width > 80 else 20, min(100, console.width) - width - len(indent) - 2)
    for name, text in rows:
        first, *rest = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        console.print(Text.assemble((f"{indent}{name:{width}}", "bold"), f"  {first}"))
        for line in rest:
            console.print(Text(f"{indent}{'':{width}}  {line}"))
