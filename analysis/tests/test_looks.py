"""Whether a study is settled: judged at the last complete look, at that look's level, on comparison trials alone."""

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import compare
from analysis.looks import decide
from analysis.statistics.spending import t_levels
from analysis.tests.simulate import Truth, simulate, study_of

CONSTANT = {"name": "ConstantLR", "factor": 1.0}
STEP, COSINE = {"name": "StepLR", "step_size": 2}, {"name": "CosineAnnealingLR"}
NOISY = {"seed_sd": 0.01, "run_sd": 0.01, "identical": False, "identical_if_deterministic": False, "accuracy": 0.7}
LOOKS = {"looks": [5, 10, 20], "spending": "pocock"}


def growing(**document):
    """A study of three schedulers that looks at 5, 10 and 20 seeds, unless told otherwise."""
    grid = {"seed": "0-19", "scheduler": [CONSTANT, STEP, COSINE]}
    return study_of(**{"replicates": 1, "grid": grid, "until": LOOKS, **document})


def first_seeds(rows: pd.DataFrame, num_seeds: int) -> pd.DataFrame:
    return rows[rows["seed"] < num_seeds]


def test_a_study_of_fixed_seeds_has_one_look_at_5_percent():
    """Its corrected p-values are those of the comparison itself, held against 5 %."""
    study = growing(until=None, grid={"seed": "0-9", "scheduler": [CONSTANT, STEP, COSINE]})
    rows = simulate(study, Truth(**NOISY, effects={"StepLR": 0.05}))
    found = decide(rows, study)
    assert (found.look, found.num_looks, found.num_seeds, found.level) == (1, 1, 10, 0.05)
    (setting,) = compare(rows)
    assert sorted(found.table["corrected_p"]) == pytest.approx(sorted(c.corrected_p for c in setting.against.values()))
    assert "One look, 10 seeds, each p held against 5%" in found.sentences[0]


@pytest.mark.parametrize(("num_seeds", "look"), [(4, 0), (5, 1), (9, 1), (10, 2), (19, 2), (20, 3)])
def test_the_look_is_the_last_that_is_complete(num_seeds, look):
    """With 9 of 20 seeds it is the look at 5: seeds of a look that is not complete are left out."""
    study = growing()
    rows = simulate(study, Truth(**NOISY))
    found = decide(first_seeds(rows, num_seeds), study)
    assert (found.look, found.num_looks) == (look, 3)
    if look:
        assert found.level == t_levels((5, 10, 20), "pocock")[look - 1]
        assert set(found.table["num_seeds"]) == {(5, 10, 20)[look - 1]}


def test_a_seed_that_lacks_trials_is_not_complete():
    """One trial of the tenth seed is missing: it is still the first look, and it says the same as before."""
    study = growing()
    rows = simulate(study, Truth(**NOISY))
    cut_off = first_seeds(rows, 10).iloc[:-1]
    first, again = decide(first_seeds(rows, 5), study), decide(cut_off, study)
    assert again.look == 1
    pd.testing.assert_frame_equal(first.table, again.table)


def test_no_rows_are_no_look():
    """A study that has not begun is not settled, and says at how many seeds it is looked at first."""
    study = growing()
    found = decide(simulate(study, Truth()).iloc[:0], study)
    assert (found.look, found.settled) == (0, False)
    assert found.sentences == ("No look is complete: the first is at 5 seeds.",)


def test_large_effects_settle_at_the_first_look():
    """10 points in each direction, at 2 points of noise: one scheduler is better, the other worse; no more seeds."""
    study = growing()
    rows = first_seeds(simulate(study, Truth(**NOISY, effects={"StepLR": 0.2, "CosineAnnealingLR": -0.2})), 5)
    found = decide(rows, study)
    assert found.settled
    assert set(found.table["verdict"]) == {"better", "worse"}
    assert "all 2 comparisons are settled (1 better and 1 worse)" in found.sentences[0]


def test_equal_arms_settle_by_a_margin():
    """Arms that do not differ are equivalent within a margin of 20 points, whatever their p."""
    study = growing(compare=[{"factor": "scheduler", "margin": 0.2}])
    found = decide(first_seeds(simulate(study, Truth(**NOISY)), 5), study)
    assert found.settled
    assert set(found.table["verdict"]) == {"equivalent within margin"}


def test_what_is_open_asks_for_the_next_look():
    """A margin that no seeds can show leaves equal arms open: so many more seeds, and none at the last look."""
    study = growing(compare=[{"factor": "scheduler", "margin": 0.0001}])
    rows = simulate(study, Truth(**NOISY), seed=3)
    first, last = decide(first_seeds(rows, 5), study), decide(rows, study)
    assert not first.settled
    assert not last.settled
    assert first.sentences[-1] == "Next: 5 more seeds."
    assert last.sentences[-1] == "No seeds are left to add: what is inconclusive stays so."
    assert "CosineAnnealingLR against ConstantLR" in first.sentences[1]


def test_a_time_limit_that_is_over_is_all_that_comes_next():
    """Nobody is promised 5 more seeds when no further look begins."""
    until = {**LOOKS, "time_limit": "60s"}
    study = growing(compare=[{"factor": "scheduler", "margin": 0.0001}], until=until)
    rows = first_seeds(simulate(study, Truth(**NOISY), seed=3), 5)
    assert decide(rows, study, 59.0).sentences[-1] == "Next: 5 more seeds."
    assert decide(rows, study, 60.0).sentences[-1] == "No further look begins: the time limit of 60 s is over."
    assert not any("Next" in sentence for sentence in decide(rows, study, 60.0).sentences)


def test_a_first_look_is_stricter_than_5_percent():
    """A p-value of 3 % ends a study of fixed seeds and does not end one that looks again."""
    study, fixed = growing(), growing(until=None, grid={"seed": "0-4", "scheduler": [CONSTANT, STEP, COSINE]})
    rows = simulate(fixed, Truth(**NOISY))
    rows = rows[rows["scheduler_name"] != "CosineAnnealingLR"].copy()
    rows["final_accuracy"] = rows["final_accuracy"].where(rows["scheduler_name"] == "ConstantLR", 0.0)
    own = rows["scheduler_name"] == "StepLR"
    base = rows.loc[~own, "final_accuracy"].to_numpy()
    rows.loc[own, "final_accuracy"] = base + np.array([0.01, 0.02, 0.03, 0.001, 0.015])
    assert 0.02 < decide(rows, fixed).table["p"].item() < 0.05
    assert decide(rows, fixed).table["verdict"].item() == "better"
    assert decide(rows, study).table["verdict"].item() != "better"


def told_apart_by(rows: pd.DataFrame, differences) -> pd.DataFrame:
    """Give StepLR the final accuracy of ConstantLR on the same seed, and so much more."""
    rows = rows[rows["scheduler_name"].isin(("StepLR", "ConstantLR"))].sort_values("seed").copy()
    own = rows["scheduler_name"] == "StepLR"
    rows.loc[own, "final_accuracy"] = rows.loc[~own, "final_accuracy"].to_numpy() + np.array(differences)
    return rows


def test_what_is_settled_at_a_look_stays_settled():
    """Better by about 10 points on 5 seeds, then worse by as much on 5 more: settled at look 1, and both are said."""
    study = growing(grid={"seed": "0-19", "scheduler": [CONSTANT, STEP]})
    first = [0.1, 0.101, 0.099, 0.1, 0.102]
    rows = told_apart_by(first_seeds(simulate(study, Truth(**NOISY)), 10), [*first, *(-d for d in first)])
    found = decide(rows, study)
    assert (found.look, found.settled) == (2, True)
    (row,) = found.table.itertuples()
    assert (row.settled_at, row.settled_as, row.verdict) == (1, "better", "inconclusive")
    assert "the comparison is settled (1 better)" in found.sentences[0]
    assert found.sentences[1] == "Settled in final_accuracy: StepLR against ConstantLR better at look 1."
    assert found.sentences[2] == (
        "What one look settled stays settled, but all data up to look 2 say otherwise of: StepLR against ConstantLR in "
        "final_accuracy (better at look 1, inconclusive now)."
    )


def test_a_pair_without_a_baseline_stays_settled_whichever_way_round_it_stands():
    """Of two arms without a baseline the better stands first: at look 2 that is the other one, and worse it was."""
    study = growing(grid={"seed": "0-19", "scheduler": [COSINE, STEP]})
    rows = first_seeds(simulate(study, Truth(**NOISY)), 10).sort_values("seed").copy()
    own = rows["scheduler_name"] == "StepLR"
    first = np.array([0.1, 0.101, 0.099, 0.1, 0.102])
    base = rows.loc[~own, "final_accuracy"].to_numpy()
    rows.loc[own, "final_accuracy"] = base + np.concatenate([first, -3 * first])
    assert decide(first_seeds(rows, 5), study).table["comparison"].item().startswith("StepLR against")
    (row,) = decide(rows, study).table.itertuples()
    assert row.comparison.startswith("CosineAnnealingLR against StepLR")
    assert (row.settled_at, row.settled_as) == (1, "worse")


def test_the_sentences_name_what_is_settled_and_what_is_not_metric_by_metric():
    """StepLR settles in accuracy; by a margin that nothing meets no arm does in loss: each stands with its metric."""
    questions = [
        {"factor": "scheduler", "metric": "final_accuracy", "family": "a"},
        {"factor": "scheduler", "metric": "final_loss", "margin": 1e-9, "family": "b"},
    ]
    study = growing(grid={"seed": "0-19", "scheduler": [CONSTANT, STEP]}, compare=questions)
    rows = told_apart_by(first_seeds(simulate(study, Truth(**NOISY), seed=3), 5), [0.1, 0.101, 0.099, 0.1, 0.102])
    assert decide(rows, study).sentences[1:] == (
        "Settled in final_accuracy: StepLR against ConstantLR better at look 1.",
        "Inconclusive in final_loss: StepLR against ConstantLR.",
        "Next: 5 more seeds.",
    )


def test_trials_that_chose_a_rate_are_in_no_comparison():
    """Selection trials with accuracies of their own change nothing."""
    study = growing()
    rows = first_seeds(simulate(study, Truth(**NOISY)), 5)
    chosen = rows.assign(tuning="selection", seed=rows["seed"] + 1000, final_accuracy=rows["final_accuracy"] ** 4)
    both = pd.concat([rows.assign(tuning="default and tuned"), chosen], ignore_index=True)
    pd.testing.assert_frame_equal(decide(both, study).table, decide(rows, study).table)


def test_diverged_trials_take_a_conclusion_back():
    """A scheduler that is better on two seeds in three and diverges on the third is not settled as better."""
    study = growing(grid={"seed": "0-19", "scheduler": [CONSTANT, STEP]})
    rows = first_seeds(simulate(study, Truth(**NOISY, effects={"StepLR": 0.2})), 10).reset_index(drop=True)
    assert decide(rows, study).settled
    lost = (rows["scheduler_name"] == "StepLR") & (rows["seed"] % 3 == 0)
    rows["status"] = rows["status"].astype(object).where(~lost, "diverged")
    rows.loc[lost, "final_accuracy"] = np.nan
    found = decide(rows, study)
    assert found.look == 2
    assert found.table["verdict"].tolist() == ["inconclusive"]


def test_each_family_has_its_own_5_percent():
    """Two questions in one family are corrected for four comparisons, in two families for two each."""

    def worst(families):
        questions = [
            {"factor": "scheduler", "metric": metric, "family": family}
            for metric, family in zip(("final_accuracy", "final_loss"), families, strict=True)
        ]
        study = growing(compare=questions)
        rows = first_seeds(simulate(study, Truth(**NOISY, effects={"StepLR": 0.02})), 10)
        return decide(rows, study).table

    one, two = worst("aa"), worst("ab")
    assert len(one) == len(two) == 4
    assert one["p"].tolist() == two["p"].tolist()
    assert (one["corrected_p"] >= two["corrected_p"]).all()
    assert one["corrected_p"].min() > two["corrected_p"].min()


def test_intervals_widen_with_the_level():
    """At a look the interval is that of the look's level: wider than Student's at 95 %, about the same mean."""
    study = growing()
    rows = first_seeds(simulate(study, Truth(**NOISY)), 5)
    found = decide(rows, study).table
    (setting,) = compare(rows)
    for row, c in zip(found.itertuples(), setting.planned, strict=True):
        assert row.difference == pytest.approx(c.estimate.value)
        assert row.difference_low < c.estimate.low < c.estimate.high < row.difference_high


@pytest.mark.slow
def test_whole_studies_without_effect_are_seldom_called_different():
    """Of 25 simulated studies without an effect, looked at twice through the whole path, at most 4 find one."""
    study = growing(until={"looks": [5, 10], "spending": "pocock"}, grid={"seed": "0-9", "scheduler": [CONSTANT, STEP]})
    wrong = 0
    for seed in range(25):
        rows = simulate(study, Truth(**NOISY), seed=seed)
        verdicts = {*decide(first_seeds(rows, 5), study).table["verdict"], *decide(rows, study).table["verdict"]}
        wrong += bool(verdicts & {"better", "worse"})
    assert wrong <= 4
