"""The table of operations that torch documents as nondeterministic is torch's own, and a model's are found in it."""

import re

import pytest
import torch

from lrbench.audit.documented import found, table
from lrbench.trial.examine import examine


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
