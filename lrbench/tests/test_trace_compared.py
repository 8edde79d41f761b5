"""Two traces compared: equal steps are equal, and what differs is named where it begins."""

import random
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lrbench.diverge.traces import ask_to_keep, compare_traces, kept_distance
from lrbench.tests.helpers.trace_parts import Recomputed, lines, net, one_step, traced
from lrbench.trial.trace import tracing


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.lstm(x[:, 0].transpose(0, 1))[0][-1])


class Piecewise(nn.Module):
    """Fills memory that was never written part by part, as code that assembles a batch does."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        whole = x.new_empty(x.shape)
        whole[:, :, :4] = x[:, :, 4:]
        whole[:, :, 4:].copy_(x[:, :, :4])
        if not x.requires_grad:
            torch.cat([x.flatten(1), x.flatten(1)], dim=1, out=x.new_empty(len(x), 128))
        return self.head(whole.flatten(1))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        return self.head(self.inner(x[:, 0]).flatten(1))


def dirty_the_memory(value: float) -> None:
    """Leave freed memory behind that holds `value`, for the next torch.empty to find."""
    del [torch.full((size,), value) for size in (8, 64, 256, 1024, 4096) for _ in range(20)][:]


@pytest.fixture
def a(tmp_path) -> Path:
    return tmp_path / "a.trace"


@pytest.fixture
def b(tmp_path) -> Path:
    return tmp_path / "b.trace"


def with_autocast():
    class Autocast(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net()

        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.inner(x).float()

    return Autocast()


@pytest.mark.parametrize(
    "make", [net, Recurrent, Attention, Recomputed, Piecewise, with_autocast], ids=lambda make: make.__name__
)
@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.AdamW, {"foreach": True}),
        (torch.optim.Adam, {"fused": True}),
    ],
    ids=["SGD", "AdamW foreach", "Adam fused"],
)
def test_equal_steps_give_equal_traces(make, optimizer, arguments, a, b):
    """Two equal steps part nowhere, whatever memory that was never written happens to hold."""
    for path, value in ((a, 1.0), (b, float("nan"))):
        dirty_the_memory(value)
        one_step(path, make, optimizer=optimizer, **arguments)
    found = compare_traces(a, b)
    assert found.kind == "none", found.sentence
    assert "differs" in found.sentence


def test_another_weight_is_an_input_that_came_from_outside(a, b):
    """A weight that was other before the step is named, and no operator is blamed."""
    one_step(a)
    one_step(b, before=lambda model: model.head.weight.data[0].mul_(1 + 2**-10))
    found = compare_traces(a, b)
    assert (found.kind, found.operator, found.module) == ("entry", "aten.addmm.default", "head")
    assert found.arguments == ("mat2 (head.weight)",)


def test_a_gradient_that_is_changed_outside_torch_is_named(a, b):
    """NumPy writes into a gradient between backward and optimizer: the optimizer gets another head.bias.grad."""

    def meddle(model, by):
        model.head.bias.grad.numpy()[0] += by

    one_step(a, between=lambda model: meddle(model, 0))
    one_step(b, between=lambda model: meddle(model, 1))
    found = compare_traces(a, b)
    assert (found.kind, found.phase, found.module) == ("entry", "optimizer", "SGD")
    assert [argument for argument in found.arguments if "head.bias.grad" in argument]


def test_a_python_number_is_named_with_both_its_values(a, b):
    """A factor that Python's random drew differs in value, which is said."""
    for path, seed in ((a, 0), (b, 1)):
        random.seed(seed)
        traced(path, lambda: torch.ones(3) * random.randint(0, 9))
    assert compare_traces(a, b).arguments == ("other: 6 and 2",)


def test_a_view_of_another_part_is_named_itself(a, b):
    """A crop that begins elsewhere is where the two part, not the operator that uses it."""
    x = torch.arange(10.0)
    for path, start in ((a, 0), (b, 3)):
        traced(path, lambda start=start: x[start : start + 4].exp())
    found = compare_traces(a, b)
    assert (found.kind, found.operator) == ("entry", "aten.slice.Tensor")
    assert found.arguments == ("end: 4 and 7", "start: 0 and 3")


def test_a_random_operator_shows_the_state_that_it_draws_from(a, b):
    """Two draws from other states part by their generator, and not by themselves."""
    for path, seed in ((a, 0), (b, 1)):
        torch.manual_seed(seed)
        traced(path, lambda: torch.rand(3))
    found = compare_traces(a, b)
    assert found.kind == "entry"
    assert found.arguments[0].startswith("generator")


@pytest.mark.parametrize(
    "draw",
    [
        lambda own: torch.rand(3, generator=own),
        lambda own: torch.randperm(9, generator=own),
        lambda own: torch.zeros(3).normal_(generator=own),
        lambda own: torch.multinomial(torch.ones(9), 5, generator=own),
    ],
    ids=["rand", "randperm", "normal_", "multinomial"],
)
def test_a_generator_of_ones_own_is_an_input_too(draw, a, b):
    """Draws from one's own generator part by its state alone; from equal states, the default one's does not matter."""

    def after(path, seed, num_drawn):
        own = torch.Generator().manual_seed(seed)
        torch.rand(num_drawn, generator=own)
        traced(path, lambda: draw(own))

    after(a, 0, 0)
    for seed, num_drawn in ((1, 0), (0, 1)):
        after(b, seed, num_drawn)
        found = compare_traces(a, b)
        assert (found.kind, found.arguments) == ("entry", ("generator",))
    torch.rand(1)  # moves the default generator, which none of these draws from
    after(b, 0, 0)
    assert compare_traces(a, b).kind == "none"


def test_memory_that_is_read_before_it_is_written_counts_as_an_input(a, b):
    """An operator in place that gets another value to begin with is not the source."""
    for path, value in ((a, 1.0), (b, 2.0)):
        target = torch.zeros(3)
        target.numpy()[:] = value
        traced(path, lambda target=target: target.add_(1))
    found = compare_traces(a, b)
    assert (found.kind, found.arguments) == ("entry", ("self",))


def test_another_course_of_operators_is_told_as_such(a, b):
    """A network with one layer more, and the same one on another shape, part in what they run."""
    x = torch.ones(2, 3)
    traced(a, lambda: x.exp().sum())
    traced(b, lambda: x.sum())
    found = compare_traces(a, b)
    assert (found.kind, found.number) == ("sequence", 1)
    assert "A ran aten.exp.default" in found.sentence
    traced(b, lambda: torch.ones(2, 4).exp().sum())
    assert compare_traces(a, b).kind == "sequence"
    traced(b, lambda: x.exp())
    assert "no more operators" in compare_traces(a, b).sentence


def one_ulp_op():
    """An operator that is not the same function in two runs, as a nondeterministic kernel is not."""
    state = {"wrong": False}

    @torch.library.custom_op("lrbench_tests::sometimes", mutates_args=())
    def sometimes(x: torch.Tensor) -> torch.Tensor:
        return torch.nextafter(x, x + 1) if state["wrong"] else x.clone()

    return state, sometimes


STATE, SOMETIMES = one_ulp_op()


def test_the_source_is_the_operator_with_equal_inputs_and_unequal_outputs(a, b):
    """It is named with its place, its distance is that of its outputs, and it is said that one cannot look inside."""
    for path, wrong in ((a, False), (b, True)):
        STATE["wrong"] = wrong
        ask_to_keep(path, 2)
        with tracing(path, net()):
            (SOMETIMES(torch.ones(3).exp()) * 2).sum()
    found = compare_traces(a, b)
    assert (found.kind, found.number, found.operator) == ("source", 3, "lrbench_tests.sometimes.default")
    assert "3 of 3 sampled values differ" in found.sampled
    assert "custom operator" in found.hidden["lrbench_tests.sometimes.default"]
    for path, wrong in ((a, False), (b, True)):
        STATE["wrong"] = wrong
        ask_to_keep(path, 3)
        with tracing(path, net()):
            (SOMETIMES(torch.ones(3).exp()) * 2).sum()
    assert (kept_distance(a, b).num_differ, kept_distance(a, b).max_ulp) == (3, 1)
    assert not list(a.parent.glob("*.keep"))  # a request is of one trace


def test_another_layout_in_memory_is_told(a, b):
    """Equal values that lie in memory in another way can round differently, and the sentence says so."""
    weight, images = torch.randn(16, 8, 3, 3), torch.randn(4, 8, 16, 16)
    STATE["wrong"] = False
    for path, memory_format in ((a, torch.contiguous_format), (b, torch.channels_last)):
        traced(path, lambda form=memory_format: F.conv2d(images.contiguous(memory_format=form), weight))
    plain, other = [next(line for line in lines(path) if "convolution" in line["operator"]) for path in (a, b)]
    assert "strides=" not in plain["inputs"]["input"]
    assert "strides=2048,1,128,8" in other["inputs"]["input"]


def test_numpy_draws_are_inputs_from_outside(a, b):
    """What NumPy drew without a seed comes in as an operator's argument, which is named."""
    for path in (a, b):
        noise = numpy.random.default_rng().normal(size=3)
        traced(path, lambda noise=noise: torch.zeros(3) + torch.from_numpy(noise))
    found = compare_traces(a, b)
    assert (found.kind, found.arguments) == ("entry", ("other",))
