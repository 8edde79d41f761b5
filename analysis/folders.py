"""Two results folders side by side: what differs between them, and which of their trials may be set against each other.

The rows of the two are never pooled. A trial is compared with the one of the same content in the other folder, whatever
each folder holds fixed at another level aside. What forbids a comparison (other data, another model, flags that did not
hold) is named with its column. What this does *not* do: compare (`analysis.folders_cost`, `folders_bits`,
`folders_accuracy` do), or write (`analysis.page.folders_page` does).
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.folders_differences import MAY_BE_APART, Difference, differences, levels_of, seen, texts_of
from analysis.page.wording import count, listed
from analysis.rows.conditions import FACTORS, SEEDS, completed, place_columns, places
from analysis.rows.staged import of_study


@dataclass(frozen=True, kw_only=True)
class Side:
    """One folder's rows that may be compared: of one place, no selection trials, every flag in force.

    `num_rows` counts all rows of the folder, `left_out` says what of them is not among `rows`.
    """

    name: str
    folder: Path
    rows: pd.DataFrame
    num_rows: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What of two folders may be set against each other.

    `a` and `b` are the rows with two more columns: `matched_condition`, a number for all factors but those of `apart`
    (at one level in A and at another in B), and `matched_trial`, one for the condition with seeds and replicate.
    `no_bits` and `nothing` name workloads whose accuracy and bits, or all else too, must not be compared, with why.
    `num_same_runs` trials are the very same runs in both: copies tell nothing, and are in neither.
    """

    a: Side
    b: Side
    differences: tuple[Difference, ...]
    apart: dict[str, tuple]
    no_bits: dict[str, str]
    nothing: dict[str, str]
    num_same_runs: int

    def rows(self, for_speed: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows of A and of B that may be compared in speed, or else in accuracy and bits."""
        refused = set(self.nothing) if for_speed else {*self.nothing, *self.no_bits}
        return tuple(side.rows[~side.rows["workload"].isin(refused)] for side in (self.a, self.b))

    def pairs(self, columns: list[str]) -> pd.DataFrame:
        """Return the trials that both folders have and may be compared in, side by side: the second's end in `_b`."""
        first, second = self.rows()
        keep = ["matched_trial", "matched_condition", *SEEDS, "replicate"]
        return first[[*keep, *columns]].merge(
            second[["matched_trial", *columns]], on="matched_trial", suffixes=("", "_b")
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many trials (whatever became of them) both folders have, and how many only one of them."""
        ours, theirs = (set(side.rows["matched_trial"]) for side in (self.a, self.b))
        return {
            "num_a": self.a.num_rows,
            "num_b": self.b.num_rows,
            "num_matched": len(ours & theirs),
            "num_only_a": len(ours - theirs),
            "num_only_b": len(theirs - ours),
            "num_same_runs": self.num_same_runs,
        }


def match(a: str | Path, b: str | Path) -> Matched:
    """Return what of two results folders may be compared. Raises InputError where one of them holds no study."""
    sides = [_read_side(name, Path(folder)) for name, folder in (("A", a), ("B", b))]
    found = tuple(differences(*(side.rows for side in sides)))
    num_same, sides = _without_same_runs(*sides)
    apart = _apart(*(side.rows for side in sides))
    numbered = _numbered(*sides, apart)
    data = _disagreeing(*(side.rows for side in sides), "data_sha256")
    model = _disagreeing(*(side.rows for side in sides), "num_parameters")
    return Matched(
        a=numbered[0],
        b=numbered[1],
        differences=found,
        apart=apart,
        no_bits={name: f"data_sha256 ({found})" for name, found in data.items()},
        nothing={name: f"num_parameters ({found})" for name, found in model.items()},
        num_same_runs=num_same,
    )


def worded(verdict: str, negligible: bool) -> str:
    """Return the verdict as sentences, tables and badges have it: one that was found and does not matter says so."""
    return f"{verdict}, but negligible" if negligible else verdict


# ------------------------------------------------------------------------------------------------------------ reading


def _read_side(name: str, folder: Path) -> Side:
    from lrbench.store import load, read_study_record

    every = load(folder)
    rows, strays = of_study(every, read_study_record(folder))
    left_out = [f"{name}: {strays}"] if strays else []
    rows = rows.assign(poke_ulps=rows["poke_ulps"].fillna(0))  # rows of before there was such a factor moved nothing
    if (chosen := rows["tuning"] == "selection").any():
        left_out.append(f"{count(int(chosen.sum()), 'trial')} of {name} chose base rates: in no comparison.")
        rows = rows[~chosen]
    parts = places(rows)
    if len(parts) > 1:
        others = len(rows) - len(parts[0].rows)
        left_out.append(
            f"{name} holds rows of {len(parts)} places that differ in {listed(place_columns(rows))}: they are not "
            f"pooled. Those of {parts[0].label} stand for it; {count(others, 'other trial')} left out."
        )
        rows = parts[0].rows
    broken = rows["flags_held"] == False  # noqa: E712 (null is not False)
    if broken.any():
        left_out.append(
            f"In {count(int(broken.sum()), 'trial')} of {name} a flag that was asked for was not in force "
            "(flags_held): left out."
        )
        rows = rows[~broken]
    return Side(name=name, folder=folder, rows=rows, num_rows=len(every), left_out=tuple(left_out))


def _without_same_runs(a: Side, b: Side) -> tuple[int, list[Side]]:
    """Take out trials that are one run in both folders, as in a copy: compared with itself a run tells nothing."""
    known_both = [_runs(side.rows.dropna(subset=["started_at"])) for side in (a, b)]
    same = set(known_both[0]) & set(known_both[1])
    sides = []
    for side, key in zip((a, b), known_both, strict=True):
        ours = key.isin(same).reindex(side.rows.index, fill_value=False)
        sides.append(Side(**{**vars(side), "rows": side.rows[~ours]}))
    return len(same), sides


def _runs(rows: pd.DataFrame) -> pd.Series:
    """Name each run as no other is: which trial, where and when."""
    trial, where, when = (rows[name].astype(str) for name in ("trial_id", "hostname", "started_at"))
    return trial + "\n" + where + "\n" + when


# ----------------------------------------------------------------------------------------------------------- matching


def _apart(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, tuple]:
    """Return the factors that are at one level in A and at one other in B: what is compared is their effect.

    The workload is none: of two workloads neither data nor model are the same, and nothing is to be compared.
    """
    found = {}
    for name in MAY_BE_APART:
        ours, theirs = (levels_of(rows, name) for rows in (a, b))
        if len(ours) == len(theirs) == 1 and ours != theirs:
            found[name] = (ours[0], theirs[0])
    return found


def _numbered(a: Side, b: Side, apart: dict) -> list[Side]:
    factors = [name for name in FACTORS if name not in apart]
    both = pd.concat(
        [side.rows[[*factors, *SEEDS, "replicate"]].astype(object).assign(side=side.name) for side in (a, b)]
    ).reset_index(drop=True)
    both = both.where(both.notna(), None)
    both["matched_condition"] = both.groupby(factors, dropna=False, sort=False).ngroup()
    both["matched_trial"] = both.groupby(["matched_condition", *SEEDS, "replicate"], dropna=False, sort=False).ngroup()
    sides = []
    for side in (a, b):
        numbers = both.loc[both["side"] == side.name, ["matched_condition", "matched_trial"]].to_numpy()
        rows = side.rows.assign(matched_condition=numbers[:, 0].astype(int), matched_trial=numbers[:, 1].astype(int))
        sides.append(Side(**{**vars(side), "rows": rows}))
    return sides


def _disagreeing(a: pd.DataFrame, b: pd.DataFrame, name: str) -> dict[str, str]:
    """Return {workload: "x in A, y in B"} for each workload of both of which a column is not the same throughout."""
    found = {}
    for workload in [value for value in levels_of(a, "workload") if value in levels_of(b, "workload")]:
        ours, theirs = (
            sorted(completed(rows[rows["workload"] == workload])[name].dropna().unique()) for rows in (a, b)
        )
        if ours and theirs and (len(ours) > 1 or ours != theirs):
            found[str(workload)] = f"{texts_of(ours)} in A, {texts_of(theirs)} in B"
    return found


# ------------------------------------------------------------------------------------------------------ what is said


def difference_table(matched: Matched) -> pd.DataFrame:
    """Return one row for each column in which the folders differ."""
    names = ["column", "A", "B", "what_follows"]
    rows = [(d.column, d.a, d.b, d.follows) for d in matched.differences]
    return pd.DataFrame(rows, columns=names)


def about(matched: Matched) -> list[str]:
    """Say how much the folders share, what is left out, and what is not compared."""
    counts = matched.counts
    said = []
    if counts["num_same_runs"]:
        whole = counts["num_same_runs"] == counts["num_a"] == counts["num_b"]
        what = "All trials are" if whole else f"{count(counts['num_same_runs'], 'trial')} of each are"
        said.append(f"{what} the same runs in both folders (one is a copy): they tell of no difference.")
        if whole:
            return said
    matched_text = f"{count(counts['num_matched'], 'trial')} are in both" if counts["num_matched"] != 1 else ""
    only = [f"{counts[f'num_only_{x.lower()}']:,} only in {x}" for x in "AB" if counts[f"num_only_{x.lower()}"]]
    aside = f", {listed(matched.apart)} aside" if matched.apart else ""
    said.append(f"{matched_text or '1 trial is in both'}{aside}{'; ' + listed(only) if only else ''}.")
    said += [*matched.a.left_out, *matched.b.left_out, *_dirty(matched)]
    for workload, why in matched.nothing.items():
        said.append(f"The model of {workload} is not the same: nothing of it is compared. The column is {why}.")
    for workload, why in matched.no_bits.items():
        if workload not in matched.nothing:
            said.append(
                f"The data of {workload} are not the same: accuracy and bits are not compared. The column is {why}."
            )
    said += _outcomes(matched)
    return said


def _dirty(matched: Matched) -> list[str]:
    """Say so where equal commits are no proof of equal code."""
    commits = [seen(side.rows, "git_commit") for side in (matched.a, matched.b)]
    dirty = [True in seen(side.rows, "git_dirty") for side in (matched.a, matched.b)]
    if commits[0] != commits[1] or not commits[0] or not any(dirty):
        return []
    who = "Both" if all(dirty) else "A" if dirty[0] else "B"
    return [
        f"{who} ran with uncommitted changes (git_dirty): that the commits are equal does not prove the code to be."
    ]


def _outcomes(matched: Matched) -> list[str]:
    """Say which trials ended otherwise in the other folder."""
    first, second = matched.a.rows, matched.b.rows
    both = first[["matched_trial", "status"]].merge(second[["matched_trial", "status"]], on="matched_trial")
    said = []
    for one, other, mine, theirs in (("A", "B", "status_x", "status_y"), ("B", "A", "status_y", "status_x")):
        lost = both[(both[mine] == "completed") & (both[theirs] != "completed")]
        if len(lost):
            kinds = [f"{n:,} {kind.replace('_', ' ')}" for kind, n in lost[theirs].astype(str).value_counts().items()]
            said.append(f"{count(len(lost), 'trial')} completed in {one} and not in {other} ({listed(kinds)}).")
    failed = int(((both["status_x"] != "completed") & (both["status_y"] != "completed")).sum())
    if failed:
        said.append(f"{count(failed, 'trial')} of both failed in both.")
    return said
