"""Which trials make a pair: repeats, and a trial beside the same one with one weight moved."""

import pandas as pd

from analysis.rows.replicates import cells, digested, machine_parts, poke_pairs, pokes
from analysis.tests.simulate import Truth, simulate, study_of

POKED = {"seed": "0-2", "poke_ulps": [0, 1, 8]}


def rows_of(grid: dict, **document) -> pd.DataFrame:
    return digested(simulate(study_of(grid=grid, **document), Truth()))


def test_a_poke_is_paired_by_seed_with_the_trial_left_alone():
    """Of each seed the poked trial stands beside the one that was not, first replicates only."""
    rows = rows_of(POKED)
    assert pokes(rows) == [1, 8]
    for ulps in pokes(rows):
        pairs = poke_pairs(rows, ulps, ["seed", "poke_ulps", "replicate", "weights_sha256"])
        assert sorted(zip(pairs["seed"], pairs["seed_second"], strict=True)) == [(0, 0), (1, 1), (2, 2)]
        assert set(pairs["poke_ulps"]) == {ulps}
        assert set(pairs["poke_ulps_second"]) == {0}
        assert set(pairs["replicate"]) == set(pairs["replicate_second"]) == {0}


def test_a_poke_is_never_paired_across_another_factor():
    """With two rates and two flags each poked trial meets the one of its own rate and flags."""
    rows = rows_of({"seed": [0], "poke_ulps": [0, 1], "base_lr": [0.1, 0.01], "cudnn_benchmark": [False, True]})
    pairs = poke_pairs(rows, 1, ["base_lr", "cudnn_benchmark"])
    assert len(pairs) == 4
    assert (pairs["base_lr"] == pairs["base_lr_second"]).all()
    assert (pairs["cudnn_benchmark"] == pairs["cudnn_benchmark_second"]).all()


def test_without_a_trial_left_alone_there_is_no_pair():
    """A study of pokes alone, and rows of before there were any, have no such pairs."""
    alone = rows_of({"seed": "0-2", "poke_ulps": [1]})
    assert pokes(alone) == [1]
    assert poke_pairs(alone, 1, ["seed"]).empty
    older = rows_of({"seed": "0-2"}).assign(poke_ulps=float("nan"))
    assert pokes(older) == []
    assert poke_pairs(older, 1, ["seed"]).empty


def test_parts_are_those_of_the_cells():
    """Rows are parted by workload and machine factors alone, and every row is in one part."""
    rows = rows_of({**POKED, "cudnn_deterministic": [True, False]})
    parts = machine_parts(rows)
    assert [factors for factors, _ in parts] == [{"cudnn_deterministic": False}, {"cudnn_deterministic": True}]
    assert [factors for factors, _ in parts] == [cell.factors for cell in cells(rows)]
    assert sorted(index for _, part in parts for index in part.index) == sorted(rows.index)
