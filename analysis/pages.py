"""What the report's notebook calls: read the study, then show its headline, tables and answers, one call a cell.

Every output carries HTML (for the page), Markdown (for report.md) and plain text; figures are SVG and PNG, and lie
beside the report as files too. What this does *not* do: compute or draw.
"""

import base64
import html
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import figures, learning_curves, overview
from analysis.answers import Answer, all_answers, read_rows
from analysis.conditions import FACTORS
from analysis.planned import progress
from analysis.provenance import failures
from analysis.wording import count, displayed

# what a reader would type stands in code type: factors (with a level), calls of classes, settings of a study file
_NAMES = "|".join([*sorted(FACTORS, key=len, reverse=True), "replicates", "seed"])
_CODE = re.compile(
    rf"\b(?:{_NAMES})\b(?:\s?=\s?(?:\[[^\]]*\]|\"[^\"]*\"|\w+(?:\.\w+)*))"
    rf"|\b(?:cudnn_\w+|deterministic_algorithms|base_lr|num_threads|channels_last|[A-Z]\w+LR\w*|ReduceLROnPlateau)\b"
    r"(?:\([^()]*\))?|\[grid\]|\{[^{}]*\}"
)


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


# ------------------------------------------------------------------------------------------------------ parts of a page


def show_title(page: Page) -> None:
    """Show the study's question, and what it is in one line."""
    study = page.record["study"]
    facts = f"{study['name']} · {count(len(page.rows), 'trial')}"
    started = page.rows["started_at"].dropna()
    if len(started):
        facts += f" · {min(started)[:10]}"
    _show(
        markdown=f"# {_marked(study['question'], _MARKDOWN)}\n\n{_marked(facts, _MARKDOWN)}",
        page=f'<h1>{_marked(study["question"], _HTML)}</h1><p class="facts">{html.escape(facts)}</p>',
        text=f"{study['question']}\n{facts}",
    )


def show_headline(page: Page) -> None:
    """Show the first lines of the report."""
    sentences = overview.headline(page.rows, page.answers, progress(page.rows, page.record))
    _show_list(sentences, "headline")


def show_main_table(page: Page) -> None:
    """Show one row for each condition."""
    show_table(overview.main_table(page.rows))


def show_answer(page: Page, name: str) -> None:
    """Show one answer: its sentences, its figure, its table, its notes."""
    answer = page.answers[name]
    _show_list(answer.sentences, "findings")
    show_figure(page, name, answer.figure())
    show_table(answer.table)
    for note in answer.notes:
        text = _marked(note, _MARKDOWN)
        _show(markdown=f"<sub>{text}</sub>", page=f'<p class="note">{_marked(note, _HTML)}</p>', text=note)


def show_learning_curves(page: Page) -> None:
    """Show the validation error after each epoch for every scheduler."""
    show_figure(page, "learning_curves", learning_curves.draw(page.rows))


def show_failures(page: Page) -> None:
    """Show one row for each failed trial; nothing where none failed."""
    show_table(failures(page.rows))


def show_table(table: pd.DataFrame) -> None:
    """Show a table in print: units, intervals joined, numbers to the right. Nothing where it has no rows."""
    if table.empty:
        return
    shown = displayed(table)
    right = [_is_number(column) for _, column in shown.items()]
    rules = ["---:" if end else "---" for end in right]
    rows = [[str(value) for value in row] for row in shown.itertuples(index=False)]
    lines = [_line(shown.columns), "|" + "|".join(rules) + "|", *map(_line, rows)]
    classes = [' class="number"' if end else "" for end in right]
    head = "".join(f"<th{c}>{html.escape(name)}</th>" for c, name in zip(classes, shown.columns, strict=True))
    body = "".join(f"<tr>{_cells(row, classes)}</tr>" for row in rows)
    page = f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    _show(markdown="\n".join(lines), page=page, text=shown.to_string(index=False))


def show_figure(page: Page, name: str, figure) -> None:
    """Write a figure to OUT/figures and show it; its title, the finding, is its text for who cannot see it."""
    alt = " ".join(figure.get_suptitle().split()) or name
    svg, png = figures.save(figure, page.out / "figures", name)
    _display(
        {
            "image/svg+xml": svg.read_text(encoding="utf-8"),
            "image/png": base64.b64encode(png.read_bytes()).decode(),
            "text/plain": f"figure: figures/{svg.name}",
        },
        {"alt": alt, "file": f"figures/{svg.name}"},
    )


# ------------------------------------------------------------------------------------------------------------- markup


def _show_list(sentences, kind: str) -> None:
    items = "".join(f"<li>{_marked(sentence, _HTML)}</li>" for sentence in sentences)
    _show(
        markdown="\n".join(f"- {_marked(sentence, _MARKDOWN)}" for sentence in sentences),
        page=f'<ul class="{kind}">{items}</ul>',
        text="\n".join(f"- {sentence}" for sentence in sentences),
    )


def _cells(row: list[str], classes: list[str]) -> str:
    return "".join(f"<td{c}>{_breakable(value)}</td>" for c, value in zip(classes, row, strict=True))


def _breakable(text: str) -> str:
    """A long call or name may break where a reader would break it; an interval stands below its value."""
    if interval := re.fullmatch(r"([^\[(]+) (\[[^\]]*\d[^\]]*\])", text):
        return f'{html.escape(interval[1])}<span class="interval">{html.escape(interval[2])}</span>'
    return re.sub(r"(?<=\w)([(=:/.]+)(?=[A-Za-z\[])", r"\1<wbr>", html.escape(text))


def _line(values) -> str:
    return "| " + " | ".join(_MARKDOWN[1](str(value)).replace("|", "\\|") for value in values) + " |"


def _is_number(column: pd.Series) -> bool:
    return all(re.match(r"^[+−–<]?\s?\d|^–$", value) for value in column) and not all(v == "–" for v in column)


def _escaped_markdown(text: str) -> str:
    for character in "\\`*_<[":
        text = text.replace(character, f"\\{character}")
    return text


# how code and plain text are written in each markup
_HTML = (lambda text: f"<code>{html.escape(text)}</code>", html.escape)
_MARKDOWN = (lambda text: f"`{text}`", _escaped_markdown)


def _marked(text: str, markup) -> str:
    """Return text with what a reader would type set as code, and the rest escaped."""
    code, plain = markup
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts += [plain(text[end : match.start()]), code(match[0])]
        end = match.end()
    return "".join([*parts, plain(text[end:])])


def _show(markdown: str, page: str, text: str) -> None:
    _display({"text/markdown": markdown, "text/html": page, "text/plain": text}, {})


def _display(bundle: dict[str, str], metadata: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True)
