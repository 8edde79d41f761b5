"""results/README.md says what every key of study.json means, and names none that is not there."""

from pathlib import Path

import pytest
from pydantic import BaseModel

import lrbench
from analysis.tests.simulate import simulate_stages, study_of
from lrbench.continuing import agree_with_folder
from lrbench.looks import Until
from lrbench.questions import Compare
from lrbench.stages import Stages
from lrbench.store import write_study_record
from lrbench.study import Study
from lrbench.tuning import Arm, Tune

README = Path(lrbench.__file__).parents[1] / "results" / "README.md"
# what the user names: the keys below stand for any
NAMED = ("code", "typed.set", "study.fixed", "study.grid", "study.tune.arguments", "choices[].factors")


def documented() -> dict[str, str]:
    """Return the table of results/README.md: each key's path with its meaning."""
    text = README.read_text(encoding="utf-8")
    table = text.partition("<!-- study.json -->\n")[2].partition("<!-- end of study.json -->")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {key.strip("`"): meaning for key, meaning in cells}


def paths(value, at: str = "") -> set[str]:
    """Return the path of every leaf, as "study.until.looks[]"; what the user names is NAME, and empty things none."""
    if at in ("study.fixed.NAME", "study.grid.NAME", "study.tune.arguments.NAME"):  # a level may be a table
        return {f"{at}[]"} if at == "study.grid.NAME" else {at}
    if isinstance(value, dict):
        found = [paths(v, f"{at}.{'NAME' if at in NAMED else k}".lstrip(".")) for k, v in value.items()]
        return set().union(*found)
    if isinstance(value, list):
        inner = [paths(v, f"{at}[]") for v in value if isinstance(v, dict)]
        return set().union(*inner) if inner else {f"{at}[]"} if value else set()
    return {at}


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> dict:
    """The study.json of a study that tunes, looks and compares, whose looks were changed when rows were there."""
    folder = tmp_path_factory.mktemp("results")
    schedulers = [{"name": "ConstantLR", "factor": 1.0}, {"name": "StepLR", "step_size": 2}]
    study = study_of(
        replicates=1,
        fixed={"workload": "digits-cnn", "epochs": 2},
        grid={"seed": "0-3", "scheduler": schedulers, "batch_size": [32, 64]},
        compare=[{"factor": "scheduler", "baseline": "ConstantLR"}],
        tune={"seeds": "10-11", "base_lr": [0.01, 0.1], "arguments": {"StepLR": {"gamma": [0.1, 0.3]}}},
        until={"looks": [2, 4]},
    )
    study._source, study._written = "studies/mine.toml", study.with_levels(epochs=3)
    _, decided = simulate_stages(study)
    write_study_record(folder, decided)
    late = study.model_copy(update={"until": study.until.model_copy(update={"looks": [4]})})
    trials = Stages(late, "cpu", None).certain
    made, _ = agree_with_folder(folder, late, trials, mixed=True, stay=True)
    made["code"] = {"mynet": ["0" * 64]}
    made["places"] = [{**made["places"][-1], "gpus": ["a GPU"]}]
    return {**decided, **made}


def test_every_key_is_documented_and_every_documented_key_is_there(record):
    """The paths of a real study.json, with all that a study may have, are those of the table."""
    tables = {"places[]", "study.compare[]", "study.tune", "study.tune.arms[]", "study.until", "choices[]", "looks[]"}
    first = {path for path in paths(record) if path.startswith("first_until")}
    assert first == {"first_until.looks[]", "first_until.spending", "first_until.time_limit_seconds"}
    assert (paths(record) - first) | tables | {"first_until"} == set(documented())


def test_every_key_has_its_meaning():
    """No meaning is empty, and first_until says when it is there and what follows."""
    assert all(len(meaning) > 5 for meaning in documented().values())
    assert "no longer holds" in documented()["first_until"]


@pytest.mark.parametrize(
    ("model", "at"),
    [
        (Study, "study"),
        (Compare, "study.compare[]"),
        (Tune, "study.tune"),
        (Arm, "study.tune.arms[]"),
        (Until, "study.until"),
    ],
)
def test_every_field_of_a_study_is_documented(model: type[BaseModel], at: str):
    """A field that is added to a study's tables needs a line, whether or not a study of the test has it."""
    keys = documented()
    for name in model.model_fields:
        assert any(key.startswith(f"{at}.{name}") for key in keys), f"{at}.{name} has no line in {README}"


def test_a_key_without_a_line_is_noticed(record):
    """The test is one that can fail: a key more is a path more."""
    assert "looks[].mood" in paths({**record, "looks": [{"mood": "good"}]}) - set(documented())
