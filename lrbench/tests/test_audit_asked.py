"""What an audit is asked for, what its target is, and in which folder it is kept."""

import re
from pathlib import Path

import pytest

from lrbench.audit.plan import seconds_of, shape_of
from lrbench.audit.target import Asked, Notes, folder_for, key_of, limited, workload_of
from lrbench.errors import InputError
from lrbench.tests.helpers.nets import NETS
from lrbench.trial import made
from lrbench.trial.examine import describe

# --------------------------------------------------------------------------------------------------- what was asked


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"target": "digits-cn"}, "Did you mean 'digits-cnn'?"),
        ({"target": "digits-cnn", "replicates": 1}, "--replicates found 1; allowed: 2 or more"),
        ({"target": "digits-cnn", "budget": "soon"}, "--budget found 'soon'; write it as 90s, 2m or 1h"),
        ({"target": "digits-cnn", "budget": "-1m"}, "--budget found '-1m'"),
        ({"target": "a:B", "input": "32x32"}, "--input found '32x32'; write it as 3x32x32"),
        ({"target": "a:B", "input": "3x0x32"}, "--input found '3x0x32'"),
        ({"target": "digits-cnn", "input": "1x28x28"}, "--input is for a model alone. Type: lrbench audit digits-cnn"),
        ({"target": "a:B", "classes": 1}, "--classes found 1; allowed: a whole number from 2 on"),
        ({"target": "a:B", "batch": -1}, "--batch found -1; allowed: a whole number from 1 on"),
        ({"target": "a:B", "epochs": 1, "steps": 1}, "keep one of them"),
        ({"target": "a:B", "dataset": "here"}, "--dataset found 'here'; write your own Dataset as module:attr"),
    ],
)
def test_a_request_says_what_is_wrong_with_it(wrong, said):
    """What was found, what is allowed, and what to type, before anything is loaded."""
    with pytest.raises(InputError, match=re.escape(said)):
        Asked(**wrong)


def test_all_mistakes_of_a_request_are_told_at_once():
    """Two mistakes are two problems of one error."""
    with pytest.raises(InputError) as error:
        Asked(target="nothing", classes=0)
    assert len(error.value.problems) == 2


@pytest.mark.parametrize(("text", "seconds"), [("2m", 120), ("90s", 90), ("90", 90), ("0.5h", 1800), (" 3M ", 180)])
def test_a_budget_is_read_in_its_unit(text, seconds):
    """Seconds where there is no unit."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "0s", "nan", "1d", "inf"])
def test_what_is_no_time_is_refused(text):
    """Nothing, no number, zero, not a number, an unknown unit, and no end."""
    with pytest.raises(ValueError, match=r"is no time|could not convert"):
        seconds_of(text)


def test_a_shape_is_channels_height_width():
    """In that order."""
    assert shape_of("1x28X30") == (1, 28, 30)


# ------------------------------------------------------------------------------------------------------ what it is


@pytest.mark.parametrize(
    ("attribute", "kind", "call"),
    [("Plain", "model", "nothing"), ("WithClasses", "model", "num_classes"), ("factory", "model", "nothing")],
)
def test_a_model_is_known_as_one(nets, attribute, kind, call):
    """A class without arguments, one that takes num_classes, and a function that builds one."""
    assert describe(target=f"nets:{attribute}", num_classes=3, data_root="") == {"kind": kind, "call": call}


def test_a_workload_is_known_as_one(nets):
    """A table is taken as it is, with the shape and number of its images."""
    seen = describe(target="nets:table", num_classes=3, data_root="")
    assert (seen["kind"], seen["shape"], seen["num_classes"]) == ("workload", [1, 8, 8], 10)
    assert seen["num_train_images"] == 1438
    assert seen["table"] == {"model": "nets:WithClasses", "data": "digits", "recipe": {"base_lr": 0.5}}
    workload, recipe = workload_of(Asked(target="nets:table"), seen)
    assert recipe == {"base_lr": 0.5, "optimizer": {"name": "SGD", "momentum": 0.9}, "batch_size": 128}
    assert limited(workload, 100)["train_limit"] == 100


def test_a_workload_with_a_nameless_function_is_taken_whole(nets):
    """A lambda cannot be named, so the table cannot be written down, and its images are not cut to a part."""
    seen = describe(target="nets:workload", num_classes=3, data_root="")
    assert seen["table"] == {}
    assert workload_of(Asked(target="nets:workload"), seen)[0] == "nets:workload"
    assert limited("nets:workload", 100) == "nets:workload"


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("built", "is a model that is built already"),
        ("wants_width", "asks for 'width', which nobody gives"),
        ("number", "is of type int; allowed: a model's class"),
        ("Nothing", "no 'Nothing' in"),
        ("broken", "ValueError: no such layer (at nets.py:"),
    ],
)
def test_what_cannot_be_audited_says_why(nets, attribute, said):
    """A model drawn at import, an argument that nobody gives, a number, a slip, and an error of the user's own code."""
    assert said in describe(target=f"nets:{attribute}", num_classes=3, data_root="")["problems"][0]


def test_a_model_alone_gets_images_of_its_shape():
    """So many, of so many classes, the same each time; and is called without num_classes where it takes none."""
    asked = Asked(target="nets:Plain", input="1x8x8", classes=3, batch=4)
    workload, recipe = workload_of(asked, {"kind": "model", "call": "nothing"})
    assert workload["model_args"] == {"target": "nets:Plain", "asks_for_classes": False}
    assert recipe["batch_size"] == 4
    name = limited(workload, 20)["data"].partition(":")[2]
    data, again = getattr(made, name)(None), made._data.__wrapped__(1, 8, 8, 3, 20)(None)
    assert data["train_images"].shape == (20, 1, 8, 8)
    assert set(data["train_labels"]) == set(data["test_labels"]) == {0, 1, 2}
    assert all((data[part] == again[part]).all() for part in data)
    assert len({image.tobytes() for image in data["train_images"]}) == 20
    assert getattr(made, name) is getattr(made, name)  # staged once


@pytest.mark.parametrize(("classes", "num_images"), [(10, 9), (100, 18), (1000, 106), (1000, 1), (2, 2), (10, 11)])
def test_made_data_have_the_head_that_was_asked_for(classes, num_images):
    """However few images there are, the last class is among them, so that the model is built for every class; the test
    part holds them all."""
    data = getattr(made, f"images_1x2x2_of_{classes}_n{num_images}")(None)
    assert len(data["train_labels"]) == num_images
    assert data["train_labels"].max() == data["test_labels"].max() == classes - 1
    assert set(data["test_labels"]) == set(range(classes))
    assert len(set(data["train_labels"])) == min(classes, num_images)


def test_made_data_have_no_other_names():
    """A name that is no shape is no attribute."""
    with pytest.raises(AttributeError, match="images_of_nothing"):
        made.images_of_nothing  # noqa: B018


# --------------------------------------------------------------------------------------------------- where it is kept


def test_an_audit_finds_its_own_folder_again(nets):
    """The same request finds its folder; other code, or another budget, begins a new one; a DIR by name is checked."""
    asked = Asked(target="nets:Plain")
    key = key_of(asked, "cpu")
    first = folder_for(asked.target, key, None)
    assert first == Path("results/audit-nets-Plain")
    Notes(first).write("asked", key)
    assert folder_for(asked.target, key_of(asked, "cpu"), None) == first
    other = key_of(Asked(target="nets:Plain", budget="1h"), "cpu")
    assert folder_for(asked.target, other, None) == Path("results/audit-nets-Plain-2")
    with pytest.raises(InputError, match=r"budget was '2m', is '1h'\. Name another folder: --out DIR"):
        folder_for(asked.target, other, first)
    Path("nets.py").write_text(NETS + "\n# edited\n")
    assert folder_for(asked.target, key_of(asked, "cpu"), None) == Path("results/audit-nets-Plain-2")


def test_a_study_is_not_taken_for_an_audit(tmp_path):
    """A folder with a study in it is refused."""
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="holds a study that is no audit"):
        folder_for("digits-cnn", {}, tmp_path)
