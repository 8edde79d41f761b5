"""[until]: every mistake in it, and how long a study has run."""

import json

import pytest

from lrbench.errors import InputError
from lrbench.looks import Until, run_seconds
from lrbench.study import Study, parse_study

GRID = {"seed": "0-9", "scheduler": ["ConstantLR(factor=1.0)", "StepLR(2)"]}


def parse(until, **changes) -> Study:
    document = {"question": "?", "fixed": {"workload": "digits-cnn"}, "grid": GRID, "until": until, **changes}
    return parse_study(document, "s", source="s.toml")


def problems_of(until, **changes) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        parse(until, **changes)
    return tuple(problem.removeprefix("s.toml: ") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 0.0), ("90s", 90.0), ("45m", 2700.0), ("1.5h", 5400.0), ("2 d", 172_800.0)]
)
def test_a_time_limit_is_in_seconds(text, seconds):
    """Seconds, minutes, hours and days are read; no time limit is 0."""
    until = {"looks": [5, 10]} | ({} if text is None else {"time_limit": text})
    assert parse(until).until == Until(looks=[5, 10], spending="obrien_fleming", time_limit_seconds=seconds)


@pytest.mark.parametrize(
    ("until", "place", "said"),
    [
        ({}, "until.looks", "is missing"),
        ({"looks": 10}, "until.looks", "found 10"),
        ({"looks": []}, "until.looks", "found []"),
        ({"looks": [1, 10]}, "until.looks", "from 2 on"),
        ({"looks": [5.0, 10]}, "until.looks", "whole numbers"),
        ({"looks": [10, 5]}, "until.looks", "more seeds than the one before"),
        ({"looks": [5, 5, 10]}, "until.looks", "more seeds than the one before"),
        (
            {"looks": [5, 20]},
            "until.looks",
            'the grid has 10; write under [grid] as many as the last look has, seed = "0-19"',
        ),
        ({"looks": [5, 8]}, "until.looks", "ends at 8 seeds"),
        ({"looks": [10], "spending": "pockok"}, "until.spending", "Did you mean 'pocock'?"),
        ({"looks": [10], "time_limit": "two hours"}, "until.time_limit", "found 'two hours'"),
        ({"looks": [10], "time_limit": "0s"}, "until.time_limit", "found '0s'"),
        ({"looks": [10], "time_limit": 7200}, "until.time_limit", "found 7200"),
        ({"looks": [10], "look": [10]}, "until.look", "Did you mean 'looks'?"),
        ([10], "until", "allowed: a table"),
    ],
)
def test_a_mistake_in_until_has_its_place(until, place, said):
    """Each mistake is told where it stands, with what was found and what is allowed or meant."""
    (problem,) = problems_of(until)
    assert problem.startswith(f"{place} ")
    assert said in problem


def test_looks_need_seeds_that_vary():
    """Without seeds under [grid] there is nothing to add."""
    (problem,) = problems_of({"looks": [5]}, grid={"scheduler": GRID["scheduler"]})
    assert problem.startswith("until.looks ends at 5 seeds, but the grid has 0")


def test_looks_need_a_question():
    """Without schedulers to compare and without a [[compare]] there is nothing to settle; with one there is."""
    grid = {"seed": "0-9", "cudnn_benchmark": [False, True]}
    (problem,) = problems_of({"looks": [10]}, grid=grid)
    assert problem.startswith("until has nothing to settle")
    assert parse({"looks": [10]}, grid=grid, compare=[{"factor": "cudnn_benchmark"}]).until.looks == [10]


def test_until_outlives_the_file():
    """study.json holds [until], and a study with other levels keeps it; fewer seeds than it needs are refused."""
    study = parse({"looks": [5, 10], "spending": "pocock", "time_limit": "1.5h"})
    assert Study(**json.loads(json.dumps(study.model_dump(mode="json")))).until == study.until
    assert study.with_levels(epochs=1).until == study.until
    with pytest.raises(InputError, match=r"until\.looks ends at 10 seeds, but the grid has 2"):
        study.with_levels(seed="0-1")


MINUTE = "2026-01-01T00:{:02d}:00.000+00:00"


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(MINUTE.format(0), 60.0), (MINUTE.format(5), 30.0)], 90.0),  # a pause of four minutes between
        ([(MINUTE.format(0), 120.0), (MINUTE.format(1), 120.0)], 180.0),  # two at once for a minute
        ([(MINUTE.format(0), 600.0), (MINUTE.format(1), 60.0)], 600.0),  # one within the other
        ([(MINUTE.format(5), 30.0), (MINUTE.format(0), 60.0)], 90.0),  # in any order
        ([(None, 7.0), (MINUTE.format(0), 60.0), (MINUTE.format(9), None)], 67.0),  # crashed before it could say when
    ],
)
def test_run_time_is_when_a_trial_ran(spans, seconds):
    """Pauses between commands do not count, and trials that ran side by side count once."""
    assert run_seconds(spans) == seconds
