"""The claims frame, the claims that need no training, and the detectors of those that do: each is shown to detect."""

import json

import pytest

import lrbench
from lrbench.calls import known_names
from lrbench.claims import composition, conformance, courses, examples, planted, resume, run, schedulers, tables
from lrbench.claims.frame import AREAS, Claim, Verdict, catalogue, gate_result, not_testable, place_of, select
from lrbench.claims.room import StudyRoom
from lrbench.errors import InputError
from lrbench.runner import Summary

CLAIMS = catalogue()
BY_ID = {claim.id: claim for claim in CLAIMS}


def claim_of(word: str = "supported", *, id: str = "S1", gate: bool = False, evidence=(), judge=None) -> Claim:
    """A claim with a verdict of our choice."""
    return Claim(
        id=id,
        statement="water is wet",
        where="C",
        kind="E",
        expected="yes",
        source="here",
        gate=gate,
        judge=judge or (lambda room: Verdict(word=word, seen="so it was", evidence=tuple(evidence))),
    )


@pytest.fixture
def room(tmp_path) -> StudyRoom:
    return StudyRoom(tmp_path / "studies", "cpu")


def test_a_fresh_process_leaves_in_order(room, tmp_path):
    """It answers, and what its code registered to be done at the process's end is done."""
    asked = room.fresh("lrbench.tests.helpers.leaving:remember", [{"path": str(tmp_path / "note")}])
    assert asked == ["asked"]
    assert (tmp_path / "note").read_text() == "left"


# -------------------------------------------------------------------------------------------------------------- frame


L = ["L1", "L2", *(f"L{number}" for number in range(4, 13))]


def test_the_catalogue_is_whole_and_in_order():
    """Every row of the catalogue is there, by area and number, with all that a reader needs."""
    ids = [*(f"S{number}" for number in range(1, 12)), *L, *(f"R{number}" for number in range(1, 5))]
    ids += ["C1a", "C1b", "C1c", "C1d", "C1e", "C1f", "C2a", "C2b", "C2c", "C2d", "C2e", "C2f"]
    ids += ["C3a", "C3b", "C3c", "C3d", "C3e", "C3f", "C3g"]
    ids += [f"V{number}" for number in range(1, 23) if number not in (8, 16, 17)]
    ids += [f"D{number}" for number in range(1, 12) if number not in (4, 10)]
    assert [claim.id for claim in CLAIMS] == ids
    assert [claim.id for claim in CLAIMS] == sorted(BY_ID, key=place_of)
    gates = ["S11", "L1", "R1", "R2", "R3", "V6", "V18", "V19", "V20", "V21", "V22", "D1", "D6", "D11"]
    assert [claim.id for claim in CLAIMS if claim.gate] == gates
    for claim in CLAIMS:
        assert claim.area in AREAS
        assert all((claim.statement, claim.expected, claim.source))
        assert not claim.statement.endswith(".")


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ("S3,R1", ["S3", "R1"]),
        ("r4, l", [*L, "R4"]),
        ("S2,S2,s2", ["S2"]),
        ("L", L),
    ],
)
def test_a_selection_names_areas_or_ids(only, chosen):
    """`--only` takes areas and ids in any case and order; claims run in the catalogue's order, each once."""
    claims = [claim for claim in CLAIMS if claim.area in "SLR"]
    assert [claim.id for claim in select(claims, only)] == chosen


def test_nothing_said_selects_all():
    """Without `--only` the whole catalogue runs."""
    assert select(CLAIMS, None) == CLAIMS


def test_every_unknown_word_of_a_selection_is_told():
    """An area or id that is not there is bad input, all of them at once, with what was probably meant."""
    with pytest.raises(InputError) as caught:
        select(CLAIMS, "S33,L1,Q")
    first, second = caught.value.problems
    assert "found 'S33'" in first
    assert "Did you mean 'S3'?" in first
    assert "found 'Q'; allowed: the areas S, L, R" in second


@pytest.mark.parametrize("only", ["", " , "])
def test_a_selection_of_nothing_is_refused(only):
    """An empty selection is a slip, and is not "all is well"."""
    with pytest.raises(InputError, match="names nothing"):
        select(CLAIMS, only)


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("supported", "passed"),
        ("equivalent within margin", "passed"),
        ("refuted", "failed"),
        ("inconclusive", "failed"),
        ("not testable here", "not tested"),
    ],
)
def test_only_a_gate_passes_or_fails(word, result):
    """A gate that shows nothing fails; one that cannot be tested here does neither, and neither does a claim."""
    assert gate_result(True, word) == result
    assert gate_result(False, word) == "no gate"


@pytest.mark.parametrize(
    ("word", "gate", "code"),
    [("refuted", False, 0), ("refuted", True, 1), ("not testable here", True, 0), ("supported", True, 0)],
)
def test_the_command_fails_where_a_gate_fails_and_only_there(word, gate, code, tmp_path, monkeypatch, capsys):
    """A refuted claim is a finding (exit 0); a failed gate is a failure (exit 1), named at the end."""
    monkeypatch.setattr(run, "catalogue", lambda: [claim_of(word, gate=gate)])
    assert run.claims_command(None, False, tmp_path) == code
    printed = capsys.readouterr().out
    assert f"S1   {word}" in printed
    assert ("failed gate S1: water is wet" in printed) == bool(code)


# ---------------------------------------------------------------------------------------------------- what is kept


def test_verdicts_and_evidence_are_kept(tmp_path, room):
    """A claim's row holds its statement, verdict and place; its evidence stands under its id, with null elsewhere."""
    evidence = [{"scheduler": "StepLR", "found": 0.5, "holds": True}, {"scheduler": "REXLR", "step": 3}]
    run.execute([claim_of("refuted", id="R2", gate=True, evidence=evidence)], room, tmp_path, lambda row: None)
    (row,) = tables.read(tmp_path / "claims.parquet", tables.CLAIMS)
    seen = {"id": "R2", "area": "R", "verdict": "refuted", "gate_result": "failed", "num_evidence": 2, "device": "cpu"}
    assert {key: row[key] for key in seen} == seen
    assert row["statement"] == "water is wet"
    assert row["torch_version"].startswith("2.")
    first, second = tables.read(tmp_path / "evidence.parquet", tables.EVIDENCE)
    assert (first["id"], first["row"], first["found"], first["holds"], first["step"]) == ("R2", 0, 0.5, True, None)
    assert (second["row"], second["scheduler"], second["step"], second["found"]) == (1, "REXLR", 3, None)


def test_a_later_run_replaces_its_own_rows_alone(tmp_path, room):
    """A claim that runs again takes the place of its earlier verdict and evidence; other claims' rows stay."""
    for word, id, cell in [("refuted", "L1", "a"), ("refuted", "S10", "b"), ("supported", "S2", "c")]:
        run.execute([claim_of(word, id=id, evidence=[{"cell": cell}])], room, tmp_path, lambda row: None)
    run.execute([claim_of("supported", id="S10", evidence=[{"cell": "new"}])], room, tmp_path, lambda row: None)
    rows = tables.read(tmp_path / "claims.parquet", tables.CLAIMS)
    assert [(row["id"], row["verdict"]) for row in rows] == [
        ("S2", "supported"),
        ("S10", "supported"),
        ("L1", "refuted"),
    ]
    cells = [(row["id"], row["cell"]) for row in tables.read(tmp_path / "evidence.parquet", tables.EVIDENCE)]
    assert cells == [("S2", "c"), ("S10", "new"), ("L1", "a")]


def test_a_claim_that_breaks_takes_no_other_with_it(tmp_path, room):
    """What a claim's own code raises is its verdict, inconclusive, with the place; the next claim runs."""

    def broken(room):
        raise KeyError("no such rate")

    said = []
    claims = [claim_of(id="S1", gate=True, judge=broken), claim_of(id="S2")]
    run.execute(claims, room, tmp_path, said.append)
    assert [(row["verdict"], row["gate_result"]) for row in said] == [
        ("inconclusive", "failed"),
        ("supported", "no gate"),
    ]
    assert "test_claims.py" in said[0]["seen"]
    assert "KeyError: 'no such rate'" in said[0]["seen"]


def test_what_was_kept_is_there_when_a_later_claim_is_interrupted(tmp_path, room):
    """Verdicts are written as they are known: Ctrl-C in the next claim loses none."""

    def interrupted(room):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.execute([claim_of(id="S1"), claim_of(id="S2", judge=interrupted)], room, tmp_path, lambda row: None)
    assert [row["id"] for row in tables.read(tmp_path / "claims.parquet", tables.CLAIMS)] == ["S1"]


def test_half_a_study_is_no_evidence(room, monkeypatch):
    """Ctrl-C in a claim's study ends the claim: nothing is judged from the trials that were left."""
    summary = Summary(folder=room.folder, num_trials=4, num_rows=1, statuses={"completed": 1}, interrupted=True)
    monkeypatch.setattr(lrbench, "run_study", lambda *_, **__: summary)
    with pytest.raises(KeyboardInterrupt):
        BY_ID["L2"].judge(room)


@pytest.mark.parametrize("row", [{"surprise": 1}, {"step": 1.5}, {"holds": 1}, {"found": True}, {"cell": 3}])
def test_evidence_has_its_columns_and_their_types(row):
    """A column that is not in the table, or of another type, is our own slip and is told at once."""
    with pytest.raises(TypeError):
        tables.checked(row, tables.EVIDENCE)


def test_a_file_that_is_no_table_is_told(tmp_path, room):
    """A claims.parquet that is none is left alone, and the user told to name another folder."""
    (tmp_path / "evidence.parquet").write_text("hello")
    with pytest.raises(InputError, match="name another folder"):
        run.execute([claim_of()], room, tmp_path, lambda row: None)
    assert (tmp_path / "evidence.parquet").read_text() == "hello"


def test_json_is_the_list_and_nothing_else(tmp_path, capsys):
    """`--json` prints the chosen claims with their verdicts; standard output holds nothing beside the list."""
    assert run.claims_command("S2,S9", True, tmp_path) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["verdict"], row["gate"]) for row in rows] == [
        ("S2", "supported", False),
        ("S9", "refuted", False),
    ]
    assert {"statement", "where", "kind", "expected", "seen"} <= rows[0].keys()


# --------------------------------------------------------------------------------- what is said of the schedulers


def test_every_scheduler_has_an_example():
    """Each class that a study can name has an example, and nothing else has: no claim passes a class over."""
    assert set(examples.EXAMPLES) == set(known_names("scheduler"))


@pytest.mark.parametrize(
    ("id", "word"),
    [
        ("S1", "supported"),
        ("S2", "supported"),
        ("S3", "refuted"),
        ("S4", "refuted"),
        ("S5", "refuted"),
        ("S6", "refuted"),
        ("S7", "refuted"),
        ("S8", "supported"),
        ("S9", "refuted"),
        ("S10", "supported"),
    ],
)
def test_the_verdict_on_what_is_said_of_the_schedulers(id, word, room):
    """Each claim on the installed torch's schedulers ends in the verdict that reading its source lets expect."""
    verdict = BY_ID[id].judge(room)
    assert verdict.word == word, verdict.seen
    assert verdict.evidence
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)


def test_s1_finds_a_rate_that_is_off(monkeypatch, room):
    """One rate off by 1e-11 in one group is enough to refute S1."""
    from lrbench import closed_forms

    true = closed_forms.rates

    def off(table, **named):
        rates = true(table, **named)
        if table["name"] == "ExponentialLR":
            rates[1][50] *= 1 + 1e-11
        return rates

    monkeypatch.setattr(closed_forms, "rates", off)
    verdict = BY_ID["S1"].judge(room)
    assert verdict.word == "refuted"
    broken = [(row["scheduler"], row["parameter_group"]) for row in verdict.evidence if not row["holds"]]
    assert broken == [("ExponentialLR(gamma=0.95)", 1)]


def test_s3_would_be_supported_by_a_scheduler_that_resets(monkeypatch, room):
    """The statement is tested, and not the class: warm restarts in the cosine's place make S3 true."""
    true = courses.scheduler_class

    def restarting(name):
        if name != "CosineAnnealingLR":
            return true(name)
        return lambda optimizer, T_max: true("CosineAnnealingWarmRestarts")(optimizer, T_0=T_max)

    monkeypatch.setattr(courses, "scheduler_class", restarting)
    assert schedulers.s3(room).word == "supported"


def test_s5_shows_torchs_faults_and_that_ours_is_right(room):
    """Nested, torch's SequentialLR runs ahead (0.05 where 0.01 is due, by hand); SequenceLR holds in all its cases."""
    evidence = composition.s5(room).evidence
    nested = next(row for row in evidence if row["what"] == "one inside another" and "SequentialLR" in row["scheduler"])
    assert (nested["step"], nested["found"], nested["wanted"]) == (1, pytest.approx(0.05), 0.01)
    ours = [row for row in evidence if row["scheduler"].startswith("SequenceLR")]
    assert len(ours) == 3
    assert all(row["holds"] for row in ours)
    resumed = [row for row in evidence if row["scheduler"].startswith("SequentialLR") and "num_right" in row]
    assert [(row["num_right"], row["num_tried"]) for row in resumed] == [(2, 10), (2, 10), (2, 10), (12, 12)]


@pytest.mark.parametrize(
    ("name", "past_end"),
    [("CosineAnnealingLR", "rebounds"), ("OneCycleLR", "raises"), ("LinearLR", "holds"), ("REXLR", "holds")],
)
def test_s10_says_what_lies_past_the_end(name, past_end, room):
    """CosineAnnealingLR climbs back, OneCycleLR raises, the others with an end hold their last rate."""
    rows = {row["scheduler"].partition("(")[0]: row for row in composition.s10(room).evidence}
    assert rows[name]["past_end"] == past_end


# ------------------------------------------------------------------------------------------------------- conformance


@pytest.mark.parametrize("name", known_names("scheduler"))
def test_the_cells_that_need_no_training_hold(name):
    """Closed form and pickling hold for every scheduler that a study can name."""
    assert conformance.closed_form(name) == "yes"
    assert conformance.pickling(name) == "yes"


@pytest.mark.parametrize("outer", ["SequenceLR", "SequentialLR"])
def test_nesting_is_seen_to_fail_where_it_does(outer):
    """The nesting cell tells torch's faulty composition from one that is right."""
    cell = conformance._nested_in(outer, "ChainedScheduler")
    assert (cell == "yes") == (outer == "SequenceLR")


def test_a_course_that_departs_is_told_with_its_place():
    """A cell that does not hold says at which step of which group, and both rates."""
    cell = conformance._agree([[0.1, 0.1], [0.1, 0.2]], [[0.1, 0.1], [0.1, 0.1]])
    assert cell == "no: at step 1 of group 1 the rate is 0.2, not 0.1"


def test_a_scheduler_that_cannot_be_pickled_is_told(monkeypatch):
    """A function defined inside another cannot be pickled, and the cell says so."""
    monkeypatch.setattr(courses, "named", lambda reference: lambda step: 0.9**step)
    assert conformance.pickling("LambdaLR").startswith("no: ")


@pytest.mark.parametrize(
    ("cell", "word"), [("", "refuted"), ("no: it does not", "refuted"), ("n/a: it has no metric", "supported")]
)
def test_an_empty_or_broken_cell_fails_the_matrix(cell, word, monkeypatch, room):
    """One cell that is empty, or fails for no known reason, refutes S11; one that says why it cannot apply does not."""
    whole = {name: dict.fromkeys(conformance.COLUMNS, "yes") for name in ("StepLR", "REXLR")}
    whole["REXLR"]["AMP skip"] = cell
    monkeypatch.setattr(conformance, "cells", lambda room: whole)
    verdict = conformance.s11(room)
    assert verdict.word == word
    assert len(verdict.evidence) == 2 * len(conformance.COLUMNS)


def test_a_known_fault_of_torch_does_not_fail_the_matrix(monkeypatch, room):
    """What torch is known to get wrong stays a "no" in the table and is counted apart; ours has no such excuse."""
    whole = {name: dict.fromkeys(conformance.COLUMNS, "yes") for name in ("SequentialLR", "SequenceLR")}
    whole["SequentialLR"]["nesting"] = "no: pytorch#196243"
    monkeypatch.setattr(conformance, "cells", lambda room: whole)
    assert conformance.s11(room).word == "supported"
    whole["SequenceLR"]["nesting"] = "no: pytorch#196243"
    assert conformance.s11(room).word == "refuted"


# ------------------------------------------------------------------------------------------------------------- resume


def test_rows_that_differ_in_one_bit_are_told_apart():
    """Two rows are the same only bit for bit, nested numbers and the sign of zero included."""
    row = dict.fromkeys(resume.SAME, "x") | {"status": "completed", "error": None, "applied_lr": [[0.1, 0.0]]}
    assert resume.differences(row, dict(row)) == []
    assert resume.differences(row, {**row, "applied_lr": [[0.1, -0.0]]}) == ["applied_lr"]
    assert resume.differences(row, {**row, "applied_lr": [[0.10000000000000002, 0.0]]}) == ["applied_lr"]
    crashed = {**row, "status": "crashed", "error": "Traceback\nRuntimeError: damaged"}
    assert resume.differences(row, crashed) == ["crashed: RuntimeError: damaged"]


def test_an_item_is_taken_out_of_a_checkpoint_and_nothing_else(tmp_path):
    """Items are named by part and name; what is empty at the checkpoint, or only measured, is no item."""
    import torch

    path = tmp_path / "trial.pt"
    course = {"epoch": 2, "step": 0, "metrics": [], "losses": [1.0], "evaluate_seconds": 1.5, "resumed_at_step": None}
    torch.save({"model": {}, "rng": {"torch": torch.zeros(2), "python": (3,)}, "course": course}, path)
    assert resume.saved_items(path) == ["model", "rng torch", "rng python", "course epoch", "course losses"]
    resume.remove(path, "rng python")
    left = torch.load(path, weights_only=False)
    assert list(left) == ["model", "rng", "course"]
    assert list(left["rng"]) == ["torch"]
    resume.remove(path, "model")
    assert list(torch.load(path, weights_only=False)) == ["rng", "course"]


@pytest.fixture
def two_schedulers(monkeypatch):
    """R1 and R2 of two schedulers alone: one recursive, one that counts bad epochs."""
    monkeypatch.setattr(resume, "names", lambda: ["ExponentialLR", "ReduceLROnPlateau"])
    monkeypatch.setattr(resume, "known_names", lambda kind: ["ExponentialLR", "ReduceLROnPlateau"])


@pytest.mark.slow
def test_a_killed_trial_ends_as_the_uninterrupted_one(two_schedulers, room):
    """R1 and R2 in real processes that are killed: both schedulers end bit-identical, from steps 15 and 13."""
    boundary, mid_epoch = resume.r1(room), resume.r2(room)
    assert (boundary.word, mid_epoch.word) == ("supported", "supported"), (boundary.seen, mid_epoch.seen)
    assert [row["step"] for row in boundary.evidence] == [15, 15]
    assert [row["step"] for row in mid_epoch.evidence] == [13, 13]


@pytest.mark.slow
def test_a_trial_that_forgets_its_momentum_is_found(two_schedulers, room, monkeypatch):
    """R2 is refuted where the process that goes on leaves the optimizer's state unrestored."""

    def forgetful(**model_args):
        return planted.workload(**model_args, **({"forgets": "optimizer"} if model_args else {}))

    monkeypatch.setattr(resume, "workload", forgetful)
    verdict = resume.r2(room)
    assert verdict.word == "refuted"
    assert all("weights_sha256" in row["differs"] for row in verdict.evidence)


@pytest.mark.parametrize(
    ("where", "device", "num_gpus", "reason"),
    [
        ("G", "cpu", 0, "there is no CUDA device here"),
        ("G2", "cuda", 1, "it takes two CUDA devices, and there is one here"),
        ("G2", "cuda", 2, ""),
        ("C,G", "cpu", 0, ""),
    ],
)
def test_what_a_machine_lacks_is_said(where, device, num_gpus, reason):
    """A claim about GPUs is not testable without them; one about both is tested on the CPU alone."""
    assert not_testable(where, device, num_gpus) == reason


def test_a_claim_about_gpus_is_not_asked_without_one(room):
    """R4 is not testable on a CPU, says why, and runs nothing."""
    row, evidence = run.judged(BY_ID["R4"], room)
    assert (row["verdict"], row["seen"]) == ("not testable here", "there is no CUDA device here")
    assert not evidence


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    """It is refused before anything is tested, by its name: exit code 1 would say that a gate failed."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/claims cannot be written: Not a directory\. Name another folder"):
        run.claims_command("V21", False, tmp_path / "file" / "claims")
