"""`lrbench show DIR`: the main table of a study and its failures, in the terminal.

What this does *not* do: compare. The table is `analysis.page.overview.main_table`; the comparisons are in the report.
"""

from collections import Counter
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from analysis.page.overview import flags_say_nothing, main_table
from analysis.page.wording import count, displayed
from analysis.provenance import changed_parts, flag_violations
from analysis.rows.arms import comparable
from analysis.rows.conditions import SEEDS, describe, varied
from analysis.rows.lr_plans import plan_violations
from analysis.rows.planned import progress, strays
from analysis.rows.selection import selection as selected
from analysis.rows.staged import of_study
from analysis.throughput_words import INERT_SHORT
from lrbench.errors import in_one_line
from lrbench.record import BY_NAME, PRINTED
from lrbench.stages import SELECTION
from lrbench.tuning import Tune, choose
from lrbench.typed import again

MAX_FAILURES = 20
_WIDEST = 20  # a text up to this long is not folded
_FOLDED = 14
_LEAST = 24  # a column of whole conditions is not squeezed below this


def print_study(rows: pd.DataFrame, record: dict, folder: Path, console: Console | None = None) -> None:
    """Print what a study asked, how far it is, one line for each condition, and each failed trial with its error."""
    console, (rows, others) = console or Console(), of_study(rows, record)
    console.print(record["study"]["question"], style="bold", markup=False, highlight=False)
    at = progress(rows, record)
    statuses = Counter(rows.loc[~strays(rows, record), "status"].astype(str))
    counts = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in statuses.items())
    have = "has a row" if at.num_trials == 1 else "have a row"
    console.print(f"{at.num_done} of {count(at.num_trials, 'trial')} {have}: {counts or 'none yet'}", highlight=False)
    for sentence in filter(None, [others, *flag_violations(rows), *plan_violations(rows), *changed_parts(rows)]):
        console.print(sentence, style="yellow", markup=False, highlight=False)
    for line in _chosen(rows, record):
        console.print(line, markup=False, highlight=False)
    for line in _looked(record):
        console.print(line, markup=False, highlight=False)
    if rows.empty:
        console.print(
            f"Run them: {again(record, folder, seeds=True)}", markup=False, highlight=False, soft_wrap=True
        )  # a command that is to be copied is not broken
        return
    if flags_say_nothing(rows):
        console.print(INERT_SHORT, style="yellow")
    console.print(_rich(main_table(comparable(rows)), console.width))
    _print_failures(rows, console)


def _chosen(rows: pd.DataFrame, record: dict) -> list[str]:
    """Say what the selection trials chose for each scheduler; nothing in a study without [tune]."""
    tune = record["study"].get("tune")
    selection = rows[rows["tuning"] == SELECTION]
    if not tune or selection.empty:
        return []
    at = selected(rows, record)
    if at.is_open:
        return [f"{str(at)[0].upper()}{str(at)[1:]}. The same lrbench run command again goes on."]
    choices = [f"  {choice}" for choice in choose(rows, Tune(**tune))]
    return [f"Chosen from {count(len(selection), 'selection trial')}, which are in no table:", *choices]


def _looked(record: dict) -> list[str]:
    """Say what each look decided; nothing in a study without [until]."""
    return [sentence for look in record.get("looks", ()) for sentence in look.get("sentences", ())]


def _print_failures(rows: pd.DataFrame, console: Console) -> None:
    """Print each failed trial with every factor in which the study's trials differ: no two lines are the same."""
    failed = rows[rows["status"] != "completed"]
    names = [*(name for name in ("scheduler",) if name not in varied(rows)), *varied(rows)]
    streams = [name for name in SEEDS[1:] if (rows[name] != rows["seed"]).any()]
    for _, row in failed.head(MAX_FAILURES).iterrows():
        console.print(f"[red]{row['status']}[/red] {row['trial_id']}", highlight=False, end="  ")
        place = describe({name: row[name] for name in [*names, "seed", *streams, "replicate"]})
        console.print(f"{place}: {_reason(row['error'])}", markup=False, highlight=False)
    if len(failed) > MAX_FAILURES:
        console.print(f"… and {count(len(failed) - MAX_FAILURES, 'more failed trial')}")


def _rich(table: pd.DataFrame, width: int) -> Group:
    """Lay the table out so that it reads at this width: a column a factor, or all factors in one column, folded."""
    if "num_completed" in table and (table["num_completed"] == table["num_trials"]).all():
        table = table.drop(columns="num_completed")
    if table["num_trials"].nunique() == 1:
        caption = f"{count(int(table['num_trials'].iloc[0]), 'trial')} in each condition"
        table = table.drop(columns="num_trials")
    else:
        caption = None
    shown = displayed(table)
    factors = [name for name in shown.columns if name in BY_NAME and BY_NAME[name].group == "asked"]
    whole = _width(shown)
    if whole > width and len(factors) > 1:
        shown, factors = _stacked(shown, factors), ["condition"]
    shown, left_out = _fitting(shown, factors, width)
    if left_out:
        what = f"{count(len(left_out), 'column')} not shown, for which this terminal is too narrow: "
        caption = "\n".join(filter(None, [caption, what + ", ".join(name.replace("_", " ") for name in left_out)]))
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in shown.columns:
        least = _least(shown, name)
        justify = "left" if name in factors else "right"
        grid.add_column(_heading(shown, name), justify=justify, overflow="fold", min_width=least)
    for record in shown.itertuples(index=False):
        grid.add_row(*(str(value) for value in record))
    # a caption of the table's own would be folded to its width, and lose a letter where it is
    return Group(grid, *([Text(caption, style="italic dim")] if caption else []))


def _fitting(shown: pd.DataFrame, factors: list[str], width: int) -> tuple[pd.DataFrame, list[str]]:
    """Drop what was measured, column by column from the right, until the rest fits; return the names of those too."""
    left_out: list[str] = []
    while sum(_least(shown, name) + 1 for name in shown.columns) + 1 > width and len(shown.columns) > len(factors) + 1:
        left_out.insert(0, str(shown.columns[-1]))
        shown = shown.drop(columns=left_out[0])
    return shown, left_out


def _least(shown: pd.DataFrame, name: str) -> int:
    return _LEAST if name == "condition" else _column_width(shown, name)


def _stacked(shown: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Put all factors of a condition into one column: the scheduler by its name, the others with theirs."""
    texts = [
        ", ".join(value if name == "scheduler" else f"{name}={value}" for name, value in record.items())
        for record in shown[factors].to_dict("records")
    ]
    return pd.concat([pd.DataFrame({"condition": texts}), shown.drop(columns=factors)], axis=1)


def _heading(shown: pd.DataFrame, name: str) -> str:
    """Break a heading that is longer than its values at underscores and spaces, and nowhere else."""
    longest = shown[name].astype(str).str.len().max()
    return name.replace("_", "_\n").replace(" ", "\n") if longest < len(name) else name


def _column_width(shown: pd.DataFrame, name: str) -> int:
    """The characters below which a column is no longer readable: a heading's longest piece, a value up to a length."""
    longest = shown[name].astype(str).str.len().max()
    pieces = max(len(piece) for piece in _heading(shown, name).split("\n"))
    return max(longest if longest <= _WIDEST else _FOLDED, min(pieces, _WIDEST))


def _width(shown: pd.DataFrame) -> int:
    return sum(_column_width(shown, name) + 1 for name in shown.columns) + 1


def _reason(error: object) -> str:
    """Return what an error says happened, and where in the user's code, without what the trial printed."""
    told = in_one_line(error.partition(PRINTED)[0]) if isinstance(error, str) else ""
    return told or "no reason was left behind"
