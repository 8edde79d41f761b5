"""What do people say of schedulers, seeds and flags, and what is so? The verdicts of `lrbench claims`, as an answer.

Reads the two tables that the command leaves behind. What this does *not* do: test a claim (`lrbench.claims` does), or
set the page (`analysis.page.claims_page` does). `python -m analysis.claims DIR` prints the answer and writes the page.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.answers import Answer
from analysis.page.wording import count, listed
from lrbench.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TITLE = "What is said of schedules, flags and seeds, and what is so?"
WORDS = ("supported", "refuted", "equivalent within margin", "inconclusive", "not testable here")
AREAS = {
    "S": "Schedulers",
    "L": "Learning rates in training",
    "R": "Resume",
    "C": "cuDNN flags and seeds",
    "V": "Validity",
    "D": "Data and distribution",
}
_NOTE = (
    'A verdict is of the statement as it is written; "expected" is a hypothesis, and is not what decides. After 0 '
    "mismatches of n pairs the bound beside them is 1 − 0.05^(1/n), one-sided, 95 %."
)
PER_LINE = 12  # claims of one area beside each other in the figure
MATRIX = "S11"  # the claim whose evidence is the conformance matrix


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The tables of a claims folder: one row a claim, and the rows that the verdicts stand on."""

    claims: "pd.DataFrame"
    evidence: "pd.DataFrame"

    def evidence_of(self, id: str) -> "pd.DataFrame":
        """Return a claim's evidence, with the columns that say something there."""
        rows = self.evidence[self.evidence["id"] == id].drop(columns=["id", "row"])
        said = [name for name in rows if rows[name].notna().any() and not (rows[name] == "").all()]
        return rows[said].reset_index(drop=True)


def read_findings(folder: str | Path) -> Findings:
    """Read DIR/claims.parquet and DIR/evidence.parquet. Raises InputError where they are not there."""
    import pandas as pd

    folder = Path(folder)
    paths = [folder / "claims.parquet", folder / "evidence.parquet"]
    if not all(path.is_file() for path in paths):
        raise InputError(f"{folder} holds no claims. Type: lrbench claims --out {folder}")
    claims, evidence = (pd.read_parquet(path) for path in paths)
    return Findings(claims=claims, evidence=evidence)


def answer(findings: Findings) -> Answer:
    """Return the verdicts: how many of each word, which gates failed, and what was refuted."""
    claims = findings.claims
    return Answer(
        title=TITLE,
        sentences=tuple(_sentences(claims)),
        table=claims[["id", "statement", "verdict", "gate_result", "seen"]],
        figure=lambda: _figure(claims),
        notes=(_NOTE,),
        num_leading=2,
    )


def _sentences(claims) -> list[str]:
    if claims.empty:
        return ["No claim has been tested yet."]
    words = claims["verdict"].value_counts()
    said = listed([f"{words[word]} {word}" for word in WORDS if word in words])
    sentences = [f"Of {count(len(claims), 'claim')}, {said}."]
    gates = claims[claims["gate"]]
    failed = gates[gates["gate_result"] == "failed"]
    untested = gates[gates["gate_result"] == "not tested"]
    if len(failed):
        sentences.append(f"{count(len(failed), 'gate')} of {len(gates)} failed: {listed(failed['id'])}.")
    elif len(gates):
        rest = f"; {listed(untested['id'])} could not be tested here" if len(untested) else ""
        sentences.append(f"{len(gates) - len(untested)} of {count(len(gates), 'gate')} passed, and none failed{rest}.")
    for claim in claims[claims["verdict"] == "refuted"].itertuples():
        sentences.append(f"Refuted, {claim.id}: {_sentence(claim.seen)}")
    return sentences


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def matrix(findings: Findings) -> "pd.DataFrame":
    """Return the conformance matrix, one row a scheduler: "yes", "no: why" or "n/a: why" in each cell.

    Rows and columns stand in the order in which they were written. Empty where the matrix has not been computed.
    """
    import pandas as pd

    rows = findings.evidence_of(MATRIX)
    if rows.empty:
        return pd.DataFrame()
    table = rows.pivot(index="scheduler", columns="what", values="cell")
    return table.loc[rows["scheduler"].unique(), rows["what"].unique()].fillna("")


def place_of(claims) -> str:
    """Return in one line where and when the claims were tested; what differs between them is all named."""

    def said(name: str) -> str:
        return listed(sorted({str(value) for value in claims[name].dropna() if value != ""}))

    dates = sorted({str(when)[:10] for when in claims["started_at"]})
    gpus = said("gpus")
    machine = said("cpu_model") + (f", {gpus}" if gpus != "none" else ", no CUDA device")
    return f"torch {said('torch_version')} · {machine} · {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "")


def _figure(claims):
    from analysis import figures

    if claims.empty:
        return figures.message("No claim has been tested yet")
    return _draw(claims, figures)


def _draw(claims, figures):
    areas = [area for area in AREAS if (claims["area"] == area).any()]
    refuted, total = int((claims["verdict"] == "refuted").sum()), len(claims)
    lines = {area: -(-int((claims["area"] == area).sum()) // PER_LINE) for area in areas}
    height = 0.9 + 0.42 * sum(lines.values()) + 0.14 * len(areas)
    with figures.style():
        from matplotlib.patches import Rectangle

        figure, axes = figures.canvas(height, f"{refuted} of {total} claims are refuted as written")
        blue, _, green, red, pink = figures.palette(len(WORDS))
        colours = dict(zip(WORDS, (blue, red, green, pink, figures.QUIET), strict=True))
        top, places = 0.0, []
        for area in areas:
            places.append(top)
            for number, claim in enumerate(claims[claims["area"] == area].itertuples()):
                x, y = number % PER_LINE, top + number // PER_LINE
                axes.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, color=colours[claim.verdict], linewidth=0))
                axes.text(x, y, claim.id, ha="center", va="center", color="white", fontsize=8.5, fontweight="bold")
            top += lines[area] + 0.35
        axes.set_yticks(places, [AREAS[area] for area in areas])
        axes.set_ylim(top - 0.8, -0.6)
        axes.set_xlim(-0.6, PER_LINE - 0.4)
        axes.set_xticks([])
        axes.grid(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_visible(False)
        for word in WORDS:
            if (claims["verdict"] == word).any():
                axes.scatter([], [], color=colours[word], marker="s", label=word)
        figure.legend(loc="outside lower left", ncols=3)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Print the answer of a claims folder and write its page; exits with 2 where DIR holds no claims."""
    import argparse
    import textwrap

    from analysis.page.claims_page import write_page

    parser = argparse.ArgumentParser(prog="python -m analysis.claims", description=TITLE)
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder of lrbench claims, e.g. results/claims")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write the page [default: the folder]")
    options = parser.parse_args(arguments)
    try:
        findings = read_findings(options.folder)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for sentence in answer(findings).sentences:
        print(textwrap.fill(sentence, 100, initial_indent="- ", subsequent_indent="  "))
    print(f"page: {write_page(options.folder, options.out).html}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
