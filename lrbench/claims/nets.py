"""The networks that claims on cuDNN put on a device, as plain tables: a name, a function, its arguments, its input.

One convolution of a known size, and operations whose CUDA backward adds with atomics. torch is imported when a function
is called. What this does *not* do: train or time them (`lrbench.claims.asked_kernels`).
"""

HERE = "lrbench.claims.nets"


def convolution_net(kernel_size: int, *, channels: int = 64, image_size: int = 32, batch_size: int = 64) -> dict:
    """Return the table of two convolutions of one size, 3 → channels → channels.

    >>> convolution_net(3, channels=8)["what"]
    'convolution 3x3, 8 channels'
    """
    return {
        "what": f"convolution {kernel_size}x{kernel_size}, {channels} channels",
        "model": f"{HERE}:convolution",
        "arguments": {"kernel_size": kernel_size, "channels": channels},
        "input": [batch_size, 3, image_size, image_size],
    }


def linear_net(num_features: int = 4096, *, batch_size: int = 256) -> dict:
    """Return the table of three linear layers: matrix products and nothing else."""
    return {
        "what": f"linear, {num_features} features",
        "model": f"{HERE}:linear",
        "arguments": {"num_features": num_features},
        "input": [batch_size, num_features],
    }


RESNET18 = {
    "what": "ResNet-18",
    "model": "torchvision.models:resnet18",
    "arguments": {"num_classes": 10},
    "input": [32, 3, 64, 64],
}
# Operations whose backward on CUDA adds with atomics (torch's notes on use_deterministic_algorithms).
ATOMIC = [
    {"what": what, "model": f"{HERE}:{function}", "arguments": {}, "input": [16, 3, 30, 30]}
    for what, function in [
        ("overlapping AdaptiveAvgPool2d", "overlapping_pooling"),
        ("bilinear upsampling", "upsampling"),
        ("index_add", "index_add"),
    ]
]


def convolution(kernel_size: int, channels: int):
    """Return two convolutions with a ReLU between them, padded so that the image keeps its size."""
    from torch import nn

    padding = kernel_size // 2
    return nn.Sequential(
        nn.Conv2d(3, channels, kernel_size, padding=padding),
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size, padding=padding),
    )


def linear(num_features: int):
    """Return three square linear layers with ReLUs between them."""
    from torch import nn

    layers = [nn.Linear(num_features, num_features) for _ in range(3)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def overlapping_pooling():
    """Return a convolution and AdaptiveAvgPool2d(7) of 30 pixels: bins overlap, as 30 is no multiple of 7."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.AdaptiveAvgPool2d(7))


def upsampling():
    """Return a convolution and a bilinear upsampling to 97 pixels."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Upsample(size=97, mode="bilinear", align_corners=False))


def index_add():
    """Return a convolution whose pixels are added up in 13 bins: many addends for each sum, in no order."""
    import torch
    from torch import nn

    class Binned(nn.Module):
        def forward(self, x):
            x = x.flatten(1)
            bins = torch.arange(x.shape[1], device=x.device) % 13
            return torch.zeros(len(x), 13, device=x.device).index_add(1, bins, x)

    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), Binned())
