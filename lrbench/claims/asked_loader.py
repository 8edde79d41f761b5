"""Asked in a fresh process: what torch's DataLoader hands out, with workers and without.

torch is imported when a function is called. What this does *not* do: compare the answers of two processes.
"""

import random

NUM_ITEMS, BATCH_SIZE, NUM_EPOCHS = 24, 4, 2


def drawn_each(calls: list[dict]) -> list[dict]:
    """Return `drawn` of each of the calls' arguments, one after the other in this process; each seeds all anew."""
    return [drawn(**arguments) for arguments in calls]


def drawn(num_workers: int, own_generator: bool = True) -> dict[str, list]:
    """Return what two epochs of a shuffled DataLoader give, item by item in the order in which they come.

    `order` are the items' numbers; `torch`, `python` and `numpy` what a transform draws from each global generator;
    `by item` what it draws from a generator of its own, seeded by epoch and item. All seeds are 0.
    """
    import numpy
    import torch

    numpy.random.seed(0)
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = _items()
    generator = torch.Generator().manual_seed(0) if own_generator else None
    loader = torch.utils.data.DataLoader(
        data, batch_size=BATCH_SIZE, shuffle=True, num_workers=num_workers, generator=generator
    )
    seen: dict[str, list] = {"order": [], "torch": [], "python": [], "numpy": [], "by item": []}
    for epoch in range(NUM_EPOCHS):
        data.epoch = epoch
        for batch in loader:
            for name, values in zip(seen, batch, strict=True):
                seen[name] += values.tolist()
    return seen


def _items():
    import numpy
    import torch

    from lrbench.seeds import derive_seed

    class Items(torch.utils.data.Dataset):
        epoch = 0

        def __len__(self) -> int:
            return NUM_ITEMS

        def __getitem__(self, item: int) -> tuple:
            own = torch.Generator().manual_seed(derive_seed("augmentation", 0, self.epoch, item))
            return item, torch.rand(()), random.random(), numpy.random.rand(), torch.rand((), generator=own)

    return Items()
