"""A claims folder → its page: claims.html and claims.md, each claim with its verdict, and the evidence it stands on.

The style is the report's, with dark colours where the reader's system asks for them; nothing is asked of the network.
What this does *not* do: decide anything; `analysis.claims` reads and words, `lrbench.claims` judged.
"""

import base64
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.claims import AREAS, MATRIX, Findings, answer, matrix, place_of, read_findings
from analysis.page import notes
from analysis.page.report import templates_folder
from analysis.page.wording import cell, count
from lrbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_CODE = re.compile(
    r"\b[\w.]+:\w+\b|\b[A-Za-z_][\w.]*\((?:[^()]|\([^()]*\))*\)"
    r"|\b(?:[A-Z]\w*LR\w*|ReduceLROnPlateau|CosineAnnealingWarmRestarts|ChainedScheduler|T_max|last_epoch|initial_lr"
    r"|state_dict|total_steps|total_iters|base_lr|lr_lambda|min_lr"
    r"|torch\.manual_seed|torch\.cuda\.manual_seed|cudnn\.\w+)\b(?:\s?=\s?\w+)?"
)
# the colour of a sentence of the notes: that of the verdict it comes nearest to
_COLOURS = {"so": "supported", "partly": "inconclusive", "not so": "refuted"}
_MARKS = {"yes": "✓", "no": "✗", "n/a": "–", "": "?"}
_STYLE = """
:root { --good: #0f6b3c; --bad: #a02c1c; --unsure: #7a5200; --head: #ffffff; }
.claim { max-width: 54rem; padding: 1rem 0 1.1rem; border-top: 1px solid var(--line); }
.claim h3 { font-size: 1rem; margin: 0.35rem 0 0.3rem; scroll-margin-top: 0.5rem; font-weight: 600; }
.claim p { margin: 0.3rem 0; max-width: none; }
.claim .small { color: var(--quiet); font-size: 0.86rem; line-height: 1.5; }
.verdict { font-weight: 600; font-size: 0.86rem; }
.supported, .equivalent { color: var(--good); } .refuted { color: var(--bad); }
.inconclusive, .not { color: var(--unsure); } .failed { color: var(--bad); }
.id { font-variant-numeric: tabular-nums; color: var(--quiet); margin-right: 0.5em; font-size: 0.86rem; }
.said h3 { font-weight: 400; } .said h3::before { content: "“"; } .said h3::after { content: "”"; }
.said ul { margin: 0.3rem 0; padding-left: 1.1rem; max-width: none; } .said li { margin: 0.25rem 0; }
.said li { font-size: 0.92rem; line-height: 1.5; }
details summary { cursor: pointer; color: var(--blue); font-size: 0.86rem; }
details .table { margin: 0.5rem 0 0.2rem; max-height: 26rem; }
th { background: var(--head); }
.matrix { max-height: none; }
.matrix td, .matrix th { text-align: center; min-width: 5rem; }
.matrix td:first-child, .matrix th:first-child { text-align: left; position: sticky; left: 0; background: var(--head); }
.matrix .yes { color: var(--good); } .matrix .no { color: var(--bad); font-weight: 700; }
@media (prefers-color-scheme: dark) {
  :root {
    --good: #6fd09a; --bad: #ff9a85; --unsure: #e8bd6a; --head: #11151a;
  }
}
"""


@dataclass(frozen=True, kw_only=True)
class PagePaths:
    """Where a page was written."""

    html: Path
    markdown: Path
    figure: Path


def write_page(folder: str | Path, out: str | Path | None = None) -> PagePaths:
    """Write claims.html, claims.md and figures/claims.svg (and .png) to `out`, or into the folder itself.

    The same tables give the same bytes. Raises InputError where the folder holds no claims, or cannot be written.
    """
    from analysis import figures

    findings = read_findings(folder)
    out = Path(folder if out is None else out)
    try:
        svg, _ = figures.save(answer(findings).figure(), out / "figures", "claims")
        paths = PagePaths(html=out / "claims.html", markdown=out / "claims.md", figure=svg)
        paths.html.write_text(as_html(findings, svg.read_bytes()), encoding="utf-8")
        paths.markdown.write_text(as_markdown(findings, f"figures/{svg.name}"), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror or error}. Name another folder: --out DIR"
        ) from None
    return paths


# ---------------------------------------------------------------------------------------------------------------- HTML


def as_html(findings: Findings, svg: bytes) -> str:
    """Return the page: headline, figure, the notes, every claim by area with its evidence behind a fold, the matrix."""
    found, claims = answer(findings), findings.claims
    style = (templates_folder() / "page" / "page.css").read_text(encoding="utf-8") + _STYLE
    picture = base64.b64encode(svg).decode()
    parts = [
        f"<h1>{html.escape(found.title)}</h1>",
        f'<p class="facts">{html.escape(place_of(claims) if len(claims) else "")}</p>',
        '<ul class="headline">' + "".join(f"<li>{_marked(s)}</li>" for s in found.sentences[: found.num_leading]),
        "</ul>",
        f'<figure><img alt="{html.escape(found.sentences[0])}" src="data:image/svg+xml;base64,{picture}"></figure>',
    ]
    standings = notes.standings(findings, notes.read_notes())
    parts += [f'<h2 id="notes">{notes.TITLE}</h2>', f"<p>{notes.summary_of([s.word for s in standings])}</p>"]
    parts += [_said(standing) for standing in standings]
    for area, rows in _by_area(claims):
        parts.append(f"<h2>{AREAS[area]}</h2>")
        parts += [_claim(claim, findings) for claim in rows.itertuples()]
    parts += _matrix(findings)
    parts += [f'<p class="note">{_marked(note)}</p>' for note in found.notes]
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(found.title)} · lrbench</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
    )
    return head + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def _by_area(claims: "pd.DataFrame"):
    return [(area, claims[claims["area"] == area]) for area in AREAS if (claims["area"] == area).any()]


def _said(standing: notes.Standing) -> str:
    """A sentence of the notes, its word, and what was seen in each of its claims, which it links to."""
    seen = [
        f'<li><a href="#{id}">{id}</a> <span class="{verdict.split()[0]}">{html.escape(verdict)}</span>: '
        f"{_marked(text)}.</li>"
        for id, verdict, text in standing.claims
    ]
    limits = f' <span class="small">{html.escape(standing.limits)}</span>' if standing.limits else ""
    return (
        f'<article class="claim said"><div><span class="verdict {_COLOURS.get(standing.word, "not")}">'
        f"{standing.word}</span>{limits}</div><h3>{_marked(standing.note.sentence)}</h3>"
        f"{'<ul>' + ''.join(seen) + '</ul>' if seen else ''}</article>"
    )


def _claim(claim, findings: Findings) -> str:
    word = claim.verdict.split()[0]
    gate = (
        ""
        if claim.gate_result == "no gate"
        else f' · <span class="{claim.gate_result}">gate {claim.gate_result}</span>'
    )
    rows = findings.evidence_of(claim.id)
    fold = ""
    if len(rows):
        fold = f"<details><summary>{count(len(rows), 'row')} of evidence</summary>{_table(rows)}</details>"
    return (
        f'<article class="claim" id="{claim.id}"><div><span class="id">{claim.id}</span>'
        f'<span class="verdict {word}">{html.escape(claim.verdict)}</span><span class="small">{gate}</span></div>'
        f"<h3>{_marked(claim.statement)}</h3><p>Seen: {_marked(claim.seen)}.</p>"
        f'<p class="small">Expected: {_marked(claim.expected)}. Source: {html.escape(claim.source)}.</p>'
        f"{fold}</article>"
    )


def _table(rows: "pd.DataFrame") -> str:
    names = list(rows)
    right = [rows[name].map(lambda value: not isinstance(value, str | bool)).all() for name in names]
    classes = [' class="number"' if end else "" for end in right]
    head = "".join(f"<th{c}>{html.escape(_heading(n))}</th>" for c, n in zip(classes, names, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{c}>{_breakable(text)}</td>" for c, text in zip(classes, line, strict=True)) + "</tr>"
        for line in _lines(rows)
    )
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _heading(name: str) -> str:
    return name.removeprefix("num_").replace("_", " ")


def _lines(rows: "pd.DataFrame") -> list[list[str]]:
    return [
        [_text(value, name) for name, value in zip(rows, line, strict=True)]
        for line in rows.itertuples(index=False, name=None)
    ]


def _text(value: object, name: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "step" and value == -1:
        return "none"
    if name in ("found", "wanted", "highest_after", "max_relative_error") and value == value and value is not None:
        return f"{value:.6g}"
    return cell(value, name)


def _matrix(findings: Findings) -> list[str]:
    table = matrix(findings)
    if table.empty:
        return []
    head = "<th>scheduler</th>" + "".join(f"<th>{html.escape(name)}</th>" for name in table)
    body, remarks = [], []
    for scheduler, cells in table.iterrows():
        shown = f"<td>{html.escape(scheduler)}</td>"
        for what, text in cells.items():
            kind = text.partition(":")[0]
            shown += f'<td class="{kind.replace("/", "")}" title="{html.escape(text)}">{_MARKS.get(kind, "?")}</td>'
            if kind != "yes":
                remarks.append(f"{scheduler}, {what}: {text or 'empty'}")
        body.append(f"<tr>{shown}</tr>")
    table_of = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return [
        '<h2 id="matrix">The conformance matrix</h2>',
        f'<p>{html.escape(_legend())} Its gate is <a href="#{MATRIX}">{MATRIX}</a>.</p>',
        f'<div class="table matrix" tabindex="0">{table_of}</div>',
        "<ul>" + "".join(f"<li>{_marked(note)}</li>" for note in remarks) + "</ul>" if remarks else "",
    ]


def _legend() -> str:
    return "Each cell was computed by running it: ✓ holds, ✗ does not, – cannot apply; the last two say why below."


def _breakable(text: str) -> str:
    return re.sub(r"(?<=\w)([(=:/.]+)(?=[A-Za-z\[])", r"\1<wbr>", html.escape(text))


def _marked(text: str) -> str:
    """Return text with what a reader would type set as code, and the rest escaped."""
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts += [html.escape(text[end : match.start()]), f"<code>{html.escape(match[0])}</code>"]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


# ------------------------------------------------------------------------------------------------------------ Markdown


def as_markdown(findings: Findings, figure: str) -> str:
    """Return the same as Markdown; the evidence is in the parquet file and on the page."""
    found, claims = answer(findings), findings.claims
    lines = [f"# {found.title}", "", _plain(place_of(claims)) if len(claims) else "", ""]
    lines += [f"- {_plain(sentence)}" for sentence in found.sentences[: found.num_leading]]
    lines += ["", f"![{_plain(found.sentences[0])}]({figure})"]
    standings = notes.standings(findings, notes.read_notes())
    lines += ["", f"## {notes.TITLE}", "", notes.summary_of([s.word for s in standings]), ""]
    lines += ["| the notes say | | seen |", "|---|---|---|"]
    for standing in standings:
        seen = [f"{id} {verdict}: {text}" for id, verdict, text in standing.claims]
        lines.append(_row(standing.note.sentence, standing.word, "; ".join(filter(None, [standing.limits, *seen]))))
    for area, rows in _by_area(claims):
        lines += ["", f"## {AREAS[area]}", "", "| | statement | verdict | seen | expected |", "|---|---|---|---|---|"]
        for claim in rows.itertuples():
            gate = "" if claim.gate_result == "no gate" else f"; gate {claim.gate_result}"
            lines.append(_row(claim.id, claim.statement, f"{claim.verdict}{gate}", claim.seen, claim.expected))
    table = matrix(findings)
    if not table.empty:
        lines += ["", "## The conformance matrix", "", _legend(), "", _row("scheduler", *table)]
        lines += ["|---|" + ":-:|" * len(table.columns)]
        remarks = []
        for scheduler, cells in table.iterrows():
            lines.append(_row(scheduler, *(_MARKS.get(text.partition(":")[0], "?") for text in cells)))
            remarks += [f"- {_plain(f'{scheduler}, {what}: {text}')}" for what, text in cells.items() if text != "yes"]
        lines += ["", *remarks]
    lines += ["", *(f"<sub>{_plain(note)}</sub>" for note in found.notes)]
    return "\n".join(lines).strip() + "\n"


def _row(*values: str) -> str:
    return "| " + " | ".join(_plain(value).replace("|", "\\|") for value in values) + " |"


def _plain(text: str) -> str:
    for character in "\\`*_<[":
        text = text.replace(character, f"\\{character}")
    return text
