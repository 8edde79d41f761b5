"""Whole audits in real processes: each planted fault is called by its name, and a sound model has none."""

import json
from pathlib import Path

import pytest

from analysis.audit import read_audit
from analysis.page.audit_page import as_json_text
from lrbench.audit.command import run_audit
from lrbench.audit.target import Asked
from lrbench.errors import InputError
from lrbench.tests.helpers.nets import NETS

pytestmark = pytest.mark.slow


PLANTED = {
    "numpy_noise": "forgotten NumPy seed",
    "evaluation_draws": "evaluation consumes the training's random numbers",
    "sets_a_flag": "mislabelled flag",
    "set_order": "order of a set or a hash",
    "loader_worker": "data that differ between processes",
    "dice_forward": "runs differ",
    "dice_backward": "runs differ",
}
RECIPE = {"epochs": 2, "batch_size": 13, "base_lr": 0.1, "optimizer": {"name": "SGD", "momentum": 0.9}}


def planted_table(fault: str) -> dict:
    """A workload with a fault of lrbench.claims.faulty, as a user writes one."""
    name, args = fault, {}
    if fault.startswith("dice"):
        name, args = "one_ulp", {"direction": fault.partition("_")[2], "layer": 1, "step": 4, "how": "dice"}
    if fault == "loader_worker":
        name, args = "evaluation_draws", {"draws": False}
    data = "lrbench.claims.faulty:loader_worker" if fault == "loader_worker" else "digits"
    return {"model": f"lrbench.claims.faulty:{name}", "model_args": args, "data": data, "recipe": RECIPE}


def audited(target: str, folder: Path, **asked) -> dict:
    """What an audit found, as its JSON has it."""
    run_audit(Asked(target=target, **asked), folder)
    return json.loads(as_json_text(read_audit(folder)))


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named(fault, tmp_path, monkeypatch):
    """Each kind of fault that breaks reproducibility is found by an audit, and called by its name."""
    (tmp_path / f"planted_{fault}.py").write_text(f"table = {planted_table(fault)!r}\n")
    monkeypatch.chdir(tmp_path)
    seen = audited(f"planted_{fault}:table", tmp_path / "out", budget="1s", replicates=2, steps=12)
    assert [named["name"] for named in seen["faults"]] == [PLANTED[fault]], seen["faults"]
    assert PLANTED[fault] in seen["recommendation"][0]


def test_a_whole_audit_of_a_model_alone(nets, capsys):
    """From an empty folder with a module in it: every part, all runs identical, identical on resume, no fault; and the
    same command again runs nothing and says the same."""
    out = Path("out")
    asked = {"input": "1x8x8", "classes": 3, "batch": 16, "replicates": 2, "steps": 12, "budget": "10m"}
    seen = audited("nets:Plain", out, **asked)
    assert [arm["name"] for arm in seen["arms"]] == [
        "default",
        "benchmark",
        "deterministic",
        "benchmark + deterministic",
        "strict",
    ]
    assert all(arm["reproducible"] and arm["error"] == "" for arm in seen["arms"])
    assert seen["arms"][0]["resumed"] == "identical"
    assert seen["faults"] == []
    parts = sorted((out / "trials").iterdir())
    assert audited("nets:Plain", out, **asked) == seen
    assert sorted((out / "trials").iterdir()) == parts


def test_something_drawn_at_import_is_looked_for_at_the_right_place(nets):
    """Each trial imports the user's code anew: a scale that is drawn there differs from the first loss on, though one
    process repeats a batch."""
    drawn = "\nimport os\nSCALE = 1 + os.urandom(1)[0] + 256 * os.urandom(1)[0]\n"
    drawn += "class Drawn(Plain):\n    def forward(self, x):\n        return super().forward(x) * (1 + SCALE / 1e6)\n"
    Path("drawn.py").write_text(NETS + drawn)
    asked = {"input": "1x8x8", "classes": 3, "batch": 16, "replicates": 2, "steps": 12, "budget": "1s"}
    seen = audited("drawn:Drawn", Path("out"), **asked)
    assert [fault["name"] for fault in seen["faults"]] == ["runs differ"]
    assert "at what a process draws once" in seen["faults"][0]["mend"]
    assert seen["arms"][0]["differs"]["step"] == 1


def test_a_model_that_does_not_train_is_told(nets):
    """Images of another shape than the model takes: the model's own error, and what to type."""
    with pytest.raises(
        InputError, match=r"nets:Plain does not train: RuntimeError: .*\. It was given images of 3x32x32"
    ):
        run_audit(Asked(target="nets:Plain", input="3x32x32", budget="1s"), Path("out"))
