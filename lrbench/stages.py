"""The stages of a study: what has to be run before it is known what else has to. No torch here.

A study with [tune] runs its selection trials first, chooses, and then the comparison: the grid as written, and once
more with what was chosen. One with [until] runs its comparison in looks, each with more seeds, until its questions are
settled. Any other has one stage, its grid. Every decision is made from rows alone, so the same folder leads to the same
stages whenever it is read, however often a run was cut off. What this does *not* do: run (`lrbench.runner`), choose
(`lrbench.tuning`), or judge whether a question is settled (`analysis`).
"""

from collections.abc import Callable, Container
from dataclasses import asdict, dataclass, field
from typing import Any

from lrbench.candidates import arm_of, candidates
from lrbench.factors import SEEDS, Trial, check_level
from lrbench.grid import product
from lrbench.looks import run_seconds
from lrbench.own_rate import OWN_RATE, RATE_ARGUMENTS, sets_own_rate
from lrbench.study import Study, arrange, condition, own_rates
from lrbench.tuning import MACHINE, Choice, choose

SELECTION, DEFAULT, TUNED, BOTH = "selection", "default", "tuned", "default and tuned"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Trials that wait for no result of each other, in random blocks.

    `tuning` says which part each condition has in a study with [tune] (empty without); `look` counts from 1 in one with
    [until] (0 without).
    """

    blocks: list[list[Trial]]
    look: int = 0
    tuning: dict[str, str] = field(default_factory=dict)

    @property
    def trials(self) -> list[Trial]:
        return [trial for block in self.blocks for trial in block]

    def columns(self, trial: Trial) -> dict[str, Any]:
        """Return what a trial's row says of its stage."""
        return {"tuning": self.tuning[trial.condition_id] if self.tuning else None, "look": self.look or None}


class Stages:
    """The stages of a study that its rows have led to so far.

    `rows` gives the folder's rows as a pandas.DataFrame where something is to be decided; a study of one stage never
    asks. `caveat`, where there is one, is said with what each look finds.
    """

    def __init__(self, study: Study, device: str, rows: Callable[[], Any]):
        self.study = study
        self.choices: tuple[Choice, ...] = ()
        self.looks: list[dict] = []
        self.ended = False
        self.caveat = ""
        self._device, self._rows = device, rows
        self._others = [name for name in study.grid if name not in SEEDS]
        comparison = self._comparison(0)
        self.selection: Stage | None = selection_of(study, device) if study.tune else None
        self.comparison: list[Stage] = [] if self.selection else [comparison]
        self.foreseen = [comparison] if self.selection else []

    # ------------------------------------------------------------------------------------------ what there is to run

    @property
    def several(self) -> bool:
        """Whether the study has more than one stage, or may come to have."""
        return self.study.tune is not None or self.study.until is not None

    @property
    def reached(self) -> list[Stage]:
        """The stages whose trials are known, in the order in which they run."""
        return [*([self.selection] if self.selection else []), *self.comparison]

    @property
    def plan(self) -> list[tuple[int, Trial]]:
        """Every trial of the stages reached, in order, with the number of its block."""
        blocks = [block for stage in self.reached for block in stage.blocks]
        return [(number, trial) for number, block in enumerate(blocks) for trial in block]

    @property
    def certain(self) -> list[Trial]:
        """Every trial that the study is known to have: of the stages reached, and while it is tuned of its grid too."""
        return [trial for stage in (*self.reached, *self.foreseen) for trial in stage.trials]

    @property
    def num_more_at_most(self) -> int:
        """How many trials more than the certain ones the study may come to have."""
        known = self.comparison or self.foreseen
        if self.ended:
            return 0
        size = len(known[0].blocks[0]) * (2 if self.foreseen else 1)
        num_blocks = len(_seeds(self.study)) * self.study.replicates
        return size * num_blocks - sum(len(stage.trials) for stage in known)

    def later(self) -> set[str]:
        """Return the names of all trials that stages not yet reached may have, those that are certain among them.

        Before the choice that is the grid with every candidate of its schedulers, and in a study with [until] its later
        seeds: rows of them are of use once it is known which. None where nothing more comes.
        """
        study = self.study
        if self.ended or (self.comparison and study.until is None):
            return set()
        tables = {} if self.choices or not study.tune else _arms(study)[1]
        conditions = {}
        for point in product(study.grid, self._others):
            values = {**study.fixed, **point}
            default = condition(values, self._device)
            labels = default.labels()
            settings = tables.get((labels["scheduler"], labels["scheduler_interval"]), {})
            tried = [(rate, table) for (rate, _), table in settings.items()]
            tried += [self._tuned[self._key(default)]] if self.choices else []
            others = [condition({**values, "base_lr": lr, "scheduler": table}, self._device) for lr, table in tried]
            conditions |= {trial.condition_id: trial for trial in (default, *others)}
        blocks = arrange(study, list(conditions.values()), _seeds(study), study.replicates)
        return {trial.trial_id for block in blocks for trial in block}

    def columns(self) -> dict[str, dict]:
        """Return {trial_id: its row's columns tuning and look} of the stages reached; {} for a study of one stage."""
        if not self.several:
            return {}
        return {trial.trial_id: stage.columns(trial) for stage in self.reached for trial in stage.trials}

    @property
    def now(self) -> str:
        """Say which stage is next to run, how large it is and what may follow; "" for a study of one stage."""
        study, more = self.study, self.num_more_at_most
        if not self.several or self.ended:
            return ""
        if not self.comparison:
            spent = [len(arm.candidates) * len(study.tune.seeds) for arm in _arms(study)[0]]
            each = f"{spent[0]}" if len({*spent}) == 1 else f"{min(spent)} to {max(spent)}"
            equal = "" if len({*spent}) == 1 else f" (budget = {min(spent)} would make them equal)"
            size = f"{len(self.selection.trials)} trials, {each} for each scheduler{equal}"
            then = f"then the comparison, {self._size(self.foreseen[0])}, at most {more} more tuned"
            return f"selection: {size}; {then}{self._rates_as}"
        if study.until is None:
            return f"comparison: {self._size(self.comparison[0])}, as written and tuned"
        number = len(self.comparison)
        seeds = f"{study.until.looks[number - 1]} seeds"
        last = f"; at most {more} more" if more else ""
        return f"look {number} of {len(study.until.looks)}, {seeds}: {self._size(self.comparison[-1])}{last}"

    @staticmethod
    def _size(stage: Stage) -> str:
        return f"{len(stage.trials)} trials"

    @property
    def _rates_as(self) -> str:
        """Say of which schedulers the rates are tried as max_lr: they write one of their own over base_lr."""
        given = self.study.tune.arguments
        tables = [table for table in _schedulers(self.study) if sets_own_rate(table) and self.study.tune.base_lr]
        names = [t["name"] for t in tables if {*RATE_ARGUMENTS}.isdisjoint(given.get(t["name"], {}))]
        if not names:
            return ""
        inside = all(name not in OWN_RATE for name in names)
        they = "sets" if len({*names}) == 1 else "set"
        what = f"{they} a rate of {'its' if they == 'sets' else 'their'} own{' inside' if inside else ''}"
        return f"; {', '.join(dict.fromkeys(names))} {what}: the rates are tried as max_lr"

    # ----------------------------------------------------------------------------------------------- what comes next

    def advance(self, done: Container[str]) -> list[str]:
        """Go on to the stage that the rows lead to, if all trials reached are `done`; return what was found, in words.

        Nothing is returned where trials are still to run, or nothing more comes.
        """
        if self.ended or any(trial.trial_id not in done for trial in self.reached[-1].trials):
            return []
        if not self.comparison:
            return self._choose()
        if self.study.until is None:
            self.ended = True
            return []
        return self._look()

    def _choose(self) -> list[str]:
        arms, tables = _arms(self.study)
        rows = self._stage_rows()
        labels = {trial.trial_id: trial.labels() for trial in self.selection.trials}  # texts as this study writes them
        texts = {name: [labels[i][name] for i in rows["trial_id"]] for name in ("scheduler", "optimizer", "workload")}
        self.choices = tuple(choose(rows.assign(**texts), self.study.tune.model_copy(update={"arms": arms})))
        self._tuned = {}
        for choice in self.choices:
            setting = (choice.base_lr, choice.chosen_scheduler)
            key = (choice.scheduler, choice.interval, tuple(choice.factors.items()))
            self._tuned[key] = (choice.base_lr, tables[choice.scheduler, choice.interval][setting])
        self.comparison, self.foreseen = [self._comparison(0)], []
        seeds = len(self.study.tune.seeds)
        spent = {choice.num_trials for choice in self.choices}
        each = f"{min(spent)}" if len(spent) == 1 else f"{min(spent)} to {max(spent)}"
        head = f"chosen by {self.study.tune.metric} on {seeds} selection seed{'s' if seeds > 1 else ''}"
        return [f"{head}, {each} trials for each scheduler:", *(f"  {choice}" for choice in self.choices)]

    def _look(self) -> list[str]:
        from analysis.looks import decide

        until, number = self.study.until, len(self.comparison)
        rows = self._stage_rows()
        started = [at if isinstance(at, str) else None for at in rows["started_at"]]
        seconds = run_seconds([*zip(started, rows["total_seconds"].tolist(), strict=True)])
        decision = decide(rows, self.study, seconds)
        sentences, ended = [*decision.sentences, *filter(None, [self.caveat])], ""
        if decision.settled:
            ended = "settled"
        elif number == len(until.looks):
            ended = "last look"
        elif 0 < until.time_limit_seconds <= seconds:
            ended = "time limit"
        look = {"look": number, "num_seeds": until.looks[number - 1], "settled": decision.settled}
        self.looks.append({**look, "ended": ended, "run_seconds": seconds, "sentences": sentences})
        if ended:
            self.ended = True
        else:
            self.comparison.append(self._comparison(number))
        return sentences

    def _stage_rows(self):
        """Return the rows of the stages reached, with the columns tuning and look as they are now."""
        rows, columns = self._rows(), self.columns()
        rows = rows[rows["trial_id"].isin(columns)].reset_index(drop=True)
        return rows.assign(**{name: [columns[i][name] for i in rows["trial_id"]] for name in ("tuning", "look")})

    def record(self) -> dict:
        """Return what study.json says of the decisions. It is for people: they are made again from the rows."""
        choices = [{k: v for k, v in asdict(choice).items() if k != "candidates"} for choice in self.choices]
        return {
            **({"choices": choices} if self.study.tune else {}),
            **({"looks": self.looks} if self.study.until else {}),
        }

    # -------------------------------------------------------------------------------------------------- its blocks

    def _comparison(self, num_looks: int) -> Stage:
        """Return the comparison, or what its next look adds after so many looks: the grid, and what was tuned of it."""
        study, until = self.study, self.study.until
        seeds = _seeds(study)
        if until is not None:
            first, last = [0, *until.looks][num_looks : num_looks + 2]
            seeds = _seeds(study, study.grid["seed"][first:last])
        conditions, tuning = {}, {}
        for point in product(study.grid, self._others):
            values = {**study.fixed, **point}
            default = condition(values, self._device)
            parts = [(default, DEFAULT)]
            if self.choices:
                rate, scheduler = self._tuned[self._key(default)]
                parts.append((condition({**values, "base_lr": rate, "scheduler": scheduler}, self._device), TUNED))
            for trial, part in parts:
                conditions.setdefault(trial.condition_id, trial)
                if study.tune:
                    tuning[trial.condition_id] = part if tuning.get(trial.condition_id, part) == part else BOTH
        blocks = arrange(study, list(conditions.values()), seeds, study.replicates)
        return Stage(blocks=blocks, look=num_looks + 1 if until else 0, tuning=tuning)

    def _key(self, trial: Trial) -> tuple:
        """Return the key of the choice for a condition of the grid."""
        labels = trial.labels()
        factors = tuple((name, labels[name]) for name in self.choices[0].factors)
        return labels["scheduler"], labels["scheduler_interval"], factors


def _seeds(study: Study, of_seed: list[int] | None = None) -> list[dict[str, int]]:
    """Return the points of the seeds in the grid; of `seed` the given ones alone."""
    names = [name for name in study.grid if name in SEEDS]
    return product(study.grid if of_seed is None else {**study.grid, "seed": of_seed}, names)


def _arms(study: Study) -> tuple[tuple, dict]:
    """Return the arms, and {(scheduler, interval): {(base_lr, its call): its table}} of what each is tried at."""
    rates, arms, tables = own_rates(study.fixed, study.grid), [], {}
    for table in _schedulers(study):
        arm = arm_of(study.tune, rates, table)
        tried = candidates(study.tune, rates, table)
        settings = {(c.base_lr, c.scheduler): each for c, (_, each) in zip(arm.candidates, tried, strict=True)}
        arms.append(arm)
        tables[arm.scheduler, arm.interval] = settings
    return tuple(arms), tables


def _schedulers(study: Study) -> list[dict]:
    fixed = study.fixed.get("scheduler", Trial.model_fields["scheduler"].default)
    tables = study.grid.get("scheduler", [fixed])
    return [check_level("scheduler", table) for table in tables]  # a study read back from study.json has sorted keys


def selection_of(study: Study, device: str) -> Stage:
    """Return the trials that the choice is made from: a block for each selection seed.

    Every candidate of every scheduler, at every level of the other training factors, and of what the machine does at
    one level alone: the default where it is a level, else the first.
    """
    machine = {name: levels for name, levels in study.grid.items() if name in MACHINE}
    defaults = {name: Trial.model_fields[name].default for name in machine}
    at = {name: defaults[name] if defaults[name] in levels else levels[0] for name, levels in machine.items()}
    varied = [name for name in study.grid if name not in (*SEEDS, *MACHINE, "scheduler")]
    rates = own_rates(study.fixed, study.grid)
    conditions = {}
    for point in product(study.grid, varied):
        for table in _schedulers(study):
            for rate, scheduler in candidates(study.tune, rates, table):
                values = {**study.fixed, **at, **point, "base_lr": rate, "scheduler": scheduler}
                trial = condition(values, device)
                conditions.setdefault(trial.condition_id, trial)
    blocks = arrange(study, list(conditions.values()), [{"seed": seed} for seed in study.tune.seeds], 1)
    return Stage(blocks=blocks, tuning=dict.fromkeys(conditions, SELECTION))


def reached(study: Study, device: str, rows) -> Stages:
    """Return the stages of a study as its rows (a pandas.DataFrame) have led to them, all seeds of [until] in one."""
    stages = Stages(study.model_copy(update={"until": None}), device, lambda: rows)
    stages.advance({*rows["trial_id"]} if study.tune else set())
    return stages


def possible(study: Study, device: str, rows) -> list[Trial]:
    """Return every trial that the study is known to have, as its rows tell: at every look, and what was tuned.

    `rows` is a pandas.DataFrame; a study without [tune] does not read it.
    """
    return reached(study, device, rows).certain
