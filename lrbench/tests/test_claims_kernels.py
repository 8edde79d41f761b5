"""The judges of the claims that need a GPU, on answers made by hand: each verdict has answers that give it."""

import pytest

from lrbench.claims import cudnn_arms, kernels, settings, tables
from lrbench.claims.effects import ratio_of


def look(plan: str, first: int = 3, later: int = 3, digest: str = "d") -> dict:
    """One look at a network: its plan, and how many kernels the first call and a later one ran."""
    names = [f"{later} × {plan}"]
    return {
        "kernel_names": names,
        "kernel_fingerprint": plan,
        "num_kernels_first": first,
        "num_kernels": later,
        "digest": digest,
    }


def seen(**looks) -> dict[str, list[dict]]:
    return {name.replace("_", " "): [{"what": "net", "looks": some} for some in nets] for name, nets in looks.items()}


SEARCH = {"first": 40}
KEPT = [[look("a"), look("a")]]


@pytest.mark.parametrize(
    ("switched", "fresh", "word"),
    [
        (KEPT, [[look("b", **SEARCH)]], "supported"),
        (KEPT, [[look("a", **SEARCH)]], "supported"),  # it searched, and found what the heuristics had chosen
        (KEPT, [[look("a")]], "inconclusive"),  # no search anywhere: nothing could have been kept from happening
        ([[look("a"), look("b")]], [[look("b", **SEARCH)]], "refuted"),
        ([[look("a"), look("a", **SEARCH)]], [[look("b", **SEARCH)]], "refuted"),
    ],
)
def test_v1_holds_where_plans_are_kept(switched, fresh, word):
    """V1 is supported where switching runs the same kernels without a search and a fresh process does search."""
    answers = seen(benchmark=switched, fresh=fresh) | {"benchmark back": [{"what": "net", "looks": KEPT[0]}]}
    verdict = kernels.kept_plans(answers)
    assert verdict.word == word, verdict.seen
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


@pytest.mark.parametrize(
    ("looks", "word"),
    [
        ([look("a", **SEARCH), look("b", **SEARCH), look("a")], "supported"),
        ([look("a", **SEARCH), look("a", **SEARCH), look("a")], "supported"),  # a new plan may be of the same kernels
        ([look("a", **SEARCH), look("a"), look("a")], "refuted"),
        ([look("a", **SEARCH), look("b", **SEARCH), look("b")], "refuted"),
        ([look("a", **SEARCH), look("b", **SEARCH), look("a", **SEARCH)], "refuted"),
    ],
)
def test_v2_holds_where_deterministic_is_part_of_the_key(looks, word):
    """V2: a search after switching deterministic, none after switching back, and then the first kernels again."""
    assert kernels.remade_plans(seen(deterministic=[looks])).word == word


@pytest.mark.parametrize(
    ("looks", "word"),
    [
        ([look("a", **SEARCH), look("a"), look("a", **SEARCH)], "supported"),
        ([look("a", **SEARCH), look("a"), look("a")], "refuted"),
        ([look("a", **SEARCH), look("a", **SEARCH), look("a", **SEARCH)], "inconclusive"),  # everything searches
    ],
)
def test_v3_and_v15_hold_where_the_third_call_searches(looks, word):
    """V3 and V15: a search in another thread or at another batch size, the same call again being the control."""
    assert kernels.searched_at(seen(thread=[looks]), "thread", "in another thread").word == word


def test_v14_needs_other_kernels_and_other_bits():
    """V14 holds where channels_last changes both the kernels and the digest."""
    for last, word in [
        (look("b", digest="e"), "supported"),
        (look("b"), "refuted"),
        (look("a", digest="e"), "refuted"),
    ]:
        assert kernels.other_layout(seen(layout=[[look("a"), last]])).word == word


def test_v13_counts_what_fits():
    """V13: other kernels support it, the same ones leave it open, and a network that did not fit is not counted."""
    fresh = [[look("a")], [look("a")]]
    changed = kernels.little_memory(seen(fresh=fresh, little_memory=[[look("b")], []]))
    assert changed.word == "supported"
    assert "1 of 2 networks fit, and 1 of them" in changed.seen
    assert kernels.little_memory(seen(fresh=fresh, little_memory=fresh)).word == "inconclusive"


def test_without_kernels_nothing_is_told_of_plans():
    """Where the profiler sees no kernel (a CPU) the verdict is inconclusive, and says that."""
    blind = look("", first=0, later=0)
    verdict = kernels.remade_plans(seen(deterministic=[[blind, blind, blind]]))
    assert verdict.word == "inconclusive"
    assert "saw no kernels" in verdict.seen


def test_v12_tells_search_times_apart():
    """V12: a first step that takes 0.4 of the time at limit 1 in all of 8 networks is found; equal times are not."""
    scatter = [0.9, 0.95, 1.0, 1.0, 1.05, 1.1, 1.0, 0.98]

    def nets_at(factor, plan="a"):
        return [{"what": "net", "first_seconds": factor * s, "kernel_fingerprint": plan} for s in scatter]

    default = [{**one, "first_seconds": 1.0} for one in nets_at(1.0)]
    verdict = kernels.search_times({10: default, 1: nets_at(0.4, "b"), 0: nets_at(1.0)})
    assert verdict.word == "supported"
    assert [row["holds"] for row in verdict.evidence] == [True, False]
    assert "other kernels for 8 of 8" in verdict.seen
    same = kernels.search_times({10: default, 1: nets_at(1.0), 0: nets_at(1.0)})
    assert same.word == "inconclusive"
    assert "would have been found" in same.seen


FASTER, AS_FAST = ratio_of([-0.5, -0.49, -0.51, -0.5]), ratio_of([-0.01, 0.01, 0.005, -0.004])


@pytest.mark.parametrize(
    ("ratio", "digests", "wanted_equal", "word"),
    [
        (FASTER, ["a", "a"], True, "supported"),
        (AS_FAST, ["a", "a"], True, "inconclusive"),
        (FASTER, ["a", "b"], True, "refuted"),
        (FASTER, ["a", "b"], False, "supported"),
        (FASTER, ["a", "a"], False, "refuted"),
    ],
)
def test_another_speed_and_the_same_bits(ratio, digests, wanted_equal, word):
    """V9 to V11: digests that are not as stated refute; a speed without a difference leaves it open."""
    verdict = settings.other_speed({"net": ratio}, {"net": digests}, wanted_equal=wanted_equal)
    assert verdict.word == word
    assert ("would have been found" in verdict.seen) == (ratio is AS_FAST)


def test_v7_is_about_warnings_and_bits():
    """V7: warned of and varying supports it, varying in silence refutes it, equal repeats leave it open."""
    row = {"what": "net", "num_tried": 20, "num_warnings": 1, "num_distinct": 3, "holds": True}
    assert settings.warned([row]).word == "supported"
    assert settings.warned([{**row, "num_warnings": 0, "holds": False}]).word == "refuted"
    calm = settings.warned([{**row, "num_distinct": 1, "holds": False}])
    assert calm.word == "inconclusive"
    assert "at most 15%" in calm.seen


def test_v5_finds_flags_that_moved_and_gradients_that_differ():
    """V5 is refuted by a cudnn flag that strict mode changes, and by one gradient of 20 that differs."""
    same = {"digests": ["a"] * 20, "kernel_fingerprint": "p", "kernel_names": []}
    found = {
        "flags": {"True": [True, False], "False": [True, False]},
        "seen": {"strict": same, "flag": same, "neither": same},
    }
    assert settings.strict_verdict(found, "cuda:0").word == "supported"
    moved = {**found, "flags": {"True": [False, False], "False": [True, False]}}
    assert settings.strict_verdict(moved, "cuda:0").word == "refuted"
    differs = {**found, "seen": {**found["seen"], "strict": {**same, "digests": ["a"] * 19 + ["b"]}}}
    assert settings.strict_verdict(differs, "cuda:0").word == "refuted"
    assert "not covered" in settings.strict_verdict(found, "cpu").seen


def test_repeats_in_one_process_are_counted_against_the_first():
    """C1c: one forward that differs from the first refutes it and names the network; 0 of 19 has its bound."""
    row = {"what": "net", "cudnn_benchmark": True, "cudnn_deterministic": False}
    same = cudnn_arms.inside_one_process([{**row, "forwards": ["a"] * 20}], "forwards", "forwards")
    assert (same.word, same.seen) == (
        "supported",
        "0 of 19 repeated forwards in one process differ (at most 15%, 95 %)",
    )
    first = cudnn_arms.inside_one_process([{**row, "forwards": ["a", *["b"] * 19]}], "forwards", "forwards")
    assert (first.word, first.seen) == ("refuted", "19 of 19 repeated forwards in one process differ: net")


def test_a_trial_that_failed_is_no_evidence():
    """Rows of trials that crashed, or that had other flags than asked, stop a claim with what happened."""
    import pandas as pd

    good = {"status": "completed", "flags_held": True, "error": None}
    assert len(cudnn_arms.whole(pd.DataFrame([good, good]))) == 2
    with pytest.raises(RuntimeError, match="1 of 2 trials did not complete: RuntimeError: no GPU"):
        cudnn_arms.whole(
            pd.DataFrame([good, {**good, "status": "crashed", "error": "Traceback\nRuntimeError: no GPU"}])
        )
    with pytest.raises(RuntimeError, match="other flags than asked"):
        cudnn_arms.whole(pd.DataFrame([good, {**good, "flags_held": False}]))


def test_networks_of_one_process_share_no_shape():
    """Plans are kept by shape: no two networks that one process looks at have the same width."""
    widths = [net["arguments"]["channels"] for name in kernels.SEQUENCES for net in kernels.nets_of(name)]
    assert len(widths) == len(set(widths)) == 24
