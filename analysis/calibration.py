"""Can the statistics be believed? Each method on simulated studies of known truth, and on real A/A rows of digits.

    python -m analysis.calibration                prints the table, drawn anew
    python -m analysis.calibration --write FILE   writes it as CSV, as `analysis/calibration.csv` was made
    python -m analysis.calibration --rows DIR     takes the real rows from another results folder

The committed table is what the report shows; tests draw it again and compare. What this does *not* do: change any
method. What was decided by it stands in `analysis.statistics.verdicts`.
"""

import argparse
import sys
from functools import cache
from pathlib import Path

import pandas as pd

from analysis.answers import Answer
from analysis.calibration_cells import (
    AT_MARGIN,
    BCA,
    BOTH,
    COVERAGE,
    FALSE,
    FAMILY,
    FOUND,
    HOLM,
    ONE,
    PAIRED,
    PART,
    SEEDS,
    SHOWN,
    SIGN_FLIP,
    STUDENT,
    TOST,
    UNPAIRED,
    WELCH,
    digits_cells,
    family_cells,
    paired_cells,
    unpaired_cells,
)
from analysis.page.wording import count, listed, number, percent
from analysis.statistics.intervals import FAR_OUT, FROM_PAIRS
from analysis.statistics.noise import NOISES
from lrbench.errors import InputError

TITLE = "Can the statistics be believed?"
COMMITTED = Path(__file__).with_name("calibration.csv")
COLUMNS = ("method", "noise", "arms", "num_seeds", "what", "rate", "nominal", "monte_carlo_error", "num_studies")
# the methods that verdicts rest on; the others were candidates, or stand beside
DECIDING = (PAIRED, UNPAIRED, TOST, HOLM)
FROM_SEEDS = 6  # coverage and plans are promised from here on
COVERED, OFF_PLAN = (0.93, 0.97), 0.05
ERRORS, PLANS = ("exceeded", "too narrow", "too wide"), ("less than planned", "more than planned")
UNPLANNED = ("heavy tails", "rare bad seeds")  # so far from normal that plans, which assume it, are off
HOW = (
    "Every rate is a share of simulated studies: thousands for each method, shape of noise and number of seeds, drawn "
    "from a fixed seed. Errors may exceed their nominal rate by three standard errors of such a share. Coverage has to "
    "lie between 93% and 97% from 6 seeds on: below it is too narrow, above too wide, and either breaks the promise. "
    "Plans have to lie within 5 points of what was found. All this is promised where both arms scatter alike, and only "
    "there; coverage with fewer seeds stands in the table, and is not promised."
)
AGAIN = "The table was made, and can be made again, by `python -m analysis.calibration --write FILE`."


def calibrate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rate of every method in every shape of noise, and on real rows: one row for each rate."""
    cells = []
    for noise in NOISES:
        for n in SEEDS:
            cells += [*paired_cells(noise, n), *paired_cells(noise, n, num_noisy=1)]
            cells += [*unpaired_cells(noise, n), *family_cells(noise, n)]
    return judged([*cells, *digits_cells(rows)])


def judged(cells: list[tuple]) -> pd.DataFrame:
    """Return cells as a table, each with its word."""
    table = pd.DataFrame(cells, columns=list(COLUMNS))
    return table.assign(verdict=[word(row) for row in table.itertuples()])


def word(row) -> str:
    """Say what a rate means: errors at most nominal plus chance, coverage 93 to 97 %, plans within 5 points."""
    if row.what == COVERAGE:
        return "too narrow" if row.rate < COVERED[0] else "too wide" if row.rate > COVERED[1] else "held"
    if row.what in (FOUND, SHOWN):
        off = row.rate - row.nominal
        return "as planned" if abs(off) <= OFF_PLAN else "more than planned" if off > 0 else "less than planned"
    return "held" if row.rate <= row.nominal + row.monte_carlo_error else "exceeded"


def promised(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rates that are promised: of the deciding methods, the arms scattering alike, plans from 6 seeds on."""
    late = (table["num_seeds"] >= FROM_SEEDS) | ~table["what"].isin([COVERAGE, FOUND, SHOWN])
    return table[table["method"].isin(DECIDING) & (table["arms"] != ONE) & late]


def broken(table: pd.DataFrame) -> pd.DataFrame:
    """Return the promised rates that do not hold. Plans assume normal noise, and promise nothing far from it."""
    own = promised(table)
    off_plan = own["verdict"].isin(PLANS) & ~own["noise"].isin(UNPLANNED)
    return own[own["verdict"].isin(ERRORS) | off_plan]


@cache
def committed() -> pd.DataFrame:
    """Return the table that was made last, as it travels with the package."""
    return pd.read_csv(COMMITTED)


# ------------------------------------------------------------------------------------------------------------- answer


def answer(table: pd.DataFrame | None = None) -> Answer:
    """Return what calibration found, of the committed table unless another is given."""
    from analysis.figures.calibration import panels

    table = committed() if table is None else table
    return Answer(
        title=TITLE,
        sentences=tuple(_sentences(table)),
        table=_summary(table),
        figure=lambda: panels(table),
        notes=(HOW, AGAIN),
        num_leading=2,
    )


def _sentences(table: pd.DataFrame) -> list[str]:
    real = table["noise"].str.startswith("digits")
    drawn, digits = table[~real], table[real]
    own = promised(drawn)
    return [
        _errors(own[(own["method"] == PAIRED) & (own["what"] == FALSE)]),
        _covers(own[own["what"] == COVERAGE]),
        _why_shuffles(drawn[(drawn["arms"] != ONE) & (drawn["what"] == COVERAGE)]),
        _plans(own[own["what"] == FOUND], "differences that the plan finds four times in five"),
        f"An arm whose true difference is exactly the margin is called equivalent in {_most(own, TOST, AT_MARGIN)}.",
        _plans(own[own["what"] == SHOWN], "equal arms that the plan shows equivalent four times in five"),
        _family(own),
        *([_on_digits(digits)] if len(digits) else []),
        _not_used(drawn),
        _limit(drawn),
    ]


def _errors(part: pd.DataFrame) -> str:
    slack = number(100 * part["monte_carlo_error"].max(), 2)
    kept = "at most" if (part["verdict"] == "held").all() else "up to"
    return (
        f"Where nothing differs, the paired test that decides calls arms different in {kept} "
        f"{percent(part['rate'].max())} of studies (nominal {percent(part['nominal'].max(), 0)}; three standard errors "
        f"are {slack} points), in each of {part['noise'].nunique()} shapes of noise and from "
        f"{part['num_seeds'].min()} to {part['num_seeds'].max()} seeds, where both arms scatter alike."
    )


def _covers(part: pd.DataFrame) -> str:
    both = part.groupby("method")["rate"]
    paired, unpaired = (f"{percent(both.min()[m])} to {percent(both.max()[m])}" for m in (PAIRED, UNPAIRED))
    text = (
        f"Its 95% interval holds the truth in {paired} of studies from {FROM_SEEDS} seeds on, and that of arms that "
        f"share no seed in {unpaired}"
    )
    off = part[part["verdict"] != "held"]
    where = [f"{row.verdict} with {row.noise}, {row.num_seeds} seeds" for row in off.itertuples()]
    return f"{text} ({listed(where)})." if where else f"{text}."


def _why_shuffles(drawn: pd.DataFrame) -> str:
    """Say what t would do where shuffled labels decide instead."""
    late = drawn[drawn["num_seeds"] >= FROM_SEEDS]
    plain = late[late["method"].isin([STUDENT, WELCH])]
    wide = plain[plain["verdict"] == "too wide"]
    text = (
        f"It is Student's t (Welch's, where no seeds are shared) unless a value lies more than {FAR_OUT:g} SDs of a "
        f"bell from the median of the others, the SD taken from their median deviation: then, from {FROM_PAIRS} values "
        "on, sign flips (shuffled labels) decide"
    )
    if wide.empty:
        return f"{text}."
    where = listed(wide["noise"].drop_duplicates())
    most = wide.groupby("method")["rate"].max()
    up_to = listed(f"{percent(most[method])} ({method})" for method in (STUDENT, WELCH) if method in most)
    return f"{text}. By itself t is too wide there: with {where} it would hold the truth in up to {up_to} of studies."


def _plans(part: pd.DataFrame, what: str) -> str:
    off = part.assign(off=100 * (part["rate"] - part["nominal"]))
    near, far = off[off["verdict"] == "as planned"], off[off["verdict"] != "as planned"]
    text = f"Of {what}, the planned share is met within {number(near['off'].abs().max(), 2)} points"
    if far.empty:
        return text + f" in every shape of noise from {FROM_SEEDS} seeds on."
    parts = [
        f"{noise}: {number(abs(row.off), 2)} points {'more' if row.off > 0 else 'fewer'} with {row.num_seeds} seeds"
        for noise, rows in far.groupby("noise", sort=False)
        for row in rows.itertuples()
    ]
    return f"{text} from {FROM_SEEDS} seeds on, except where noise is far from normal ({'; '.join(parts)})."


def _family(own: pd.DataFrame) -> str:
    return (
        f"Among six comparisons with one baseline, any is falsely called different in {_most(own, HOLM, FAMILY)}; with "
        f"three of the six real, any of the others in {_most(own, HOLM, PART)}."
    )


def _most(part: pd.DataFrame, method: str, what: str) -> str:
    rates = part[(part["method"] == method) & (part["what"] == what)]
    return f"at most {percent(rates['rate'].max())} of studies (nominal {percent(rates['nominal'].max(), 0)})"


def _on_digits(digits: pd.DataFrame) -> str:
    own = digits[digits["method"].isin(DECIDING)]
    return (
        "On real rows of handwritten digits, with labels that mean nothing (an inert flag, mixed names, halves of the "
        f"seeds), the deciding tests call {percent(own['rate'].min())} to {percent(own['rate'].max())} of comparisons "
        "different."
    )


def _not_used(drawn: pd.DataFrame) -> str:
    resampled = drawn[(drawn["method"] == BCA) & (drawn["arms"] != ONE) & (drawn["num_seeds"] >= FROM_SEEDS)]
    flips = drawn[(drawn["method"] == SIGN_FLIP) & (drawn["what"] == FOUND) & (drawn["arms"] == BOTH)]
    least = flips[(flips["num_seeds"] == FROM_SEEDS) & (flips["noise"] == "normal")]["rate"].min()
    return (
        f"BCa bootstrap intervals decide nothing here: from {FROM_SEEDS} to {max(SEEDS)} seeds they hold the truth in "
        f"{percent(resampled['rate'].min())} to {percent(resampled['rate'].max())} of studies instead of 95%. "
        "Sign-flip tests do not decide everywhere: they keep their rate without assuming a bell, but find nothing "
        f"below {FROM_SEEDS} seeds, and with {FROM_SEEDS} find {percent(least, 0)} where the t-test finds 80%."
    )


def _limit(drawn: pd.DataFrame) -> str:
    one = drawn[(drawn["arms"] == ONE) & (drawn["method"] == PAIRED) & (drawn["what"] == FALSE)]
    shapes = [
        f"{noise} ({percent(rows['rate'].min())} to {percent(rows['rate'].max())} with {_seeds(rows)})"
        for noise, rows in one[one["verdict"] == "exceeded"].groupby("noise", sort=False)
    ]
    bad = drawn[(drawn["arms"] == ONE) & (drawn["noise"] == "rare bad seeds") & (drawn["what"] == COVERAGE)]
    bad = bad[bad["num_seeds"] >= FROM_SEEDS].groupby("method")["rate"].min()
    return (
        "Not promised where one arm alone scatters: the paired test calls equal arms different in more than "
        f"{percent(one['nominal'].max(), 0)} of studies where the noise is {listed(shapes)}. With rare bad seeds few "
        "studies see one, and no method here mends that: 95% intervals hold the true mean in as few as "
        f"{percent(bad[PAIRED])} of studies (Student's t {percent(bad[STUDENT])}, sign-flip "
        f"{percent(bad[SIGN_FLIP])}, BCa {percent(bad[BCA])}). Then "
        "count the bad seeds instead of averaging over them."
    )


def _seeds(rows: pd.DataFrame) -> str:
    return f"{listed(rows['num_seeds'])} seeds"


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each method, question and kind of study: the lowest and highest rate over noises and n."""
    parts = table.assign(real=table["noise"].str.startswith("digits"))
    rows = []
    for (method, what, arms, real), part in parts.groupby(["method", "what", "arms", "real"], sort=False):
        words = part["verdict"].value_counts()
        rows.append(
            {
                "method": method,
                "question": what,
                "studies": "digits" if real else arms,
                "nominal_share": part["nominal"].iloc[0],
                "lowest_share": part["rate"].min(),
                "highest_share": part["rate"].max(),
                "decides": "yes" if method in DECIDING else "no",
                "verdicts": listed(count(int(amount), name, name) for name, amount in words.items()),
            }
        )
    return pd.DataFrame(rows)


def main(arguments: list[str] | None = None) -> int:
    """Draw the table anew; exits with 1 where a promise is broken, with 2 where the real rows are not there."""
    parser = argparse.ArgumentParser(prog="python -m analysis.calibration", description=TITLE)
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the table there as CSV")
    parser.add_argument("--rows", metavar="DIR", type=Path, default=Path("results/reference/quickstart"))
    options = parser.parse_args(arguments)
    from analysis.answers import read_rows

    try:
        table = calibrate(read_rows(options.rows, ()))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(table.to_string(index=False))
    print("\n" + "\n".join(f"- {sentence}" for sentence in _sentences(table)))
    if options.write:
        table.to_csv(options.write, index=False)
    return 1 if len(broken(table)) else 0


if __name__ == "__main__":
    sys.exit(main())
