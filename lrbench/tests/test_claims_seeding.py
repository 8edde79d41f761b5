"""C3: what seeds fix and leave alone, asked of this CPU; each judge also finds the fault that would refute it."""

import random

import pytest

from lrbench.claims import asked_seeds, seeding, settings, tables
from lrbench.claims.frame import catalogue
from lrbench.claims.room import StudyRoom

WHERE = {"C3a": "C,G", "C3b": "C,G", "C3c": "C", "C3d": "C", "C3e": "G", "C3f": "C,G", "C3g": "G2", "V4": "C"}


@pytest.fixture
def numbers_put_back():
    """Give the generators of this process back as they were."""
    import numpy as np
    import torch

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    yield
    torch.set_rng_state(before[0])
    random.setstate(before[1])
    np.random.set_state(before[2])


def test_every_row_of_the_catalogue_has_its_claim():
    """C1a to C3g, V1 to V5, V7 and V9 to V15 are in the catalogue, and run where it says."""
    found = {claim.id: claim.where for claim in catalogue()}
    wanted = [
        f"C{number}{letter}" for number, letters in ((1, "abcdef"), (2, "abcdef"), (3, "abcdefg")) for letter in letters
    ]
    wanted += [f"V{number}" for number in (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15)]
    assert set(wanted) <= found.keys()
    assert {id: found[id] for id in WHERE} == WHERE


# ----------------------------------------------------------------------------------------------------------- generators


@pytest.mark.usefixtures("numbers_put_back")
def test_what_a_seed_moves():
    """torch.manual_seed moves the CPU's generator alone, torch.cuda.manual_seed and nothing move none of the CPU's."""
    moved = {how: asked_seeds.seeded(seeding=how, seed=3)["moved"] for how in asked_seeds.SEEDINGS}
    on_cpu = {how: {name: found[name] for name in ("cpu", "random", "numpy")} for how, found in moved.items()}
    still = {"cpu": False, "random": False, "numpy": False}
    assert on_cpu == {
        "torch.manual_seed": {**still, "cpu": True},
        "torch.cuda.manual_seed": still,
        "nothing": still,
    }


@pytest.mark.usefixtures("numbers_put_back")
def test_a_seed_that_touched_python_would_be_seen(monkeypatch):
    """The detector of C3c sees a torch.manual_seed that seeds Python's random and NumPy too."""
    import numpy as np
    import torch

    def everything(seed):
        random.seed(seed)
        np.random.seed(seed)

    monkeypatch.setattr(torch, "manual_seed", everything)
    seen = [asked_seeds.seeded(seeding="torch.manual_seed", seed=3) for _ in range(2)]
    assert seen[0]["moved"] == {"cpu": False, "random": True, "numpy": True}
    assert seeding.bystanders({"alike": seen}).word == "refuted"


def processes(*draws: str, generator: str = "cpu", moved: bool = True) -> list[dict]:
    return [{"draws": {generator: one}, "moved": {generator: moved}} for one in draws]


@pytest.mark.parametrize(
    ("alike", "another", "unseeded", "word"),
    [
        ("aaaa", "b", "c", "supported"),
        ("aaab", "c", "d", "refuted"),
        ("aaaa", "a", "c", "refuted"),  # every seed gives the same
        ("aaaa", "b", "a", "refuted"),  # so does none: it was not the seed that fixed them
    ],
)
def test_c3a_has_its_controls(alike, another, unseeded, word):
    """C3a holds where one seed gives one stream in every process, and another seed or none gives another."""
    seen = {
        name: processes(*some) for name, some in (("alike", alike), ("another seed", another), ("unseeded", unseeded))
    }
    verdict = seeding.fixed_streams(seen)
    assert verdict.word == word
    assert "not covered" in verdict.seen


def test_c3a_looks_at_every_cuda_device():
    """A second GPU whose stream differs between processes refutes C3a."""

    def both(cpu, gpu):
        return {"draws": {"cpu": cpu, "cuda:1": gpu}}

    seen = {"alike": [both("a", "x"), both("a", "y")], "another seed": [both("b", "z")], "unseeded": [both("c", "w")]}
    verdict = seeding.fixed_streams(seen)
    assert (verdict.word, [row["holds"] for row in verdict.evidence]) == ("refuted", [True, False])


@pytest.mark.parametrize(
    ("moved", "word"),
    [
        ({"cpu": False, "cuda:0": True, "cuda:1": False}, "supported"),
        ({"cpu": True, "cuda:0": True, "cuda:1": False}, "refuted"),
        ({"cpu": False, "cuda:0": True, "cuda:1": True}, "refuted"),
        ({"cpu": False, "cuda:0": False, "cuda:1": False}, "refuted"),  # it does not even seed its own
    ],
)
def test_c3b_is_about_the_others(moved, word):
    """C3b holds where torch.cuda.manual_seed moves the current GPU's generator and nothing else."""
    seen = {"cuda": [{"moved": moved}], "alike": [{"moved": {"cpu": True}}]}
    assert seeding.left_alone(seen).word == word


# ----------------------------------------------------------------------------------------------------------- evaluation


@pytest.mark.usefixtures("numbers_put_back")
@pytest.mark.parametrize("own_generator", [False, True])
def test_an_evaluation_shifts_training_unless_its_loader_has_a_generator(own_generator):
    """Numbers and weights after an evaluation are those of training without one only where the loader has its own."""
    plain = asked_seeds.evaluated(evaluates=False, own_generator=False, num_workers=0)
    found = asked_seeds.evaluated(evaluates=True, own_generator=own_generator, num_workers=0)
    assert (found == plain) is own_generator


def test_c3d_needs_both_halves():
    """C3d is refuted by a loader that shifts with its own generator, and by one that does not shift without."""
    plain, other = {"numbers": "a", "weights": "b"}, {"numbers": "c", "weights": "d"}
    assert seeding.shifted(plain, [other, other, plain, plain]).word == "supported"
    assert seeding.shifted(plain, [other, other, other, plain]).word == "refuted"
    assert seeding.shifted(plain, [plain, other, plain, plain]).word == "refuted"


# ------------------------------------------------------------------------------------------- weights, compile, two GPUs


def test_c3e_counts_weights_that_differ():
    """C3e is supported by one pair of equal seed with other weights; none in 28 pairs leaves at most 10 % (95 %)."""
    row = {"what": "net", "num_pairs": 28, "num_weights_differ": 0, "holds": False}
    none = seeding.unequal_weights([row])
    assert (none.word, none.seen) == ("inconclusive", "0 of 28 pairs of equal seed differ (at most 10%, 95 %)")
    assert seeding.unequal_weights([row, {**row, "num_weights_differ": 1, "holds": True}]).word == "supported"
    assert seeding._repeats("net", ["a", "b", "a"]) == {
        "what": "net",
        "num_pairs": 2,
        "num_weights_differ": 1,
        "holds": True,
    }


COMPILED = {
    "raises": "",
    "eager": "e",
    "eager again": "e",
    "compiled": "c",
    "compiled again": "c",
    "fallback_random": "e",
}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, "supported"),
        ({"compiled": "e", "compiled again": "e"}, "refuted"),
        ({"fallback_random": "f"}, "refuted"),
        ({"eager again": "x"}, "refuted"),
        ({"raises": "InductorError: no compiler"}, "not testable here"),
    ],
)
def test_c3f_has_its_controls(changed, word):
    """C3f: compiled dropout differs from eager and fallback_random does not; without a compiler nothing is told."""
    assert seeding.compiled_numbers({**COMPILED, **changed}).word == word


@pytest.mark.parametrize(
    ("digests", "word", "said"),
    [
        ("abcxyzuv", "supported", f"up to a length of {seeding.WAVE[2]}"),
        ("abcdefgh", "refuted", "at every length"),
        ("xbcdefgh", "refuted", "up to a length of 0"),
        ("abxdefgv", "refuted", "up to a length of"),  # equal again past a difference is no wave
    ],
)
def test_c3g_is_about_one_length(digests, word, said):
    """C3g holds where two models of GPU agree up to one length and from there on never."""
    gpus = [{"gpu": "H100", "digests": list("abcdefgh")}, {"gpu": "A100", "digests": list(digests)}]
    verdict = seeding.equal_up_to(gpus)
    assert verdict.word == word
    assert said in verdict.seen
    alike = seeding.equal_up_to([gpus[0], gpus[0]])
    assert (alike.word, alike.seen) == ("not testable here", "all GPUs here are of one model: H100")


# ------------------------------------------------------------------------------------------------------------ real ones


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> StudyRoom:
    """One room for all: what was asked once is not asked again."""
    return StudyRoom(tmp_path_factory.mktemp("claims"), "cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judge", "not_covered"),
    [
        (seeding.c3a, "CUDA devices are not covered"),
        (seeding.c3b, "GPUs are not covered"),
        (seeding.c3c, ""),
        (seeding.c3d, ""),
        (seeding.c3f, ""),
        (settings.v4, ""),
        (settings.v5, "the kernels are not covered"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_verdicts_on_a_cpu(judge, not_covered, room):
    """Asked of fresh processes, the claims that a CPU can test hold, and say what it could not cover."""
    verdict = judge(room)
    assert verdict.word == "supported", verdict.seen
    assert not_covered in verdict.seen
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)
