"""pytest-benchmark's door to lrbench, the comparison with its peers, and the nightly job.

    pytest benchmarks --benchmark-only    trials, scheduler steps, digests, commits, the runner against its peers
    python -m benchmarks.peers            the last of these in full: interleaved, with a table of what was wanted
    python -m benchmarks.nightly          the nightly study, the benchmarks, the report, a summary and a verdict

The studies that travel with lrbench are in `studies/`. What this does *not* do: measure a trial (`lrbench.trial` does,
whichever door it came through) or say what rows mean (`analysis`). It is no part of the wheel.
"""
