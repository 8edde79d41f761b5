"""Names and tables become callables; the models that come along; what a user's own code may be and what is refused."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lrbench.errors import InputError
from lrbench.trial import models
from lrbench.trial.data import batch, normalise, stage
from lrbench.trial.workload import load_attribute, resolve
from lrbench.workloads import WORKLOADS

MODULE = """
from torch import nn

def net(num_classes, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, num_classes))

def loss(logits, labels):
    return logits.square().mean()

class Family:
    def groups(model):
        return [{"params": list(model.parameters()), "lr": 0.5}]

table = {"model": "mine:net", "data": "digits", "model_args": {"width": 8}}

def workload():
    return {"model": net, "data": "digits", "loss": loss, "groups": Family.groups, "train_limit": 50}

number = 7
numbers = [7]
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A current folder with a user's module `mine`; what the test imports is forgotten afterwards."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


# -------------------------------------------------------------------------------------------------- the built-in ones


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_built_in_workload_gives_a_model_for_its_images(name):
    """The model is built by the documented call and turns two images into finite logits of shape (2, classes)."""
    workload = resolve(name)
    num_classes = 2 if name == "alexnet" else 10
    model = workload.model(num_classes=num_classes, **workload.model_args).eval()
    channels = 1 if name in ("digits-cnn", "mnist5k-cnn") else 3
    size = {"digits-cnn": 8, "mnist5k-cnn": 28, "alexnet": 64}.get(name, 32)
    with torch.no_grad():
        logits = models.logits_of(model(torch.zeros(2, channels, size, size)))
    assert logits.shape == (2, num_classes)
    assert logits.isfinite().all()
    assert workload.label == name
    assert workload.loss is nn.functional.cross_entropy
    assert workload.groups == "single"


def test_keys_of_a_table_stand_over_its_base():
    """`base` gives what the table leaves out, and the defaults give the rest."""
    workload = resolve({"base": "cifar10-resnet9", "data": "imagefolder:pets", "flip": False})
    assert workload.model is models.resnet9
    assert (workload.data, workload.crop_padding, workload.flip, workload.train_limit) == (
        "imagefolder:pets",
        4,
        False,
        0,
    )
    assert workload.label == "cifar10-resnet9 on imagefolder:pets, flip=False"


# ------------------------------------------------------------------------------------------------------------- models


def test_small_cnn_learns_the_digits():
    """Ten epochs of twenty steps are right on more than nine of ten images that come from other hands."""
    torch.manual_seed(0)
    workload = resolve("digits-cnn")
    staged = stage(workload, None)
    images, labels, mean, std = staged.train_images, staged.train_labels, staged.mean, staged.std
    model = workload.model(num_classes=10, **workload.model_args)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(10):
        for index in torch.randperm(len(images)).split(64)[:20]:
            optimizer.zero_grad()
            x = batch(images, index, torch.zeros(len(images), 2), torch.zeros(0, dtype=torch.bool), mean, std, 0)
            workload.loss(model(x), labels[index]).backward()
            optimizer.step()
    with torch.no_grad():
        predicted = model.eval()(normalise(staged.test_images, mean, std)).argmax(dim=1)
    assert (predicted == staged.test_labels).double().mean() > 0.9


def test_small_cnn_hears_the_dropout_stream():
    """In training two passes over the same images differ; in evaluation they do not."""
    model, x = models.small_cnn(10, 1, 8), torch.ones(4, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_resnet9_has_the_published_number_of_parameters():
    """Convolutions 9 * (3*64 + 64*128 + 2*128*128 + 128*256 + 256*512 + 2*512*512), norms 2 * 2240, head 5120."""
    assert sum(p.numel() for p in models.resnet9(10).parameters()) == 6_563_520 + 4_480 + 5_120


def test_resnet18_for_small_images_keeps_their_size_in_the_stem():
    """32 x 32 images reach the first residual block at 32 x 32, where torchvision's own stem gives 8 x 8."""
    model = models.resnet18_small_images(10)
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    assert stem(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 32, 32)


@pytest.mark.parametrize("name", ["small_cnn", "resnet9", "resnet18_small_images"])
def test_initial_weights_follow_the_global_seed(name):
    """The same seed gives the same weights, another seed others: nothing is drawn elsewhere."""
    arguments = {"in_channels": 1, "image_size": 8} if name == "small_cnn" else {}

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in getattr(models, name)(10, **arguments).parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_decay_groups_spare_biases_and_norms():
    """Only weights of two dimensions or more decay, every parameter is in one group, and an optimizer takes them."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(models.decay_groups(model), lr=0.1, weight_decay=0.5)
    decayed, plain = optimizer.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3), (3, 8)]
    assert [tuple(p.shape) for p in plain["params"]] == [(2,), (2,), (2,), (3,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)
    assert len(models.decay_groups(nn.Linear(2, 2, bias=False))) == 1


def test_logits_are_taken_out_of_torchvisions_tuples():
    """GoogLeNet and Inception return their logits beside auxiliary ones in train mode; other models a tensor."""
    from torchvision.models import GoogLeNetOutputs, InceptionOutputs

    logits, other = torch.zeros(2, 3), torch.ones(2, 3)
    assert models.logits_of(logits) is logits
    assert models.logits_of(GoogLeNetOutputs(logits, other, other)) is logits
    assert models.logits_of(InceptionOutputs(logits, other)) is logits
    for wrong, name in (((logits,), "tuple"), ({"logits": logits}, "dict"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"returned a {name}; wanted: a tensor of logits"):
            models.logits_of(wrong)


# -------------------------------------------------------------------------------------------------------- torchvision


def torchvision_table(name: str, **keys) -> dict:
    return {"model": f"torchvision:{name}", "data": "synthetic", **keys}


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet"])
def test_a_torchvision_model_is_built_untrained_with_its_arguments(name):
    """num_classes and model_args reach torchvision; googlenet's choice of initialisation makes no warning."""
    workload = resolve(torchvision_table(name, model_args={"dropout": 0.25}))
    model = workload.model(num_classes=3, **workload.model_args)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)][-1] == 0.25
    with torch.no_grad():
        assert models.logits_of(model(torch.zeros(2, 3, 64, 64))).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet5", "'torchvision:resnet5' is no model of torchvision.models. Did you mean 'resnet50'?"),
        ("fasterrcnn_resnet50_fpn", "'torchvision:fasterrcnn_resnet50_fpn' is no image classifier"),
        ("list_models", "is no model of torchvision.models"),
    ],
)
def test_an_unknown_torchvision_model_is_refused(name, words):
    """Only torchvision's image classifiers are models of a workload, each by its own name."""
    with pytest.raises(InputError) as caught:
        resolve(torchvision_table(name))
    assert words in str(caught.value)


def test_arguments_that_torchvision_does_not_take_are_refused():
    """A wrong name in model_args is the user's mistake, told as such."""
    workload = resolve(torchvision_table("squeezenet1_1", model_args={"drop_out": 0.5}))
    with pytest.raises(InputError, match=r"torchvision:squeezenet1_1.*unexpected keyword argument 'drop_out'"):
        workload.model(num_classes=3, **workload.model_args)


# --------------------------------------------------------------------------------------------------- a user's own code


def test_a_users_table_and_function_are_resolved(here):
    """A table names its parts or holds them; a function returns such a table."""
    named, held = resolve("mine:table"), resolve("mine:workload")
    assert named.model(num_classes=3, **named.model_args)[1].out_features == 8
    assert held.model is named.model
    assert held.loss(torch.full((2, 2), 3.0), torch.zeros(2)) == 9.0
    assert held.groups(held.model(num_classes=2))[0]["lr"] == 0.5
    assert (held.train_limit, held.flip, held.label) == (50, False, "mine:workload")


def test_a_study_may_name_parts_of_a_workload(here):
    """Model, loss and groups of a table in a study file are found by module:attr; dots in attr go deeper."""
    workload = resolve({"base": "digits-cnn", "model": "mine:net", "model_args": {}, "groups": "mine:Family.groups"})
    assert workload.model(num_classes=3)[1].out_features == 4
    assert workload.groups(workload.model(num_classes=2))[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("{'model': net, 'data': 'digits', 'flipp': True}", "flipp is unknown"),
        ("{'model': net, 'data': 'digits', 'flipp': True}", "Did you mean 'flip'?"),
        ("{'model': net}", "data is missing"),
        ("{'model': net, 'data': 'digit'}", "Did you mean 'digits'?"),
        ("{'model': net, 'data': 'digits', 'crop_padding': -1}", "crop_padding found -1"),
        ("{'model': net, 'data': 'digits', 'model_args': {'depth': 3}}", "unexpected keyword argument 'depth'"),
        ("{'model': 'mine:number', 'data': 'digits'}", "is of type int, not a function"),
        ("[net]", "gives a list; allowed: a table"),
        ("lambda: net", "gives a function; allowed: a table"),
    ],
)
def test_a_users_wrong_table_is_refused(here, table, words):
    """Unknown keys, missing ones, wrong values and things that are no table are told before anything is built."""
    (here / "mine.py").write_text(f"{MODULE}\nwrong = {table}\n")
    with pytest.raises(InputError) as caught:
        resolve("mine:wrong")
    assert words in str(caught.value)


def test_all_mistakes_in_a_table_are_told_at_once(here):
    """Two unknown keys make two problems, each with the workload's name."""
    (here / "mine.py").write_text(f"{MODULE}\nwrong = {{'model': net, 'data': 'digits', 'a': 1, 'b': 2}}\n")
    with pytest.raises(InputError) as caught:
        resolve("mine:wrong")
    assert len(caught.value.problems) == 2
    assert all(problem.startswith("workload mine:wrong: ") for problem in caught.value.problems)


def test_an_unknown_workload_is_refused():
    """A name that is neither built in nor module:attr is told with the nearest one."""
    with pytest.raises(InputError, match="Did you mean 'digits-cnn'"):
        resolve("digit-cnn")


def test_the_current_folder_comes_first(here, monkeypatch, tmp_path_factory):
    """A module here is taken before one of the same name elsewhere on the path."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine.py").write_text("number = 8")
    sys.path.insert(0, str(elsewhere))
    assert load_attribute("mine:number") == 7


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            "mind:net",
            "no module named 'mind'; looked in {here} first, then where Python finds packages. Did you mean 'mine'?",
        ),
        ("mine.deep:net", "no module named 'mine.deep'"),
        ("mine:nett", "no 'nett' in {here}/mine.py. Did you mean 'net'?"),
        ("mine:Family.group", "no 'group' in"),
        ("lame:net", "lame was found, and it imports not_installed_anywhere, which was not"),
        ("halt:net", "halt.py, line 2: "),
        ("mine", 'write it as "module:attr"'),
        (":net", 'write it as "module:attr"'),
    ],
)
def test_what_cannot_be_imported_is_told_with_the_place(here, reference, words):
    """A missing module, a missing attribute, a module that misses another and one that is not Python are told apart."""
    (here / "lame.py").write_text("import not_installed_anywhere")
    (here / "halt.py").write_text("x = 1\ndef net(:\n")
    with pytest.raises(InputError) as caught:
        load_attribute(reference)
    assert words.format(here=here) in str(caught.value)


def test_an_error_in_the_users_module_is_theirs(here):
    """What a module raises while it is imported is not dressed up: its traceback tells more."""
    (here / "fails.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_attribute("fails:net")
