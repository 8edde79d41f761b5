"""Traces of real training steps: what they say of each operator, where two of them part, and what they cannot see."""

import inspect
import json
import random
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module
from torch.utils.checkpoint import checkpoint

from lrbench.diverge.traces import ask_to_keep, compare_traces, kept_distance
from lrbench.errors import InputError
from lrbench.trial.trace import OperatorTrace, tracing


def net() -> nn.Module:
    parts = [("conv", nn.Conv2d(1, 2, 3)), ("norm", nn.BatchNorm2d(2)), ("relu", nn.ReLU()), ("drop", nn.Dropout())]
    return nn.Sequential(OrderedDict([*parts, ("flat", nn.Flatten()), ("head", nn.Linear(72, 3))]))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(8, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.lstm(x[:, 0].transpose(0, 1))[0][-1])


class Recomputed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(checkpoint(lambda y: self.body(y).tanh(), x.flatten(1), use_reentrant=False))


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


def one_step(path: Path, make=net, seed=0, optimizer=torch.optim.SGD, keep=0, before=None, between=None, **arguments):
    """Trace one training step of a model into `path`; return the model."""
    torch.manual_seed(seed)
    model = make()
    optimizer = optimizer(model.parameters(), lr=0.1, **arguments)
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    if before:
        before(model)
    with OperatorTrace(path, model=model, keep=keep):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if between:
            between(model)
        optimizer.step()
    return model


def lines(path: Path) -> list[dict]:
    """The operators of a trace, without its first and last line."""
    return [json.loads(line) for line in path.read_text().splitlines()][1:-1]


@pytest.fixture
def a(tmp_path) -> Path:
    return tmp_path / "a.trace"


@pytest.fixture
def b(tmp_path) -> Path:
    return tmp_path / "b.trace"


# ------------------------------------------------------------------------------------------------ what a trace holds


def test_every_operator_has_its_phase_module_and_line(a):
    """The forward's convolution is called by its module and the line that called it, and so is its backward."""
    one_step(a)
    first = inspect.getsourcelines(one_step)[1]
    by_name = {line["operator"]: line for line in lines(a)}
    for operator, phase, module in (
        ("aten.convolution.default", "forward", "conv"),
        ("aten.native_batch_norm.default", "forward", "norm"),
        ("aten.nll_loss_forward.default", "loss", ""),
        ("aten.convolution_backward.default", "backward", "conv"),
        ("aten.native_batch_norm_backward.default", "backward", "norm"),
        ("aten.addmm.default", "forward", "head"),
    ):
        found = by_name[operator]
        assert (found["phase"], found["module"]) == (phase, module), operator
        file, _, number = found["line"].rpartition(":")
        assert file.endswith("lrbench/tests/test_trace.py"), operator
        assert 0 < int(number) - first < 12, operator
    assert {line["module"] for line in lines(a) if line["phase"] == "optimizer"} == {"SGD"}
    assert "weight" in by_name["aten.convolution.default"]["inputs"]["weight"].split(" ")[-1]


def test_a_packages_model_is_named_by_the_packages_line(a):
    """torchvision's name begins as torch's does, and its source lines are shown all the same."""
    from torchvision.ops import StochasticDepth

    one_step(a, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3), StochasticDepth(0.5, "row")))
    files = {line["line"].rpartition(":")[0] for line in lines(a) if line["module"] == "2"}
    assert files == {"torchvision/ops/stochastic_depth.py"}


def test_recomputed_activations_belong_to_the_backward(a):
    """What activation checkpointing runs again, it runs in the backward, inside the module that it is of."""
    one_step(a, Recomputed)
    places = {(line["phase"], line["module"]) for line in lines(a) if line["operator"] == "aten.addmm.default"}
    assert ("backward", "body") in places


def test_tracing_changes_no_bit_and_leaves_nothing_behind(a):
    """The weights after a traced step are those after an untraced one, and torch's global hooks are gone."""

    def plain():
        torch.manual_seed(0)
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        return model

    pairs = zip(one_step(a).state_dict().values(), plain().state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not torch_module._global_forward_hooks
    assert not torch_module._global_forward_pre_hooks


def test_a_step_that_raises_leaves_a_whole_trace(a, b):
    """Where the step breaks the trace ends in order, and the hooks are gone."""
    for path in (a, b):
        with pytest.raises(RuntimeError, match="shape"), OperatorTrace(path, model=net()):
            torch.ones(2) @ torch.ones(3).reshape(1, 3).expand(2, 3).reshape(3, 2)[:, :1].expand(3, 2).reshape(6).view(
                5
            )
    assert compare_traces(a, b).kind == "none"
    assert not torch_module._global_forward_hooks


TENSORS = {
    "no dimension": lambda: torch.tensor(1.0),
    "empty": lambda: torch.empty(0),
    "empty, transposed": lambda: torch.ones(0, 3).t(),
    "bool": lambda: torch.tensor([True]),
    "complex, conjugated": lambda: torch.tensor([1 + 2j]).conj(),
    "imaginary part, negated": lambda: torch.tensor([1 + 2j]).conj().imag,
    "transposed": lambda: torch.ones(2, 3).t(),
    "expanded": lambda: torch.ones(1).expand(5),
    "bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
    "float8": lambda: torch.ones(3).to(torch.float8_e4m3fn),
    "sparse COO": lambda: torch.eye(3).to_sparse(),
    "sparse CSR": lambda: torch.eye(3).to_sparse_csr(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "meta": lambda: torch.ones(3, device="meta"),
}


@pytest.mark.parametrize("make", TENSORS.values(), ids=TENSORS)
@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:.*quantize")
def test_whatever_tensor_there_is_can_be_traced(make, a, b):
    """A clone of each kind of tensor is one line of two equal traces."""
    tensor = make()
    for path in (a, b):
        with OperatorTrace(path, model=net(), keep=1):
            tensor.clone()
    assert [line["operator"] for line in lines(a)] == ["aten.clone.default"]
    assert compare_traces(a, b).kind == "none"


# ----------------------------------------------------------------------------------------------------- no false alarm


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


# ------------------------------------------------------------------------------------------------- where traces part


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


def traced(path: Path, function) -> None:
    with OperatorTrace(path):
        function()


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


# ---------------------------------------------------------------------------------------------- what a trace cannot see


def test_fused_and_compiled_code_is_said_to_be_hidden(a, b):
    """A fused optimizer and a compiled function are named among what the trace cannot look into."""
    one_step(a, optimizer=torch.optim.Adam, fused=True)
    one_step(b, optimizer=torch.optim.Adam, fused=True)
    hidden = compare_traces(a, b).hidden
    assert "fused" in hidden["aten._fused_adam_.default"]
    compiled = torch.compile(net().eval(), backend="eager")
    compiled(torch.zeros(4, 1, 8, 8))
    for path in (a, b):
        traced(path, lambda: compiled(torch.zeros(4, 1, 8, 8)))
    found = compare_traces(a, b)
    assert "torch.compile" in found.hidden
    assert "torch.compile" in found.sentence


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no trace"),
        ("{}\n", "is no trace"),
        ("hello\n", "is no trace"),
        ('{"trace": 1}\n', "ends before its last line"),
        ('{"trace": 1}\n{"n": 1, "opera', "ends before its last line"),
    ],
)
def test_what_is_no_whole_trace_is_refused(text, says, a, b):
    """A file that is something else, or was cut off, raises InputError with its name."""
    traced(a, lambda: torch.ones(3))
    b.write_text(text)
    with pytest.raises(InputError, match=f"b.trace.*{says}"):
        compare_traces(a, b)
    with pytest.raises(InputError, match="cannot be read"):
        compare_traces(a, b.with_name("missing.trace"))


RANK = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from lrbench.claims.faulty import one_ulp
from lrbench.trial.trace import OperatorTrace

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
for run in ("a", "b"):
    torch.manual_seed(0)
    model = one_ulp(10, direction="backward", layer=2, step=1, how="one" if (run, rank) == ("b", 1) else "")
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(1 + rank)
    x, y = torch.randn(8, 1, 8, 8), torch.randint(10, (8,))
    with OperatorTrace(f"{folder}/{run}{rank}.trace", model=model):
        nn.functional.cross_entropy(parallel(x), y).backward()
        optimizer.step()
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_each_rank_of_a_distributed_training_has_its_trace(tmp_path):
    """Two ranks under gloo: the faulty rank's operator is named; on the other the difference came by communication."""
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for rank in ranks:
        _, printed = rank.communicate(timeout=120)
        assert rank.returncode == 0, printed
    found = compare_traces(tmp_path / "a1.trace", tmp_path / "b1.trace")
    assert (found.kind, found.phase, found.module) == ("source", "backward", "after2")
    assert found.operator == "lrbench_faulty.pass_back.default"
    other = compare_traces(tmp_path / "a0.trace", tmp_path / "b0.trace")
    assert (other.kind, other.phase) == ("entry", "between")
    assert other.sentence.endswith("or from what a trace does not see: c10d.allreduce_.default")


def test_numpy_draws_are_inputs_from_outside(a, b):
    """What NumPy drew without a seed comes in as an operator's argument, which is named."""
    for path in (a, b):
        noise = numpy.random.default_rng().normal(size=3)
        traced(path, lambda noise=noise: torch.zeros(3) + torch.from_numpy(noise))
    found = compare_traces(a, b)
    assert (found.kind, found.arguments) == ("entry", ("other",))
