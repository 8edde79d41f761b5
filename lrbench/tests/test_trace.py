"""A trace of one step: every operator with its phase, module and line, and not a bit of the training changed."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module

from lrbench.diverge.traces import compare_traces
from lrbench.errors import InputError
from lrbench.tests.helpers.trace_parts import Recomputed, lines, net, one_step, traced
from lrbench.trial.trace import OperatorTrace


@pytest.fixture
def a(tmp_path) -> Path:
    return tmp_path / "a.trace"


@pytest.fixture
def b(tmp_path) -> Path:
    return tmp_path / "b.trace"


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
        assert file.endswith("lrbench/tests/helpers/trace_parts.py"), operator
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
