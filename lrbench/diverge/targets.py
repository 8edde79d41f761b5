"""What a user means by a trial on the command line: a workload, a recorded row, a file, or a trace. No torch here.

What this does *not* do: import the user's code here (a process of its own does, where something is refused) or look
whether the data are there (the check before a run does).
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lrbench.errors import InputError, did_you_mean
from lrbench.factors import FACTORS, SEEDS, Trial
from lrbench.place import default_device
from lrbench.record import NAMES
from lrbench.store import load
from lrbench.workloads import WORKLOADS

MOST_LISTED = 20
MEANS = "a workload's name, module:attr, results/x#TRIAL_ID, or a trial as a .json or .toml file"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A trial, what the user called it, and its recorded row ({} where it has none, or was changed since)."""

    label: str
    trial: Trial
    row: dict


def read_target(text: str, levels: dict, device: str = "auto") -> Target:
    """Return the trial that `text` means, with `levels` in the place of its own; `device` stands in for "auto".

    Raises InputError with everything that is wrong.
    """
    row: dict = {}
    if "#" in text:
        row = _recorded(text)
        content, where = json.loads(row["trial"]), text
    elif text.endswith((".json", ".toml")):
        content, where = _in_file(Path(text)), text
    elif text in WORKLOADS or ":" in text:
        content, where = {"workload": text}, f"workload {text}"
    elif Path(text).is_dir():
        raise InputError(_trials_of(text, load(text), "name one of its trials"))
    else:
        raise InputError(f"found {text!r}; allowed: {MEANS}.{did_you_mean(text, WORKLOADS)}")
    content = {**content, **levels}
    if content.get("device", "auto") == "auto":
        content["device"] = default_device() if device == "auto" else device
    try:
        trial = Trial(**content)
    except InputError as error:
        problems = [f"{where}: {problem}" for problem in error.problems]
        if content["workload"] == text and text not in WORKLOADS:
            problems = _of_a_model(text) or problems
        raise InputError(*problems) from None
    return Target(label=text, trial=trial, row=row if row.get("trial_id") == trial.trial_id else {})


def _recorded(text: str) -> dict:
    """Return the row that "results/x#TRIAL_ID" means; the beginning of an id is enough where it is one row's alone."""
    folder, _, wanted = text.rpartition("#")
    rows = load(folder, columns=NAMES)
    found = rows[[trial_id.startswith(wanted) for trial_id in rows["trial_id"]]]
    if len(found) != 1:
        what = "no trial begins" if found.empty else f"{len(found)} trials begin"
        raise InputError(_trials_of(folder, rows if found.empty else found, f"{what} with {wanted!r}"))
    row = found.iloc[0]
    plain = {name: row[name] for name in NAMES if row[name] is not None}
    return {name: value for name, value in plain.items() if not _is_null(value)}


def _trials_of(folder: str, rows, problem: str) -> str:
    """Return the problem with a list of trials: id, the factors that vary, seed, replicate, status; how to type one."""
    folder = str(Path(folder))
    if rows.empty:
        return f"{folder}: {problem}; it holds none yet. Run them: lrbench run STUDY --out {folder}"
    rows = rows.astype(object).where(rows.notna(), "off")
    streams = [name for name in SEEDS[1:] if (rows[name] == rows["seed"]).all()]  # they follow `seed`
    varied = [name for name in FACTORS if name not in ("seed", *streams) and rows[name].nunique() > 1]
    lines = [
        f"    {row['trial_id']}  {', '.join(f'{name}={row[name]}' for name in (*varied, 'seed', 'replicate'))}, "
        f"{row['status']}"
        for _, row in rows.head(MOST_LISTED).iterrows()
    ]
    if len(rows) > MOST_LISTED:
        lines.append(f"    … and {len(rows) - MOST_LISTED} more: lrbench.load({folder!r}) has them all")
    type_ = f"  Type one, or the beginning of its id: lrbench diverge {folder}#{rows['trial_id'].iloc[0]}"
    return "\n".join([f"{folder}: {problem}; there are:", *lines, type_])


def _of_a_model(reference: str) -> list[str]:
    """Return what to do with a model that was given in a workload's place; an empty list where it is none.

    The user's code is imported in a process of its own; what is wrong with it goes before all else.
    """
    from lrbench.audit.target import Asked, Processes, describe, slug

    asked = Asked(target=reference)
    try:
        kind = describe(asked, Processes("cpu"))["kind"]
    except InputError as error:
        return list(error.problems)
    if kind != "model":
        return []
    kept = f"results/audit-{slug(reference)}#TRIAL_ID"
    audit_it = f"Audit it first (lrbench audit {reference}), then type lrbench diverge {kept}"
    return [f"{reference} is a model, not a workload. {audit_it}; or write a workload"]


def _is_null(value: object) -> bool:
    return not hasattr(value, "__len__") and value != value  # NaN and NaT


def _in_file(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict) or "workload" not in content:
        raise InputError(f'{path} is no trial: a table of factors, one of them workload = "digits-cnn"')
    return content
