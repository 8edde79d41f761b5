"""The models that come with lrbench: small enough to train again and again, plain enough to read.

Each is a function of num_classes that returns an untrained module; initial weights come from torch's global generator,
which the trial seeds. What this does *not* do: load pretrained weights, or know optimizers (`decay_groups` only sorts).
"""

from torch import Tensor, nn


def _conv_block(in_channels: int, out_channels: int, *, pool: bool = False) -> nn.Sequential:
    """Convolution 3x3, batch normalisation, ReLU, and where asked a 2x2 maximum. No bias: the norm has one."""
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


def small_cnn(num_classes: int, in_channels: int, image_size: int) -> nn.Sequential:
    """Return three convolution blocks (16, 32, 64 channels), dropout 0.2 and a linear head.

    Takes (n, in_channels, image_size, image_size); two blocks halve the image, so image_size is at least 4. Dropout
    makes the dropout stream of a seed matter.
    """
    return nn.Sequential(
        _conv_block(in_channels, 16, pool=True),
        _conv_block(16, 32, pool=True),
        _conv_block(32, 64),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64 * (image_size // 4) ** 2, num_classes),
    )


class _Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Scale(nn.Module):
    """factor * x: keeps the logits of an untrained head near zero."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def resnet9(num_classes: int) -> nn.Sequential:
    """Return the ResNet-9 of the DAWNBench CIFAR-10 entries, for (n, 3, 32, 32).

    Channels 64, 128, 256, 512; residual pairs at 128 and 512; logits times 0.125. After David Page, "How to Train Your
    ResNet" (2018). No dropout: the dropout stream moves nothing here.
    """
    return nn.Sequential(
        _conv_block(3, 64),
        _conv_block(64, 128, pool=True),
        _Residual(nn.Sequential(_conv_block(128, 128), _conv_block(128, 128))),
        _conv_block(128, 256, pool=True),
        _conv_block(256, 512, pool=True),
        _Residual(nn.Sequential(_conv_block(512, 512), _conv_block(512, 512))),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(512, num_classes, bias=False),
        _Scale(0.125),
    )


def resnet18_small_images(num_classes: int) -> nn.Module:
    """Return torchvision's resnet18 with the stem that He et al. use on CIFAR (arXiv 1512.03385, section 4.2).

    The first convolution is 3x3 with stride 1 and the first pooling is gone, so that a 32x32 image is not down to 8x8
    before the first residual block.
    """
    from torchvision.models import resnet18

    model = resnet18(weights=None, num_classes=num_classes)
    model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does for the rest
    model.maxpool = nn.Identity()
    return model


def decay_groups(model: nn.Module) -> list[dict]:
    """Return two parameter groups: weights of two dimensions or more, and the rest with weight_decay 0.

    The first group keeps the optimizer's own weight_decay; the second holds biases and the parameters of norms. A group
    that would be empty is left out. As in He et al., arXiv 1812.01187, section 3.1 ("no bias decay").
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim >= 2]
    plain = [p for p in parameters if p.ndim < 2]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def logits_of(output: object) -> Tensor:
    """Return the logits of a model's output: the tensor itself, or `.logits` of torchvision's Inception and GoogLeNet.

    Those two return a named tuple in train mode, with auxiliary heads that are left out of the loss here. Raises
    TypeError for anything else.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise TypeError(f"the model returned a {type(output).__name__}; wanted: a tensor of logits, (images, classes)")
    return logits
