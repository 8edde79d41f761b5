"""Asked in a fresh process: DistributedDataParallel over gloo, each rank a process of its own, on the CPU.

The ranks are forked from the asked process, which has torch loaded and has run none of it, and meet over a file. torch
is imported when a function is called. What this does *not* do: compare ranks or jobs, or use NCCL.
"""

import json
import multiprocessing
import tempfile
import time
from datetime import timedelta
from pathlib import Path

GLOBAL_BATCH = 48  # whole for 1 to 4 ranks
MEET_SECONDS = 60
BASE_LR, GAMMA = 0.1, 0.5


def train(jobs: list[dict]) -> list[list[dict]]:
    """Return for each job what each of its ranks saw; see `_rank` for what a job may say. One job after the other."""
    import torch._dynamo  # the first optimizer imports it: once here, and not in every rank
    import torch.distributed  # noqa: F401

    from lrbench.trial import digest  # noqa: F401

    return [_job(job) for job in jobs]


def _job(job: dict) -> list[dict]:
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ranks = [
            context.Process(target=_rank, args=(folder, rank), kwargs=job, daemon=True)
            for rank in range(job["world_size"])
        ]
        for process in ranks:
            process.start()
        until = time.monotonic() + 2 * MEET_SECONDS
        for process in ranks:
            process.join(max(0.0, until - time.monotonic()))
        ended = [process.exitcode for process in ranks]
        for process in ranks:
            process.kill()
        if any(ended):  # 0 is well; None is still running
            raise RuntimeError(f"of {job} the ranks ended with {ended}")
        return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(len(ranks))]


def _rank(
    folder: Path,
    rank: int,
    *,
    world_size: int,
    num_steps: int = 6,
    bucket_cap_mb: float = 25.0,
    batch_norm: bool = True,
    scheduler_calls: int = 1,
    ulp_at_step: int = 0,
) -> None:
    """Train a small network on this rank's share of each global batch and write what was seen to the folder.

    Every step gives a digest of the gradients as they were averaged, of the parameters and of batch norm's running
    statistics after the step, and the rate that was applied. Without `batch_norm`, which looks at a rank's share alone,
    any number of ranks computes the same in exact arithmetic. The two faults: `scheduler_calls` is how often the
    scheduler is stepped for one step of the optimizer, and after step `ulp_at_step` (from 1; 0: never) the last rank
    moves one of its weights by one ulp.
    """
    import torch
    from torch import distributed, nn

    from lrbench.trial.digest import fast_digest, gradients_of

    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=world_size,
        timeout=timedelta(seconds=MEET_SECONDS),
    )
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(128) if batch_norm else nn.Identity()
    model = nn.Sequential(nn.Linear(64, 128), norm, nn.ReLU(), nn.Linear(128, 96), nn.Linear(96, 10))
    images, labels = torch.randn(num_steps, GLOBAL_BATCH, 64), torch.randint(10, (num_steps, GLOBAL_BATCH))
    parallel = nn.parallel.DistributedDataParallel(model, bucket_cap_mb=bucket_cap_mb)
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=GAMMA)
    seen: dict[str, list] = {"gradients": [], "weights": [], "buffers": [], "lr": []}
    for step in range(num_steps):
        x, y = images[step, rank::world_size], labels[step, rank::world_size]
        optimizer.zero_grad()
        nn.functional.cross_entropy(parallel(x), y).backward()
        seen["lr"].append(optimizer.param_groups[0]["lr"])
        seen["gradients"].append(fast_digest(gradients_of(model)))
        optimizer.step()
        for _ in range(scheduler_calls):
            scheduler.step()
        if step + 1 == ulp_at_step and rank == world_size - 1:
            _move_one_ulp(model)
        seen["weights"].append(fast_digest(model.named_parameters()))
        seen["buffers"].append(fast_digest(model.named_buffers()))
    (folder / f"{rank}.json").write_text(json.dumps(seen))
    distributed.destroy_process_group()


def _move_one_ulp(model) -> None:
    import torch

    with torch.no_grad():
        first = next(model.parameters()).view(-1)[:1]
        first.copy_(torch.nextafter(first, torch.full_like(first, torch.inf)))
