"""A network whose process is killed in the middle of training: how an interruption is made, for real and on time.

Nothing is simulated: the process ends by SIGKILL as the forward pass of a step begins, whatever it was about to write.
"""

import os
import random
import signal
from pathlib import Path

import numpy
from torch import Tensor, nn

from lrbench.trial.models import small_cnn


class KilledOnce(nn.Module):
    """`small_cnn`, killed as its training step `at_step` (from 0) begins, as long as the file `unless` does not exist.

    The count is of this process: the one that goes on from a checkpoint counts anew, so create `unless` before it does.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int, at_step: int, unless: str):
        super().__init__()
        self.network = small_cnn(num_classes, in_channels, image_size)
        self._at_step = at_step
        self._unless = Path(unless)
        self._num_steps = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            if self._num_steps == self._at_step and not self._unless.exists():
                os.kill(os.getpid(), signal.SIGKILL)
            self._num_steps += 1
        return self.network(x)


class EveryStream(nn.Module):
    """`small_cnn` on images that are scaled by a draw from Python's and one from NumPy's global stream at each step.

    Dropout inside draws from torch's. So the end of a training tells whether each of the three was restored. Logits are
    large, so that in fp16 the first scale of a GradScaler is too much for the gradients, and its state matters too.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int):
        super().__init__()
        self.network = small_cnn(num_classes, in_channels, image_size)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x * (1 + 0.1 * random.random()) * (1 + 0.1 * numpy.random.random())
        return 64 * self.network(x)
