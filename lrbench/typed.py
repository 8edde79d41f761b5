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


def remembered(study: Study) -> dict:
    """Return what study.json keeps of how a study of a file was typed, {"typed": …}; {} of a built-in one.

    That is its file, as `Study.source` has it, and the levels that were changed with --set.
    """
    if not study.source:
        return {}
    levels = _changes(study, study.written) if study.written is not None else {}
    return {"typed": {"study": study.source, "set": levels}}


def again(record: dict, folder: str | Path, seeds: bool = False) -> str:
    """Return the command that goes on in a study's folder, seen from the current one; its seeds only if asked for.

    A built-in study is meant by its name, any other by the file that was typed, or NAME.toml where that is not on
    record. Where the file is here, what was changed with --set is found by reading it, else it is what was typed.
    `record` is the study.json.

    >>> from lrbench.study import read_study
    >>> short = read_study("quickstart").with_levels(epochs=2, seed=[0, 1])
    >>> again({"study": short.model_dump(mode="json")}, "results/short")
    'lrbench run quickstart --set epochs=2 --out results/short'
    """
    name = record["study"]["name"]
    own = Path(folder).resolve() == Path("results", name).resolve()
    out = os.path.relpath(folder)
    built_in = (studies_folder() / f"{name}.toml").is_file()
    known = record.get("typed", {})
    file = known.get("study", f"{name}.toml")
    levels = known.get("set", {})
    for source in (*([name] if built_in and not known else []), file):
        found = _changed(source, record["study"])
        if found is not None:
            file, levels = source, found
            break
    levels = {factor: level for factor, level in levels.items() if seeds or factor != "seed"}
    return f"lrbench run {typed(file, levels, None if own and not levels else out)}"


def _changed(source: str, ran: dict) -> dict[str, Any] | None:
    """Return the levels that make the study of a file the one that ran; None where none do."""
    try:
        study, base = Study(**ran), read_study(source)
        changed = _changes(study, base)
        made = base.with_levels(**changed) if changed else base
    except (InputError, ValidationError):
        return None
    if _trials(made) != _trials(study):
        return None
    return changed


def _changes(study: Study, base: Study) -> dict[str, Any]:
    levels, others = ({**each.fixed, **each.grid} for each in (study, base))
    changed = {name: value for name, value in levels.items() if name not in others or others[name] != value}
    return {**changed, **({"replicates": study.replicates} if study.replicates != base.replicates else {})}


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
