"""What two rows say of two trials besides their digests. No torch.

What this does *not* do: find where they part (`lrbench.diverge.steps`), or judge what a note has to do with it.
"""

from lrbench.factors import Trial

_EFFECTIVE = (
    *("cudnn_enabled", "cudnn_benchmark", "cudnn_deterministic", "deterministic_algorithms"),
    *("cudnn_fp32_precision", "matmul_fp32_precision", "num_threads"),
)
_PLACE = (
    *("hostname", "cpu_model", "gpu_name", "torch_version", "cuda_version", "cudnn_version", "numpy_version"),
    *("python_version", "git_commit", "data_sha256"),
)


def notes_on(a: Trial, b: Trial, row_a: dict, row_b: dict) -> tuple[str, ...]:
    """Return what two rows say besides their digests: factors, flags, forgotten seeds, place."""
    notes = []
    if a.content != b.content:
        keys = [key for key in {**a.content, **b.content} if a.content.get(key) != b.content.get(key)]
        notes.append(f"A and B are different trials: they differ in {', '.join(keys)}")
    for side, row in (("A", row_a), ("B", row_b)):
        off = [
            f"{name} was to be {row[name]}, was {row[f'effective_{name}']}"
            for name in _EFFECTIVE[1:]
            if row.get(f"effective_{name}") is not None and row[f"effective_{name}"] != row[name]
        ]
        if off:
            notes.append(f"{side}: after training {'; '.join(off)}: the trial's own code has set it")
    for column, generator in (("numpy_rng_used", "NumPy's global generator"), ("python_rng_used", "Python's random")):
        using = [side for side, row in (("A", row_a), ("B", row_b)) if row.get(column)]
        if using:
            notes.append(
                f"{' and '.join(using)} drew from {generator}, which torch.manual_seed does not seed: "
                "seed it in the model's or the data's code"
            )
    other = [f"{name} ({row_a.get(name)}, {row_b.get(name)})" for name in _PLACE if row_a.get(name) != row_b.get(name)]
    if other:
        notes.append(f"not the same in A and B: {', '.join(other)}")
    return tuple(notes)
