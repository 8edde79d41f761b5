"""The options of the commands, and how what was typed for them is read: every mistake of a command at once.

Numbers and choices are read here and not by typer, so that each bad value is told in the house's one form. What this
does *not* do: tell of options and commands that do not exist (`lrbench.commands.usage`).
"""

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lrbench.errors import InputError, device_meant, did_you_mean

DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", metavar="DIR", envvar="LRBENCH_DATA", help="Folder of the data sets.", show_default=False
    ),
]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="Where the study says auto: auto, cpu, cuda or cuda:N.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A study's results folder, e.g. results/quickstart.")]
Levels = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FACTOR=LEVEL", help="Fix a factor at another level, or vary it (a list, 0-4)."),
]
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or a built-in study such as quickstart.")
]


def number(help: str, *names: str) -> Any:
    """Return an option that takes a number, read by `Typed`; without it the command has a default of its own."""
    return Annotated[str | None, typer.Option(*names, metavar="N", help=help, show_default=False)]


@contextmanager
def telling_of_interrupts() -> Iterator[None]:
    """Say on stderr that Ctrl-C was heard, and let it go on: the command ends with 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise


class Typed:
    """What was typed for a command's options, read one by one; what is wrong is raised at the end, all at once.

    >>> with Typed() as typed:
    ...     print(typed.whole("--jobs", "2", least=1), typed.whole("--limit", None, least=0))
    2 None
    """

    def __init__(self) -> None:
        self._problems: list[str] = []

    def __enter__(self) -> "Typed":
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        if kind is None and self._problems:
            raise InputError(*self._problems)

    def whole(self, option: str, text: str | None, *, least: int) -> int | None:
        """Return a whole number, None where nothing was typed."""
        if text is None:
            return None
        if re.fullmatch(r"\s*[-+]?\d+\s*", text) and int(text) >= least:
            return int(text)
        return self._wrong(option, text, f"a whole number from {least} on")

    def above_zero(self, option: str, text: str | None, unit: str = "") -> float | None:
        """Return a finite number above 0, None where nothing was typed."""
        return self._real(option, text, lambda value: value > 0, f"a number{unit and f' of {unit}'} above 0")

    def from_zero(self, option: str, text: str | None) -> float | None:
        """Return a finite number from 0 on, None where nothing was typed."""
        return self._real(option, text, lambda value: value >= 0, "a number from 0 on")

    def _real(self, option: str, text: str | None, holds: Callable[[float], bool], allowed: str) -> float | None:
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        return value if holds(value) and value < math.inf else self._wrong(option, text, allowed)

    def one_of(self, option: str, text: str, allowed: Iterable[str]) -> str:
        """Return the text if it is one of the allowed ones."""
        allowed = tuple(allowed)
        if text not in allowed:
            self._wrong(option, text, f"{', '.join(allowed)}.{did_you_mean(text, allowed)}")
        return text

    def device(self, option: str, text: str) -> str:
        """Return the name of a device; whether it is there is asked later."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
            near = device_meant(text)
            self._wrong(option, text, f"auto, cpu, cuda or cuda:N.{near}" if near else "auto, cpu, cuda or cuda:N")
        return text

    def every(self, option: str, text: str | None) -> int | str | None:
        """Return how often something is to happen (steps, "epoch" or "off"), None where nothing was typed."""
        from lrbench.checkpoints import parse_every

        if text is not None:
            try:
                parse_every(text, option)
            except InputError as error:
                self._problems += error.problems
        return text

    def levels(self, settings: list[str] | None, option: str = "--set") -> dict[str, Any]:
        """Return `factor=level` read as in a study file: a TOML value, a range such as 0-9, or a text."""
        found: dict[str, Any] = {}
        for setting in settings or []:
            name, equals, text = setting.partition("=")
            name = name.strip()
            if not equals or not name:
                example = f"factor=level, e.g. {option} epochs=2"
                self._problems.append(f"{option} found {setting!r}; allowed: {example}")
            elif name in found:
                vary = f"to vary a factor give a list: {option} {name}=[…]"
                self._problems.append(f"{option} {name} is given twice; {vary}")
            elif len(calls := _calls_in(text)) > 1:
                listed = ", ".join(f'"{call}"' for call in calls)
                self._problems.append(
                    f"{option} {name} found {text!r}; a list is typed so: {option} '{name}=[{listed}]'"
                )
            else:
                found[name] = level(text.strip())
        return found

    def _wrong(self, option: str, text: str, allowed: str) -> None:
        found = text if re.fullmatch(r"[-+]?[\d.]+", text) else repr(text)
        self._problems.append(f"{option} found {found}; allowed: {allowed}")


def _calls_in(text: str) -> list[str]:
    """Split "StepLR(2), ConstantLR(factor=1)" at the commas between its calls; whatever else it is stays whole."""
    if text.lstrip()[:1] in ("[", "{", '"', "'"):
        return [text]
    calls, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            calls.append("")
        else:
            calls[-1] += letter
    calls = [call.strip() for call in calls]
    return calls if any("(" in call for call in calls) else [text]


def level(text: str) -> Any:
    """Read a level: TOML, numbers or switches with commas between them as a list, and anything else as its text.

    >>> level("1e-3"), level("0.5,1.0"), level("0-9"), level("true")
    (0.001, [0.5, 1.0], '0-9', True)
    """
    numbers, switches = r"[-+.\de, ]*[.e][-+.\de, ]*", r"(true|false)( *, *(true|false))+"
    for toml in (text, f"[{text}]") if re.fullmatch(f"{numbers}|{switches}", text) else (text,):
        try:
            return tomllib.loads(f"level = {toml}")["level"]
        except tomllib.TOMLDecodeError:
            pass
    return text
