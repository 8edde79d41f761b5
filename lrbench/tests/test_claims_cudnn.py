"""What the claims on cuDNN ask of a network, on this CPU: detectors find planted faults, and every claim's code runs.

The claims need a GPU; here each question is asked of a CPU, where no kernel has a name and the flags are inert.
"""

import math
import os

import numpy as np
import pytest

from lrbench.claims import asked_kernels, cudnn, cudnn_arms, deterministic, kernels, nets, settings, tables
from lrbench.claims.room import StudyRoom

HERE = "lrbench.tests.test_claims_cudnn"
TINY = nets.convolution_net(3, channels=4, image_size=8, batch_size=4)
LINEAR = nets.linear_net(16, batch_size=4)


def noisy():
    """A network that draws from the system's entropy: nothing can make it repeat itself."""
    import torch
    from torch import nn

    class Noise(nn.Module):
        def forward(self, x):
            return x * (1 + torch.frombuffer(bytearray(os.urandom(4)), dtype=torch.int32).float() / 2**40)

    return nn.Sequential(nn.Conv2d(3, 4, 3), Noise())


def forgetful():
    """A network that reads memory which nobody wrote: its gradients hang on what fills it."""
    import torch
    from torch import nn

    class Unwritten(nn.Module):
        def forward(self, x):
            return x * (1 + torch.empty_like(x).isnan())

    return nn.Sequential(nn.Conv2d(3, 4, 3), Unwritten())


NOISY, FORGETFUL = (
    {"what": name, "model": f"{HERE}:{name}", "arguments": {}, "input": [2, 3, 9, 9]} for name in ("noisy", "forgetful")
)


@pytest.fixture
def flags_put_back():
    """Give the flags and the environment of this process back as they were."""
    import torch

    from lrbench.factors import Trial
    from lrbench.trial.flags import set_flags

    before, threads = dict(os.environ), torch.get_num_threads()
    yield
    set_flags(Trial(workload="digits-cnn"))
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark_limit = 10
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("flags_put_back")
def test_repeats_find_what_does_not_repeat():
    """A plain convolution gives 5 equal forwards and gradients; one with planted noise 5 different ones of each."""
    plain, planted = asked_kernels.repeats(device="cpu", flags={}, nets=[TINY, NOISY], num_repeats=5)
    assert (len(set(plain["forwards"])), len(set(plain["gradients"]))) == (1, 1)
    assert (len(set(planted["forwards"])), len(set(planted["gradients"]))) == (5, 5)
    assert (plain["kernel_names"], plain["num_kernels"]) == ([], 0)


@pytest.mark.usefixtures("flags_put_back")
def test_equal_seeds_give_equal_weights_unless_noise_is_planted():
    """Weights after one step are equal from equal seeds, and differ 4 times of 4 under planted noise."""
    plain, planted = asked_kernels.retrained(device="cpu", flags={}, nets=[TINY, NOISY], num_repeats=4)
    assert (len(set(plain["weights"])), len(set(planted["weights"]))) == (1, 4)
    assert (plain["raises"], plain["num_warnings"]) == ("", 0)


@pytest.mark.usefixtures("flags_put_back")
@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_an_operation_without_a_deterministic_form_is_told(mode):
    """torch refuses it in strict mode and warns of it in the other; both are answers, and no error of the claim."""
    net = {"what": "resize", "model": f"{HERE}:without_a_deterministic_form", "arguments": {}, "input": [2, 3, 9, 9]}
    (found,) = asked_kernels.retrained(
        device="cpu", flags={"deterministic_algorithms": mode}, nets=[net], num_repeats=2
    )
    assert ("does not have a deterministic implementation" in found["raises"]) == (mode == "strict")
    assert (len(found["weights"]), found["num_warnings"]) == ((0, 0) if mode == "strict" else (2, 2))


def without_a_deterministic_form():
    """A network that resizes a quantised tensor, of which torch knows no deterministic form, on a CPU either."""
    import torch
    from torch import nn

    class Refused(nn.Module):
        def forward(self, x):
            torch.quantize_per_tensor(torch.zeros(4), 1.0, 0, torch.qint8).resize_(9)
            return x

    return nn.Sequential(nn.Conv2d(3, 4, 3), Refused())


@pytest.mark.usefixtures("flags_put_back")
def test_flags_that_are_not_in_force_are_told(monkeypatch):
    """A flag that did not take is an error of the question, before anything is measured."""
    from lrbench.trial import flags

    monkeypatch.setattr(flags, "set_flags", lambda trial: None)
    with pytest.raises(AssertionError, match="in force is"):
        asked_kernels.begun("cpu", {"cudnn_benchmark": True})


@pytest.mark.usefixtures("flags_put_back")
def test_a_sequence_takes_each_setting_in_turn():
    """Settings stay until they are changed; layout and thread change no bit of a CPU's convolution, the batch does."""
    looks = [{"cudnn_benchmark": True}, {"thread": True}, {"thread": False, "channels_last": True}, {"batch_size": 3}]
    ((first, thread, layout, batch),) = asked_kernels.sequences(
        device="cpu", flags={}, asked=[{"net": TINY, "settings": looks, "passes": "forward"}]
    )
    assert first["digest"] == thread["digest"] == layout["digest"] != batch["digest"]
    import torch

    assert torch.backends.cudnn.benchmark is True


@pytest.mark.usefixtures("flags_put_back")
def test_a_thread_of_its_own_is_one_thread():
    """What runs "in another thread" runs in one and the same for the first call and the next, and not in ours."""
    import threading

    with asked_kernels._caller(True) as call:
        other = {call(threading.get_ident) for _ in range(3)}
    with asked_kernels._caller(False) as call:
        assert call(threading.get_ident) == threading.get_ident() not in other
    assert len(other) == 1


@pytest.mark.usefixtures("flags_put_back")
def test_alternating_levels_are_told_apart():
    """Two levels of a setting give two digests where the setting matters (unwritten memory that is filled), and one
    where it does not; every block has a time at both."""
    asked = {"setting": "fill_uninitialized_memory", "levels": [False, True], "num_blocks": 3, "num_steps": 1}
    strict = {"deterministic_algorithms": "strict"}
    plain, filled = asked_kernels.alternating(device="cpu", flags=strict, nets=[TINY, FORGETFUL], **asked)
    assert plain["digests"][0] == plain["digests"][1]
    assert filled["digests"][0] != filled["digests"][1]
    assert np.array(plain["seconds"]).shape == (3, 2)
    assert np.array(plain["seconds"]).min() > 0
    import torch

    assert torch.utils.deterministic.fill_uninitialized_memory is True


@pytest.mark.usefixtures("flags_put_back")
def test_each_pair_of_sizes_has_one_with_the_search():
    """Neighbouring sizes make a pair with one of them under cudnn.benchmark, the other first in the next pair."""
    seen = asked_kernels.sizes(device="cpu", flags={}, net=TINY, image_sizes=[8, 9, 10, 11], num_visits=3)
    assert [one["benchmark"] for one in seen] == [False, True, True, False]
    assert cudnn._log_ratios_of_pairs([{"benchmark": b, "first": 1.0 + b} for b in (False, True)], "first") == [
        pytest.approx(math.log(2))
    ]


@pytest.mark.usefixtures("flags_put_back")
@pytest.mark.parametrize("workspace", settings.WORKSPACES)
def test_the_workspace_is_set_before_anything_is_timed(workspace):
    """CUBLAS_WORKSPACE_CONFIG is in the environment as asked, or absent; gradients on a CPU do not hang on it."""
    (found,) = asked_kernels.timed(device="cpu", flags={}, nets=[LINEAR], workspace=workspace, num_steps=1)
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG", "unset") == workspace
    assert found["seconds"] > 0


# ------------------------------------------------------------------------------------- every claim's code, on this CPU


@pytest.fixture(scope="module")
def small_room(tmp_path_factory):
    """A room in which every study and question of these claims is small."""
    with pytest.MonkeyPatch.context() as patch:
        small = {"workload": {"base": "digits-cnn", "train_limit": 216}, "epochs": 3}
        patch.setattr(cudnn_arms, "FLAGS", small)
        patch.setattr(cudnn_arms, "NUM_REPLICATES", 2)
        patch.setattr(deterministic, "ACCURACY", small)
        patch.setattr(deterministic, "ACCURACY_SEEDS", "0-3")
        patch.setattr(kernels, "_KERNEL_SIZES", (3,))
        patch.setattr(kernels, "SMALL", {"image_size": 8, "batch_size": 20})
        patch.setattr(cudnn, "IMAGE_SIZES", [8, 9, 10, 11])
        for module in (cudnn_arms, cudnn):
            patch.setattr(module, "NETS", [TINY, TINY])
        patch.setattr(settings, "NETS", [TINY, LINEAR])
        patch.setattr(settings, "RESNET18", TINY)
        patch.setattr(settings, "WORKSPACES", ("unset", ":16:8"))
        patch.setattr(deterministic, "KERNEL_SIZES", [TINY])
        for module in (cudnn_arms, cudnn, deterministic, settings):
            patch.setattr(module, "NUM_PROCESSES", 2)
        yield StudyRoom(tmp_path_factory.mktemp("claims") / "studies", "cpu")


OPEN = ("supported", "refuted", "inconclusive")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judge", "words"),
    [
        (cudnn.c1a, OPEN),
        (cudnn.c1b, OPEN),
        (cudnn.c1c, ("supported",)),
        (cudnn.c1d, ("inconclusive",)),
        (cudnn.c1e, ("inconclusive",)),
        (cudnn.c1f, OPEN),
        (deterministic.c2a, ("supported",)),
        (deterministic.c2b, ("supported",)),
        (deterministic.c2c, ("inconclusive",)),
        (deterministic.c2d, OPEN),
        (deterministic.c2e, ("equivalent within margin",)),
        (deterministic.c2f, ("refuted",)),
        (kernels.v1, ("inconclusive",)),
        (kernels.v2, ("inconclusive",)),
        (kernels.v3, ("inconclusive",)),
        (kernels.v12, OPEN),
        (kernels.v13, ("inconclusive",)),
        (kernels.v14, ("inconclusive",)),
        (kernels.v15, ("inconclusive",)),
        (settings.v7, ("inconclusive",)),
        (settings.v9, OPEN),
        (settings.v10, OPEN),
        (settings.v11, ("refuted",)),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_every_claim_of_a_gpu_runs_on_a_cpu(judge, words, small_room):
    """On a CPU nothing differs and no kernel has a name, so each claim's whole code ends in the word that this gives;
    times are what they are."""
    verdict = judge(small_room)
    assert verdict.word in words, verdict.seen
    assert verdict.evidence
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)
