"""What single processes see of a model and a data set: rows alone, beginnings, draws, workers that repeat."""

import re

import pytest
import torch

from lrbench.tests.helpers.nets import NETS
from lrbench.trial.examine import begin, examine, loaded


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
