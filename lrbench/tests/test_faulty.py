"""Every planted fault is found and named in real trials; names that would be wrong are not accepted; equal pairs raise
no alarm. `lrbench claims --only V22` looks in all 20 places of each kind; here a few of each are looked in."""

import pytest
import torch

import lrbench
from lrbench.claims import finder as finder_module
from lrbench.claims.faulty import LAYERS, MODULE, NUM_STEPS, RECIPE, SMALL_DIGITS, STEPS_PER_EPOCH
from lrbench.claims.finder import Finder, v22
from lrbench.claims.placements import FLAGS, LONG, first_met, kinds, names, pair, placements, placements_of
from lrbench.claims.room import StudyRoom
from lrbench.diverge.command import diverge
from lrbench.diverge.steps import first_mismatch
from lrbench.diverge.traces import compare_traces
from lrbench.progress import SilentReporter
from lrbench.record import NAMES
from lrbench.study import parse_study
from lrbench.watch import Watch

PLACEMENTS = {kind: placements_of(kind) for kind in kinds()}
# of each kind the first, and one at another step, layer, epoch, seed or flag; of one_ulp backward too, and by dice
FEW = [placement for found in PLACEMENTS.values() for placement in (found[0], found[13])]
LOOKED_IN = [*FEW, *(PLACEMENTS["one_ulp"][number] for number in (6, 9))]


@pytest.fixture(scope="module")
def finder():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "0")  # as some machines have it; the order of a set is one of the faults
        with Finder(LOOKED_IN) as opened:
            yield opened


def called(placement: dict) -> str:
    return " ".join(map(str, placement.values()))


# -------------------------------------------------------------------------------------------------------- the places


@pytest.mark.parametrize("kind", PLACEMENTS)
def test_each_kind_of_fault_has_twenty_placements(kind):
    """They are twenty different ones, and the trials of any two differ."""
    assert len({str(placement) for placement in PLACEMENTS[kind]}) == 20
    where = [tuple(trial.trial_id for trial in pair(placement)) for placement in PLACEMENTS[kind]]
    assert len(set(where)) == 20
    assert [placement["fault"] for placement in PLACEMENTS[kind]] == [kind] * 20


def test_the_placements_cover_layers_steps_epochs_and_flags():
    """Every layer; steps all through the training; every evaluation that training goes on after; every flag."""

    def values(kind: str, key: str) -> set:
        return {placement[key] for placement in PLACEMENTS[kind]}

    steps, layers = set(range(1, NUM_STEPS + 1)), set(range(LAYERS))
    ulps = {(place["direction"], place["layer"], place["how"]) for place in PLACEMENTS["one_ulp"]}
    assert len(ulps) == 2 * LAYERS * 2
    assert values("one_ulp", "step") == values("numpy_noise", "step") == steps
    assert all(values(kind, "layer") == layers for kind in ("numpy_noise", "evaluation_draws", "set_order"))
    assert values("evaluation_draws", "epoch") == set(range(1, LONG))
    assert values("sets_a_flag", "flag") == set(FLAGS)
    assert values("forgetful", "checkpoint_every") == set(range(1, 21))
    met = {first_met(placement["image"], placement["seed"]) for placement in PLACEMENTS["loader_worker"]}
    assert met == set(range(1, STEPS_PER_EPOCH + 1))


@pytest.mark.parametrize("placement", PLACEMENTS["forgetful"], ids=called)
def test_a_killed_trial_has_one_checkpoint_that_counts(placement):
    """It dies after the step that it is to go on from and before another checkpoint, with two steps left to show it."""
    last = (placement["dies_at_step"] - 1) // placement["checkpoint_every"] * placement["checkpoint_every"]
    assert last == placement["checkpoint_every"] <= LONG * STEPS_PER_EPOCH - 2


# ------------------------------------------------------------------------------------------------- found and named


@pytest.mark.parametrize("placement", LOOKED_IN, ids=called)
def test_each_fault_is_found_and_named(placement, finder, tmp_path):
    """An operator, a forgotten seed, a worker's, an evaluation's, a set's order, a flag, a lost state: what was planted
    is named by what differs first, and where."""
    found = finder.find(placement, tmp_path)
    assert found["holds"], found


OTHER_PLACE = {
    "one_ulp": ({"layer": 3}, {"step": 2}, {"direction": "backward"}),
    "numpy_noise": ({"layer": 3}, {"step": 2}),
    "loader_worker": ({"seed": 3},),
    "evaluation_draws": ({"epoch": 2},),
    "sets_a_flag": ({"flag": "cudnn_deterministic"},),
    "set_order": ({"layer": 3},),
    "forgetful": ({"checkpoint_every": 2},),
}


@pytest.mark.parametrize("kind", PLACEMENTS)
def test_a_wrong_name_is_not_taken_for_the_right_one(kind, finder, tmp_path):
    """What names one placement names no other layer, step, direction, epoch, order or flag, and no other fault."""
    placement = PLACEMENTS[kind][0]
    answer = finder.answer(placement, tmp_path)
    assert names(placement, answer)
    assert not any(names({**placement, **other}, answer) for other in OTHER_PLACE[kind])
    others = [other for other in placements() if other["fault"] != kind]
    assert not any(names(other, answer) for other in others)


@pytest.mark.slow
def test_a_fault_that_is_not_found_refutes_the_claim(tmp_path, monkeypatch):
    """V22 over three places, in one of which nothing acts: that one is missed, is named, and the verdict says so."""
    blind = {**PLACEMENTS["numpy_noise"][1], "step": NUM_STEPS + 1}  # no step is as late
    monkeypatch.setattr(finder_module, "placements", lambda: [PLACEMENTS["numpy_noise"][0], blind])
    monkeypatch.setattr(finder_module, "NUM_EQUAL_PAIRS", 2)
    verdict = v22(StudyRoom(tmp_path, "cpu"))
    assert verdict.word == "refuted"
    assert f"not: numpy_noise (layer 0, step {NUM_STEPS + 1}); 0 alarms in 2 pairs" in verdict.seen
    assert [row["holds"] for row in verdict.evidence] == [True, False, True]


# ---------------------------------------------------------------------------------------------------- nothing planted


def test_a_parting_that_moves_is_named_rightly_or_not_at_all(finder, tmp_path):
    """Where the fault strikes at another step in each process, what is named is still the operator at fault."""
    args = {"direction": "forward", "layer": 1, "step": 0, "how": "dice"}
    workload = {"model": f"{MODULE}:one_ulp", "model_args": args, **SMALL_DIGITS}
    trial = lrbench.Trial(workload=workload, device="cpu", **RECIPE)
    answer = diverge(trial, trial, folder=tmp_path, sides=finder.sides)
    assert not answer.equal
    if answer.parting is None:
        assert "changes from run to run" in answer.between
        assert answer.num_tries == 3
    else:
        assert (answer.parting.kind, answer.parting.module) == ("source", "after1")


def test_traces_of_equal_trials_part_nowhere(finder, tmp_path):
    """At steps of both epochs, the traces of a trial that ran twice have no operator that differs."""
    trial, _ = pair({**PLACEMENTS["one_ulp"][0], "how": ""})
    for step in (1, 5, 6, NUM_STEPS):
        watches = tuple(Watch(digest_every=1, stop_after=step, trace=tmp_path / f"{side}.trace") for side in "ab")
        rows = finder.sides.run(trial, trial, watches, "")
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
    scatter = {"fault": "scatter"}
    with Finder([scatter], device="cuda") as opened:
        found = opened.find(scatter, tmp_path)
    assert found["holds"], found
