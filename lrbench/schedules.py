"""Multipliers of the base rate as plain functions of the step, for LambdaLR. No torch here.

Each takes the number of scheduler steps taken so far (0 at the first) and returns what the base rate is multiplied
with. Name one in a study, or one of your own: `{ name = "LambdaLR", lr_lambda = "lrbench.schedules:inverse_sqrt" }`.
"""


def inverse_sqrt(step: int) -> float:
    """Return 1 / sqrt(step + 1): the decay of Vaswani et al. (arXiv 1706.03762, equation 3), without its warm-up.

    >>> inverse_sqrt(0), inverse_sqrt(3)
    (1.0, 0.5)
    """
    return (step + 1) ** -0.5
