"""What an audit recommends, from arms alone; and that its page, its JSON and what is printed are whole."""

import json
from dataclasses import replace

import pytest

from analysis.audit import Audit, arms, read_audit
from analysis.audit_faults import Fault
from analysis.audit_findings import findings, recommend
from analysis.page.audit_page import as_html, as_json_text, print_audit, table, write_page
from analysis.statistics.intervals import Estimate
from analysis.tests.test_audit import DIFFERENT, EXAMINED, SEE, arm, audit, frame, row, two_by_two
from lrbench.errors import InputError

# ------------------------------------------------------------------------------------------------------ recommendation


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=5)


def test_the_cheapest_setting_that_makes_runs_identical_is_recommended():
    """As the question is put: what does it cost, and what does it buy?"""
    seen = [
        arm(**DIFFERENT),
        arm("deterministic", ratio=estimate(0.96, 0.95, 0.97)),
        arm("strict", ratio=estimate(0.7, 0.65, 0.75)),
    ]
    said = recommend(seen, [], False, SEE)
    assert said[0] == "cudnn.deterministic=True costs 4% [3, 5] here and makes 5 of 5 runs identical."
    assert said[1] == "So does torch.use_deterministic_algorithms(True), which costs 30% [25, 35]."
    assert said[2].startswith("Without, 5 runs gave 5 results, from step 1 on")


def test_a_reproducible_default_needs_nothing():
    """And where the search makes it faster and as reproducible, that is said."""
    seen = [arm(), arm("benchmark", ratio=estimate(1.25, 1.2, 1.3))]
    assert recommend(seen, [], False, SEE) == [
        "5 of 5 runs are bit-identical as it is: no setting is needed for the sake of reproducibility.",
        "cudnn.benchmark=True is 25% [20, 30] faster here, and 5 of 5 runs are bit-identical.",
    ]
    seen = [arm(), arm("benchmark", ratio=estimate(1.25, 1.2, 1.3), **DIFFERENT)]
    assert len(recommend(seen, [], False, SEE)) == 1


def test_no_setting_that_helps_is_said():
    """With what differs first, and what to type to see the operator."""
    said = recommend([arm(**DIFFERENT), arm("deterministic", **DIFFERENT)], [], False, SEE)
    assert said[0].startswith("No setting made the runs identical: as it is, 5 runs gave 5 results, from step 1 on")
    assert said[0].endswith(SEE)


def test_a_cost_that_cannot_be_seen_is_not_called_none():
    """An interval that has 1 in it is given in full."""
    said = recommend([arm(**DIFFERENT), arm("deterministic", ratio=estimate(0.99, 0.97, 1.01))], [], False, SEE)
    assert said[0].startswith("cudnn.deterministic=True costs nothing that can be seen (1% [-1, 3]) here")


def test_a_fault_comes_first():
    """Before what a setting costs, since no setting mends it."""
    named = [Fault(name="forgotten NumPy seed", seen="", mend=""), Fault(name="mislabelled flag", seen="", mend="")]
    said = recommend([arm(**DIFFERENT)], named, False, SEE)
    assert said[:2] == ["Mend this first, then audit again: forgotten NumPy seed.", "Then: mislabelled flag."]


def test_on_a_cpu_the_flags_are_not_recommended():
    """Ten runs of two conditions that are one, and what cannot be told."""
    said = recommend([arm(), arm("deterministic")], [], True, SEE)
    assert said[0] == "10 of 10 runs in fresh processes are bit-identical on this CPU (95%: at most 31% differ)."
    assert "on a CUDA GPU alone" in said[1]
    assert not any("cudnn.deterministic=True" in sentence for sentence in said)
    said = recommend([arm(**DIFFERENT)], [], True, SEE)
    assert said[0].startswith(
        "Training does not repeat on this CPU: 5 runs of one trial gave 5 results, from step 1 on"
    )


def test_nothing_that_completed_is_said():
    """With the first error."""
    seen = [arm(num_runs=0, num_identical=0, num_results=0, error="RuntimeError: no")]
    assert recommend(seen, [], False, SEE) == ["No trial came to its end, so nothing can be said: RuntimeError: no"]


# ------------------------------------------------------------------------------------------------------------ the page


@pytest.fixture(params=["cpu", "cuda"])
def made(request, tmp_path) -> Audit:
    (tmp_path / "audit").mkdir()
    threads = frame(
        row(0), row(1), row(0, num_threads=2, speed_is=150.0, parted_at=2), row(1, num_threads=2, parted_at=2)
    )
    crashed = row(
        0, deterministic_algorithms="strict", status="crashed", error="x\nRuntimeError: y", samples_per_second=None
    )
    return audit(
        two_by_two(),
        device=request.param,
        strict=frame(row(0), crashed),
        threads=threads,
        examined=EXAMINED,
        folder=tmp_path,
    )


def test_every_part_of_an_audit_is_on_its_page(made):
    """Recommendation, table, operations, sensitivities and method; nothing asks the network, nothing is "nan"."""
    paths = write_page(made)
    page = paths.html.read_text(encoding="utf-8")
    assert page == as_html(made)
    for text in (
        "Is the training of mynet:Net reproducible?",
        "3 of 3",
        "0 of 1: RuntimeError: y",
        "strict mode raises",
    ):
        assert text in page
    assert "0 against 2 DataLoader workers: the same order, other items (2 items)." in page
    assert "3 of 16 rows have other logits, by at most 2 ulp" in page
    assert "1 against 2 threads: other bits, from step 2 on" in page
    assert "1.22 times the speed, no interval (n = 2 runs each)." in page
    assert not any(word in page for word in ("http:", "https:", "<script", ">nan", "[nan", "inf]", "-inf"))
    assert ("not here" in page) is made.inert


def test_the_json_is_strict_and_whole(made):
    """No NaN and no infinity in it, and what the page says is there as numbers."""
    record = json.loads(as_json_text(made), parse_constant=lambda text: pytest.fail(text))
    first = record["arms"][0]
    assert (first["name"], first["num_identical"], first["reproducible"]) == ("default", 3, True)
    assert first["bound"] == pytest.approx(1 - 0.05**0.5)
    assert first["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert record["recommendation"] == list(findings(made).recommendation)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_what_is_printed_fits(made, width):
    """No line is wider than the terminal, and every condition has its column."""
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    print_audit(made, Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert list(table(made, findings(made).arms)) == [
        "default",
        "benchmark",
        "deterministic",
        "benchmark + deterministic",
        "strict",
    ]
    assert "runs identical" in stream.getvalue()


def test_a_run_does_not_agree_with_itself():
    """Three runs, all apart: no two are identical; of three with two alike, two are."""
    apart, pair = (
        audit(frame(*(row(number) | {"logits_sha256": str(min(number, most))} for number in range(3))))
        for most in (2, 1)
    )
    shown = [table(made, tuple(arms(made))).loc["runs identical", "default"] for made in (apart, pair)]
    assert shown == ["no two of 3, 3 results", "2 of 3, 2 results"]


@pytest.mark.parametrize(("budget", "said"), [("30", "of 30 s."), ("2m", "of 2m.")])
def test_a_budget_is_said_with_its_unit(budget, said):
    """A number alone is seconds, and said to be."""
    made = audit(frame(row(0), row(1)))
    made = replace(made, asked={**made.asked, "budget": budget}, took_seconds=40.0)
    assert findings(made).notes[-1] == f"It took 40 s {said}"


def test_a_folder_without_an_audit_is_told(tmp_path):
    """And what to type."""
    with pytest.raises(InputError, match=r"holds no audit\. Make one: lrbench audit"):
        read_audit(tmp_path)
