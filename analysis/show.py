"""`lrbench show DIR`: the main table of a study and its failures, in the terminal.

What this does *not* do: compare. The table is `analysis.overview.main_table`; the comparisons are in the report.
"""

from collections import Counter
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.overview import all_inert, main_table
from analysis.wording import count, displayed
from lrbench.record import BY_NAME, PRINTED

MAX_FAILURES = 20


def print_study(rows: pd.DataFrame, record: dict, folder: Path, console: Console | None = None) -> None:
    """Print what a study asked, how far it is, one line for each condition, and each failed trial with its error."""
    console = console or Console()
    console.print(record["study"]["question"], style="bold", highlight=False)
    counts = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in Counter(rows["status"].astype(str)).items())
    console.print(f"{len(rows)} of {record['num_trials']} trials have a row: {counts or 'none yet'}", highlight=False)
    if rows.empty:
        console.print("The command of the study runs them: lrbench run …", highlight=False)
        return
    if all_inert(rows):
        console.print(
            "On this CPU the cuDNN flags are inert: any difference between their levels is noise.", style="yellow"
        )
    console.print(_rich(main_table(rows)))
    failed = rows[rows["status"] != "completed"]
    for row in failed.head(MAX_FAILURES).itertuples():
        reason = _reason(row.error)
        console.print(f"[red]{row.status}[/red] {row.trial_id}", highlight=False, end="  ")
        console.print(
            f"{row.scheduler}, seed {row.seed}, replicate {row.replicate}: {reason}", markup=False, highlight=False
        )
    if len(failed) > MAX_FAILURES:
        console.print(f"… and {len(failed) - MAX_FAILURES} more failed trials")


def _rich(table: pd.DataFrame) -> Table:
    """Lay the table out so that it reads at 80 columns: long calls wrap, numbers and flags do not."""
    if "num_completed" in table and (table["num_completed"] == table["num_trials"]).all():
        table = table.drop(columns="num_completed")
    if table["num_trials"].nunique() == 1:
        caption = f"{count(int(table['num_trials'].iloc[0]), 'trial')} in each condition"
        table = table.drop(columns="num_trials")
    else:
        caption = None
    shown = displayed(table)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, caption=caption, caption_justify="left")
    for name in shown.columns:
        longest = shown[name].astype(str).str.len().max()
        head = name.replace("_", "_\n").replace(" ", "\n") if longest < len(name) else name
        text = name in BY_NAME and BY_NAME[name].group == "asked"
        width = longest if longest < 20 else 14  # where the terminal is narrow, headings fold before values do
        grid.add_column(head, justify="left" if text else "right", overflow="fold", min_width=width)
    for record in shown.itertuples(index=False):
        grid.add_row(*(str(value) for value in record))
    return grid


def _reason(error: object) -> str:
    """Return the line of an error that says what happened: the last of the traceback, before what the trial printed."""
    if not isinstance(error, str):
        return "no reason was left behind"
    lines = [line for line in error.partition(PRINTED)[0].splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no reason was left behind"
