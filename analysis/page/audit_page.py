"""An audit's findings → what is printed, a page, and JSON: one table, conditions across and what was measured down.

The page has the report's style, with dark colours where the reader's system asks for them; nothing is asked of the
network. What this does *not* do: decide anything (`analysis.audit_findings` does).
"""

import html
import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from analysis.audit import Arm, Audit, Repeats
from analysis.audit_findings import LEAST_BLOCKS, Findings, findings
from analysis.page.report import templates_folder
from analysis.page.wording import DASH, known, number, percent, seconds
from analysis.statistics.intervals import Estimate
from lrbench.errors import InputError

_WIDE = 96  # characters from which no heading has to be broken
NOT_HERE = "not here"  # what only CUDA has, on a CPU
_CODE = re.compile(
    r"lrbench (?:diverge|show|audit) [\w.:/#-]+|\b(?:torch|cudnn|numpy|random)\.[\w.]+(?:=\w+)?(?:\([^()]*\))?"
    r"|--\w+ [\w:]+|\bworker_init_fn\b|\bPYTHONHASHSEED(?:=\d)?"
)
_STYLE = """
:root { --good: #0f6b3c; --bad: #a02c1c; --head: #ffffff; }
.table { max-height: none; }
th { background: var(--head); }
tbody th { position: sticky; left: 0; min-width: 9rem; color: var(--quiet); }
tbody th { text-align: left; vertical-align: top; font-weight: 400; }
td { min-width: 6.5rem; }
td.yes { color: var(--good); } td.no { color: var(--bad); font-weight: 600; }
.fault { max-width: 54rem; border-left: 4px solid var(--bad); padding: 0.1rem 0 0.1rem 1rem; margin: 1rem 0; }
.fault h3 { font-size: 1rem; margin: 0.2rem 0; } .fault p { margin: 0.2rem 0; }
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ec; --quiet: #9ba6b2; --line: #2c333a; --tint: #1b2026; --blue: #6cb4ee; color-scheme: dark;
    --good: #6fd09a; --bad: #ff9a85; --head: #11151a;
  }
  body { background: #11151a; }
  .table { background: none; scrollbar-color: #4b545e var(--tint); }
  ul.headline code { background: #262d34; }
}
@media (max-width: 40rem) { tbody th { min-width: 6rem; max-width: 7.5rem; } }
"""


@dataclass(frozen=True, kw_only=True)
class PagePaths:
    """Where an audit's findings were written."""

    html: Path
    json: Path


# --------------------------------------------------------------------------------------------------------- the table


def table(audit: Audit, seen: tuple[Arm, ...]) -> pd.DataFrame:
    """Return the one table as texts: a column a condition, a row a measure."""
    columns = {arm.name: _cells(arm, audit.inert) for arm in seen}
    return pd.DataFrame(columns)


def _cells(arm: Arm, inert: bool) -> dict[str, str]:
    if not arm.num_runs:
        return {"runs that ended": f"0 of {arm.num_trials}: {arm.error}"}
    search = arm.name.startswith("benchmark")
    return {
        "runs that ended": f"{arm.num_runs} of {arm.num_trials}" + (f": {arm.error}" if arm.error else ""),
        "images/s": _interval(arm.speed),
        "… by default's": "1" if arm.name == "default" else _interval(arm.ratio),
        "forward, images/s": number(arm.forward_speed),
        "search, first step": NOT_HERE if inert else _interval(arm.search, seconds) if search else DASH,
        "… paid after steps": NOT_HERE if inert else _break_even(arm.break_even) if search else DASH,
        "peak memory, MiB": number(arm.peak_memory_mib, 4),
        "eval forward repeats": _repeats(arm.forward),
        "train step repeats": _repeats(arm.backward),
        "runs identical": _runs(arm),
        "resume identical": _resumed(arm),
        "differs first": "nothing" if arm.differs is None else _first(arm),
    }


def _interval(estimate: Estimate, form=number) -> str:
    if not known(estimate.value):
        return DASH
    ends = f" [{form(estimate.low)}, {form(estimate.high)}]" if estimate.bounded and estimate.n >= LEAST_BLOCKS else ""
    return f"{form(estimate.value)}{ends}"


def _break_even(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return DASH
    return "never" if math.isinf(estimate.value) else number(math.ceil(estimate.value))


def _repeats(repeats: Repeats) -> str:
    return f"{repeats.num_identical:,} of {repeats.num_repeats:,}" if repeats.num_repeats else DASH


def _runs(arm: Arm) -> str:
    if arm.num_runs < 2:
        return DASH
    if arm.num_identical == 1:  # a run is identical with itself whatever happens
        return f"no two of {arm.num_runs}, {arm.num_results} results"
    text = f"{arm.num_identical} of {arm.num_runs}"
    return f"{text} (≤ {percent(arm.bound, 0)} differ)" if arm.reproducible else f"{text}, {arm.num_results} results"


def _resumed(arm: Arm) -> str:
    """A resume that failed has ": " in what is said of it, a resume whose bits differ lists them."""
    if arm.num_results > 1 and arm.resumed not in ("", "identical") and ": " not in arm.resumed:
        return "cannot be told: runs differ without a resume"
    return {"": DASH, "identical": "yes"}.get(arm.resumed, f"no: {arm.resumed}")


def _first(arm: Arm) -> str:
    step = arm.differs.step
    return f"{arm.differs.what}, step {step}" if step else arm.differs.what


# ------------------------------------------------------------------------------------------------------------ printed


def print_audit(audit: Audit, console=None) -> None:
    """Print the recommendation, the faults, the table, and what else changes bits."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    found = findings(audit)

    def say(text: str, **style) -> None:
        console.print(text, markup=False, highlight=False, **style)

    say(found.title, style="bold")
    for sentence in found.recommendation:
        say(f"- {sentence}")
    for fault in found.faults:
        say(f"\n{fault.name}", style="bold red")
        say(f"  {_sentence(fault.seen)}\n  {_sentence(fault.mend)}")
    shown = table(audit, found.arms)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("", no_wrap=True)
    for name in shown:
        heading = name.replace(" + ", " +\n")
        if console.width < _WIDE:
            heading = heading.replace("deterministic", "determi-\nnistic")
        grid.add_column(heading, justify="right", overflow="fold")
    for label, line in shown.iterrows():
        cells = [value if known(value) else DASH for value in line]
        grid.add_row(label, *(re.sub(r" (?=[\[(])|(?<=,) (?=step|\d+ results)", "\n", cell) for cell in cells))
    console.print(grid)
    say(_operations_head(found, audit))
    for operation in found.operations:
        say(f"- {operation}")
    for sensitivity in found.sensitivities:
        say(f"- {sensitivity.sentence}")
    for note in found.notes:
        say(note, style="dim")
    say(f"rows: lrbench show {audit.folder}", style="dim")


def _operations_head(found: Findings, audit: Audit) -> str:
    number_of = audit.examined.get("model", {}).get("num_operators", 0)
    if not found.operations:
        return f"None of its {number_of} operators is documented as nondeterministic by torch."
    return f"Of its {number_of} operators torch documents as nondeterministic:"


# --------------------------------------------------------------------------------------------------- page, and JSON


def write_page(audit: Audit) -> PagePaths:
    """Write DIR/audit/audit.html and audit.json. Raises InputError where they cannot be written."""
    folder = audit.folder / "audit"
    paths = PagePaths(html=folder / "audit.html", json=folder / "audit.json")
    try:
        paths.html.write_text(as_html(audit), encoding="utf-8")
        paths.json.write_text(as_json_text(audit), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Name another folder: --out DIR") from None
    return paths


def as_json_text(audit: Audit) -> str:
    """Return everything that was found, as JSON with plain numbers; what is not known or not finite is null."""
    found = findings(audit)
    arms = [
        {**asdict(arm), "reproducible": arm.reproducible, "bound": arm.bound, "differs": _difference(arm)}
        for arm in found.arms
    ]
    record = {
        "asked": audit.asked,
        "plan": audit.plan,
        "took_seconds": audit.took_seconds,
        **asdict(found),
        "arms": arms,
    }
    return json.dumps(_finite(record), indent=1, ensure_ascii=False) + "\n"


def _difference(arm: Arm) -> dict | None:
    return None if arm.differs is None else {**asdict(arm.differs), "sentence": arm.differs.sentence}


def _finite(value):
    """The value with null for what JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_html(audit: Audit) -> str:
    """Return the page: recommendation, faults, table, operations, what else changes bits, how it was done."""
    found = findings(audit)
    style = (templates_folder() / "page" / "page.css").read_text(encoding="utf-8") + _STYLE
    parts = [
        f"<h1>{html.escape(found.title)}</h1>",
        f'<p class="facts">{html.escape(_facts(audit))}</p>',
        '<ul class="headline">' + "".join(f"<li>{_marked(s)}</li>" for s in found.recommendation) + "</ul>",
        *(_fault(fault) for fault in found.faults),
        "<h2>What each setting costs and buys</h2>",
        _html_table(table(audit, found.arms)),
        "<h2>What else changes bits</h2>",
        "<ul>" + "".join(f"<li>{_marked(s.sentence)}</li>" for s in found.sensitivities) + "</ul>",
        "<h2>Operations that torch documents as nondeterministic</h2>",
        f"<p>{html.escape(_operations_head(found, audit))}</p>",
        "<ul>" + "".join(f"<li>{_marked(text)}</li>" for text in found.operations) + "</ul>"
        if found.operations
        else "",
        "<h2>How this was done</h2>",
        *(f'<p class="note">{_marked(note)}</p>' for note in found.notes),
    ]
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(found.title)} · lrbench</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
    )
    return head + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def _facts(audit: Audit) -> str:
    """Where and when it was made, in one line."""
    rows = audit.rows

    def said(name: str) -> str:
        return ", ".join(sorted({str(value) for value in rows[name].dropna()}))

    machine = said("gpu_name") or f"{said('cpu_model')}, no CUDA device"
    return f"torch {said('torch_version')} · {machine} · {min(rows['started_at'].dropna(), default='')[:10]}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _fault(fault) -> str:
    return (
        f'<section class="fault"><h3>{html.escape(fault.name)}</h3><p>{_marked(_sentence(fault.seen))}</p>'
        f"<p>{_marked(_sentence(fault.mend))}</p></section>"
    )


def _html_table(shown: pd.DataFrame) -> str:
    head = "<th></th>" + "".join(f"<th>{html.escape(name)}</th>" for name in shown)
    body = ""
    for label, line in shown.iterrows():
        cells = "".join(_cell(label, value if known(value) else DASH) for value in line)
        body += f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>'
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(label: str, text: str) -> str:
    kind = ""
    if label == "runs identical":
        kind = "no" if "results" in text else "yes" if "differ" in text else ""
    if label == "resume identical":
        kind = "yes" if text == "yes" else "no" if text.startswith("no") else ""
    shown = html.escape(text)
    if interval := re.fullmatch(r"([^\[(]+) ([\[(].*[\])])", text):
        shown = f'{html.escape(interval[1])}<span class="interval">{html.escape(interval[2])}</span>'
    return f'<td class="{kind}">{shown}</td>' if kind else f"<td>{shown}</td>"


def _marked(text: str) -> str:
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts += [html.escape(text[end : match.start()]), f"<code>{html.escape(match[0])}</code>"]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])
