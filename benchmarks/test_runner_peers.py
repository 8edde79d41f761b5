"""The runner against its peers, in short: see `benchmarks.peers`, which does it in full and interleaved.

Here each arm runs once, and the shell loop on four trials only, counted per trial. The runner comes last: its
`extra_info` holds the ratios to the arms that ran before it.
"""

import pytest

from benchmarks import peers
from lrbench.errors import InputError

NUM_TRIALS, NUM_SHELL, NUM_ROUNDS = 24, 4, 12

try:
    peers.cores()
except InputError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.benchmark(group="the runner and its peers")


@pytest.fixture(scope="module")
def ran() -> dict[str, peers.Run]:
    """The arms that have run in this session."""
    return {}


def test_floor(benchmark, ran):
    """Bare training on two warm processes."""
    with peers.warm_workers() as workers:
        ran["floor"] = benchmark.pedantic(workers.run, [peers.peer_study(NUM_TRIALS)], rounds=1)
    note(benchmark, ran["floor"])


def test_subprocess(benchmark, ran):
    """A Python of its own for each trial."""
    ran["subprocess"] = benchmark.pedantic(peers.with_subprocesses, [peers.peer_study(NUM_SHELL)], rounds=1)
    note(benchmark, ran["subprocess"])


def test_runner(benchmark, ran, tmp_path):
    """`lrbench run`, a fresh process for each trial; every arm reaches the same accuracies."""
    run = benchmark.pedantic(peers.with_runner, [peers.peer_study(NUM_TRIALS), tmp_path / "runner"], rounds=1)
    note(benchmark, run)
    peers.require_same(run, *ran.values())
    benchmark.extra_info["start_up_seconds"] = run.start_up_seconds
    if "subprocess" in ran:
        times = run.trials_per_minute / ran["subprocess"].trials_per_minute
        benchmark.extra_info["times_subprocess_per_trial"] = times
    if "floor" in ran:
        share = ran["floor"].seconds / (run.seconds - run.start_up_seconds)
        benchmark.extra_info["share_of_floor_after_start_up"] = share


def test_loop(benchmark):
    """What the measuring loop adds to a step of a bare one, on the same tensors in one process, in turn."""
    cost = benchmark.pedantic(peers.loop_cost, [NUM_ROUNDS], rounds=1)
    benchmark.extra_info |= {"num_rounds": cost.num_rounds, "loop_seconds_a_step": cost.added_seconds}
    benchmark.extra_info["loop_share"] = cost.share


def note(benchmark, run: peers.Run) -> None:
    benchmark.extra_info |= {"num_trials": len(run.accuracies), "trials_per_minute": run.trials_per_minute}
