"""The comparison of two folders in the terminal: what differs, each answer's sentences, and tables that fit its width.

What this does *not* do: compare, or write a page (`analysis.page.folders_page` does).
"""

import pandas as pd

from analysis.folders import about, difference_table
from analysis.folders_comparison import TITLE, Comparison
from analysis.page.wording import count, displayed

_MOST_PRINTED = 12  # rows of a table in the terminal
_WORD = 16  # a word up to this long is not broken: a verdict's, a number; whole calls are longer
_GAP = 2  # characters beside each column there: its padding and the line between two
_WHOLE = 24  # a name up to this long is not broken there


def print_comparison(made: Comparison, console=None) -> None:
    """Print what differs, then each answer's sentences and the part of its table that says something."""
    from rich.console import Console

    console = console or Console()

    def say(text: str, **style) -> None:
        console.print(text, markup=False, highlight=False, **style)

    say(TITLE, style="bold")
    for name, side in zip("AB", (made.matched.a, made.matched.b), strict=True):
        say(f"{name} is {side.folder} ({count(side.num_rows, 'trial')})")
    _print_table(difference_table(made.matched), console)
    if not made.matched.differences:
        say("Nothing differs in what was asked, nor in where it ran.")
    for sentence in about(made.matched):
        say(f"- {sentence}")
    for answer in made.answers.values():
        say(f"\n{answer.title}" + (f"  [{answer.verdict}]" if answer.verdict else ""), style="bold")
        for sentence in answer.sentences:
            say(f"- {sentence}")
        for caveat in answer.caveats:
            say(f"  {caveat}", style="dim")
        _print_table(_telling(answer.table), console)


def _telling(table: pd.DataFrame) -> pd.DataFrame:
    """Return what of a table fits a terminal: fewer columns; of many rows the whole and those that were told apart."""
    if "where" in table and len(table):
        whole = table["where"] == "all conditions"
        first = table["where"].where(~whole, table["metric"])
        table = table[["cost_ratio", "cost_ratio_low", "cost_ratio_high", "p", "verdict"]]
        table = pd.concat([first.rename("B over A"), table], axis=1)
        if len(table) > _MOST_PRINTED:
            table = table[whole | table["verdict"].str.match("better|worse")]
    table = table.drop(columns=["A_accuracy", "B_accuracy", "num_pairs"], errors="ignore")
    return table.head(_MOST_PRINTED)


def _print_table(table: pd.DataFrame, console) -> None:
    from rich import box
    from rich.table import Table

    if table.empty:
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown = displayed(table)
    for name, wide in zip(shown, _widths(shown, console.width), strict=True):
        grid.add_column(name, overflow="fold", width=wide)
    for row in shown.itertuples(index=False):
        grid.add_row(*(str(value) for value in row))
    console.print(grid, highlight=False)


def _widths(shown: pd.DataFrame, width: int) -> list[int]:
    """How wide each column is: all of it where the table fits, else no less than its longest word (or _WORD).

    A short name in the first column stays whole where there is room; where there is not even room for the words, the
    longest ones are broken. rich's own way cuts the last column where the others may not shrink.
    """
    texts = [[name, *shown[name].astype(str)] for name in shown]
    whole = [max(map(len, cells)) for cells in texts]
    room = width - _GAP * len(whole)
    words = [max(len(word) for text in cells for word in text.split()) for cells in texts]
    found = [words[0], *(min(word, _WORD) for word in words[1:])]
    if whole[0] <= _WHOLE and sum(found[1:]) + whole[0] <= room:
        found[0] = whole[0]
    while sum(found) > max(room, len(found)):
        found[found.index(max(found))] -= 1
    while sum(found) < min(room, sum(whole)):
        short = [place for place in range(len(whole)) if found[place] < whole[place]]
        found[min(short, key=lambda place: whole[place] - found[place])] += 1
    return found
