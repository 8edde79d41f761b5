"""`lrbench explain`: what is told of a scheduler, printed with its curve.

What this does *not* do: know what is told (`lrbench.explanation`), or compute a rate: the curve comes from
`lrbench.preview`, by the closed forms for an example, which tests hold to torch, and by torch for a call.
"""

import textwrap
import tomllib

from lrbench.calls import format_call, parse_call
from lrbench.explanation import Argument, Explanation, _is_torchs, _texts, explanation, names

_COLUMN = 62  # a sentence in the list of all schedulers is cut no earlier


def always_97_percent(step: int) -> float:
    """Return 0.97, whatever the step: an example for MultiplicativeLR, which makes base_lr · 0.97^t of it.

    >>> always_97_percent(0)
    0.97
    """
    return 0.97


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
