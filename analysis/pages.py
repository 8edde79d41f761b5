"""What the report's notebook calls: read the study, then show its headline, tables and answers, one call a cell.

Every output carries HTML (the page), Markdown (report.md) and plain text; figures are SVG and PNG, and lie beside the
report as files. What this does *not* do: compute or draw.
"""

import base64
import html
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import figures
from analysis.answers import Answer, all_answers, read_rows
from analysis.wording import displayed


@dataclass(frozen=True, kw_only=True)
class Page:
    """A study that is being reported: its record, rows and answers, and where the report goes."""

    record: dict
    rows: pd.DataFrame
    answers: dict[str, Answer]
    out: Path


def read_study(folder: str, out: str) -> Page:
    """Read a results folder and compute every answer. Figures will be written to OUT/figures."""
    from lrbench.store import read_study_record

    rows = read_rows(folder)
    return Page(record=read_study_record(folder), rows=rows, answers=all_answers(rows), out=Path(out))


def show_sentences(sentences) -> None:
    """Show sentences as a list, one a line."""
    sentences = list(sentences)
    if sentences:
        _show(
            markdown="\n".join(f"- {_escaped(sentence)}" for sentence in sentences),
            page="<ul>" + "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>",
            text="\n".join(f"- {sentence}" for sentence in sentences),
        )


def show_table(table: pd.DataFrame) -> None:
    """Show a table in print: units, intervals joined, numbers to the right."""
    if table.empty:
        return
    shown = displayed(table)
    right = [not pd.api.types.is_string_dtype(table[n]) for n in table.columns if _heads(table, n)]
    lines = [
        "| " + " | ".join(shown.columns) + " |",
        "|" + "|".join("---:" if end else "---" for end in right) + "|",
        *("| " + " | ".join(_escaped(str(v)).replace("|", "\\|") for v in row) + " |" for row in shown.itertuples(index=False)),
    ]
    classes = ['class="number"' if end else "" for end in right]
    head = "".join(f"<th {c}>{html.escape(name)}</th>" for c, name in zip(classes, shown.columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td {c}>{html.escape(str(v))}</td>" for c, v in zip(classes, row, strict=True)) + "</tr>"
        for row in shown.itertuples(index=False)
    )
    page = f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    _show(markdown="\n".join(lines), page=page, text=shown.to_string(index=False))


def show_answer(page: Page, name: str) -> None:
    """Show one answer: its sentences, its figure, its table, its notes."""
    answer = page.answers[name]
    show_sentences(answer.sentences)
    show_figure(page, name, answer.figure(), answer.title)
    show_table(answer.table)
    for note in answer.notes:
        _show(markdown=f"*{_escaped(note)}*", page=f'<p class="note">{html.escape(note)}</p>', text=note)


def show_figure(page: Page, name: str, figure, alt: str) -> None:
    """Write a figure to OUT/figures and show it."""
    svg, png = figures.save(figure, page.out / "figures", name)
    _display(
        {
            "image/svg+xml": svg.read_text(encoding="utf-8"),
            "image/png": base64.b64encode(png.read_bytes()).decode(),
            "text/plain": f"figure: figures/{svg.name}",
        },
        {"alt": alt, "file": f"figures/{svg.name}"},
    )


def _heads(table: pd.DataFrame, name: str) -> bool:
    return not any(name.endswith(end) and name.removesuffix(end) in table for end in ("_low", "_high"))


def _escaped(text: str) -> str:
    """Keep torch's names whole in Markdown: an underscore, a star and a bracket mean themselves."""
    for character in "\\`*_<[":
        text = text.replace(character, f"\\{character}")
    return text


def _show(markdown: str, page: str, text: str) -> None:
    _display({"text/markdown": markdown, "text/html": page, "text/plain": text}, {})


def _display(bundle: dict[str, str], metadata: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True)


def show_headline(page: Page) -> None:
    from analysis.overview import headline

    show_sentences(headline(page.rows, page.answers))


def show_main_table(page: Page) -> None:
    from analysis.overview import main_table

    show_table(main_table(page.rows))
