"""The smallest change that a training can begin with: one weight moved by units in its last place.

The positive control of every distance between trials: what it does to the result is what chaos alone does. Source:
Summers and Dinneen, arXiv 2103.04514.
"""

import torch
from torch import nn


@torch.no_grad()
def poke(model: nn.Module, ulps: int) -> None:
    """Move the first element of the model's first parameter by so many ulps, away from zero (0: not at all).

    Raises ValueError where the model has no parameter to move.
    """
    if not ulps:
        return
    parameter = next(model.parameters(), None)
    if parameter is None or not parameter.numel():
        raise ValueError("poke_ulps moves the first weight of the model, and this model has none")
    first = parameter.detach().view(-1)[:1]
    outwards = torch.where(first < 0, -torch.inf, torch.inf).to(first.dtype)
    for _ in range(ulps):
        first.copy_(torch.nextafter(first, outwards))
