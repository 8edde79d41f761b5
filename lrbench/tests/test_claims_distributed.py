"""D8, D9, D11: real ranks that meet over gloo, and the faults that each claim must see."""

import copy

import pytest

from lrbench.claims import asked_ddp, distributed, tables
from lrbench.claims.room import StudyRoom

STEPS = ["a", "b", "c"]


class Saw:
    """A room whose ranks have trained already."""

    device = "cpu"

    def __init__(self, repeated=(), varied=(), scheduled=()):
        self.answer = (list(repeated), list(varied), list(scheduled))

    def once(self, question):
        return self.answer


def rank(weights=STEPS, buffers=STEPS, lr=()) -> dict:
    """What one rank saw."""
    return {"gradients": list(STEPS), "weights": list(weights), "buffers": list(buffers), "lr": list(lr)}


def checked(verdict):
    """Every row of evidence has its columns and their types."""
    for row in verdict.evidence:
        tables.checked(row, tables.EVIDENCE)
    return verdict


# ---------------------------------------------------------------------------------------------------- D8, equal ranks


def test_d8_is_supported_by_equal_ranks_and_repeats():
    """Ranks that are equal after every step, in four runs: two disjoint pairs of runs bound a mismatch at 78 %."""
    verdict = checked(distributed.d8(Saw(repeated=[[rank(), rank()]] * 4)))
    assert verdict.word == "supported"
    assert "in 2 of 2 pairs of runs (a mismatch in at most 78%" in verdict.seen


def test_d8_lets_each_rank_have_its_own_running_statistics():
    """Batch norm's buffers may part between ranks, which is said with the step; between repeats they may not."""
    ranks = [rank(), rank(buffers=["a", "x", "y"])]
    verdict = distributed.d8(Saw(repeated=[ranks] * 4))
    assert verdict.word == "supported"
    assert "part at step 2" in verdict.seen
    others = [rank(buffers=["z", "b", "c"]), rank()]
    assert distributed.d8(Saw(repeated=[ranks, ranks, others, others])).word == "refuted"


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        ([rank(), rank(weights=["a", "b", "x"])], "weights, rank against rank: 3 of 4"),
        ([rank(weights=["x", "b", "c"]), rank(weights=["x", "b", "c"])], "weights, repeat against repeat: 1 of 2"),
    ],
)
def test_d8_is_refuted_by_one_run_that_differs(faulty, says):
    """One step of one rank, or one run of four, is enough."""
    verdict = distributed.d8(Saw(repeated=[faulty, *[[rank(), rank()]] * 3]))
    assert verdict.word == "refuted"
    assert says in verdict.seen


# ------------------------------------------------------------------------------------------------------- D9, bits


def varied(weights: dict) -> list:
    """What the ranks of every job of VARIED saw, the weights by (ranks, bucket), else STEPS."""
    return [[rank(weights.get((job["world_size"], job["bucket_cap_mb"]), STEPS))] for job in distributed.VARIED]


@pytest.mark.parametrize(
    ("weights", "word", "says"),
    [
        ({}, "refuted", "differs from one rank with no"),
        ({(3, 0.01): ["a", "b", "x"]}, "supported", "changes the weights with 3 ranks and leaves them with 1, 2, 4"),
        ({(2, 25.0): ["x", "b", "c"], (2, 0.01): ["x", "b", "c"]}, "supported", "differs from one rank with 2"),
    ],
)
def test_d9_says_which_of_the_two_changed_bits(weights, word, says):
    """Buckets and ranks are judged apart; where nothing changes, the claim is refuted."""
    verdict = checked(distributed.d9(Saw(varied=varied(weights))))
    assert verdict.word == word
    assert says in verdict.seen


# --------------------------------------------------------------------------------------------------- D11, schedule

ONCE, TWICE = [0.1, 0.05, 0.025], [0.1, 0.025, 0.00625]


@pytest.mark.parametrize(
    ("one", "two", "control", "word"),
    [
        ([ONCE], [ONCE, ONCE], [TWICE, TWICE], "supported"),
        ([ONCE], [TWICE, TWICE], [TWICE, TWICE], "refuted"),
        ([ONCE], [ONCE, TWICE], [TWICE, TWICE], "refuted"),
        ([ONCE], [ONCE, ONCE], [ONCE, ONCE], "refuted"),
        ([[0.1, 0.1, 0.05]], [ONCE, ONCE], [TWICE, TWICE], "refuted"),
    ],
)
def test_d11_fails_where_any_rank_is_stepped_otherwise(one, two, control, word):
    """A scheduler that runs ahead on all ranks or one, that lags, or a control that is not seen, fails the gate."""
    scheduled = [[rank(lr=lr) for lr in ranks] for ranks in (one, two, control)]
    assert checked(distributed.d11(Saw(scheduled=scheduled))).word == word


# ---------------------------------------------------------------------------------------------------- real ranks


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> dict[str, list]:
    """Real ranks in one fresh process: plain, with a planted ulp, with a scheduler that is stepped twice, and one."""
    room = StudyRoom(tmp_path_factory.mktemp("claims"), "cpu")
    jobs = {
        "plain": {"world_size": 2},
        "one ulp": {"world_size": 2, "ulp_at_step": 3},
        "twice": {"world_size": 2, "scheduler_calls": 2},
        "alone": {"world_size": 1},
    }
    (answers,) = room.fresh(
        "lrbench.claims.asked_ddp:train", [{"jobs": list(jobs.values())}], {"GLOO_SOCKET_IFNAME": "lo"}
    )
    return dict(zip(jobs, answers, strict=True))


@pytest.mark.slow
def test_real_ranks_agree_and_a_planted_ulp_is_seen_at_its_step(ranks):
    """Two real ranks have equal weights after every step; one ulp on the last after step 3 is seen there."""
    plain, poked = copy.deepcopy(ranks["plain"]), ranks["one ulp"]
    assert plain[0]["weights"] == plain[1]["weights"]
    assert len(set(plain[0]["weights"])) == 6
    verdict = distributed.d8(Saw(repeated=[plain, poked]))
    assert verdict.word == "refuted"
    (row,) = [row for row in verdict.evidence if row["what"] == "weights, rank against rank"]
    assert (row["num_equal"], row["step"]) == (1, 2)


@pytest.mark.slow
def test_real_schedulers_step_once_and_a_second_call_is_seen(ranks):
    """Real ranks apply 0.1 / 2 ** step; stepped twice 0.1 / 4 ** step; D11 passes on these and fails without."""
    assert ranks["plain"][1]["lr"] == [0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125]
    assert ranks["twice"][0]["lr"][:3] == [0.1, 0.025, 0.00625]
    scheduled = [ranks["alone"], ranks["plain"], ranks["twice"]]
    assert distributed.d11(Saw(scheduled=scheduled)).word == "supported"
    assert distributed.d11(Saw(scheduled=[ranks["alone"], ranks["twice"], ranks["twice"]])).word == "refuted"


@pytest.mark.slow
def test_a_rank_that_dies_is_told(tmp_path):
    """A job whose ranks cannot train is an error with their exit codes, and no answer is made up."""
    room = StudyRoom(tmp_path, "cpu")
    with pytest.raises(RuntimeError, match="the ranks ended with"):
        room.fresh("lrbench.claims.asked_ddp:train", [{"jobs": [{"world_size": 1, "bucket_cap_mb": "wide"}]}])


def test_the_global_batch_is_whole_for_every_number_of_ranks():
    """Every rank has an equal share, so that the mean over ranks is the mean over the global batch."""
    assert all(asked_ddp.GLOBAL_BATCH % world_size == 0 for world_size in distributed.WORLD_SIZES)
