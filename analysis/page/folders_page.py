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

from analysis import figures, folders_accuracy, folders_cost
from analysis.folders import about, difference_table
from analysis.folders_comparison import TITLE, Comparison, compare
from analysis.folders_cost import MARGIN
from analysis.page import markup
from analysis.page.folders_printed import print_comparison
from analysis.page.markup import Piece
from analysis.page.report import templates_folder
from analysis.page.wording import count
from lrbench.errors import InputError
from lrbench.store import is_large

_MOST_DRAWN = 12  # conditions and schedulers in the figure
_RATIO = f"ratio; shaded: within {MARGIN:.0%}"


@dataclass(frozen=True, kw_only=True)
class PagePaths:
    """Where a comparison was written."""

    html: Path
    markdown: Path
    json: Path
    figure: Path


def compare_command(a: Path, b: Path, out: Path | None = None, as_json: bool = False) -> int:
    """Compare, print, and with `out` write the page; return the exit code. Large folders: what it is at, on stderr."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    made = compare(a, b, say) if is_large(a) or is_large(b) else compare(a, b)
    paths = None if out is None else write_page(made, out)
    print(as_json_text(made), end="") if as_json else print_comparison(made)
    if paths:
        print(f"page: {paths.html}", file=sys.stderr if as_json else sys.stdout)
    return 0


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
