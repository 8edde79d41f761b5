"""What ran where: what stands against trusting the rest is found and said first."""

import pandas as pd
import pytest

from analysis.provenance import answer, failures, first_error, statuses
from analysis.tests.simulate import Truth, simulate, study_of


def rows_of(truth: Truth = Truth(), **document) -> pd.DataFrame:
    return simulate(study_of(**{"grid": {"seed": "0-4"}, **document}), truth)


def test_a_clean_study_in_four_lines():
    """All completed, on which machine, with which versions, when and from which commit."""
    sentences = answer(rows_of()).sentences
    assert sentences == (
        "All 10 trials completed.",
        "They ran on Simulated CPU (2 cores, Linux 6.1 x86_64) with Python 3.11.7, torch 2.15.0.",
        "They ran from 2026-11-20 08:00 to 08:00 UTC (19.3 s), from commit 0000000000.",
    )


def test_failed_trials_are_listed_with_the_line_that_says_why():
    """The last line of the traceback counts, not what the trial printed after it."""
    rows = rows_of(Truth(failures={2: "crashed"}))
    rows.loc[2, "error"] = "Traceback:\n  x\nValueError: no\n--- printed by the trial ---\nhello"
    (record,) = failures(rows).to_dict("records")
    assert record["error"] == "ValueError: no"
    assert record["trial"] == rows.loc[2, "trial_id"]
    assert record["factors"] == f"seed={rows.loc[2, 'seed']}, replicate={rows.loc[2, 'replicate']}"
    assert record["stage"] == "train"


def test_the_first_error_is_told_of_what_failed_but_of_nothing_that_diverged():
    """A diverged trial is a finding, and its "error" says so; a crash is told with its last line."""
    rows = rows_of(Truth(failures={0: "diverged", 2: "crashed", 3: "crashed"}))
    rows.loc[2, "error"] = "Traceback:\n  x\nValueError: no\n"
    assert first_error(rows) == f"The first error, of trial `{rows.loc[2, 'trial_id']}`: `ValueError: no`."
    assert first_error(rows.drop(index=3)).startswith("The error, of trial")
    assert first_error(rows_of(Truth(failures={0: "diverged"}))) == ""


def test_what_a_diverged_trial_counts_for_is_said_as_it_is():
    """Means are of completed trials; that a diverged one counts as guessing is said of verdicts by accuracy alone."""
    one, two = (statuses(rows_of(Truth(failures=f))) for f in ({0: "diverged"}, {0: "diverged", 1: "crashed"}))
    for said in (one, two):
        assert "means are of completed trials, and a comparison by accuracy has a verdict only where" in said
    assert statuses(rows_of(Truth(failures={1: "crashed"}))).endswith("means are of completed trials.")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("gpu_throttle_reasons", "sw_power_cap", "clocks were held back in 1 trial (sw_power_cap)"),
        ("gpu_other_processes", 1, "Other processes were on the GPU in 1 trial"),
        ("load_average", 9.0, "1 trial began with more than 1.5 running processes on each core"),
        ("data_sha256", "e" * 64, "The data of digits-cnn were not the same in all trials"),
        ("environment", '{"OMP_NUM_THREADS": "1"}', "Environment variables that change speed or bits differ"),
        ("attempt", 1, "1 trial had to be run more than once"),
        ("torch_version", "2.16.0", "The rows differ in torch_version: they are never pooled"),
        ("git_dirty", True, "with uncommitted changes"),
    ],
)
def test_each_doubt_is_found_when_it_is_planted(column, value, said):
    """One row that differs in what may have disturbed it is said; without it nothing of the kind is."""
    clean = rows_of()
    assert said not in " ".join(answer(clean).sentences)
    rows = clean.astype({column: object})
    rows.loc[4, column] = value
    assert said in " ".join(answer(rows).sentences)


def test_the_table_counts_the_trials_behind_each_value():
    """Every value of machine and versions stands with the number of its trials; environment in plain words."""
    rows = rows_of(Truth(failures={0: "diverged"})).astype({"environment": object})
    rows.loc[1, "environment"] = '{"OMP_NUM_THREADS": "1", "MKL_CBWR": "AVX2"}'
    table = answer(rows).table
    assert table[table["what"] == "status"].to_dict("records") == [
        {"what": "status", "value": "completed", "num_trials": 9},
        {"what": "status", "value": "diverged", "num_trials": 1},
    ]
    assert set(table[table["what"] == "environment"]["value"]) == {"none set", "MKL_CBWR=AVX2, OMP_NUM_THREADS=1"}
