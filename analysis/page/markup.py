"""How sentences, lists and tables are written: HTML for the page, Markdown for report.md, plain text for a terminal.

What this does *not* do: choose what is shown (`analysis.page.pages` does), or draw.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from analysis.page.wording import displayed
from analysis.rows.conditions import FACTORS

# what a reader would type stands in code type: factors (with a level), calls of classes, settings, commands
_NAMES = "|".join([*sorted(FACTORS, key=len, reverse=True), "replicates", "seed"])
_ARGUMENTS = r"\((?:[^()]|\([^()]*\))*\)"  # a call's, with a tuple or a call inside
_OWN = r"\b[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # a thing of the user's: module:attribute
_LEVEL = rf"(?:\[[^\]]*\]|\"[^\"]*\"|-?\w+(?:[.:-]\w+)*(?:{_ARGUMENTS})?)"
_WORD = r"(?:'[^']*'|[^\s'\"();]*[^\s'\",;:.()])"  # of a command: the sentence's own full stop is not in it
# a command with what follows it: a name where nothing else follows in the sentence, and options with their values
_COMMANDS = "run|plan|show|report|compact|compare|export|preview|explain|claims|audit|diverge|data fetch|data list"
_COMMAND = rf"\blrbench (?:{_COMMANDS})\b(?: (?!--){_WORD}(?= --|[.,;:)]|$))?(?: --[a-z][\w-]*(?: (?!--){_WORD})?)*"
_CODE = re.compile(
    rf"`[^`]+`|{_COMMAND}"
    rf"|\b(?:{_NAMES})\b\s?=\s?{_LEVEL}"
    rf"|{_OWN}(?:{_ARGUMENTS})?"
    rf"|\b(?:cudnn_\w+|deterministic_algorithms|base_lr|num_threads|channels_last|[A-Z]\w+LR\w*|ReduceLROnPlateau)\b"
    rf"(?:{_ARGUMENTS})?|--set [\w.]+={_LEVEL}|\[grid\]|\[\[?(?:compare|tune|until)(?:\.\w+)*\]?\]|\{{[^{{}}]*\}}"
)
# the mark before a verdict's word: told by shape and word, so that no reader needs the colour
_MARKS = {
    "better": "▲",
    "worse": "▼",
    "better, but negligible": "▲",
    "worse, but negligible": "▼",
    "equivalent within margin": "≈",
    "inconclusive": "?",
    "not testable here": "–",
}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of a report in its three markups."""

    markdown: str
    page: str
    text: str

    def __add__(self, other: "Piece") -> "Piece":
        return Piece(
            markdown=f"{self.markdown}\n\n{other.markdown}",
            page=self.page + other.page,
            text=f"{self.text}\n{other.text}",
        )


def heading(text: str, anchor: str, size: int = 2) -> Piece:
    """Return a heading that links can lead to."""
    return Piece(
        markdown=f'<a id="{anchor}"></a>\n\n{"#" * size} {marked_markdown(text)}',
        page=f'<h{size} id="{anchor}">{marked_html(text)}</h{size}>',
        text=text,
    )


def sentences(texts, kind: str) -> Piece:
    """Return a list of sentences; `kind` is its class in the page.

    Sentences in a row that open alike ("All at the default base_lr: …") stand below their opening, said once.

    >>> print(sentences(["At 0.1: one.", "At 0.1: two.", "Three."], "findings").markdown)
    - At 0.1:
      - one.
      - two.
    - Three.
    """
    lines, items, plain = [], [], []
    for opening, group in _grouped(list(texts)):
        written = [marked_markdown(text) for text in group]
        shown = "".join(f"<li>{marked_html(text)}</li>" for text in group)
        if opening:
            lines += [f"- {marked_markdown(opening)}:", *(f"  - {text}" for text in written)]
            items.append(f'<li class="group"><b>{marked_html(opening)}:</b><ul>{shown}</ul></li>')
            plain += [f"- {opening}:", *(f"  - {text}" for text in group)]
        else:
            lines += [f"- {text}" for text in written]
            items.append(shown)
            plain += [f"- {text}" for text in group]
    return Piece(markdown="\n".join(lines), page=f'<ul class="{kind}">{"".join(items)}</ul>', text="\n".join(plain))


def _grouped(texts: list[str]) -> list[tuple[str, list[str]]]:
    """Return [(opening, what follows it)] where sentences in a row open alike, ("", them) where they do not."""
    found = []
    for opening, group in groupby(texts, key=_opening):
        group = list(group)
        several = opening and len(group) > 1
        found.append((opening, [text[len(opening) + 2 :] for text in group]) if several else ("", group))
    return found


def _opening(text: str) -> str:
    """Return what stands before a sentence's first colon, "" without one; a colon in brackets is part of a level.

    >>> _opening("At model_args={'width': 8}: one.")
    "At model_args={'width': 8}"
    """
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth <= 0 and text.startswith(": ", place):
            return text[:place]
    return ""


def paragraph(text: str, kind: str = "") -> Piece:
    """Return a paragraph; of the class "note" it is small print."""
    written = marked_markdown(text)
    of_class = f' class="{kind}"' if kind else ""
    return Piece(
        markdown=f"<sub>{written}</sub>" if kind == "note" else written,
        page=f"<p{of_class}>{marked_html(text)}</p>",
        text=text,
    )


def badge(verdict: str) -> Piece:
    """Return a verdict as a badge: a mark and its words, coloured besides. Nothing where there is none."""
    if not verdict:
        return Piece(markdown="", page="", text="")
    mark = _MARKS.get(verdict, "•")
    kind = verdict.partition(" ")[0].rstrip(",")
    return Piece(
        markdown=f"**{mark} {verdict}**",
        page=f'<span class="badge {html.escape(kind)}"><span aria-hidden="true">{mark}</span> '
        f"{html.escape(verdict)}</span>",
        text=f"[{verdict}]",
    )


def table(values: pd.DataFrame) -> Piece:
    """Return a table in print: units, intervals joined, numbers to the right."""
    shown = displayed(values)
    right = [_is_number(column) for _, column in shown.items()]
    rows = [[str(value) for value in row] for row in shown.itertuples(index=False)]
    rules = ["---:" if end else "---" for end in right]
    lines = [_line(shown.columns), "|" + "|".join(rules) + "|", *map(_line, rows)]
    classes = [' class="number"' if end else "" for end in right]
    head = "".join(f"<th{c}>{html.escape(name)}</th>" for c, name in zip(classes, shown.columns, strict=True))
    body = "".join(f"<tr>{_cells(row, classes)}</tr>" for row in rows)
    page = f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return Piece(markdown="\n".join(lines), page=page, text=shown.to_string(index=False))


def folded(summary: str, code: str) -> Piece:
    """Return lines of Python behind a fold."""
    return Piece(
        markdown=f"<details><summary>{html.escape(summary)}</summary>\n\n```python\n{code}\n```\n\n</details>",
        page=f'<details class="rows"><summary>{html.escape(summary)}</summary>'
        f"<pre><code>{html.escape(code)}</code></pre></details>",
        text=f"{summary}\n{code}",
    )


# ------------------------------------------------------------------------------------------------------------ in a line


def marked_html(text: str) -> str:
    """Return text as HTML, with what a reader would type set as code.

    >>> marked_html("Use StepLR & rest")
    'Use <code>StepLR</code> &amp; rest'
    >>> marked_html("Go on: lrbench run quickstart --out 'a b' --set seed=0-9.")
    'Go on: <code>lrbench run quickstart <span>--out</span> &#x27;a b&#x27; <span>--set</span> seed=0-9</code>.'
    """
    return _marked(text, lambda code: f"<code>{_whole_options(html.escape(code))}</code>", html.escape)


def _whole_options(code: str) -> str:
    """Let no line of the page end inside an option's name."""
    return re.sub(r"(?<= )--[a-z][a-z-]*", r"<span>\g<0></span>", code)


def marked_markdown(text: str) -> str:
    """Return text as Markdown, with what a reader would type set as code.

    >>> marked_markdown("a_b of StepLR")
    'a\\\\_b of `StepLR`'
    """
    return _marked(text, lambda code: f"`{code}`", _escaped_markdown)


def _marked(text: str, code: Callable[[str], str], plain: Callable[[str], str]) -> str:
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts += [plain(text[end : match.start()]), code(match[0].strip("`"))]
        end = match.end()
    return "".join([*parts, plain(text[end:])])


def _escaped_markdown(text: str) -> str:
    for character in "\\`*_<[":
        text = text.replace(character, f"\\{character}")
    return text


def _cells(row: list[str], classes: list[str]) -> str:
    return "".join(f"<td{c}>{_breakable(value)}</td>" for c, value in zip(classes, row, strict=True))


def _breakable(text: str) -> str:
    """A verdict is a badge; a long call breaks where a reader would break it; an interval stands below its value."""
    if text in _MARKS:
        return badge(text).page
    if interval := re.fullmatch(r"([^\[(]+) (\[[^\]]*\d[^\]]*\])", text):
        return f'{html.escape(interval[1])}<span class="interval">{html.escape(interval[2])}</span>'
    return re.sub(r"(?<=\w)([(=:/.]+)(?=[A-Za-z\[])", r"\1<wbr>", html.escape(text))


def _line(values) -> str:
    return "| " + " | ".join(_escaped_markdown(str(value)).replace("|", "\\|") for value in values) + " |"


def _is_number(column: pd.Series) -> bool:
    return all(re.match(r"^[+−–<]?\s?\d|^–$", value) for value in column) and not all(v == "–" for v in column)
