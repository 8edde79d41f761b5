"""What the rows of a study mean: rows in, Answers out. Never imports torch.

    from analysis import throughput
    print(throughput.answer(rows).sentences)

Each answer is a module of its own, and a command: `python -m analysis.throughput results/quickstart`. Nothing is
imported here, so that `import analysis` costs nothing. What this does *not* do: run trials or change rows (`lrbench`).
"""
