"""Every planted fault is found and named in real trials; names that would be wrong are not accepted; equal pairs raise
no alarm."""

import pytest
import torch

import lrbench
from lrbench.claims.faulty import (
    LAYERS,
    MODULE,
    NUM_STEPS,
    RECIPE,
    SMALL_DIGITS,
    find_planted,
    names,
    one_ulp_placements,
    other_placements,
    pair,
)
from lrbench.diverge.command import diverge
from lrbench.diverge.sides import Sides
from lrbench.diverge.steps import first_mismatch
from lrbench.diverge.traces import compare_traces
from lrbench.progress import SilentReporter
from lrbench.record import NAMES
from lrbench.study import parse_study
from lrbench.watch import Watch

PLACEMENTS = one_ulp_placements()
OTHERS = {placement["fault"]: placement for placement in other_placements()}
ONE_PROCESS_EACH = [fault for fault in OTHERS if fault != "forgetful"]


@pytest.fixture(scope="module")
def sides():
    trials = [trial for placement in (*PLACEMENTS, *OTHERS.values()) for trial in pair(placement)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONHASHSEED", raising=False)  # the order of a set is one of the faults
        with Sides(trials) as opened:
            yield opened


def test_twenty_placements_cover_layers_directions_and_steps():
    """Twenty different ones: every layer forward and backward, in one of two trials and in both, at many steps."""
    assert len({str(placement) for placement in PLACEMENTS}) == 20
    seen = {(placement["direction"], placement["layer"], placement["how"]) for placement in PLACEMENTS}
    assert len(seen) == 2 * LAYERS * 2
    assert {placement["step"] for placement in PLACEMENTS} == set(range(1, NUM_STEPS + 1))


@pytest.mark.parametrize("fault", ONE_PROCESS_EACH)
def test_each_fault_is_found_and_named(fault, sides, tmp_path):
    """A forgotten seed, a worker's, an evaluation's, a set's order, a flag: each is named by what differs first."""
    found = find_planted(OTHERS[fault], tmp_path, sides=sides)
    assert found["holds"], found


@pytest.mark.slow
def test_a_scheduler_whose_state_is_lost_is_found(tmp_path):
    """A trial that was killed and goes on with a scheduler that begins anew parts from the whole one by its rate."""
    found = find_planted(OTHERS["forgetful"], tmp_path)
    assert found["holds"], found


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS, ids=lambda placement: " ".join(map(str, placement.values())))
def test_one_ulp_is_found_in_each_of_twenty_places(placement, sides, tmp_path):
    """The operator that adds one ulp is named by step, direction and module, and the distance is one ulp."""
    found = find_planted(placement, tmp_path, sides=sides)
    assert found["holds"], found


def test_a_wrong_name_is_not_taken_for_the_right_one(sides, tmp_path):
    """What names one placement names no other layer, direction, step or fault."""
    placement = PLACEMENTS[2]
    answer = diverge(*pair(placement), folder=tmp_path, sides=sides)
    assert names(placement, answer)
    assert not names({**placement, "layer": placement["layer"] - 1}, answer)
    assert not names({**placement, "step": placement["step"] + 1}, answer)
    assert not names({**placement, "direction": "backward"}, answer)
    assert not any(names(other, answer) for other in OTHERS.values())


def test_a_parting_that_moves_is_named_rightly_or_not_at_all(sides, tmp_path):
    """Where the fault strikes at another step in each process, what is named is still the operator at fault."""
    args = {"direction": "forward", "layer": 1, "step": 0, "how": "dice"}
    workload = {"model": f"{MODULE}:one_ulp", "model_args": args, **SMALL_DIGITS}
    trial = lrbench.Trial(workload=workload, device="cpu", **RECIPE)
    answer = diverge(trial, trial, folder=tmp_path, sides=sides)
    assert not answer.equal
    if answer.parting is None:
        assert "changes from run to run" in answer.between
        assert answer.num_tries == 3
    else:
        assert (answer.parting.kind, answer.parting.module) == ("source", "after1")


def test_traces_of_equal_trials_part_nowhere(sides, tmp_path):
    """At steps of both epochs, the traces of a trial that ran twice have no operator that differs."""
    trial, _ = pair({**PLACEMENTS[0], "how": ""})
    for step in (1, 5, 6, NUM_STEPS):
        watches = tuple(Watch(digest_every=1, stop_after=step, trace=tmp_path / f"{side}.trace") for side in "ab")
        rows = sides.run(trial, trial, watches, "")
        assert first_mismatch(*rows) is None
        assert compare_traces(tmp_path / "a.trace", tmp_path / "b.trace").kind == "none"


@pytest.mark.slow
def test_two_hundred_equal_pairs_raise_no_alarm(tmp_path):
    """Of 200 trials that were run twice, in fresh processes and with digests at every step, none parts from itself."""
    workload = {"model": f"{MODULE}:one_ulp", **SMALL_DIGITS}
    document = {
        "question": "equal?",
        "replicates": 2,
        "fixed": {"workload": workload, "device": "cpu", **RECIPE},
        "grid": {"seed": "0-199"},
    }
    study = parse_study(document, "equal", source="equal")
    lrbench.run_study(study, tmp_path / "equal", watch=Watch(digest_every=1), reporter=SilentReporter())
    rows = lrbench.load(tmp_path / "equal", columns=NAMES)
    assert list(rows["status"].unique()) == ["completed"]
    pairs = [group.to_dict("records") for _, group in rows.groupby("seed")]
    assert [len(rows) for rows in pairs] == [2] * 200
    assert all(len(one["digest_steps"]) == NUM_STEPS for one, _ in pairs)
    assert [first_mismatch(one, other) for one, other in pairs] == [None] * 200


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="atomics take a CUDA device")
def test_atomics_are_named_on_cuda(tmp_path):
    """On CUDA the sums of an index_add differ between two processes, and index_add is named."""
    found = find_planted({"fault": "scatter"}, tmp_path, device="cuda")
    assert found["holds"], found
