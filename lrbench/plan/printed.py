"""A plan as it is printed, and as JSON. What this does *not* do: find out anything (`lrbench.plan.command`)."""

import math
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lrbench.plan.cost import PILOT_SECONDS
from lrbench.plan_warnings import one_schedule

if TYPE_CHECKING:
    from analysis.plan import Sight
    from lrbench.plan.command import Plan


def print_plan(plan: "Plan", again: str, console=None) -> None:
    """Print what a study takes, what it will see and what not: for a terminal with styles, elsewhere plain.

    `again` is what follows the command's name where the same study is meant again.
    """
    from rich.console import Console

    console = console or Console()

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=not console.is_terminal)

    say(plan.study.question, "bold")
    say(_size(plan))
    say("")
    say("What it takes", "bold")
    if plan.cost.known:
        console.print(_grid(_stages(plan), console.width))
    for sentence in _about_time(plan, again):
        say(sentence)
    say("")
    say("What it will be able to see", "bold")
    if any(sight.known and sight.num_comparisons for sight in plan.sights):
        console.print(_grid(_seen(plan), console.width))
    for sentence in _about_sight(plan, again):
        say(sentence)
    if plan.blind_spots:
        say("")
        say("What it will not be able to tell", "bold")
        for sentence in plan.blind_spots:
            say(f"- {sentence}")
    say("")
    say(f"next: lrbench report {plan.folder}" if plan.finished else f"next: lrbench run {again}")


def as_plain(plan: "Plan") -> dict[str, Any]:
    """Return a plan as plain values, fit for JSON: what is not known is null."""
    shape = {name: getattr(plan.shape, name) for name in ("num_conditions", "num_seeds", "replicates", "least", "most")}
    stages = [
        {k: v for k, v in vars(part).items() if k != "conditions"} | {"num_conditions": len(part.conditions)}
        for part in plan.shape.parts
    ]
    return _without_nan(
        {
            "study": plan.study.name,
            "question": plan.study.question,
            "folder": str(plan.folder),
            "device": plan.device,
            "trials": {
                **shape,
                "done": plan.num_done,
                "failed": plan.num_failed,
                "finished": plan.finished,
                "stages": stages,
            },
            "cost": {**asdict(plan.cost), "known": plan.cost.known, "elsewhere": plan.elsewhere},
            "pilot": asdict(plan.pilot),
            "comparisons": [_plain_sight(sight) for sight in plan.sights],
            "cannot": plan.blind_spots,
            "notes": list(plan.notes),
        }
    )


def _plain_sight(sight: "Sight") -> dict[str, Any]:
    plain = {name: value for name, value in vars(sight).items() if name not in ("question", "scatter")}
    return {**sight.question.model_dump(), **plain, "scatter": asdict(sight.scatter), "known": sight.known}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --------------------------------------------------------------------------------------------------------------- time


def _size(plan: "Plan") -> str:
    from analysis.page.wording import count

    shape = plan.shape
    total = f"{shape.least:,}" if shape.least == shape.most else f"{shape.least:,} to {shape.most:,}"
    blocks = sum(part.num_blocks for part in shape.parts)
    crossed = f"{count(shape.num_conditions, 'condition')} × {count(shape.num_seeds, 'seed')}"
    if shape.replicates > 1:
        crossed += f" × {shape.replicates} replicates"
    kinds = f"{crossed}, in {count(blocks, 'random block')}"
    if plan.study.tune is not None:
        kinds += f"; {shape.parts[0].most:,} of them choose each scheduler's rate, on other seeds"
    done = f"; {plan.num_done:,} {'has' if plan.num_done == 1 else 'have'} a row in {plan.folder}"
    if plan.finished:
        done = f"; it is finished, with {count(plan.num_done, 'trial')} in {plan.folder}"
    elif not plan.num_done:
        done = ""
    if plan.num_failed:
        done += (
            f", of which {plan.num_failed:,} did not complete: lrbench show {shlex.quote(str(plan.folder))} says why"
        )
    return f"{total} {'trial' if shape.most == 1 else 'trials'}: {kinds}{done}"


def _range(least: float, most: float) -> str:
    from analysis.page.wording import seconds

    low, high = seconds(least), seconds(most)
    return low if low == high else f"{low} to {high}"


def _busy(plan: "Plan") -> str:
    return "GPU time" if plan.device.startswith("cuda") else "training, summed"


def _stages(plan: "Plan") -> tuple[list[str], list[list[str]]]:
    rows = []
    for part, span in zip(plan.shape.parts, plan.cost.spans, strict=True):
        trials = f"{part.least:,}" if part.least == part.most else f"{part.least:,} to {part.most:,}"
        name = f"{part.name}, if open" if part.optional else part.name
        rows.append(
            [
                name,
                trials,
                f"{part.num_seeds:,}",
                _range(span.least_seconds, span.most_seconds),
                _range(span.least_busy_seconds, span.most_busy_seconds),
            ]
        )
    cost = plan.cost
    if len(rows) > 1:
        total = f"{plan.shape.least:,} to {plan.shape.most:,}"
        busy = _range(cost.least_busy_seconds, cost.most_busy_seconds)
        rows.append(["in all", total, "", _range(cost.least_seconds, cost.most_seconds), busy])
    return ["stage", "trials", "seeds", "wall time", _busy(plan)], rows


def _about_time(plan: "Plan", again: str) -> list[str]:
    from analysis.page.wording import count, listed, seconds

    said = []
    cost, pilot = plan.cost, plan.pilot
    if pilot.num_trials:
        said.append(f"The pilot ran {count(pilot.num_trials, 'short trial')} in {seconds(pilot.seconds)}.")
    for ran, whole in dict.fromkeys(pilot.cut):
        said.append(
            f"A trial of the pilot was ended after {ran:,} of the {whole:,} steps of an epoch, {PILOT_SECONDS:g} s: "
            "the rest, and the evaluation, are reckoned from its steps."
        )
    said += [f"A trial of the pilot ended otherwise than completed: {reason}" for reason in dict.fromkeys(pilot.failed)]
    if not cost.known:
        missing = f"no row of {'; '.join(cost.unknown)}" if cost.unknown else "no row of such trials"
        where = f"in {plan.folder} and beside it" if not pilot.num_trials else "that completed"
        said.append(f"How long it takes is not known: {missing} {where}.")
        said.append(f"To find out, run a few short trials: lrbench plan {again} --pilot 4")
        return said
    sources = listed(f"{count(n, 'row')} of {name}" for name, n in cost.sources.items())
    scaled = ""
    if cost.scaled_from:
        budgets = sorted({trial.epochs for trial in plan.shape.conditions})
        scaled = f", scaled from {listed(map(str, cost.scaled_from))} to {listed(map(str, budgets))} epochs"
    machine = f", which ran on {plan.elsewhere}, not on this machine" if plan.elsewhere else ""
    said.append(f"From {sources}{machine}{scaled}; {count(cost.jobs, 'trial')} at once.")
    if plan.no_gpu:
        said.append("No NVIDIA GPU can be used here: counted as if one trial ran at a time, elsewhere.")
    return [*said, *(note for note in plan.notes if note.startswith("left out"))]


# --------------------------------------------------------------------------------------------------------------- sight


def _asked(sight: "Sight") -> str:
    baseline = str(sight.question.baseline if sight.question.baseline is not None else "")
    if sight.question.factor in ("scheduler", "optimizer"):
        baseline = baseline.partition("(")[0]
    against = f" against {baseline}" if baseline else ""
    return f"{sight.question.factor}{against}"


def _compared(plan: "Plan") -> list["Sight"]:
    return [sight for sight in plan.sights if sight.num_comparisons]


def _seen(plan: "Plan") -> tuple[list[str], list[list[str]]]:
    from analysis.page.wording import DASH, percent

    rows = []
    for s in _compared(plan):
        row = [f"{_asked(s)}:\n{s.metric.label}, {_unit(s)}", f"{s.num_comparisons:,}", f"{s.num_units:,}"]
        sizes = [s.scatter.sd, s.detectable, s.detectable_in_family, s.scatter.margin]
        equal = percent(s.equivalence, 0) if s.known and s.scatter.margin > 0 else DASH
        rows.append([*row, *(_bare(s, size) for size in sizes), equal])
    speeds = {sight.metric.is_speed for sight in _compared(plan)}
    units = {(True,): "blocks", (False,): "seeds"}.get(tuple(speeds), "seeds or\nblocks")
    heads = ["comparison", "number", units, "SD", "finds\nalone", "finds in\nfamily", "margin", "shown\nequal"]
    return heads, rows


def _unit(sight: "Sight") -> str:
    return "%" if sight.metric.scale == "ratio" else sight.metric.unit


def _bare(sight: "Sight", size: float) -> str:
    """Return a size in the unit that the comparison's name carries."""
    from analysis.page.wording import DASH
    from analysis.sizes import plain

    if math.isnan(size):
        return DASH
    if not _plannable(sight, size):
        return "none"
    return plain(sight.metric, size).removesuffix("%").removesuffix(f" {sight.metric.unit}")


def _plannable(sight: "Sight", size: float) -> bool:
    """Tell whether a difference of this size can be hoped for: finite, and of a ratio no more than tenfold."""
    return size <= math.log(10) if sight.metric.scale == "ratio" else math.isfinite(size)


def _found(sight: "Sight", many: str) -> str:
    """Say which true difference so many units find: where they find none that can be hoped for, that they are too few.

    One unit finds none; two or three may find one that nobody expects, such as a speed more than ten times the other.
    """
    from analysis.sizes import plain

    alone, together, size = sight.detectable, sight.detectable_in_family, sight.family_size
    however = "however large" if math.isinf(alone) else "up to tenfold"
    if not _plannable(sight, alone):
        return f"With {many} no difference, {however}, is found four times in five: too few to plan with."
    family = ""
    if size > 1 and _plannable(sight, together):
        family = f", of {plain(sight.metric, together)} in its family of {size}"
    elif size > 1:
        family = f", and none, {'however large' if math.isinf(together) else 'up to tenfold'}, in its family of {size}"
    found = f"a true difference of {plain(sight.metric, alone)} is found four times in five by itself"
    return f"With {many} {found}{family}."


def _about_sight(plan: "Plan", again: str) -> list[str]:
    said = []
    for s in _compared(plan):
        if s.known:
            said += _about_known(s)
        else:
            why = "no rows of such trials say how much they scatter over seeds"
            if s.scatter.folder:
                why = f"the arms do not differ at all in the rows of {s.scatter.folder}"
            said.append(
                f"What difference in {s.metric.label} it will see is not known: {why}.{_part_first(plan, again)}"
            )
    if not said:
        what = "vary scheduler under [grid], or another factor and name it with [[compare]]"
        what = "its schedules are one schedule here" if one_schedule(plan.shape.conditions) else what
        said = [f"It compares nothing: {what}."]
    return [*said, *_about_looks(plan), *(note for note in plan.notes if not note.startswith("left out"))]


def _part_first(plan: "Plan", again: str) -> str:
    """Say how many trials more reach three seeds of the comparison; nothing where they have run."""
    left = plan.shape.with_seeds(3) - plan.num_done
    return f" Run a part of it first: lrbench run {again} --limit {left}" if left > 0 and not plan.finished else ""


def _about_looks(plan: "Plan") -> list[str]:
    """Say how strict each look is, for a comparison by itself."""
    until = plan.study.until
    if until is None or len(until.looks) < 2:
        return []
    from analysis.page.wording import listed
    from analysis.statistics.spending import t_levels

    levels = [
        f"{100 * level:.2g}%" if level >= 1e-6 else "next to 0" for level in t_levels(until.looks, until.spending)
    ]
    seeds = listed(f"{n:,}" for n in until.looks)
    said = f"It is looked at with {seeds} seeds, and p held against {listed(levels)}: 5% over all looks."
    return [f"{said} What is said above is of the last look; a larger difference ends it sooner."]


def _about_known(s: "Sight") -> list[str]:
    from analysis.page.wording import count, percent
    from analysis.sizes import plain

    unit = "block" if s.metric.is_speed else "seed"
    scatter = s.scatter
    source = f"{count(scatter.num_comparisons, 'comparison')} on {count(scatter.num_units, unit)} of {scatter.folder}"
    if not scatter.paired:
        source = f"single arms on {count(scatter.num_units, unit)} of {scatter.folder}, taken as independent"
    name, many = f"{_asked(s)}, {s.metric.label}", count(s.num_units, unit)
    said = [
        f"{name}: differences scatter by {plain(s.metric, scatter.sd)} ({source}).",
        _found(s, many),
    ]
    if not scatter.margin > 0:
        return said
    margin = plain(s.metric, scatter.margin)
    often = percent(s.equivalence, 0)
    found, equal = (f"{n:,} {unit}s" if n else f"more than 10,000 {unit}s" for n in (s.units_to_find, s.units_to_equal))
    said.append(f"The margin, the difference that matters, is {margin}: it is found four times in five with {found}.")
    same = f"Arms that do not differ are shown equivalent within it {often} of the time with {many}"
    return [*said, f"{same}, four times in five with {equal}."]


# --------------------------------------------------------------------------------------------------------------- table


_LEAST = 12  # characters that a table's first column has at least


def _grid(content: tuple[list[str], list[list[str]]], width: int):
    """Lay out a table; in a narrow terminal its first column is folded, and in a narrower one each row is a list."""
    from rich import box
    from rich.table import Table

    heads, rows = content
    columns = zip(*([heads, *rows]), strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    if _LEAST + sum(2 + each for each in widths[1:]) > width:
        return _listed(heads, rows)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for index, head in enumerate(heads):
        grid.add_column(head, justify="left" if index == 0 else "right", no_wrap=index > 0, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _listed(heads: list[str], rows: list[list[str]]):
    """Lay out each row as a list: its first cell, and below it a line for each of the others."""
    from rich.text import Text

    said = []
    for first, *others in rows:
        pairs = zip(heads[1:], others, strict=True)
        said += [" ".join(first.split()), *(f"  {' '.join(head.split())}: {cell}" for head, cell in pairs if cell)]
    return Text("\n".join(said))
