"""A study file → a validated Study → its trials, in order. No torch here.

A study is one question. Its `[fixed]` and `[grid]` tables give levels to factors; the grid is their product. Every
mistake in a file is reported at once: where it stands, what was found, what is allowed, what was probably meant. Only
what nothing can be said of before another is mended (the baseline of a factor that there is not) is told after it.
What this does *not* do: know the factors (`lrbench.factors`), read `[[compare]]`, `[tune]` and `[until]`
(`lrbench.questions`, `lrbench.tune_table`, `lrbench.looks`), or decide what is left to run (`lrbench.stages`).
"""

import itertools
import json
import math
import random
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from lrbench.calls import written_out
from lrbench.checkpoints import parse_every
from lrbench.errors import InputError, did_you_mean
from lrbench.factors import FACTORS, REQUIRED, SEEDS, Problems, Trial, check_level, recipe, unknown_factor
from lrbench.grid import MAX_TRIALS, levels_of, product, varies
from lrbench.looks import Until, parse_until
from lrbench.questions import Compare, Problem, parse_compare
from lrbench.references import not_there
from lrbench.tune_table import parse_tune
from lrbench.tuning import Tune

ELSEWHERE = "STUDY_FILE"  # stands for a file that is not below the current folder
_EVERY = {"checkpoint_every": "off", "digest_every": "epoch"}


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
    compare: tuple[Compare, ...] = ()  # the questions, stated before anything trains
    tune: Tune | None = None  # each scheduler at its own best rate, chosen on seeds apart
    until: Until | None = None  # seeds are added until the questions are settled
    _written: "Study | None" = PrivateAttr(default=None)
    _source: str = PrivateAttr(default="")

    @property
    def written(self) -> "Study | None":
        """The study as it was read, where `with_levels` made this one of it; else None."""
        return self._written

    @property
    def source(self) -> str:
        """The file that it was read from, below the current folder; STUDY_FILE elsewhere, "" where it was no file."""
        return self._source

    def with_levels(self, **levels: Any) -> "Study":
        """Return the study with other levels, validated again: one level fixes a factor, a list or range varies it."""
        document = {
            "question": self.question,
            "replicates": self.replicates,
            "checkpoint_every": self.checkpoint_every,
            "digest_every": self.digest_every,
            "fixed": {k: v for k, v in self.fixed.items() if k not in levels},
            "grid": {k: v for k, v in self.grid.items() if k not in levels},
            "compare": [compare.model_dump(exclude_none=True) for compare in self.compare],
        }
        if self.tune is not None:
            document["tune"] = self.tune.model_dump(exclude={"arms"})
        if self.until is not None:
            document["until"] = self.until.model_dump(exclude={"time_limit_seconds"})
            if self.until.time_limit_seconds:
                document["until"]["time_limit"] = f"{self.until.time_limit_seconds}s"
        for name, level in levels.items():
            if name == "replicates":
                document["replicates"] = level
            else:
                document["grid" if varies(level) else "fixed"][name] = level
        made = parse_study(document, self.name, source=f"{self.name} with other levels")
        made._written, made._source = self.written or self, self.source
        return made


def studies_folder() -> Path:
    """Where the studies live that come with lrbench: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "share" / "studies"
    return inside if inside.is_dir() else package.parent / "benchmarks" / "studies"


def read_study(source: str | Path) -> Study:
    """Read a study file, or a built-in study by its name ("quickstart").

    Raises InputError with every mistake in the file: its place, what was found, what is allowed, what was meant.
    """
    if not str(source).strip():
        raise InputError(f"STUDY found {str(source)!r}; allowed: a study file, or a built-in study such as quickstart")
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
    study = parse_study(document, path.stem, source=str(path))
    study._source = "" if str(path) != str(Path(source)) else _below_here(path)
    return study


def _below_here(path: Path) -> str:
    """Return a file's path from the current folder, if it lies below it: a path of a machine is in no record."""
    try:
        return str(path.absolute().relative_to(Path.cwd())) if ".." not in path.parts else ELSEWHERE
    except ValueError:
        return ELSEWHERE


def parse_study(document: dict, name: str, source: str) -> Study:
    """Validate a study given as a table (TOML already read). `source` stands before each problem."""
    problems: dict[str, None] = {}

    def problem(place: str, message: str) -> None:
        problems[f"{source}: {place} {message}"] = None

    question, replicates, every = _top_of(document, problem)
    fixed, grid, wrong = _levels(document, problem)
    if not _misplaced(document):  # else what seems to be missing is probably there, under another name
        _tell_missing(fixed, grid, wrong, problem)
    compare = parse_compare(document, grid, wrong, problem)
    levels = {**{factor: [level] for factor, level in fixed.items()}, **grid}
    tune = parse_tune(document, levels, wrong, own_rates(fixed, grid), problem)
    asks = bool(document.get("compare")) or "scheduler" in wrong or len(levels.get("scheduler", [])) > 1
    until = parse_until(document, grid, wrong, asks, problem)
    if problems:
        raise InputError(*problems)
    study = Study(
        name=name,
        question=question,
        replicates=replicates,
        **every,
        fixed=fixed,
        grid=grid,
        compare=compare,
        tune=tune,
        until=until,
    )
    count = math.prod(len(levels) for levels in grid.values()) * replicates * (2 if tune else 1)
    if count > MAX_TRIALS:
        raise InputError(f"{source}: its grid makes {count:,} trials; a study has at most {MAX_TRIALS:,}")
    try:
        for point in product(grid, [factor for factor in grid if factor not in SEEDS]):
            condition({**fixed, **point}, "auto")
    except InputError as error:
        raise InputError(*(f"{source}: {problem}" for problem in error.problems)) from None
    return study


def _top_of(document: dict, problem: Problem) -> tuple[Any, Any, dict]:
    """Return the question, the replicates and what happens how often, and tell what is wrong at the top of the file."""
    top = {"question", "replicates", *_EVERY, "fixed", "grid", "compare", "tune", "until"}
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
    every = {key: document.get(key, default) for key, default in _EVERY.items()}
    for key, value in every.items():
        try:
            parse_every(value, "")
        except InputError as error:
            problem(key, str(error).strip())
    return question, replicates, every


def _levels(document: dict, problem: Problem) -> tuple[dict[str, Any], dict[str, list], set[str]]:
    """Return the checked levels under [fixed] and [grid], and the factors of which a level is wrong."""
    tables = {}
    for table in ("fixed", "grid"):
        tables[table] = document.get(table, {})
        if not isinstance(tables[table], dict):
            problem(table, f"found {tables[table]!r}; allowed: a table of factors, [{table}]")
            tables[table] = {}
    fixed, grid, wrong = {}, {}, set()
    for table, key, value in [(t, k, v) for t in tables for k, v in tables[t].items()]:
        place = f"{table}.{key}"
        if key not in FACTORS:
            problem(place, unknown_factor(key))
            continue

        def told(place: str, message: str, key: str = key) -> None:
            wrong.add(key)
            problem(place, message)

        if table == "grid" and key in tables["fixed"]:
            told(place, "is under [fixed] too; keep one of the two")
        try:
            levels = [value] if table == "fixed" else levels_of(value)
        except Problems as error:
            told(place, str(error))
            continue
        if not levels:
            told(place, "is an empty list; give at least one level")
        checked = _checked(key, levels, place, table == "fixed", told)
        if table == "grid":
            grid[key] = checked
        elif checked:
            fixed[key] = checked[0]
    return fixed, grid, wrong


def _checked(factor: str, levels: list, place: str, one: bool, problem: Problem) -> list:
    checked, seen = [], {}
    for index, level in enumerate(levels):
        where = place if one else f"{place}[{index}]"
        try:
            checked.append(check_level(factor, level))
            first, same = seen.setdefault(_meaning(factor, checked[-1]), (index, checked[-1]))
            if first != index and same != checked[-1]:
                problem(where, f"means the same as [{first}], with a default of torch written out; keep one of the two")
            elif first != index:
                problem(where, f"repeats [{first}]; to run trials again, raise replicates")
        except Problems as error:
            for below, message in error.found:
                problem(where + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in below), message)
    return checked


def _misplaced(document: dict) -> bool:
    """Tell whether a table of levels is none, one of its keys is no factor, or a factor stands at the top."""
    tables = [document.get(table, {}) for table in ("fixed", "grid")]
    return any(not isinstance(table, dict) or table.keys() - {*FACTORS} for table in tables) or bool(
        document.keys() & {*FACTORS}
    )


def _meaning(factor: str, level: Any) -> str:
    """Return a level as a text that two of one meaning share: a scheduler's and an optimizer's defaults in it."""
    if factor in ("scheduler", "optimizer"):
        numbers = json.dumps(written_out(level, factor))  # 1 and 1.0 are one number
        level = json.loads(numbers, parse_int=float)
    return json.dumps(level, sort_keys=True)


def _tell_missing(fixed: dict, grid: dict, wrong: set[str], problem: Problem) -> None:
    """Tell which factors have no level, neither here nor in the workload's recipe; one that is `wrong` is a level."""
    if "workload" in wrong:
        return
    points = _workload_points(fixed, grid)
    needs = sorted(
        {
            key
            for point in points
            for key in REQUIRED[:5]
            if key not in {**fixed, **grid, **point, **dict.fromkeys(wrong)}
        }
    )
    workload = fixed.get("workload")
    if "workload" in needs:  # it has a recipe for the others, or will be told to have none
        problem("fixed.workload", 'is missing: write workload = "digits-cnn", or your own as module:attr')
        return
    if needs and isinstance(workload, str) and (why := not_there(workload)):
        problem("fixed.workload", why)
        return
    for key in needs:
        example = {"epochs": "10", "batch_size": "128", "base_lr": "0.1"}.get(key, '"SGD"')
        problem(f"fixed.{key}", f"is missing, and the workload has no recipe for it: write {key} = {example}")


def own_rates(fixed: dict, grid: dict) -> list[float]:
    """Return the base_lr of a study as it is written: one, or where the recipe gives it each workload's."""
    rates = [{**point, **fixed}.get("base_lr") for point in _workload_points(fixed, grid)]
    return list(dict.fromkeys(rate for rate in rates if rate is not None))


def _workload_points(fixed: dict, grid: dict) -> list[dict]:
    workloads = grid.get("workload", [fixed["workload"]] if "workload" in fixed else [None])
    return [{"workload": w, **recipe(w)} if w is not None else {} for w in workloads]


def trials(study: Study, device: str = "auto") -> list[Trial]:
    """Return the trials of the study's grid in the order in which they are to run: random blocks, the same everywhere.

    A block holds every condition once, shuffled, at one seed and replicate, so that drift of the machine hits all
    conditions alike. Blocks run seed by seed with their replicates together: whatever is finished when a run is cut
    off is balanced. The shuffle is seeded by the block's own content. `device` stands in where the study says "auto".
    What a study has besides its grid, with [tune] and [until], `lrbench.stages` knows.
    """
    return [trial for _, block in blocks(study, device) for trial in block]


def blocks(study: Study, device: str = "auto") -> list[tuple[int, list[Trial]]]:
    """Return [(block number, its trials in order)]; see `trials`."""
    others = [name for name in study.grid if name not in SEEDS]
    conditions = [condition({**study.fixed, **point}, device) for point in product(study.grid, others)]
    seeds = product(study.grid, [name for name in study.grid if name in SEEDS])
    return list(enumerate(arrange(study, conditions, seeds, study.replicates)))


def arrange(study: Study, conditions: list[Trial], seeds: list[dict[str, int]], replicates: int) -> list[list[Trial]]:
    """Return a shuffled block of all these conditions for each point of the seeds and each replicate."""
    own_streams = {name: study.fixed[name] for name in SEEDS if name in study.fixed}
    result = []
    for point, replicate in itertools.product(seeds, range(replicates)):
        block = [condition.at(**{**own_streams, **point}, replicate=replicate) for condition in conditions]
        block.sort(key=lambda trial: trial.trial_id)
        random.Random("/".join(trial.trial_id for trial in block)).shuffle(block)
        result.append(block)
    return result


def condition(values: dict, device: str) -> Trial:
    """Return the trial of these factors at the default seeds, on `device` where it says "auto"."""
    if values.get("device", "auto") == "auto":
        values = {**values, "device": device}
    return Trial(**{name: level for name, level in values.items() if name not in SEEDS})
