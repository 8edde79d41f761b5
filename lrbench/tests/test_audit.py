"""The audit: what a target is, how much fits into the time, what single processes see; and whole audits, which are
slow."""

import json
import os
import re
import signal
import threading
from pathlib import Path

import pytest
import torch

from lrbench.audit.documented import found, table
from lrbench.audit.plan import PARTS, Pilot, limit_for, make_plan, plan_within, seconds_of, shape_of
from lrbench.audit.target import Asked, Notes, folder_for, key_of, limited, workload_of
from lrbench.errors import InputError
from lrbench.trial import made
from lrbench.trial.examine import begin, describe, examine, loaded

NETS = """
import numpy
import torch
from torch import nn
from torch.utils.data import Dataset

class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 3))

class WithClasses(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))

def factory():
    return Plain()

def wants_width(width):
    return Plain()

def broken():
    raise ValueError("no such layer")

built = Plain()
number = 3
table = {"model": "nets:WithClasses", "data": "digits", "recipe": {"base_lr": 0.5}}

def workload():
    return {**table, "loss": nn.functional.cross_entropy, "groups": lambda model: model.parameters()}

class Noisy(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, item):
        return numpy.full(2, float(item)) + numpy.random.rand()

class Quiet(Noisy):
    def __getitem__(self, item):
        return numpy.full(2, float(item))

class Own(Noisy):
    def __init__(self):
        self.generator = numpy.random.default_rng(0)
    def __getitem__(self, item):
        return self.generator.random(2) + item

class Torchs(Noisy):
    def __getitem__(self, item):
        return torch.rand(2) + item

class Raises(Noisy):
    def __getitem__(self, item):
        raise KeyError("no such item")

class Noise(WithClasses):
    def forward(self, x):
        return super().forward(x) + torch.rand(1)

class Upsampled(nn.Sequential):
    def __init__(self, num_classes):
        up = nn.Upsample(scale_factor=2, mode="bilinear")
        super().__init__(nn.BatchNorm2d(1), up, nn.Flatten(), nn.Linear(256, num_classes))
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder that a user stands in, with nets.py in it."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    import sys

    sys.modules.pop("nets", None)


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


def test_made_data_have_no_other_names():
    """A name that is no shape is no attribute."""
    with pytest.raises(AttributeError, match="images_of_nothing"):
        made.images_of_nothing  # noqa: B018


# ------------------------------------------------------------------------------------------------ what fits the time


@pytest.mark.parametrize("num_steps", [1, 3, 20, 1000])
@pytest.mark.parametrize("batch_size", [1, 13, 128])
def test_a_limit_makes_exactly_so_many_steps(num_steps, batch_size):
    """Of the images a tenth is held out, one at least; the rest is so many whole batches."""
    limit = limit_for(num_steps, batch_size)
    assert (limit - max(1, limit // 10)) // batch_size == num_steps
    assert (limit - 1 - max(1, (limit - 1) // 10)) // batch_size < num_steps


QUICK = Pilot(start_seconds=2.0, fixed_seconds=0.2, step_seconds=0.01)


def test_more_time_is_never_less_of_an_audit():
    """Steps, then replicates and parts grow with the seconds, up to what is enough."""
    plans = [
        plan_within(QUICK, seconds=s, jobs=2, inert=True, most_steps=1000)[:3] for s in (1, 10, 20, 30, 40, 60, 600)
    ]
    sizes = [(len(parts), steps, replicates) for steps, replicates, parts in plans]
    assert sizes == sorted(sizes)
    assert plans[0] == (12, 3, ())
    assert plans[-1] == (40, 5, PARTS)


def test_what_the_user_asked_for_is_not_shrunk():
    """Steps and replicates that are given stay, whatever the time."""
    steps, replicates, parts, needed = plan_within(
        QUICK, seconds=1, jobs=1, inert=False, most_steps=1000, num_steps=500, replicates=7
    )
    assert (steps, replicates, parts) == (500, 7, ())
    assert needed > 1


def plan(**changes):
    asked = {
        "batch_size": 64,
        "num_images": 1438,
        "cuttable": True,
        "asked_epochs": 0,
        "asked_steps": 0,
        "asked_replicates": 0,
        "seconds_left": 100.0,
        "jobs": 2,
        "inert": True,
    }
    return make_plan(QUICK, **{**asked, **changes})


def test_a_plan_cuts_an_epoch_to_its_steps():
    """40 steps in two epochs of 20 take 1,280 training images, and 142 that are held out."""
    chosen = plan()
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (40, 2, limit_for(20, 64))
    assert chosen.cut == ()


def test_epochs_that_are_asked_for_are_whole():
    """Three epochs of 1,295 training images in batches of 64 are 60 steps, on all the images."""
    chosen = plan(asked_epochs=3)
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (60, 3, 0)


def test_a_workload_that_cannot_be_cut_is_trained_whole():
    """Its smallest run is an epoch, and the plan has no limit for it."""
    chosen = plan(cuttable=False)
    assert (chosen.num_steps, chosen.epochs, chosen.train_limit) == (20, 1, 0)


def test_a_plan_says_what_it_leaves_out():
    """Without time the parts are named, and how long the smallest audit takes."""
    chosen = plan(seconds_left=1.0)
    assert chosen.parts == ()
    assert chosen.cut[0] == "The time being short, left out: strict, resume, threads."
    assert "the smallest audit" in chosen.cut[1]


# --------------------------------------------------------------------------------------- what torch documents of it


def documented_by_torch() -> dict[str, set[str]]:
    """The last parts of the names in torch's text, for the CPU and CUDA, by what strict mode does with them."""
    text = torch.use_deterministic_algorithms.__doc__
    fixed, raises = re.split(r"will throw a\s+:class:`RuntimeError` when ``mode=True``:", text)
    lists = {
        "fixed": fixed.partition("deterministically when ``mode=True``:")[2],
        "raises": raises.partition("In add")[0],
    }
    names = {}
    for strict, part in lists.items():
        entries = [entry for entry in re.split(r"\n\s+\* ", part) if "quantized" not in entry]
        entries = [entry for entry in entries if "MPS" not in entry or re.search("CUDA|CPU", entry)]
        found_here = [re.findall(r":(?:class|func):`torch\.(?:[\w.]*\.)?(\w+)`", entry) for entry in entries]
        names[strict] = {name for entry in found_here for name in entry}
    return names


def test_the_table_is_torchs_own_list():
    """What torch's text names is in the table under what strict mode does with it, and the table has no other."""
    names = {"fixed": set(), "raises": set(), "unsaid": set()}
    for operation in table():
        words = operation.name.replace("their transposes", "ConvTranspose1d ConvTranspose2d ConvTranspose3d")
        names[operation.strict] |= {word.rpartition(".")[2] for word in re.findall(r"[\w.]*[A-Za-z]\w*", words)}
    told = documented_by_torch()
    assert min(len(names_there) for names_there in told.values()) > 20, "torch's text is worded otherwise"
    in_both = {"put_", "scatter_reduce"}  # fixed for some arguments, raising for others: the table has the worse
    for strict in ("fixed", "raises"):
        assert told[strict] - in_both <= names[strict]
    assert in_both <= names["raises"]
    known = told["fixed"] | told["raises"]
    plain = {
        "and",
        "with",
        "a",
        "list",
        "of",
        "tensors",
        "linear",
        "bilinear",
        "bicubic",
        "trilinear",
        "sparse",
        "dense",
    }
    assert names["fixed"] | names["raises"] <= known | plain
    assert names["unsaid"] == {"RNN", "LSTM", "GRU", "cuDNN", "scaled_dot_product_attention"}


@pytest.mark.parametrize("operation", table(), ids=lambda operation: operation.name)
def test_the_operators_of_the_table_exist(operation):
    """An operator that this torch does not have could never be seen."""
    for name in (*operation.forward, *operation.backward):
        assert hasattr(torch.ops.aten, name.removeprefix("sparse ")), name
    assert operation.strict in ("fixed", "raises", "unsaid")
    assert operation.forward or operation.backward or operation.modules


def test_documented_operations_of_a_model_are_found(nets):
    """Bilinear upsampling is documented for its backward; a plain linear network has nothing that is documented."""
    data = "lrbench.trial.made:images_1x8x8_of_3_n40"
    seen = {
        name: examine(workload={"model": f"nets:{name}", "data": data}, device="cpu", batch_size=20, data_root="")
        for name in ("Upsampled", "WithClasses")
    }
    names = {n: [o.name for o in found(s["forward"], s["backward"], s["modules"])] for n, s in seen.items()}
    assert names == {"Upsampled": ["torch.nn.functional.interpolate, bilinear"], "WithClasses": []}
    assert "upsample_bilinear2d_backward" not in seen["Upsampled"]["forward"]


# ----------------------------------------------------------------------------------------- what single processes see


def test_rows_are_seen_together_and_alone(nets):
    """Sixteen rows of logits as bits, those of each image alone being near those of the batch."""
    data = "lrbench.trial.made:images_1x8x8_of_3_n40"
    seen = examine(workload={"model": "nets:WithClasses", "data": data}, device="cpu", batch_size=20, data_root="")
    together, alone = (
        torch.tensor(seen[name], dtype=torch.int32).view(torch.float32) for name in ("together", "alone")
    )
    assert seen["num_rows"] == 16
    assert together.shape == (16 * 3,)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_beginning_is_the_same_twice(nets):
    """With all seeds set, one process begins with equal weights, loss and gradients each time."""
    arguments = {"workload": {"model": "nets:WithClasses", "data": "digits"}, "data_root": ""}
    assert begin(**arguments) == begin(**arguments)


@pytest.mark.parametrize(("dataset", "same"), [("Quiet", True), ("Noisy", False)])
def test_a_dataset_that_draws_is_seen(nets, dataset, same):
    """Items that NumPy's generator is in differ from one pass to the next, the order does not."""
    one, two = (loaded(dataset=f"nets:{dataset}", num_workers=0, batch_size=4) for _ in range(2))
    assert one["order"] == two["order"]
    assert sorted(one["order"]) == list(range(6))
    assert (one["items"] == two["items"]) is same


@pytest.mark.parametrize(("dataset", "repeat"), [("Quiet", False), ("Noisy", False), ("Torchs", False), ("Own", True)])
def test_workers_that_draw_the_same_numbers_are_seen(nets, dataset, repeat):
    """Each worker has a copy of a generator that the Dataset keeps; torch seeds NumPy's global one and its own apart,
    and what draws nothing repeats nothing."""
    assert loaded(dataset=f"nets:{dataset}", num_workers=2, batch_size=4)["workers_repeat"] is repeat
    assert loaded(dataset=f"nets:{dataset}", num_workers=0, batch_size=4)["workers_repeat"] is False


def test_a_dataset_that_raises_is_told_in_one_line(nets):
    """With its file and line, and the same words from a worker as without one."""
    alone, worker = (loaded(dataset="nets:Raises", num_workers=n, batch_size=4)["problems"] for n in (0, 2))
    assert alone == worker
    line = NETS.splitlines().index('        raise KeyError("no such item")') + 1
    assert re.fullmatch(
        rf"--dataset nets:Raises: its item \d raises KeyError: 'no such item' \(at nets.py:{line} in __getitem__\)",
        alone[0],
    )


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "said"), [("nets:Quite", "Quite"), ("nets:Raises", "no such item")])
def test_a_wrong_dataset_is_refused_before_anything_trains(nets, dataset, said):
    """Nothing is left behind, and no trial was begun."""
    from lrbench.audit.command import run_audit

    lines = []
    with pytest.raises(InputError, match=said) as error:
        run_audit(Asked(target="nets:Plain", input="1x8x8", dataset=dataset), Path("out"), say=lines.append)
    assert len(error.value.problems) == 1
    assert len(lines) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["nets.py/x", "/proc/x"])
def test_a_folder_that_cannot_be_written_is_told_first(nets, out):
    """Before anything is loaded, with what to type."""
    from lrbench.audit.command import run_audit

    lines = []
    with pytest.raises(InputError, match=r"cannot be written: .*\. Name another folder: --out DIR"):
        run_audit(Asked(target="nets:Plain"), Path(out), say=lines.append)
    assert lines == []


def test_an_interrupted_audit_says_how_to_go_on(nets, capsys):
    """On stderr; the interrupt itself goes on to the command line, which exits with 130."""
    from lrbench.audit.command import audit_command

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a test before this one has left
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))  # long before ten minutes of trials are over
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            audit_command(Asked(target="nets:Plain", input="1x8x8", classes=3, batch=16, budget="10m"), Path("out"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith("interrupted; the same command goes on where it stopped\n")


def test_a_shape_for_a_users_own_workload_is_refused(nets):
    """A workload has images of its own, which is known once it is loaded."""
    from lrbench.audit.command import run_audit

    with pytest.raises(InputError, match=r"--input is for a model alone\. Type: lrbench audit nets:table"):
        run_audit(Asked(target="nets:table", input="1x8x9"), Path("out"))


def test_a_batch_that_does_not_repeat_is_known(nets):
    """Its rows cannot be compared with rows alone."""
    data = "lrbench.trial.made:images_1x8x8_of_3_n40"
    asked = {"device": "cpu", "batch_size": 20, "data_root": ""}
    seen = [examine(workload={"model": f"nets:{m}", "data": data}, **asked) for m in ("WithClasses", "Noise")]
    assert [answer["batch_repeats"] for answer in seen] == [True, False]


def test_what_is_no_dataset_is_told(nets):
    """A number has no items."""
    assert (
        "is of type int; allowed: a Dataset"
        in loaded(dataset="nets:number", num_workers=0, batch_size=4)["problems"][0]
    )


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


# ------------------------------------------------------------------------------------------------------ whole audits

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
    from analysis.audit import read_audit
    from analysis.page.audit_page import as_json_text
    from lrbench.audit.command import run_audit

    run_audit(Asked(target=target, **asked), folder)
    return json.loads(as_json_text(read_audit(folder)))


def test_a_sparse_operator_is_seen_as_such():
    """bmm is documented for sparse tensors alone."""
    from lrbench.trial.examine import _Seen

    dense = torch.ones(2, 2, 2)
    with _Seen() as seen:
        torch.bmm(dense, dense)
    assert found(seen.forward, [], []) == []
    with _Seen() as seen:
        torch.bmm(dense.to_sparse(), dense)
    assert [operation.name for operation in found(seen.forward, [], [])] == ["torch.bmm, sparse with dense"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named(fault, tmp_path, monkeypatch):
    """Each kind of fault that breaks reproducibility is found by an audit, and called by its name."""
    (tmp_path / f"planted_{fault}.py").write_text(f"table = {planted_table(fault)!r}\n")
    monkeypatch.chdir(tmp_path)
    seen = audited(f"planted_{fault}:table", tmp_path / "out", budget="1s", replicates=2, steps=12)
    assert [named["name"] for named in seen["faults"]] == [PLANTED[fault]], seen["faults"]
    assert PLANTED[fault] in seen["recommendation"][0]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_model_that_does_not_train_is_told(nets):
    """Images of another shape than the model takes: the model's own error, and what to type."""
    from lrbench.audit.command import run_audit

    with pytest.raises(
        InputError, match=r"nets:Plain does not train: RuntimeError: .*\. It was given images of 3x32x32"
    ):
        run_audit(Asked(target="nets:Plain", input="3x32x32", budget="1s"), Path("out"))
