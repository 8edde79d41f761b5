"""What to type where a study is meant again: its name or file, the levels that it ran with, its folder.

What this does *not* do: run anything, or know how many seeds are needed.
"""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lrbench.errors import InputError
from lrbench.study import Study, read_study, studies_folder

_PLAIN = re.compile(r"(?!(?:true|false|inf|nan)$)[A-Za-z][\w:.-]*")  # a text that TOML does not read as something else


def typed(study: str, levels: dict[str, Any], out: str | Path | None = None, device: str = "auto") -> str:
    """Return what follows the command's name, quoted for a shell.

    >>> typed("quickstart", {"epochs": 2, "optimizer": {"name": "SGD", "momentum": 0.9}}, "results/a b")
    'quickstart --set epochs=2 --set \\'optimizer={name = "SGD", momentum = 0.9}\\' --out \\'results/a b\\''
    """
    words = [shlex.quote(study)]
    words += [f"--set {shlex.quote(f'{name}={_level(value)}')}" for name, value in levels.items()]
    words += [f"--out {shlex.quote(str(out))}"] if out is not None else []
    return " ".join([*words, *([f"--device {device}"] if device != "auto" else [])])


def again(record: dict, folder: str | Path) -> str:
    """Return the command that goes on in a study's folder, seen from the current one, without its seeds.

    A built-in study is meant by its name, any other by NAME.toml; where that file is here, what was changed with --set
    is found by reading it. Of a file that is elsewhere nothing is known but its name. `record` is the study.json.

    >>> from lrbench.study import read_study
    >>> short = read_study("quickstart").with_levels(epochs=2, seed=[0, 1])
    >>> again({"study": short.model_dump(mode="json")}, "results/short")
    'lrbench run quickstart --set epochs=2 --out results/short'
    """
    name = record["study"]["name"]
    own = Path(folder).resolve() == Path("results", name).resolve()
    out = os.path.relpath(folder)
    built_in = (studies_folder() / f"{name}.toml").is_file()
    for source in (*([name] if built_in else []), f"{name}.toml"):
        levels = _changed(source, record["study"])
        if levels is not None:
            return f"lrbench run {typed(source, levels, None if own and not levels else out)}"
    return f"lrbench run {typed(f'{name}.toml', {}, None if own else out)}"


def _changed(source: str, ran: dict) -> dict[str, Any] | None:
    """Return the levels, seeds apart, that make the study of a file the one that ran; None where none do."""
    try:
        study, base = Study(**ran), read_study(source)
        levels, others = ({**each.fixed, **each.grid} for each in (study, base))
        changed = {name: value for name, value in levels.items() if name not in others or others[name] != value}
        if study.replicates != base.replicates:
            changed["replicates"] = study.replicates
        made = base.with_levels(**changed) if changed else base
    except (InputError, ValidationError):
        return None
    if _trials(made) != _trials(study):
        return None
    changed.pop("seed", None)
    return changed


def _trials(study: Study) -> dict:
    """What decides the trials of a study, and what is asked of them: not how often it looks at them."""
    found = study.model_dump(mode="json", exclude={"name", "checkpoint_every", "digest_every"})
    if found["tune"]:
        found["tune"].pop("arms", None)
    return found


def _level(value: Any) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)
