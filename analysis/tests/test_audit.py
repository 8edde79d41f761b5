"""What an audit's rows mean: arms by hand, and faults from planted rows."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from analysis.audit import BITS, Arm, Audit, Repeats, arms, first_difference, ratio, speed
from analysis.audit_faults import faults
from analysis.audit_findings import findings
from analysis.page.audit_page import as_html, table
from analysis.statistics.intervals import Estimate
from lrbench.diverge.steps import Mismatch
from lrbench.record import NAMES

UNKNOWN = Estimate(value=math.nan, low=-math.inf, high=math.inf, n=0)
ONE = Estimate(value=1.0, low=-math.inf, high=math.inf, n=5)
SEE = "lrbench diverge DIR#1"
STEPS = 4


def row(replicate: int, *, speed_is: float = 100.0, bits: str = "same", parted_at: int = 0, **columns) -> dict:
    """A row of a trial of four steps; where it parted, its losses and gradients are its own from that step on."""
    own = f"{bits} {replicate}" if parted_at else bits
    digests = {
        f"{name}_xxh3": [
            f"{name} {step} {own if parted_at and step >= parted_at else ''}" for step in range(1, STEPS + 1)
        ]
        for name in ("gradients", "weights", "optimizer")
    }
    equal = {
        f"{name}_xxh3": [f"{name} {step}" for step in range(1, STEPS + 1)] for name in ("order", "images", "rng", "lr")
    }
    return {
        **dict.fromkeys(NAMES),
        "trial_id": f"trial {replicate}",
        "replicate": replicate,
        "status": "completed",
        "packed": False,
        "cudnn_benchmark": False,
        "cudnn_deterministic": False,
        "deterministic_algorithms": "off",
        "num_threads": 1,
        "flags_held": True,
        "python_rng_used": False,
        "numpy_rng_used": False,
        "evaluation_rng_used": False,
        "data_sha256": "data",
        "torch_version": "2.15.0",
        "cpu_model": "a CPU",
        "started_at": "2026-11-22T10:00:00",
        "samples_per_second": speed_is,
        "first_step_seconds": 0.1,
        "step_seconds_median": 0.01,
        "forward_samples_per_second": 1000.0,
        "peak_memory_mib": 400.0,
        "num_repeats": 20,
        "forward_repeats_identical": 20,
        "backward_repeats_identical": 20,
        "digest_steps": list(range(1, STEPS + 1)),
        "loss_xxh3": [f"loss {step}" for step in range(1, STEPS + 1)],
        **equal,
        **digests,
        "train_loss_steps": [1.0] * STEPS,
        **dict.fromkeys(BITS, own),
        **columns,
    }


def frame(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=NAMES)


def audit(flags: pd.DataFrame, *, device: str = "cpu", **parts) -> Audit:
    none = frame()
    return Audit(
        **{
            "folder": "DIR",
            "asked": {"target": "mynet:Net", "device": device, "budget": "2m"},
            "plan": {"num_steps": STEPS, "epochs": 2, "replicates": 2, "cut": []},
            "examined": {},
            "resumed": [],
            "took_seconds": 12.3,
            "flags": flags,
            "strict": none,
            "threads": none,
            **parts,
        }
    )


def two_by_two(n: int = 3, **columns) -> pd.DataFrame:
    """n replicates of each of the four conditions, all alike."""
    flags = [(b, d) for b in (False, True) for d in (False, True)]
    return frame(*(row(i, cudnn_benchmark=b, cudnn_deterministic=d, **columns) for i in range(n) for b, d in flags))


def arm(name: str = "default", **changes) -> Arm:
    fields = {
        "name": name,
        "num_trials": 5,
        "num_runs": 5,
        "num_identical": 5,
        "num_results": 1,
        "error": "",
        "speed": UNKNOWN,
        "ratio": ONE,
        "forward_speed": 1000.0,
        "search": UNKNOWN,
        "break_even": UNKNOWN,
        "peak_memory_mib": 400.0,
        "forward": Repeats(num_identical=20, num_repeats=20),
        "backward": Repeats(num_identical=20, num_repeats=20),
        "differs": None,
        "resumed": "",
    }
    return Arm(**{**fields, **changes})


DIFFERENT = {
    "num_identical": 1,
    "num_results": 5,
    "differs": Mismatch(what="gradients", step=1, last_equal_step=0),
}


# ---------------------------------------------------------------------------------------------------------------- arms


@pytest.mark.parametrize(("n", "bound"), [(2, 0.95), (3, 1 - 0.05**0.5), (5, 1 - 0.05**0.25), (20, 0.1459)])
def test_the_bound_after_equal_runs(n, bound):
    """Of n equal runs at most 1 - 0.05^(1/(n-1)) of runs give another result: 95 % of 2, 15 % of 20."""
    assert arm(num_runs=n, num_identical=n).bound == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize("p", [0.3, 0.6, 0.9])
def test_the_bound_holds_where_runs_do_differ(p):
    """Where a share p of runs gives one result, n runs are alike and the bound too small in at most 5 % of audits."""
    for n in range(2, 12):
        too_small = arm(num_runs=n, num_identical=n).bound < 1 - p
        others = (1 - p) / 10  # ten other results, all alike rare
        assert not too_small or p**n + 10 * others**n <= 0.05


def test_a_single_run_is_not_reproducible():
    """One run equals itself, which says nothing."""
    assert not arm(num_runs=1, num_identical=1).reproducible
    assert not arm(**DIFFERENT).reproducible
    assert arm(**DIFFERENT).bound == 1


def test_runs_are_counted_by_their_bits():
    """Two of three runs alike, one apart in one digest: two results, and 2 of 3 identical."""
    other = row(2) | {"logits_sha256": "another"}
    seen = arms(audit(frame(row(0), row(1), other)))[0]
    assert (seen.num_runs, seen.num_identical, seen.num_results) == (3, 2, 2)


def test_repeats_are_added_over_processes():
    """Of 20 repeats 19 are compared with the first: all 19 and 6 of 19 are 25 of 38. Its own twin counts nowhere."""
    seen = arms(audit(frame(row(0), row(1, forward_repeats_identical=7))))[0]
    assert seen.forward == Repeats(num_identical=25, num_repeats=38)
    five = frame(*(row(number, forward_repeats_identical=1) for number in range(5)))
    assert arms(audit(five))[0].forward == Repeats(num_identical=0, num_repeats=95)
    assert not seen.forward.all_identical
    assert seen.backward.all_identical


def test_what_differs_first_is_the_earliest_of_all_runs():
    """Run 1 parts at step 3 and run 2 at step 2, there in the gradients."""
    found = first_difference(frame(row(0), row(1, parted_at=3), row(2, parted_at=2)))
    assert (found.what, found.step) == ("gradients", 2)
    assert first_difference(frame(row(0), row(1))) is None


def test_a_speed_ratio_pairs_blocks():
    """Blocks of 100, 200 and 400 images/s, each 2 % up or down on double speed: the drift of the machine cancels."""
    here = frame(row(0, speed_is=204.0), row(1, speed_is=400.0), row(2, speed_is=784.0))
    there = frame(row(0, speed_is=100.0), row(1, speed_is=200.0), row(2, speed_is=400.0))
    assert ratio(here, there).value == pytest.approx(2.0, abs=0.001)
    assert 1.9 < ratio(here, there).low < 2 < ratio(here, there).high < 2.11
    assert speed(there).value == pytest.approx(200.0)


def test_trials_that_shared_their_device_are_not_timed():
    """A packed row is in the counts and not in the speed."""
    rows = frame(row(0), row(1, packed=True, speed_is=1.0))
    assert speed(rows).value == pytest.approx(100.0)


def test_search_and_break_even_are_cudas():
    """A search of 0.5 s that saves 1 ms a step has paid after 500 steps; on a CPU there is none to tell."""
    slow = {"first_step_seconds": 0.6, "step_seconds_median": 0.009}
    rows = frame(*(row(i) for i in range(3)), *(row(i, cudnn_benchmark=True, **slow) for i in range(3)))
    on_cuda = {found.name: found for found in arms(audit(rows, device="cuda"))}
    assert on_cuda["benchmark"].search.value == pytest.approx(0.5)
    assert on_cuda["benchmark"].break_even.value == pytest.approx(500)
    assert math.isnan(on_cuda["default"].search.value)
    on_cpu = {found.name: found for found in arms(audit(rows))}
    assert math.isnan(on_cpu["benchmark"].search.value)


def test_strict_is_compared_in_its_own_part():
    """The default's speed of the strict part is the reference; a refusal is the arm's error."""
    strict = frame(
        row(0, speed_is=50.0),
        row(0, speed_is=40.0, deterministic_algorithms="strict"),
        row(
            1,
            deterministic_algorithms="strict",
            status="crashed",
            error="Traceback\nRuntimeError: x_backward_cuda raises",
        ),
    )
    seen = arms(audit(frame(row(0)), strict=strict))[-1]
    assert (seen.name, seen.num_trials, seen.num_runs) == ("strict", 2, 1)
    assert seen.ratio.value == pytest.approx(0.8)
    assert seen.error == "RuntimeError: x_backward_cuda raises"


@pytest.mark.parametrize(
    ("gave", "said"),
    [
        ({}, "identical"),
        ({"weights_sha256": "other", "losses_sha256": "other"}, "weights, losses"),
        ({"logits_sha256": None}, "identical"),
        ({"status": "crashed", "error": "Traceback\nKeyError: 'momentum'"}, "crashed: KeyError: 'momentum'"),
    ],
)
def test_a_resumed_trial_is_compared_with_the_whole_one(gave, said):
    """Digest by digest, a null being no difference; a crash says why; a condition that was not tried has nothing."""
    run = {
        "trial_id": "trial 0",
        "status": "completed",
        "error": None,
        "weights_sha256": "same",
        "losses_sha256": "same",
    }
    seen = arms(audit(frame(row(0), row(1)), resumed=[{**run, **gave}]))
    assert seen[0].resumed == said
    assert arms(audit(frame(row(0), row(1)), resumed=[{**run, "trial_id": "x"}]))[0].resumed == ""


# -------------------------------------------------------------------------------------------------------------- faults

TWIN = {"weights": "w", "loss": "l", "gradients": "g"}
NO_WORKER = {"order": [0, 1], "items": ["a", "b"]}
OTHER_ITEMS = {"order": [0, 1], "items": ["a", "c"]}
REPEATING = {**OTHER_ITEMS, "workers_repeat": True}


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"numpy_rng_used": True}, "forgotten NumPy seed"),
        ({"python_rng_used": True}, "forgotten Python seed"),
        ({"evaluation_rng_used": True}, "evaluation consumes the training's random numbers"),
        ({"flags_held": False, "effective_cudnn_deterministic": True}, "mislabelled flag"),
        ({"forward_repeats_identical": 3, "parted_at": 2}, "nondeterministic forward"),
        ({"backward_repeats_identical": 3, "parted_at": 2}, "training step does not repeat within a process"),
        (
            {"forward_repeats_identical": 3, "backward_repeats_identical": 1, "parted_at": 2},
            "nondeterministic forward",
        ),
        ({"parted_at": 2}, "runs differ"),
        ({}, ""),
    ],
)
def test_a_fault_is_named_from_the_rows(columns, name):
    """Each by what it alone leaves in a row; equal rows have none."""
    made = audit(two_by_two(**columns))
    assert [fault.name for fault in faults(made, arms(made))] == ([name] if name else [])


@pytest.mark.parametrize(
    ("examined", "name"),
    [
        ({"begun": [TWIN, {**TWIN, "weights": "v"}, TWIN]}, "order of a set or a hash"),
        ({"begun": [TWIN, {**TWIN, "weights": "v"}, {**TWIN, "weights": "u"}]}, ""),
        ({"begun": [TWIN, TWIN]}, ""),
        ({"loaded": [NO_WORKER, NO_WORKER, OTHER_ITEMS, NO_WORKER]}, "unseeded loader worker"),
        ({"loaded": [NO_WORKER, OTHER_ITEMS, NO_WORKER, OTHER_ITEMS]}, "Dataset with a forgotten seed"),
        ({"loaded": [NO_WORKER] * 4}, ""),
        ({"loaded": [NO_WORKER, NO_WORKER, OTHER_ITEMS, OTHER_ITEMS]}, ""),
        ({"loaded": [NO_WORKER, NO_WORKER, REPEATING, REPEATING]}, "items depend on num_workers"),
    ],
)
def test_a_fault_is_named_from_what_processes_said(examined, name):
    """A twin that differs proves nothing of hashes; workers that differ from no workers are no fault by themselves."""
    made = audit(two_by_two(), examined=examined)
    assert [fault.name for fault in faults(made, arms(made))] == ([name] if name else [])


@pytest.mark.parametrize(
    ("columns", "gives"), [("backward_repeats_identical", "gradients"), ("forward_repeats_identical", "logits")]
)
def test_state_between_calls_is_no_fault_where_runs_agree(columns, gives):
    """A counter in the model makes one process give other bits for a batch, though twelve fresh runs are alike."""
    found = findings(audit(two_by_two(**{columns: 1})))
    assert found.faults == ()
    assert found.recommendation[0].startswith("12 of 12 runs in fresh processes are bit-identical")
    said = {s.name: s.sentence for s in found.sensitivities}["state"]
    assert said.startswith("Your model keeps state between calls")
    assert f"gives other {gives} (0 of 57 as the first), though whole runs repeat." in said
    assert "state" not in {s.name for s in findings(audit(two_by_two(**{columns: 1}, parted_at=1))).sensitivities}


@pytest.mark.parametrize("columns", [{}, {"backward_repeats_identical": 1}, {"numpy_rng_used": True}])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_where_runs_differ_the_page_says_what_to_type(columns, device):
    """The command that finds the operator, whatever fault was named."""
    assert "<code>lrbench diverge DIR#trial 0" not in as_html(audit(two_by_two(**columns), device=device))
    made = audit(two_by_two(parted_at=2, **columns), device=device)
    assert "<code>lrbench diverge DIR#trial</code>" in as_html(made)


EXAMINED = {
    "model": {
        "documented": [{"name": "torch.nn.AdaptiveAvgPool2d", "device": ["cuda"], "strict": "raises", "when": ""}],
        "num_operators": 12,
        "data_sha256": "data",
        "num_rows": 16,
        "num_rows_differ": 3,
        "max_ulp": 2,
        "max_abs": 1e-8,
    },
    "begun": [TWIN, TWIN],
    "loaded": [NO_WORKER, NO_WORKER, OTHER_ITEMS, OTHER_ITEMS],
}


def test_what_the_noise_explains_is_not_called_a_finding():
    """Where runs differ anyway, a resumed one that differs tells nothing; where they agree it does. Nor does a row
    alone, where the batch itself gives other logits each time."""
    run = {"trial_id": "trial 0", "status": "completed", "error": None, "weights_sha256": "other"}
    noisy = audit(
        two_by_two(parted_at=2), resumed=[run], examined={"model": {**EXAMINED["model"], "batch_repeats": False}}
    )
    shown = table(noisy, tuple(arms(noisy))).loc["resume identical", "default"]
    assert shown == "cannot be told: runs differ without a resume"
    assert '<td class="no">cannot be told' not in as_html(noisy)
    assert "cannot be told, since the same batch gives other logits each time" in as_html(noisy)
    assert "2 ulp" not in as_html(noisy)
    quiet = audit(two_by_two(), resumed=[run])
    assert table(quiet, tuple(arms(quiet))).loc["resume identical", "default"] == "no: weights"
    crashed = replace(noisy, resumed=[{**run, "status": "crashed", "error": "RuntimeError: y"}])
    assert table(crashed, tuple(arms(crashed))).loc["resume identical", "default"] == "no: crashed: RuntimeError: y"


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (
            OTHER_ITEMS,
            "Of nets:Own items depend on num_workers: without a worker and with two it gives other items, each",
        ),
        (REPEATING, "gives other items; the two workers draw the same numbers."),
    ],
)
def test_a_dataset_is_spoken_of_before_the_table(workers, said):
    """That no run is of it, and that what it gives depends on num_workers."""
    asked = {"target": "mynet:Net", "device": "cpu", "budget": "2m", "dataset": "nets:Own"}
    loaded = [NO_WORKER, NO_WORKER, workers, workers]
    made = audit(two_by_two(), asked=asked, described={"kind": "model"}, examined={"loaded": loaded})
    spoken = " ".join(findings(made).recommendation)
    assert "The runs are of made-up images, not of nets:Own." in spoken
    assert said in spoken
    made = replace(made, described={"kind": "workload"}, examined={"loaded": [NO_WORKER] * 4})
    spoken = " ".join(findings(made).recommendation)
    assert "The runs are of what the workload trains on, not of nets:Own." in spoken
    assert "num_workers" not in spoken


def test_a_loaders_fault_does_not_hide_that_runs_differ():
    """No run is of the Dataset that was named, so that it explains none."""
    made = audit(two_by_two(parted_at=2), examined={"loaded": [NO_WORKER, OTHER_ITEMS, NO_WORKER, OTHER_ITEMS]})
    assert [fault.name for fault in faults(made, arms(made))] == ["runs differ", "Dataset with a forgotten seed"]


def test_a_factors_name_is_written_as_it_is_typed():
    """Without a capital, at the beginning of a sentence too."""
    made = audit(two_by_two(flags_held=False, effective_cudnn_deterministic=True))
    page = as_html(made)
    assert (
        "In 12 of 12 trials what was asked for and what was in force differ (cudnn_benchmark, cudnn_deterministic and"
        in page
    )
    assert "Cudnn" not in page


def test_data_of_two_contents_are_a_fault():
    """Two parts that read the data anew and got others."""
    made = audit(two_by_two(), strict=frame(row(0, data_sha256="other")))
    assert [fault.name for fault in faults(made, arms(made))] == ["data that differ between processes"]


def test_equal_trials_of_two_parts_that_differ_are_a_fault():
    """The same trial, alike inside each part and not between them: their parents gave them something else."""
    threads = frame(row(0, bits="other"), row(1, bits="other"))
    made = audit(two_by_two(), threads=threads)
    assert [fault.name for fault in faults(made, arms(made))] == ["processes of two parents differ"]


def test_a_resume_that_differs_is_a_fault_where_runs_agree():
    """Where two whole runs differ already, a resumed one may."""
    run = {"trial_id": "trial 0", "status": "completed", "error": None, "weights_sha256": "other"}
    made = audit(two_by_two(), resumed=[run])
    assert [fault.name for fault in faults(made, arms(made))] == ["not identical on resume"]
    made = audit(two_by_two(parted_at=2), resumed=[run])
    assert [fault.name for fault in faults(made, arms(made))] == ["runs differ"]


def test_on_cuda_what_a_setting_mends_is_no_fault():
    """Kernels that sum in no fixed order are what the flags are for: where one makes runs equal, none is named."""
    rows = two_by_two()
    rows = frame(
        *(
            r
            | (
                {}
                if r["cudnn_deterministic"]
                else row(r["replicate"], parted_at=1, cudnn_benchmark=r["cudnn_benchmark"])
            )
            for r in rows.to_dict("records")
        )
    )
    made = audit(rows, device="cuda")
    assert faults(made, arms(made)) == []
    assert [fault.name for fault in faults(replace(made, asked={**made.asked, "device": "cpu"}), arms(made))] == [
        "runs differ"
    ]
