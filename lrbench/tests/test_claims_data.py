"""D1 to D7: what they say of real processes, loaders and samplers, and that each would say otherwise of a fault."""

import pytest
import torch

from lrbench.claims import asked_loader, asked_numerics, data, processes, tables, unruly
from lrbench.claims.room import StudyRoom


class Answers:
    """A room whose fresh processes have answered already."""

    device = "cpu"

    def __init__(self, *answers):
        self.answers = list(answers)

    def fresh(self, function, calls, environment=None):
        assert len(calls) == len(self.answers)
        return self.answers


@pytest.fixture
def room(tmp_path) -> StudyRoom:
    return StudyRoom(tmp_path / "studies", "cpu")


@pytest.fixture
def one_thread():
    """What is asked of fresh processes sets the number of threads; put this process's back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def checked(verdict):
    """Every row of evidence has its columns and their types."""
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)
    return verdict


# ------------------------------------------------------------------------------------------------------ D1, processes


@pytest.mark.slow
def test_d1_passes_and_fails_where_a_weight_has_no_seed(room, monkeypatch):
    """D1 passes on four real pairs with the bound 1 - 0.05 ** (1/4) = 53 %; one weight without a seed fails it."""
    monkeypatch.setattr(processes, "NUM_SEEDS", 4)
    verdict = checked(processes.d1(room))
    assert verdict.word == "supported", verdict.seen
    assert "52.7%" in verdict.seen
    net = {"model": f"{unruly.MODULE}:unseeded", "data": "digits", "train_limit": 144}
    recipe = {"epochs": 2, "batch_size": 64, "base_lr": 0.1, "optimizer": {"name": "SGD"}}
    monkeypatch.setattr(processes, "WORKLOAD", {**net, "recipe": recipe})
    verdict = checked(processes.d1(StudyRoom(room.folder / "again", "cpu")))
    assert verdict.word == "refuted"
    assert "weights_sha256 in 4" in verdict.seen
    assert {row["what"] for row in verdict.evidence if row["holds"]} >= {"order_sha256", "applied_lr_sha256"}


@pytest.mark.slow
def test_d1_says_nothing_of_trials_that_crashed(room, monkeypatch):
    """Where trials do not complete there is nothing to compare: the gate does not pass."""
    monkeypatch.setattr(processes, "NUM_SEEDS", 2)
    monkeypatch.setattr(processes, "WORKLOAD", {"base": "digits-cnn", "loss": f"{unruly.MODULE}:unseeded"})
    assert processes.d1(room).word == "inconclusive"


# -------------------------------------------------------------------------------------------------------- D2, threads

SAME = {"operations": {"add": "a", "sum": "s"}, "training_step": [["aten.mm.default", "1"], ["aten.add.Tensor", "2"]]}
OTHER = {"operations": {"add": "a", "sum": "t"}, "training_step": [["aten.mm.default", "1"], ["aten.add.Tensor", "3"]]}


@pytest.mark.parametrize(
    ("answers", "word", "says"),
    [
        ((SAME, SAME, OTHER, OTHER), "supported", "the first is aten.add.Tensor (number 2 of 2); by themselves 1 of 2"),
        ((SAME, SAME, SAME, SAME), "refuted", "none of its operators"),
        ((SAME, OTHER, OTHER, OTHER), "inconclusive", "repeats at one number differ as well"),
    ],
)
def test_d2_names_the_first_operator_that_differs(answers, word, says, monkeypatch):
    """The first digest that differs is named; nothing that differs refutes; what does not repeat proves nothing."""
    monkeypatch.setattr(processes, "_trained_with_threads", lambda room: [])
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    verdict = checked(processes.d2(Answers(*answers)))
    assert verdict.word == word
    assert says in verdict.seen


def test_d2_says_that_one_core_cannot_show_it(monkeypatch):
    """On one core there are no two threads to compare."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    assert processes.d2(Answers()).word == "not testable here"


def test_a_training_step_is_seen_whole_and_repeats(one_thread):
    """Forward, loss, backward and update are all there, in order, with the same digests when asked again."""
    seen = asked_numerics.training_step(1)
    names = [name for name, _ in seen]
    order = ["aten.convolution.default", "aten.nll_loss_forward.default", "aten.convolution_backward.default"]
    assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
    assert "aten.add_.Tensor" in names[names.index("aten.convolution_backward.default") :]
    assert not any("empty" in name for name in names)
    assert asked_numerics.training_step(1) == seen


@pytest.mark.slow
def test_operations_repeat_at_one_thread(one_thread):
    """Every operation by itself gives the same digest when asked again, and no two give the same."""
    seen = asked_numerics.operations(1)
    assert asked_numerics.operations(1) == seen
    assert len(set(seen.values())) == len(seen)


# -------------------------------------------------------------------------------------------------------- D3, loading


def loaded(order, drawn) -> dict:
    """What a loader of two items and two epochs gave."""
    return {"order": order, "torch": drawn, "python": drawn, "numpy": drawn, "by item": [0.1, 0.2, 0.3, 0.4]}


ORDER = [0, 1, 0, 1]
NONE, WITH = loaded(ORDER, [1.0, 2.0, 3.0, 4.0]), loaded(ORDER, [5.0, 6.0, 7.0, 8.0])


@pytest.mark.parametrize(
    ("two", "two_again", "word"),
    [
        (WITH, WITH, "supported"),
        (NONE, NONE, "refuted"),
        (loaded([1, 0, 1, 0], [5.0, 6.0, 7.0, 8.0]), loaded([1, 0, 1, 0], [5.0, 6.0, 7.0, 8.0]), "refuted"),
        (WITH, loaded(ORDER, [9.0, 6.0, 7.0, 8.0]), "inconclusive"),
    ],
)
def test_d3_wants_the_same_order_and_other_numbers(two, two_again, word):
    """Equal numbers or another order refute it; two workers that do not repeat leave it open."""
    answers = [NONE, NONE, WITH, WITH, two, two_again]
    assert checked(data.d3(Answers(answers + answers))).word == word


def test_numbers_are_compared_by_item_and_not_by_place():
    """Two loaders that hand out the same item's number in another order drew the same for it."""
    one = loaded([0, 1, 1, 0], [0.5, 0.6, 0.7, 0.8])
    other = loaded([1, 0, 0, 1], [0.6, 0.5, 0.8, 0.7])
    assert data._by_item(one, "torch") == data._by_item(other, "torch") == [0.5, 0.6, 0.8, 0.7]
    assert data._by_item(one, "order") != data._by_item(other, "order")


def test_a_loader_without_workers_repeats_and_shows_every_item_in_each_epoch(one_thread):
    """What is asked of the fresh process seeds everything anew: asked twice it answers the same."""
    state = torch.get_rng_state()
    first, again = asked_loader.drawn_each([{"num_workers": 0}] * 2)
    torch.set_rng_state(state)
    assert first == again
    assert sorted(first["order"]) == sorted([*range(asked_loader.NUM_ITEMS)] * asked_loader.NUM_EPOCHS)
    assert len({len(values) for values in first.values()}) == 1


@pytest.mark.slow
def test_d3_on_real_workers(room):
    """Real workers keep the order where the loader has a generator of its own, and draw other numbers."""
    verdict = checked(data.d3(room))
    assert verdict.word == "supported", verdict.seen


# ------------------------------------------------------------------------------------------------------ D5, batches


def test_rows_that_differ_are_counted_by_their_bits():
    """One ulp is one ulp, a zero's sign is one too, and across both zeros ulps add up to three."""
    smallest = 2.0**-149
    rows = torch.tensor([[1.0, 2.0], [0.0, 1.0], [smallest, 1.0], [3.0, 4.0]])
    others = torch.tensor([[1.0 + 2.0**-23, 2.0], [-0.0, 1.0], [-smallest, 1.0], [3.0, 4.0]])
    found = asked_numerics.compared(rows, others)
    assert (found["num_rows"], found["num_differ"], found["max_ulp"]) == (4, 3, 3)
    assert found["max_relative_l2"] == pytest.approx(2.0**-23 / 5**0.5)


@pytest.mark.parametrize(("num_differ", "word"), [(3, "supported"), (0, "refuted")])
def test_d5_is_supported_by_one_network_whose_rows_differ(num_differ, word):
    """Rows that differ in one network support it; where all are equal it is refuted."""
    answer = {"num_rows": 8, "max_ulp": 2, "max_relative_l2": 1e-7}
    verdict = data.d5(Answers({"a": {**answer, "num_differ": num_differ}, "b": {**answer, "num_differ": 0}}))
    assert checked(verdict).word == word


def test_element_by_element_no_row_hangs_on_another(one_thread):
    """The control: a network without sums over elements gives each row the same bits alone, whatever others do."""
    state = torch.get_rng_state()
    found = asked_numerics.rows_alone("cpu", 4)
    torch.set_rng_state(state)
    assert found["element by element"]["num_differ"] == 0
    assert len(found) == 5


# -------------------------------------------------------------------------------------------------- D6 and D7, seeds


@pytest.fixture
def few_seeds(monkeypatch):
    """3,600 derived seeds in the place of a million."""
    monkeypatch.setattr(data, "NUM_SEEDS", 30)
    monkeypatch.setattr(data, "NUM_EPOCHS", 30)


def test_d6_passes(few_seeds, room):
    """Derived seeds do not collide; of 900 sums of 30 seeds and 30 epochs 59 are different, so 841 do."""
    verdict = checked(data.d6(room))
    assert verdict.word == "supported", verdict.seen
    assert "of 3,600 derived seeds 0 collide, of 900 sums of seed and epoch 841 do" in verdict.seen


@pytest.mark.parametrize(
    "derive",
    [
        lambda stream, seed, epoch: seed + epoch,
        lambda stream, seed, epoch: hash((seed, epoch)) % 2**63,  # forgets the stream
        lambda stream, seed, epoch: (data.STREAMS.index(stream) * 900 + 30 * seed + epoch) << 32,  # no low bits
    ],
)
def test_d6_fails_for_seeds_that_collide(derive, few_seeds, room, monkeypatch):
    """Seeds that are added, that forget their stream, or whose low 32 bits are all the same fail the gate."""
    monkeypatch.setattr(data, "derive_seed", derive)
    assert data.d6(room).word == "refuted"


def test_d7_and_a_sampler_that_moves_on_by_itself(room, monkeypatch):
    """Without set_epoch there is one order; a sampler that shuffled anew in each epoch would refute it."""
    assert checked(data.d7(room)).word == "supported"
    real = data._orders
    monkeypatch.setattr(data, "_orders", lambda seed, epochs, set_epoch=True: real(seed, epochs))
    assert data.d7(room).word == "refuted"
