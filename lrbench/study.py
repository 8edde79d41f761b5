"""A study file → a validated Study → its trials, in order. No torch here.

A study is one question. Its `[fixed]` and `[grid]` tables give levels to factors; the grid is their product. Every
mistake in a file is reported at once: where it stands, what was found, what is allowed, what was probably meant.
What this does *not* do: know the factors (`lrbench.factors`), or decide what is left to run (`lrbench.runner`).
"""

import ast
import itertools
import json
import math
import random
import re
import sys
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from lrbench.checkpoints import parse_every
from lrbench.errors import InputError, did_you_mean
from lrbench.factors import FACTORS, REQUIRED, SEEDS, Problems, Trial, check_level, recipe, unknown_factor

# More is a slip ("0-9999999999"), and is told as one before it fills the memory. 100,000 trials are known to be fast.
MAX_TRIALS = 1_000_000
_RANGE = re.compile(r"\d{1,19}(-\d{1,19})?(,\d{1,19}(-\d{1,19})?)*")


class Study(BaseModel):
    """One question: its factors' levels, fixed or varied, and how often each trial is repeated."""

    model_config = ConfigDict(frozen=True)
    name: str
    question: str
    replicates: int
    checkpoint_every: int | str = "off"  # optimizer steps, or "epoch"; changes no result, so it is no factor
    digest_every: int | str = "epoch"  # training steps, "epoch" or "off": when digests at steps are taken
    fixed: dict[str, Any]
    grid: dict[str, list]

    def with_levels(self, **levels: Any) -> "Study":
        """Return the study with other levels, validated again: one level fixes a factor, a list or range varies it."""
        document = {
            "question": self.question,
            "replicates": self.replicates,
            "checkpoint_every": self.checkpoint_every,
            "digest_every": self.digest_every,
            "fixed": {k: v for k, v in self.fixed.items() if k not in levels},
            "grid": {k: v for k, v in self.grid.items() if k not in levels},
        }
        for name, level in levels.items():
            if name == "replicates":
                document["replicates"] = level
            else:
                document["grid" if _varies(level) else "fixed"][name] = level
        return parse_study(document, self.name, source=f"{self.name} with other levels")


def studies_folder() -> Path:
    """Where the studies live that come with lrbench: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "share" / "studies"
    return inside if inside.is_dir() else package.parent / "benchmarks" / "studies"


def read_study(source: str | Path) -> Study:
    """Read a study file, or a built-in study by its name ("quickstart").

    Raises InputError with every mistake in the file: its place, what was found, what is allowed, what was meant.
    """
    path = Path(source)
    built_in = {p.stem: p for p in sorted(studies_folder().glob("*.toml"))}
    if not path.suffix and str(source) in built_in:
        path = built_in[str(source)]
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(
            f"{source} {what}. Give a study file, or one of the built-in studies: {', '.join(built_in)}."
            f"{did_you_mean(path.stem, built_in)}"
        )
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return parse_study(document, path.stem, source=str(path))


def parse_study(document: dict, name: str, source: str) -> Study:
    """Validate a study given as a table (TOML already read). `source` stands before each problem."""
    problems: list[str] = []

    def problem(place: str, message: str):
        line = f"{source}: {place} {message}" if place else f"{source}: {message}"
        if line not in problems:
            problems.append(line)

    top = {"question", "replicates", "checkpoint_every", "digest_every", "fixed", "grid"}
    for key in document:
        if key not in top:
            where = (
                "; did you mean it under [fixed] or [grid]?"
                if key in FACTORS
                else f"; allowed: {', '.join(sorted(top))}.{did_you_mean(key, top)}"
            )
            problem(key, f"is unknown at the top of a study{where}")
    question = document.get("question")
    if not isinstance(question, str) or not question.strip():
        problem("question", f'found {question!r}; write the question that the study answers: question = "…?"')
    replicates = document.get("replicates", 1)
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < 1:
        problem("replicates", f"found {replicates!r}; allowed: a whole number from 1 on")
    every = {"checkpoint_every": "off", "digest_every": "epoch"}
    for key in every:
        every[key] = document.get(key, every[key])
        try:
            parse_every(every[key], "")
        except InputError as error:
            problem(key, str(error).strip())
    tables = {}
    for table in ("fixed", "grid"):
        tables[table] = document.get(table, {})
        if not isinstance(tables[table], dict):
            problem(table, f"found {tables[table]!r}; allowed: a table of factors, [{table}]")
            tables[table] = {}
    fixed, grid = {}, {}
    for table, key, value in [(t, k, v) for t in tables for k, v in tables[t].items()]:
        place = f"{table}.{key}"
        if key not in FACTORS:
            problem(place, unknown_factor(key))
            continue
        if table == "grid" and key in tables["fixed"]:
            problem(place, "is under [fixed] too; keep one of the two")
        try:
            levels = [value] if table == "fixed" else _levels(value)
        except Problems as error:
            problem(place, str(error))
            continue
        if not levels:
            problem(place, "is an empty list; give at least one level")
        checked, seen = [], {}
        for index, level in enumerate(levels):
            where = place if table == "fixed" else f"{place}[{index}]"
            try:
                checked.append(check_level(key, level))
                first = seen.setdefault(json.dumps(checked[-1], sort_keys=True), index)
                if first != index:
                    problem(where, f"repeats [{first}]; to run trials again, raise replicates")
            except Problems as error:
                for below, message in error.found:
                    problem(where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in below), message)
        if table == "fixed":
            fixed[key] = checked[0] if checked else None
        else:
            grid[key] = checked
    if not problems:
        needs = sorted(
            {
                key
                for point in _workload_points(fixed, grid)
                for key in REQUIRED[:5]
                if key not in {**fixed, **grid, **point}
            }
        )
        workload = fixed.get("workload")
        if "workload" in needs:  # it has a recipe for the others, or will be told to have none
            problem("fixed.workload", 'is missing: write workload = "digits-cnn", or your own as module:attr')
            needs = []
        elif needs and isinstance(workload, str) and (why := _not_there(workload)):
            problem("fixed.workload", why)
            needs = []
        for key in needs:
            example = {"epochs": "10", "batch_size": "128", "base_lr": "0.1"}.get(key, '"SGD"')
            problem(f"fixed.{key}", f"is missing, and the workload has no recipe for it: write {key} = {example}")
    if problems:
        raise InputError(*problems)
    count = math.prod(len(levels) for levels in grid.values()) * replicates
    if count > MAX_TRIALS:
        raise InputError(f"{source}: its grid makes {count:,} trials; a study has at most {MAX_TRIALS:,}")
    study = Study(
        name=name,
        question=question,
        replicates=replicates,
        **every,
        fixed=fixed,
        grid=grid,
    )
    try:
        for point in _product(grid, [factor for factor in grid if factor not in SEEDS]):
            _condition({**fixed, **point}, "auto")
    except InputError as error:
        raise InputError(*(f"{source}: {problem}" for problem in error.problems)) from None
    return study


def source_file(module: str) -> Path | None:
    """Return the file of a module that is found from the current folder, or where Python finds packages; None if none.

    Nothing is imported, the packages above the module neither.
    """
    where, found = [str(Path.cwd()), *sys.path], None
    for part in module.split("."):
        found = PathFinder.find_spec(part, where) if where else None
        if found is None:
            return None
        where = found.submodule_search_locations and list(found.submodule_search_locations)
    return Path(found.origin) if found.has_location else None


def _not_there(reference: str) -> str | None:
    """Say that a name such as "mynet:workload" leads nowhere; None where it does, or where only running it can tell."""
    module, _, attribute = reference.partition(":")
    path = source_file(module)
    if path is None:
        return f"found {reference!r}; no module {module!r} in {Path.cwd()}, nor where Python finds packages"
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # an import tells of the first; the second is no source
        return None
    imported = [a for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for a in node.names]
    names = {(alias.asname or alias.name).partition(".")[0] for alias in imported}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if names & {attribute.partition(".")[0], "*", "__getattr__"}:
        return None
    return f"found {reference!r}; no {attribute!r} in {path}.{did_you_mean(attribute, names)}"


def _workload_points(fixed: dict, grid: dict) -> list[dict]:
    workloads = grid.get("workload", [fixed["workload"]] if "workload" in fixed else [None])
    return [{"workload": w, **recipe(w)} if w is not None else {} for w in workloads]


def _varies(value: Any) -> bool:
    """Tell whether a level varies its factor: a list, or a range such as "0-9" and "0-4,7"."""
    return isinstance(value, list) or (isinstance(value, str) and bool(_RANGE.fullmatch(value.replace(" ", ""))))


def _levels(value: Any) -> list:
    """Return a list as it is, and "0-9" or "0-4,7" as whole numbers. Raises Problems for anything else."""
    if not _varies(value):
        raise Problems([((), f'found {value!r}; allowed: a list of levels, or a range of whole numbers such as "0-9"')])
    if isinstance(value, list):
        return value
    ends = [part.partition("-") for part in value.replace(" ", "").split(",")]
    ranges = [range(int(first), int(last or first) + 1) for first, _, last in ends]
    if backwards := [part for part in ranges if not part]:
        meant = f"{backwards[0].stop - 1}-{backwards[0].start}"
        raise Problems([((), f'found {value!r}, which runs backwards; did you mean "{meant}"?')])
    count = sum(part.stop - part.start for part in ranges)
    if count > MAX_TRIALS:
        raise Problems([((), f"found {value!r}, which is {count:,} levels; a study has at most {MAX_TRIALS:,} trials")])
    return [level for part in ranges for level in part]


def trials(study: Study, device: str = "auto") -> list[Trial]:
    """Return the study's trials in the order in which they are to run: random blocks, the same on every machine.

    A block holds every condition once, shuffled, at one seed and replicate, so that drift of the machine hits all
    conditions alike. Blocks run seed by seed with their replicates together: whatever is finished when a run is cut
    off is balanced. The shuffle is seeded by the block's own content. `device` stands in where the study says "auto".
    """
    return [trial for _, block in blocks(study, device) for trial in block]


def blocks(study: Study, device: str = "auto") -> list[tuple[int, list[Trial]]]:
    """Return [(block number, its trials in order)]; see `trials`."""
    seeds, others = ([name for name in study.grid if (name in SEEDS) == is_seed] for is_seed in (True, False))
    own_streams = {name: study.fixed[name] for name in SEEDS if name in study.fixed}
    conditions = [_condition({**study.fixed, **point}, device) for point in _product(study.grid, others)]
    result = []
    for point, replicate in itertools.product(_product(study.grid, seeds), range(study.replicates)):
        block = [condition.at(**own_streams, **point, replicate=replicate) for condition in conditions]
        block.sort(key=lambda trial: trial.trial_id)
        random.Random("/".join(trial.trial_id for trial in block)).shuffle(block)
        result.append((len(result), block))
    return result


def _product(grid: dict[str, list], names: list[str]) -> list[dict]:
    return [dict(zip(names, levels, strict=True)) for levels in itertools.product(*(grid[name] for name in names))]


def _condition(values: dict, device: str) -> Trial:
    if values.get("device", "auto") == "auto":
        values["device"] = device
    return Trial(**{name: level for name, level in values.items() if name not in SEEDS})
