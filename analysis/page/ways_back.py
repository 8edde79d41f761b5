"""Every number's way back to its rows: the line of Python that gives the rows which a table or a figure was made of.

A line is `lrbench.load(DIR).query("…")`, with the number of rows that it gives; the lines below it take the rows of one
row of the table. What this does *not* do: repeat the computation; the notebook beside the page does.
"""

from dataclasses import dataclass

import pandas as pd

from analysis.page.wording import count, level
from analysis.rows.conditions import FACTORS, short_names
from lrbench.record import BY_NAME

_MOST_LINES = 30
_COMPLETED = "status == 'completed'"
# what each answer reads: a condition on rows, and the nested column that it needs besides the flat ones
_READ = {
    "throughput": (f"{_COMPLETED} and packed == False and samples_per_second > 0", ""),
    "reproducibility": (f"{_COMPLETED} and weights_sha256.notna()", ""),
    "divergence": (f"{_COMPLETED} and weights_sha256.notna()", ""),
    "schedulers": (f"{_COMPLETED} and final_accuracy.notna()", ""),
    "learning_curves": (f"{_COMPLETED} and val_accuracy_curve.notna()", "val_accuracy_curve"),
    "churn": (f"{_COMPLETED} and predictions.notna()", "predictions"),
    "applied_lr": (f"{_COMPLETED} and applied_lr_sha256.notna()", ""),
    "failures": ("status != 'completed'", ""),
    "tradeoff": (f"{_COMPLETED} and packed == False and train_seconds > 0", ""),
}
_EVERY = ("provenance", "conditions", "tuning", "time_to_target")  # these look at every row


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """Rows, by a line of Python that gives them: a condition (none: all rows), the nested column that it reads.

    `among_strays` says that the folder has rows of other trials than the study's too, which the line leaves out.
    """

    condition: str
    nested: str
    num_rows: int
    among_strays: bool = False

    @property
    def line(self) -> str:
        """The line, to be typed where DIR is the study's folder."""
        columns = f", columns=[*lrbench.record.FLAT, {self.nested!r}]" if self.nested else ""
        rows = f"lrbench.load(DIR{columns})"
        rows = f"own_rows({rows}, DIR)" if self.among_strays else rows
        return f"rows = {rows}{_query(self.condition)}  # {count(self.num_rows, 'row')}"


def way_back(name: str, rows: pd.DataFrame, metric: str = "") -> WayBack:
    """Return the way back of the answer or figure called `name`; `metric` is what a named comparison compares."""
    condition, nested = _READ.get(name, ("", "") if name in _EVERY else (_COMPLETED, ""))
    if metric:
        alone = " and packed == False" if BY_NAME[metric].group in ("time", "resources") else ""
        condition, nested = f"{_COMPLETED} and {metric}.notna(){alone}", ""
    if name not in _EVERY and name != "failures" and "tuning" in rows and (rows["tuning"] == "selection").any():
        condition += " and tuning != 'selection'"
    if nested and nested not in rows:
        return WayBack(condition=condition, nested=nested, num_rows=0)
    return WayBack(condition=condition, nested=nested, num_rows=len(_chosen(rows, condition)))


def lines(table: pd.DataFrame, rows: pd.DataFrame, back: WayBack) -> list[str]:
    """Return the lines for a table: that of all its rows, then one for each row of the table that names its factors.

    A table whose rows name no factor, or more than 30, has the first line alone.
    """
    found = [back.line]
    names = [name for name in table.columns if name in FACTORS]
    if not names or len(table) > _MOST_LINES or back.num_rows == 0:
        return found
    rows = _chosen(rows, back.condition)
    meant = {name: _meant(rows, name) for name in names}
    for values in table[names].astype(object).itertuples(index=False):
        wanted = dict(zip(names, map(level, values), strict=True))
        if all(text in meant[name] for name, text in wanted.items()):
            condition = " and ".join(_is(name, meant[name][text]) for name, text in wanted.items())
            num_rows = len(_chosen(rows, condition))
            line = f"rows{_query(condition)}  # {count(num_rows, 'row')}"
            if num_rows and line not in found:
                found.append(line)
    return found


def _meant(rows: pd.DataFrame, name: str) -> dict[str, object]:
    """Return the level that each text stands for: whole, or short where that tells it apart."""
    values = [None if pd.isna(value) else value for value in rows[name].astype(object).unique()]
    found = {}
    if name in ("scheduler", "optimizer"):
        found = {short: call for call, short in short_names(v for v in values if v is not None).items()}
    return found | {level(value): value for value in values}


def _is(name: str, value) -> str:
    value = value.item() if hasattr(value, "item") else value  # a plain Python value, as a reader would type it
    return f"{name}.isna()" if value is None else f"{name} == {value!r}"


def _query(condition: str) -> str:
    engine = ', engine="python"' if "na()" in condition else ""
    quoted = repr(condition) if '"' in condition else f'"{condition}"'  # a level may hold quotes of both kinds
    return f".query({quoted}{engine})" if condition else ""


def _chosen(rows: pd.DataFrame, condition: str) -> pd.DataFrame:
    return rows.query(condition, engine="python") if condition else rows
