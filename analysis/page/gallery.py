"""One page with every scheduler: its curve, formula, arguments, traps and the lines to type. Nothing from the network.

`write_gallery` takes lrbench.explanation's Explanation and lrbench.preview's Schedule of each. The style and its dark
colours are the report's; the figures are parts of the page, so that they follow them. What this does *not* do: compute
a rate, or know a scheduler.
"""

import html
import io
import re
from pathlib import Path

from analysis.figures.preview import draw_small, points
from analysis.page.report import templates_folder
from lrbench.errors import InputError

_THUMB_WIDTH, _THUMB_HEIGHT = 120, 44
# What a figure's colours are called in the page, which has others for them where it is dark.
_COLOURS = {
    "#1f2328": "var(--ink)",
    "#6b7280": "var(--quiet)",
    "#d5d9df": "var(--axis)",
    "#eceff3": "var(--line)",
    "#296ec3": "var(--curve)",
    "#ffffff": "none",
}
_ISSUES = {"pytorch": "https://github.com/pytorch/pytorch/issues/"}

_STYLE = """
main { max-width: 78rem; }
h2.group { font-size: 1.2rem; border: 0; padding: 0; margin: 2rem 0 0.8rem; }
nav.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 0.7rem; }
nav.thumbs a {
  display: block; padding: 0.6rem 0.7rem; border: 1px solid var(--line); border-radius: 6px; color: inherit;
  text-decoration: none; min-width: 0;
}
nav.thumbs a:hover, nav.thumbs a:focus-visible { border-color: var(--blue); background: var(--tint); }
nav.thumbs svg { display: block; width: 100%; height: 2.75rem; margin-bottom: 0.4rem; }
nav.thumbs polyline { fill: none; stroke: var(--curve); stroke-width: 2; vector-effect: non-scaling-stroke; }
nav.thumbs polyline.best { stroke-dasharray: 4 3; stroke-width: 1; }
nav.thumbs b { display: block; font-size: 0.86rem; line-height: 1.3; overflow-wrap: anywhere; }
nav.thumbs span { display: block; color: var(--quiet); font-size: 0.78rem; line-height: 1.35; }
section { display: grid; grid-template-columns: minmax(0, 1fr); column-gap: 2.5rem; align-items: start; }
section > header { grid-column: 1 / -1; }
section h2 { scroll-margin-top: 0.5rem; }
section h2 small { font-weight: 400; font-size: 0.8rem; color: var(--quiet); letter-spacing: 0; }
h3 { font-size: 0.95rem; margin: 1.2rem 0 0.3rem; }
.formula {
  font: 0.95rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 0.6rem 0 0;
  padding: 0.55rem 0.9rem; background: var(--tint); border-left: 3px solid var(--blue); max-width: none;
}
figure { margin: 1rem 0 0.4rem; overflow: visible; }
figure svg { display: block; width: 100%; max-width: 36rem; height: auto; }
figcaption { color: var(--quiet); font-size: 0.82rem; line-height: 1.5; }
figcaption strong { color: var(--ink); font-weight: 600; }
dl { margin: 0.3rem 0; font-size: 0.88rem; line-height: 1.45; }
dt { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; margin-top: 0.45rem; }
dt i { font-style: normal; color: var(--quiet); }
dd { margin: 0 0 0 1rem; }
ul.traps { padding-left: 1.1rem; font-size: 0.92rem; line-height: 1.5; }
ul.traps li + li { margin-top: 0.4rem; }
pre { font-size: 0.82rem; line-height: 1.5; margin: 0.4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.up { font-size: 0.8rem; }
@media (min-width: 60rem) { section { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
"""


def write_gallery(entries: list[tuple], folder: Path, made_with: str) -> Path:
    """Write DIR/index.html, with a figure of each schedule in it, and return its path.

    The same entries give the same bytes. `entries` is [(Explanation, Schedule)], `made_with` a few words on what drew
    them. Raises InputError where it cannot be written. `lrbench preview CALL --out FILE` writes a figure of its own.
    """
    drawn = [(told, schedule, _figure(told, schedule)) for told, schedule in entries]
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(drawn, made_with), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--gallery {folder} cannot be written: {error.strerror or error}") from error
    return page


def _figure(told, schedule) -> str:
    from analysis.figures import style

    svg = io.StringIO()
    with style():
        draw_small(schedule).savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(svg.getvalue(), told.name)


def _inline(svg: str, name: str) -> str:
    """Return an SVG file's text as a part of the page: ids of its own, colours of the page, and a name.

    >>> _inline('<?xml?><!DOCTYPE svg><svg><metadata>x</metadata><g id="a" style="fill: #1f2328"/></svg>', "S")
    '<svg role="img" aria-label="S"><g id="S-a" style="fill: var(--ink)"/></svg>'
    """
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.S)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(name)}"', 1).strip()
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg


# ----------------------------------------------------------------------------------------------------------------- page


def _page(drawn: list[tuple], made_with: str) -> str:
    css = (templates_folder() / "page" / "page.css").read_text(encoding="utf-8")
    homes = list(dict.fromkeys(told.home for told, *_ in drawn))
    thumbs = "".join(
        f'<h2 class="group">{_heading(home)}</h2><nav class="thumbs">'
        + "".join(_thumb(told, schedule) for told, schedule, _ in drawn if told.home == home)
        + "</nav>"
        for home in homes
    )
    base, epochs = drawn[0][1].base_lr, drawn[0][1].epochs
    facts = f"{len(drawn)} schedulers, each from a base rate of {base:g} over {epochs} epochs · {made_with}"
    common = list({trap.says: trap for told, *_ in drawn for trap in told.common}.values())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Learning-rate schedules · lrbench</title>
<style>
{css}{_STYLE}</style>
</head>
<body id="top">
<main>
<h1>What each learning-rate schedule does, and what goes wrong with it</h1>
<p class="facts">{html.escape(facts)}</p>
<p>In every formula t is the number of calls of <code>step()</code> so far. A solid curve is what is applied; a dashed
one is the best case of a schedule that waits for a metric, whose solid curve is the worst case.</p>
{thumbs}
{"".join(_section(*one) for one in drawn)}
<section><header><h2 id="every">With every scheduler</h2></header><div>{_traps(common)}</div></section>
</main>
</body>
</html>
"""


def _heading(home: str) -> str:
    return "What torch lacks: lrbench.schedulers" if home.startswith("lrbench") else f"In torch: {home}"


def _thumb(told, schedule) -> str:
    high = max(rate for rates in (*schedule.lr, *schedule.best_case) for rate in rates) or 1.0
    curves = "".join(f'<polyline points="{_polyline(schedule, rates, high)}"/>' for rates in schedule.lr)
    curves += "".join(
        f'<polyline class="best" points="{_polyline(schedule, rates, high)}"/>' for rates in schedule.best_case
    )
    return (
        f'<a href="#{told.name}"><svg viewBox="0 0 {_THUMB_WIDTH} {_THUMB_HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{curves}</svg><b>{_breakable(told.name)}</b><span>{html.escape(told.brief)}</span></a>'
    )


def _breakable(name: str) -> str:
    """Let a long name break where its words meet, and nowhere else.

    >>> _breakable("ReduceLROnPlateau"), _breakable("REXLR")
    ('Reduce<wbr>LR<wbr>On<wbr>Plateau', 'REXLR')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "<wbr>", name)


def _polyline(schedule, rates: list[float], high: float) -> str:
    x, y = points(schedule, rates)
    room = _THUMB_HEIGHT - 4
    corners = [
        (a / schedule.epochs * _THUMB_WIDTH, 2 + room * (1 - max(b, 0.0) / high)) for a, b in zip(x, y, strict=True)
    ]
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)


def _section(told, schedule, svg: str) -> str:
    source = f" Source: {html.escape(told.source)}." if told.source else ""
    lines = "\n".join(html.escape(f"# {where}\n{line}") for where, line in told.to_type)
    traps = f"<h3>Traps</h3>{_traps(told.own)}" if told.own else ""
    return f"""<section>
<header><h2 id="{told.name}">{told.name} <small>{html.escape(told.home)}</small></h2>
<p>{html.escape(told.says[0].upper() + told.says[1:])}.{source}</p>
<p class="formula">{html.escape(told.formula)}</p></header>
<div><figure>{svg}<figcaption>{_caption(schedule)}</figcaption></figure>
<h3>To type</h3><pre>{lines}</pre></div>
<div>{traps}<h3>Arguments</h3><dl>{"".join(map(_argument, told.arguments))}</dl>
<p class="up"><a href="#every">what holds for every scheduler</a> · <a href="#top">all schedulers</a></p></div>
</section>
"""


def _caption(schedule) -> str:
    said = f"<strong>{html.escape(schedule.label)}</strong><br>"
    for group, rates in enumerate(schedule.lr):
        which = f"group {group}: " if len(schedule.lr) > 1 else ""
        share = f"area {100 * schedule.mean_share[group]:.3g}% of a constant rate"
        said += f"{which}first {rates[0]:.4g}, last {rates[-1]:.4g}, {share}. "
    return said + " ".join(html.escape(f"Warning: {warning}.") for warning in schedule.warnings)


def _argument(argument) -> str:
    default = f" = {html.escape(argument.default)}" if argument.default else " <i>(must be given)</i>"
    default += " <i>(by its name only)</i>" if argument.by_name_only else ""
    if argument.name == "optimizer":
        return ""
    study = f" In a study {html.escape(argument.in_study)} unless given." if argument.in_study else ""
    return f"<dt>{argument.name}{default}</dt><dd>{html.escape(argument.says)}.{study}</dd>"


def _traps(traps) -> str:
    return f'<ul class="traps">{"".join(f"<li>{html.escape(t.says)}{_links(t.issues)}</li>" for t in traps)}</ul>'


def _links(issues: list[str]) -> str:
    """Return the issues as links, which a reader may follow; the page itself asks for nothing.

    >>> _links(["pytorch#2545"])
    ' <a href="https://github.com/pytorch/pytorch/issues/2545">pytorch#2545</a>'
    """
    links = [f'<a href="{_ISSUES[issue.split("#")[0]]}{issue.split("#")[1]}">{issue}</a>' for issue in issues]
    return "".join(f" {link}" for link in links)
