"""What the report's notebook calls: read the study, then show its first page, a section for each answer, and the rest.

Every output carries HTML (for the page), Markdown (for report.md) and plain text; figures are SVG and PNG, and lie
beside the report as files too. What this does *not* do: compute or draw, or write markup (`analysis.page.markup` does).
"""

import base64
import html
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from analysis import divergence, figures
from analysis.answers import Answer
from analysis.figures import churn_map, learning_curves
from analysis.figures import divergence as divergence_figure
from analysis.page import markup, overview, sections, summary
from analysis.page.markup import Piece
from analysis.page.sections import ENVIRONMENT
from analysis.page.ways_back import WayBack, lines, way_back
from analysis.page.wording import count
from analysis.provenance import failures
from analysis.rows.arms import comparable
from analysis.rows.planned import progress


@dataclass(frozen=True, kw_only=True)
class Page:
    """A study that is being reported: its folder as seen from the report, record, rows, answers; where the report goes.

    `sampled` says of which trials the nested columns were read, where these were not all, `strays` which rows of the
    folder are of no trial of the study, and left out; "" otherwise.
    """

    folder: str
    record: dict
    rows: pd.DataFrame
    answers: dict[str, Answer]
    out: Path
    sampled: str = ""
    strays: str = ""
    shown: list[str] = field(default_factory=list)

    @property
    def sections(self) -> dict[str, Answer]:
        """The answers that have a section among the answers."""
        return {name: answer for name, answer in self.answers.items() if name != ENVIRONMENT}


def read_study(folder: str, out: str, again: str = "") -> Page:
    """Read a results folder and compute every answer. Figures will be written to OUT/figures.

    `again` is the command that goes on in that folder, as it is typed where the report was (`lrbench.typed.again`).
    """
    from lrbench.store import read_study_record

    record = {**read_study_record(folder), "again": again}
    rows, sampled, strays = sections.read(folder, record)
    answers = sections.answered(rows, record, sampled)
    return Page(folder=folder, record=record, rows=rows, answers=answers, out=Path(out), sampled=sampled, strays=strays)


# ----------------------------------------------------------------------------------------------------- the first page


def show_title(page: Page) -> None:
    """Show the study's question, and what it is in one line."""
    study = page.record["study"]
    facts = f"{study['name']} · {count(len(page.rows), 'trial')}"
    started = page.rows["started_at"].dropna()
    if len(started):
        facts += f" · {min(started)[:10]}"
    question = study["question"]
    _show(
        Piece(
            markdown=f"# {markup.marked_markdown(question)}\n\n{markup.marked_markdown(facts)}",
            page=f'<h1>{markup.marked_html(question)}</h1><p class="facts">{html.escape(facts)}</p>',
            text=f"{question}\n{facts}",
        )
    )


def show_contents(page: Page) -> None:
    """Show the table of contents: beside the text where there is room, behind a fold on a phone."""
    entries = [("summary", "In short"), ("conditions", "All conditions")]
    entries += [(name, answer.title) for name, answer in page.sections.items()]
    entries += [("method", "How the numbers were made"), ("environment", "What ran where?")]
    links = "".join(f'<li><a href="#{anchor}">{markup.marked_html(title)}</a></li>' for anchor, title in entries)
    listed = "\n".join(f"- [{markup.marked_markdown(title)}](#{anchor})" for anchor, title in entries)
    _show(
        Piece(
            markdown=listed,
            page=f'<details class="contents"><summary>Contents</summary><ol>{links}</ol></details>'
            f'<nav class="contents" aria-label="Contents"><ol>{links}</ol></nav>',
            text="\n".join(title for _, title in entries),
        )
    )


def show_first_page(page: Page) -> None:
    """Show what must be known first, what the study asks, what to do, the comparisons in one figure, other answers."""
    _show(markup.heading("In short", "summary"))
    at = replace(progress(page.rows, page.record), strays=page.strays)
    found = overview.first_page(page.rows, page.answers, page.record, at)
    if found.problems:
        _show(markup.sentences(found.problems, "problems"))
    for name, leading in found.own.items():
        _show(_in_short(name, page.answers[name], leading))
    if found.advice:
        _show(markup.heading("What to do", "what-to-do", 3) + markup.sentences(found.advice, "advice"))
    for drawn in summary.drawn(page.rows, page.record):
        _figure(page, "summary", drawn)
        _show(markup.paragraph(sections.about_summary(page.rows), "note"))
        _rows(page, None, _way_back(page, "summary"))
    if others := [_in_short(name, page.answers[name], leading) for name, leading in found.others.items()]:
        title = "The other answers" if found.own else "The answers"
        _show(markup.heading(title, "other-answers", 3) + _beside(others))
    if found.unasked:
        titles = " and ".join(page.answers[name].title for name in found.unasked)
        _show(markup.paragraph(f"Not asked by this study, which varies no flag and repeats no trial: {titles}", "note"))


def show_conditions(page: Page) -> None:
    """Show one row for each condition; trials that chose a base_lr are counted below and not in it."""
    rows = comparable(page.rows)
    back, chose = _way_back(page, "conditions", rows), len(page.rows) - len(rows)
    _table(page, overview.main_table(rows), replace(back, condition="tuning != 'selection'") if chose else back)
    if chose:
        _show(markup.paragraph(f"{count(chose, 'trial')} that chose a base_lr not counted here.", "note"))


# --------------------------------------------------------------------------------------------------- answers and rest


def show_answer(page: Page, name: str) -> None:
    """Show one answer: its question, verdict, sentences, figure, table, caveats and notes, and what belongs to it."""
    answer = page.answers[name]
    anchor = "environment" if name == ENVIRONMENT else name
    _show(markup.heading(answer.title, anchor))
    if prose := sections.prose(name, page.rows):
        _show(markup.paragraph(prose, "about"))
    badge = markup.badge(answer.verdict)
    found = markup.sentences(answer.sentences, "findings")
    _show(badge + found if answer.verdict else found)
    back = _way_back(page, name)
    _figure(page, name, answer.figure())
    _table(page, answer.table, back)
    if answer.caveats:
        _show(markup.paragraph("What this does not show:", "caveats") + markup.sentences(answer.caveats, "caveats"))
    for note in answer.notes:
        _show(markup.paragraph(note, "note"))
    for title, drawn, table, name_of in _belonging(page, name):
        if title:
            _show(markup.heading(title, name_of, 3))
        if drawn is not None:
            _figure(page, name_of, drawn)
        if table is not None:
            _table(page, table, _way_back(page, name_of))
        else:
            _rows(page, None, _way_back(page, name_of))


def show_way_back(page: Page) -> None:
    """Show what the folded lines begin with, and which trials were read whole, where these were not all."""
    if page.sampled:
        _show(markup.paragraph(page.sampled))
    own = "from analysis.rows.staged import own_rows  # the rows of trials that the study has\n" if page.strays else ""
    start = f"import lrbench\n{own}\nDIR = {page.folder!r}  # the study's folder, from here"
    _show(markup.folded("to start with", start))


def _way_back(page: Page, name: str, rows: pd.DataFrame | None = None) -> WayBack:
    back = way_back(name, page.rows if rows is None else rows, sections.metric(page.record, name))
    return replace(back, among_strays=bool(page.strays))


def show_calibration(page: Page) -> None:
    """Show how the methods did where the truth was known."""
    for answer in sections.calibrated():
        _show(markup.heading(answer.title, "calibration", 3) + markup.sentences(answer.sentences, "findings"))
        _figure(page, "calibration", answer.figure())
        if len(answer.table):
            _show(markup.table(answer.table))
        for note in answer.notes:
            _show(markup.paragraph(note, "note"))


def show_environment(page: Page) -> None:
    """Show what ran where, and every trial that failed."""
    show_answer(page, ENVIRONMENT)
    _table(page, failures(page.rows), _way_back(page, "failures"))


def _belonging(page: Page, name: str) -> Iterator[tuple[str, object, pd.DataFrame | None, str]]:
    """Yield what stands below an answer: (heading, figure, table, name), a figure or a table."""
    rows = page.rows
    if name == "schedulers":
        yield "Learning curves", learning_curves.draw(rows), None, "learning_curves"
    if name == "reproducibility":
        for table in (divergence.digest_table(rows), divergence.distance_table(rows)):
            if len(table):
                yield "", None, table, "divergence"
        for figure in divergence_figure.drawn(rows):
            yield "How runs part", figure, None, "divergence"
        for figure in churn_map.drawn(rows):
            yield "On what two runs disagree", figure, None, "churn"


# ------------------------------------------------------------------------------------------------------------- pieces


def _beside(cards: list[Piece]) -> Piece:
    """Cards in smaller type, side by side where there is room."""
    return Piece(
        markdown="\n\n".join(card.markdown for card in cards),
        page=f'<div class="others">{"".join(card.page for card in cards)}</div>',
        text="\n".join(card.text for card in cards),
    )


def _in_short(name: str, answer: Answer, leading: tuple[str, ...]) -> Piece:
    """One answer on the first page: its question as a link, its verdict, its first sentences."""
    question, badge = markup.marked_html(answer.title), markup.badge(answer.verdict)
    parts = " ".join(f"<span>{markup.marked_html(text)}</span>" for text in leading)
    title = markup.marked_markdown(answer.title)
    said = "\n".join(f"- {markup.marked_markdown(text)}" for text in leading)
    return Piece(
        markdown=f"**[{title}](#{name})** {badge.markdown}".rstrip() + f"\n\n{said}",
        page=f'<section class="short"><h3><a href="#{name}">{question}</a> {badge.page}</h3><p>{parts}</p></section>',
        text="\n".join([f"{answer.title} {badge.text}".rstrip(), *(f"- {text}" for text in leading)]),
    )


def _table(page: Page, table: pd.DataFrame, back: WayBack) -> None:
    """Show a table and the way back to its rows; nothing where it has none."""
    if len(table):
        _show(markup.table(table))
        _rows(page, table, back)


def _rows(page: Page, table: pd.DataFrame | None, back: WayBack) -> None:
    code = [back.line] if table is None else lines(table, page.rows, back)
    _show(markup.folded(f"rows ({back.num_rows:,})", "\n".join(code)))


def _figure(page: Page, name: str, figure) -> None:
    """Write a figure to OUT/figures and show it; its title, the finding, is its text for who cannot see it."""
    page.shown.append(name)
    again = page.shown.count(name)
    alt = " ".join(figure.get_suptitle().split()) or name
    svg, png = figures.save(figure, page.out / "figures", name if again == 1 else f"{name}_{again}")
    _display(
        {
            "image/svg+xml": svg.read_text(encoding="utf-8"),
            "image/png": base64.b64encode(png.read_bytes()).decode(),
            "text/plain": f"figure: figures/{svg.name}",
        },
        {"alt": alt, "file": f"figures/{svg.name}"},
    )


def _show(piece: Piece) -> None:
    _display({"text/markdown": piece.markdown, "text/html": piece.page, "text/plain": piece.text}, {})


def _display(bundle: dict[str, str], metadata: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, metadata=metadata, raw=True)
