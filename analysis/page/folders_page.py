"""`lrbench compare DIR_A DIR_B`: the comparison of two folders in the terminal, as JSON, and as a page with its figure.

First what differs between the folders, then cost, bits and accuracy in sentences. What this does *not* do: decide
anything; `analysis.folders` matches, and `folders_cost`, `folders_bits` and `folders_accuracy` compare.
"""

import base64
import html
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from analysis import figures, folders_accuracy, folders_bits, folders_cost
from analysis.answers import Answer
from analysis.folders import Matched, about, difference_table, match
from analysis.folders_accuracy import Compared
from analysis.folders_cost import MARGIN, Ratio
from analysis.page import markup
from analysis.page.markup import Piece
from analysis.page.report import templates_folder
from analysis.page.wording import count, displayed
from lrbench.errors import InputError

TITLE = "What differs between two results folders?"
_MOST_DRAWN = 12  # conditions and schedulers in the figure
_MOST_PRINTED = 12  # rows of a table in the terminal
_WORD = 16  # a word up to this long is not broken: a verdict's, a number; whole calls are longer
_GAP = 2  # characters beside each column there: its padding and the line between two
_WHOLE = 24  # a name up to this long is not broken there
_RATIO = f"ratio; shaded: within {MARGIN:.0%}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two folders compared: what was matched, and an answer each on cost, bits and accuracy."""

    matched: Matched
    ratios: tuple[Ratio, ...]
    compared: tuple[Compared, ...]
    answers: dict[str, Answer]


@dataclass(frozen=True, kw_only=True)
class PagePaths:
    """Where a comparison was written."""

    html: Path
    markdown: Path
    json: Path
    figure: Path


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Return what differs between two results folders. Raises InputError where one of them holds no study."""
    matched = match(a, b)
    ratios, compared = folders_cost.ratios(matched), folders_accuracy.compared(matched)
    answers = {
        "cost": folders_cost.answer(matched, ratios),
        "bits": folders_bits.answer(matched, folders_bits.bits(matched)),
        "accuracy": folders_accuracy.answer(matched, compared),
    }
    return Comparison(matched=matched, ratios=tuple(ratios), compared=tuple(compared), answers=answers)


def compare_command(a: Path, b: Path, out: Path | None = None, as_json: bool = False) -> int:
    """Compare, print, and with `out` write the page; return the exit code."""
    made = compare(a, b)
    paths = None if out is None else write_page(made, out)
    print(as_json_text(made), end="") if as_json else print_comparison(made)
    if paths:
        print(f"page: {paths.html}", file=sys.stderr if as_json else sys.stdout)
    return 0


# ------------------------------------------------------------------------------------------------------------ printed


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
        table = table[["cost_ratio", "cost_ratio_low", "cost_ratio_high", "welch_p", "verdict"]]
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


# --------------------------------------------------------------------------------------------------------------- JSON


def as_json_text(made: Comparison) -> str:
    """Return everything that was found, as JSON with plain numbers; what is not known or not finite is null."""
    matched = made.matched
    record = {
        "a": str(matched.a.folder),
        "b": str(matched.b.folder),
        **matched.counts,
        "differs": [asdict(difference) for difference in matched.differences],
        "apart": {name: list(levels) for name, levels in matched.apart.items()},
        "not_compared": {**matched.no_bits, **matched.nothing},
        "about": about(matched),
        **{
            name: {
                "question": answer.title,
                "verdict": answer.verdict,
                "sentences": list(answer.sentences),
                "caveats": list(answer.caveats),
                "table": answer.table.astype(object).to_dict("records"),
            }
            for name, answer in made.answers.items()
        },
    }
    return json.dumps(_plain(record), indent=1, ensure_ascii=False) + "\n"


def _plain(value):
    """The value as JSON knows it: plain numbers, null for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --------------------------------------------------------------------------------------------------------------- page


def write_page(made: Comparison, out: Path) -> PagePaths:
    """Write compare.html, compare.md, compare.json and figures/compare.svg (and .png) to `out`.

    The same folders give the same bytes. Raises InputError where `out` cannot be written.
    """
    paths = PagePaths(
        html=out / "compare.html",
        markdown=out / "compare.md",
        json=out / "compare.json",
        figure=out / "figures" / "compare.svg",
    )
    try:
        figures.save(draw(made), paths.figure.parent, "compare")
        svg = figures.both_ways(paths.figure.read_text(encoding="utf-8"))
        paths.html.write_text(_as_html(made, svg), encoding="utf-8")
        paths.markdown.write_text(_as_markdown(made), encoding="utf-8")
        paths.json.write_text(as_json_text(made), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}. Name another: --out DIR") from None
    return paths


def draw(made: Comparison):
    """Return the figure: cost as ratios and accuracy as differences, with the margins in which a change is none."""
    groups = []
    overall = [ratio for ratio in made.ratios if not ratio.where]
    cost = _few([ratio for ratio in made.ratios if ratio.metric == "samples_per_second"])
    if cost:
        lines = tuple(folders_cost.line_of(ratio) for ratio in cost)
        title = "Throughput, B over A"
        groups.append(figures.Group(title=title, xlabel=_RATIO, lines=lines, reference=1.0, margin=MARGIN))
    elif overall:
        lines = tuple(folders_cost.line_of(ratio) for ratio in overall)
        groups.append(figures.Group(title="Cost, B over A", xlabel=_RATIO, lines=lines, reference=1.0, margin=MARGIN))
    compared = _few(made.compared)
    if compared:
        lines = tuple(folders_accuracy.line_of(one) for one in compared)
        margin = compared[0].judgement.margin
        groups.append(
            figures.Group(
                title="Accuracy, B less A",
                xlabel="points, paired by seed; shaded: within one seed SD",
                lines=lines,
                margin=margin if math.isfinite(margin) else 0.0,
                scale=100.0,
            )
        )
    if not groups:
        return figures.message(made.answers["cost"].sentences[0])
    return figures.summary(groups, title=finding(made))


def _few(found) -> list:
    """The whole and its parts where these are few, else the whole alone."""
    return list(found) if len(found) <= _MOST_DRAWN else list(found)[:1]


def finding(made: Comparison) -> str:
    """Return the whole comparison in a line."""
    parts = []
    speed = [ratio for ratio in made.ratios if not ratio.where and ratio.metric == "samples_per_second"]
    if speed:
        parts.append(f"Speed: {folders_cost.word(speed[0])}")
    parts.append(f"bits: {made.answers['bits'].headline[0]}")
    if made.compared:
        parts.append(f"accuracy: {folders_accuracy.line_of(made.compared[0]).verdict}")
    return "; ".join(parts)


def _pieces(made: Comparison) -> list[Piece]:
    """The parts of the page in their order, the figure aside."""
    differs = difference_table(made.matched)
    leading = [answer.sentences[0] for answer in made.answers.values()]
    pieces = [markup.sentences(dict.fromkeys([*about(made.matched), *leading]), "headline")]
    pieces.append(markup.heading("What differs between the folders", "differs"))
    pieces.append(
        markup.table(differs)
        if len(differs)
        else markup.paragraph("Nothing differs in what was asked, nor in where it ran.")
    )
    for name, answer in made.answers.items():
        pieces += [markup.heading(answer.title, name), markup.badge(answer.verdict)]
        pieces.append(markup.sentences(answer.sentences, "findings"))
        pieces += [markup.table(answer.table)] if len(answer.table) else []
        pieces += [markup.paragraph(note, "note") for note in (*answer.caveats, *answer.notes)]
    return pieces


def _facts(made: Comparison) -> str:
    """Which folder is A and which is B, by as much of their paths as tells them apart."""
    paths = [side.folder.resolve().parts for side in (made.matched.a, made.matched.b)]
    alike = next((n for n in range(1, min(map(len, paths)) + 1) if paths[0][-n] != paths[1][-n]), 1)
    sides = zip("AB", ("/".join(parts[-alike:]) for parts in paths), (made.matched.a, made.matched.b), strict=True)
    return " · ".join(f"{name} is {path} ({count(side.num_rows, 'trial')})" for name, path, side in sides)


def _as_html(made: Comparison, svg: str) -> str:
    style = (templates_folder() / "page" / "page.css").read_text(encoding="utf-8")
    picture = base64.b64encode(svg.encode()).decode()
    figure = f'<figure><img alt="{html.escape(finding(made))}" src="data:image/svg+xml;base64,{picture}"></figure>'
    first, *rest = _pieces(made)
    body = "\n".join([first.page, figure, *(piece.page for piece in rest if piece.page)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE} · lrbench</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{TITLE}</h1>\n<p class="facts">{html.escape(_facts(made))}</p>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _as_markdown(made: Comparison) -> str:
    first, *rest = _pieces(made)
    figure = f"![{finding(made)}](figures/compare.svg)"
    parts = [f"# {TITLE}", markup.marked_markdown(_facts(made)), first.markdown, figure]
    return "\n\n".join([*parts, *(piece.markdown for piece in rest if piece.markdown)]) + "\n"
