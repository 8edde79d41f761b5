"""What a trial is, and the name that follows from it."""

import json

import pytest
from pydantic import ValidationError

from lrbench.calls import arguments_model, class_names
from lrbench.errors import InputError
from lrbench.factors import FACTORS, REQUIRED, SEEDS, Trial, check_level
from lrbench.levels import Warmup

PLAIN = Trial(workload="digits-cnn")
# for each factor another level than the default
OTHER = {
    "workload": "mnist5k-cnn",
    "epochs": 11,
    "batch_size": 32,
    "base_lr": 0.2,
    "optimizer": {"name": "AdamW"},
    "scheduler": "StepLR(step_size=3)",
    "warmup": {"kind": "linear", "steps": 3},
    "clip_grad_norm": 1.0,
    "clip_grad_value": 1.0,
    "cudnn_benchmark": True,
    "cudnn_deterministic": True,
    "deterministic_algorithms": "warn",
    "cudnn_fp32_precision": "ieee",
    "matmul_fp32_precision": "tf32",
    "precision": "bf16",
    "channels_last": True,
    "compile": "default",
    "poke_ulps": 1,
    "num_threads": 2,
    "device": "cpu",
    "seed": 1,
    "seed_init": 1,
    "seed_order": 1,
    "seed_augmentation": 1,
    "seed_dropout": 1,
    "replicate": 1,
}


def test_the_name_of_a_trial_never_changes():
    """Trial ids are pinned: a folder of finished trials is continued by them, by later versions too.

    The content was written by hand and hashed by `sha256sum`.
    """
    content = (
        '{"base_lr":0.1,"batch_size":64,"epochs":5,"optimizer":{"momentum":0.9,"name":"SGD","weight_decay":0.0005},'
        '"replicate":0,"scheduler":{"factor":1.0,"interval":"epoch","name":"ConstantLR"},"seed":0,'
        '"workload":"digits-cnn"}'
    )
    assert json.dumps(PLAIN.content, sort_keys=True, separators=(",", ":")) == content
    assert PLAIN.trial_id == "dc4c3a8d97e89afd"


def test_every_factor_is_tried_here():
    """OTHER has a level for every factor that a trial has."""
    assert set(OTHER) == {*FACTORS, "replicate"}


@pytest.mark.parametrize("factor", OTHER)
def test_each_factor_changes_the_name(factor):
    """A trial that differs in one factor has another name; seeds and replicates leave its condition alone."""
    other = Trial(**{"workload": "digits-cnn", factor: OTHER[factor]})
    assert other.trial_id != PLAIN.trial_id
    same_condition = factor in SEEDS or factor == "replicate"
    assert (other.condition_id == PLAIN.condition_id) == same_condition


@pytest.mark.parametrize("factor", [name for name in FACTORS if name not in REQUIRED])
def test_a_default_spelled_out_leaves_the_name_alone(factor):
    """A factor written at its default is the trial without it: a factor added later renames nothing."""
    default = Trial.model_fields[factor].default
    spelled = {factor: PLAIN.seed if default is None else default}
    assert Trial(workload="digits-cnn", **spelled).trial_id == PLAIN.trial_id


@pytest.mark.parametrize(
    "spelled",
    [
        {"epochs": 5},
        {"batch_size": 64},
        {"base_lr": 0.1},
        {"optimizer": {"name": "SGD", "weight_decay": 5e-4, "momentum": 0.9}},
        {"optimizer": "SGD(weight_decay=0.0005, momentum=0.9)"},
        {"scheduler": {"name": "ConstantLR", "factor": 1.0}},
        {"scheduler": {"name": "ConstantLR", "factor": 1, "interval": "epoch"}},
        {"scheduler": "torch.optim.lr_scheduler.ConstantLR(optimizer, 1)"},
    ],
)
def test_the_recipe_spelled_out_leaves_the_name_alone(spelled):
    """What the workload's recipe gives can be written out, as a table or as a call, in any order."""
    assert Trial(workload="digits-cnn", **spelled).trial_id == PLAIN.trial_id


@pytest.mark.parametrize("factor", ["base_lr", "clip_grad_norm", "clip_grad_value"])
def test_one_and_one_point_nought_are_one_level(factor):
    """1 and 1.0 are the same trial where the factor is a number."""
    whole, fraction = (Trial(workload="digits-cnn", **{factor: level}) for level in (1, 1.0))
    assert whole.trial_id == fraction.trial_id


@pytest.mark.parametrize(
    ("kind", "name", "argument"),
    [
        (kind, name, argument)
        for kind in ("scheduler", "optimizer")
        for name in class_names(kind)
        for argument, field in arguments_model(kind, name).model_fields.items()
        if "float" in str(field.annotation) and "int" not in str(field.annotation) and "list" not in str(field)
    ],
)
def test_one_and_one_point_nought_are_one_level_of_every_argument(kind, name, argument):
    """1 and 1.0 are the same level for every argument that is a number, of every torch class."""
    needed = {
        key: {"lr_lambda": "a:b", "milestones": [1], "schedulers": ["ExponentialLR(gamma=1.0)"] * 2}.get(key, 1)
        for key, field in arguments_model(kind, name).model_fields.items()
        if field.is_required()
    }
    whole, fraction = (json.dumps(check_level(kind, {"name": name, **needed, argument: x})) for x in (1, 1.0))
    assert whole == fraction


def test_a_trial_comes_back_from_its_content():
    """Trial(**content) is the trial, whatever its factors: a row's column `trial` can be run again."""
    for factors in [{}, OTHER, {"warmup": {"kind": "constant", "factor": 0.1, "fraction": 0.5}, "seed": 3}]:
        trial = Trial(**{"workload": "digits-cnn", **factors})
        again = Trial(**json.loads(json.dumps(trial.content)))
        assert again == trial
        assert again.trial_id == trial.trial_id


def test_streams_follow_the_seed_unless_they_are_named():
    """A stream named at the seed's own value is the seed's trial; at another value it is another trial."""
    plain = Trial(workload="digits-cnn", seed=5)
    assert {plain.seed_init, plain.seed_order, plain.seed_augmentation, plain.seed_dropout} == {5}
    assert Trial(workload="digits-cnn", seed=5, seed_order=5).trial_id == plain.trial_id
    assert Trial(workload="digits-cnn", seed=5, seed_order=0).trial_id != plain.trial_id


def test_another_seed_for_a_condition_is_that_trial():
    """`at` gives the trial that the factors at that seed and replicate give, with streams following or named."""
    condition = Trial(workload="digits-cnn", warmup={"kind": "linear", "fraction": 0.25}, seed=7)
    for numbers in [{"seed": 3}, {"seed": 3, "replicate": 2}, {"seed": 3, "seed_init": 9}, {"seed_order": 4}]:
        written = Trial(**{**condition.content, **numbers})
        assert condition.at(**numbers) == written
        assert condition.at(**numbers).trial_id == written.trial_id


def test_labels_say_a_factor_as_a_row_does():
    """Calls and tables become text, the interval its own column, and "off" a null where the column is a number."""
    labels = Trial(
        workload={"base": "digits-cnn", "train_limit": 72},
        scheduler={"name": "ReduceLROnPlateau", "monitor": "val_loss", "patience": "30%"},
        optimizer={"name": "Adam", "betas": [0.9, 0.99]},
        warmup={"kind": "linear", "steps": 3},
        clip_grad_value=0.5,
    ).labels()
    assert labels["workload"] == "digits-cnn, train_limit=72"
    assert labels["scheduler"].startswith("ReduceLROnPlateau(patience=30%")
    assert (labels["scheduler_name"], labels["scheduler_interval"]) == ("ReduceLROnPlateau", "epoch")
    assert labels["scheduler_monitor"] == "val_loss"
    assert labels["optimizer"] == "Adam(betas=[0.9, 0.99])"
    assert json.loads(labels["warmup"]) == {"kind": "linear", "steps": 3}
    assert (labels["clip_grad_norm"], labels["clip_grad_value"]) == (None, 0.5)


@pytest.mark.parametrize(
    ("warmup", "wrong"),
    [
        ({"kind": "linear"}, "length"),
        ({"kind": "linear", "steps": 3, "fraction": 0.1}, "length"),
        ({"kind": "linear", "steps": 3, "factor": 0.1}, "factor"),
        ({"kind": "constant", "steps": 3}, "factor"),
        ({"kind": "linear", "steps": 0}, "at least 1"),
        ({"kind": "linear", "fraction": 0}, "greater than 0"),
        ({"kind": "constant", "steps": 3, "factor": 1.5}, "at most 1"),
        (
            {"kind": "quadratic", "steps": 3},
            "'linear', 'constant', 'exponential', 'untuned_linear' or 'untuned_exponential'",
        ),
        ({"kind": "untuned_linear", "steps": 3}, "takes its length from beta2"),
        ({"kind": "untuned_linear", "beta2": 1.0}, "less than 1"),
        ({"kind": "linear", "steps": 3, "beta2": 0.9}, 'kind = "linear" has no beta2'),
        ("on", "'off' or a table"),
    ],
)
def test_a_warmup_is_whole_or_refused(warmup, wrong):
    """A warm-up has one length and its kind's own arguments; anything else is refused by what is wrong with it."""
    with pytest.raises(ValueError, match=r".") as caught:
        check_level("warmup", warmup)
    assert wrong in str(caught.value)
    with pytest.raises(InputError) as caught:
        Trial(workload="digits-cnn", warmup=warmup)
    assert wrong in str(caught.value)


def test_a_trial_is_a_value():
    """A trial cannot be changed, and neither can its warm-up."""
    with pytest.raises(ValidationError):
        PLAIN.epochs = 3
    with pytest.raises(ValidationError):
        Warmup(kind="linear", steps=3).steps = 4


@pytest.mark.parametrize(
    ("factors", "problems"),
    [
        (
            {"workload": "digits", "epoch": 3, "scheduler": "StepLR(step=3)", "seed": -1},
            [
                ("workload found 'digits'; allowed: ", "Did you mean 'digits-cnn'?"),
                ("epoch is no factor; allowed: ", "Did you mean 'epochs'?"),
                ("scheduler.step_size is missing and has no default", ""),
                ("scheduler.step is unknown; StepLR's arguments: step_size, ", "Did you mean 'step_size'?"),
                ("seed found -1; allowed: at least 0", ""),
            ],
        ),
        ({"workload": "digits-cnn", "lr": 0.1}, [("lr is no factor: it is called base_lr here", "")]),
        ({"scheduler": "StepLR(3)"}, [('workload is missing: give workload="digits-cnn"', "")]),
        (
            {"workload": "my_net:workload", "epochs": 3, "optimizer": "SGD"},
            [
                ("batch_size is missing, and the workload has no recipe for it: give batch_size=128", ""),
                ("base_lr is missing, and the workload has no recipe for it: give base_lr=0.1", ""),
            ],
        ),
        (
            {"workload": "digits-cnn", "optimizer": "LBFGS", "precision": "fp16"},
            [("LBFGS evaluates the loss itself, ", "use bf16 or fp32")],
        ),
        ({"workload": "digits-cnn", "device": "cud"}, [("device found 'cud'; allowed: auto, cpu, cuda or cuda:N", "")]),
    ],
)
def test_a_trial_tells_all_its_mistakes_as_a_study_does(factors, problems):
    """From Python too: each factor at fault, what was found, what is allowed, what was meant; no word of pydantic."""
    with pytest.raises(InputError) as caught:
        Trial(**factors)
    assert len(caught.value.problems) == len(problems)
    for found, (beginning, end) in zip(caught.value.problems, problems, strict=True):
        assert found.startswith(beginning)
        assert found.endswith(end)


def test_the_allowed_devices_are_told_once():
    """Where a factor's meaning is what is allowed, the error does not say it twice."""
    with pytest.raises(ValueError, match=r"found 'cud'; allowed: auto, cpu, cuda or cuda:N$"):
        check_level("device", "cud")
