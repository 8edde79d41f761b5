"""What the notebooks of the gallery call: read a study, and show sentences, tables and figures in a cell.

Every output carries HTML, Markdown and plain text, figures SVG and PNG; nothing is written to a disk. What this does
*not* do: compute. It shows what answers and figures of other modules hold.
"""

import base64
import io
from pathlib import Path

import pandas as pd

from analysis.answers import Answer, read_rows
from analysis.page import markup
from analysis.page.markup import Piece
from analysis.page.wording import count
from analysis.rows.staged import of_study

_PNG_DPI = 140  # sharp enough for a notebook, and half the size of the report's
_CLAIM_COLUMNS = ["id", "statement", "verdict", "seen"]


def read(folder: str | Path) -> tuple[pd.DataFrame, dict]:
    """Return the study's own rows, with the nested columns that the standing answers read, and its study.json.

    Of rows of other trials, which are left out, the record says something under "strays".
    """
    from lrbench.store import read_study_record

    record = read_study_record(folder)
    rows, strays = of_study(read_rows(folder), record)
    return rows, {**record, "strays": strays}


def question(rows: pd.DataFrame, record: dict) -> None:
    """Show what the study asked, and how much was run for it."""
    study = record["study"]
    seeds, repeats = rows["seed"].nunique(), rows["replicate"].nunique()
    often = {1: "once", 2: "twice"}.get(repeats, f"{repeats} times")
    facts = f"{count(len(rows), 'trial')}: {count(seeds, 'seed')}, each run {often}, every time in a new process"
    show(markup.paragraph(f"{study['question']} ({facts}.)", "about"))
    say(filter(None, [record.get("strays", "")]))


def say(texts) -> None:
    """Show sentences as a list; nothing where there are none."""
    if texts := list(texts):
        show(markup.sentences(texts, "findings"))


def answer(found: Answer, table: bool = True, figure: bool = True) -> None:
    """Show an answer: its verdict, its sentences, its figure, its table, its notes."""
    sentences = markup.sentences(found.sentences, "findings")
    show(markup.badge(found.verdict) + sentences if found.verdict else sentences)
    if figure:
        draw(found.figure())
    if table:
        tabulate(found.table)
    for note in found.notes:
        show(markup.paragraph(note, "note"))


def tabulate(table: pd.DataFrame) -> None:
    """Show a table in print; nothing where it has no rows."""
    if len(table):
        show(markup.table(table))


def claims(folder: str | Path, ids) -> None:
    """Show what was found on some claims: their ids ("L8"), or areas ("C")."""
    from analysis.claims import read_findings

    found = read_findings(folder).claims
    tabulate(found.loc[found["id"].isin(list(ids)) | found["area"].isin(list(ids)), _CLAIM_COLUMNS])


def draw(figure) -> None:
    """Show a figure; its title, the finding, is its text for who cannot see it."""
    from analysis.figures import style

    svg, png = io.StringIO(), io.BytesIO()
    with style():
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    alt = " ".join(figure.get_suptitle().split())
    _display(
        {
            "image/svg+xml": svg.getvalue(),
            "image/png": base64.b64encode(png.getvalue()).decode(),
            "text/plain": f"figure: {alt}",
        },
        {"alt": alt},
    )


def show(piece: Piece) -> None:
    """Show a piece in its three markups."""
    _display({"text/markdown": piece.markdown, "text/html": piece.page, "text/plain": piece.text}, {})


def _display(bundle: dict[str, str], metadata: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True)
