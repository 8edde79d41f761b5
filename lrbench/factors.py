"""The factors: what can vary in a trial, and the trial that they make. No torch here.

`Trial` lists every factor with its type, default and meaning. `check_level` tells whether a level is allowed and, if
not, everything that is wrong with it. What this does *not* do: know how a scheduler, an optimizer, a warm-up or a
workload is checked (`lrbench.levels`), read files or build grids (`lrbench.study`).
"""

import json
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from lrbench.calls import format_call
from lrbench.errors import InputError, did_you_mean
from lrbench.levels import (
    EXAMPLES,
    STRICT,
    Problems,
    Warmup,
    allowed,
    check_call,
    check_warmup,
    check_workload,
    makes_one_group,
    named,
    place_words,
    wrong_groups,
)
from lrbench.seeds import STREAMS
from lrbench.workloads import WORKLOADS, workload_label

LARGEST_COUNT = 2**31 - 1  # what a row's int32 columns hold; a seed's are int64
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


def _off(value_type):
    return Literal["off"] | value_type


class Trial(BaseModel):
    """One point of the grid with its seed and replicate: a description, named by a hash of its content.

    Every factor is a field; `Trial(workload="digits-cnn", scheduler="StepLR(step_size=3)")` is a whole trial, the rest
    being defaults and the workload's recipe. Raises InputError with every mistake, as a study does.
    """

    model_config = STRICT

    workload: Annotated[str | dict, BeforeValidator(check_workload)]
    epochs: Annotated[int, Field(ge=1, le=LARGEST_COUNT, description="passes over the training images")]
    batch_size: Annotated[
        int, Field(ge=1, le=LARGEST_COUNT, description="images in one optimizer step; a last partial batch is dropped")
    ]
    base_lr: Annotated[float, Field(ge=0, description="the optimizer's lr, which the scheduler starts from")]
    optimizer: Annotated[dict, named("optimizer"), Field(description="a torch.optim class with its arguments")]
    scheduler: Annotated[
        dict, named("scheduler"), Field(description="a torch.optim.lr_scheduler class with its arguments")
    ] = {"name": "ConstantLR", "interval": "epoch", "factor": 1.0}
    warmup: Annotated[_off(Warmup), Field(description="a multiplier on the first steps")] = "off"
    clip_grad_norm: Annotated[_off(Annotated[float, Field(gt=0)]), Field(description="torch's clip_grad_norm_")] = "off"
    clip_grad_value: Annotated[_off(Annotated[float, Field(gt=0)]), Field(description="torch's clip_grad_value_")] = (
        "off"
    )
    cudnn_benchmark: Annotated[bool, Field(description="torch.backends.cudnn.benchmark")] = False
    cudnn_deterministic: Annotated[bool, Field(description="torch.backends.cudnn.deterministic")] = False
    deterministic_algorithms: Annotated[
        Literal["off", "warn", "strict"], Field(description="torch.use_deterministic_algorithms")
    ] = "off"
    cudnn_fp32_precision: Annotated[
        Literal["tf32", "ieee"], Field(description="torch.backends.cudnn.conv.fp32_precision; tf32 is torch's default")
    ] = "tf32"
    matmul_fp32_precision: Annotated[
        Literal["ieee", "tf32"], Field(description="torch.backends.cuda.matmul.fp32_precision; ieee is torch's default")
    ] = "ieee"
    precision: Annotated[Literal["fp32", "bf16", "fp16"], Field(description="autocast; fp16 with a GradScaler")] = (
        "fp32"
    )
    channels_last: Annotated[bool, Field(description="memory format of model and images")] = False
    compile: Annotated[
        Literal["off", "default", "reduce-overhead", "max-autotune"], Field(description="torch.compile's mode")
    ] = "off"
    poke_ulps: Annotated[
        int, Field(ge=0, le=2**20, description="move one weight by so many units in the last place before training")
    ] = 0
    num_threads: Annotated[
        int, Field(ge=1, le=LARGEST_COUNT, description="torch.set_num_threads; on a CPU as many cores are pinned")
    ] = 1
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")] = "auto"
    seed: Annotated[Seed, Field(description="decides init, order, augmentation and dropout")] = 0
    seed_init: Annotated[Seed, Field(description="initial weights; follows seed unless given")] = None
    seed_order: Annotated[Seed, Field(description="order of the images; follows seed unless given")] = None
    seed_augmentation: Annotated[Seed, Field(description="crops and flips; follows seed unless given")] = None
    seed_dropout: Annotated[Seed, Field(description="dropout masks; follows seed unless given")] = None
    replicate: Annotated[int, Field(ge=0, le=LARGEST_COUNT, description="the same trial again in a new process")] = 0

    def __init__(self, **factors: Any) -> None:
        try:
            super().__init__(**factors)
        except ValidationError as error:
            raise InputError(*(_mistakes(factors) or map(_sentence, error.errors()))) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """The workload's recipe fills what is not given; each stream follows `seed` unless it has its own."""
        if not isinstance(values, Mapping):
            return values
        values = {**recipe(values.get("workload")), **values}
        for stream in STREAMS:
            if values.get(f"seed_{stream}") is None:
                values[f"seed_{stream}"] = values.get("seed", 0)
        return values

    @model_validator(mode="after")
    def _fits_together(self):
        if self.optimizer["name"] == "LBFGS" and self.precision == "fp16":
            raise ValueError(
                "LBFGS evaluates the loss itself, which the GradScaler of fp16 cannot follow: use bf16 or fp32"
            )
        if makes_one_group(self.workload) and (wrong := wrong_groups(self.scheduler, 1)):
            raise ValueError(wrong)
        return self

    @cached_property
    def content(self) -> dict:
        """What the trial is, as plain JSON. Factors at their defaults are left out, so that a factor added in a later
        version leaves the names of older trials alone."""
        values = self.model_dump(mode="json", exclude_none=True)
        plain = {k: v for k, v in values.items() if k in REQUIRED or v != _DEFAULTS.get(k)}
        for stream in STREAMS:
            if plain.get(f"seed_{stream}") == self.seed:
                del plain[f"seed_{stream}"]
        return {**plain, "seed": self.seed, "replicate": self.replicate}

    @cached_property
    def trial_id(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of `content` as canonical JSON."""
        return _digest(self.content)

    @cached_property
    def condition(self) -> dict:
        """Every factor but the seeds and the replicate."""
        return {k: v for k, v in self.content.items() if k not in SEEDS and k != "replicate"}

    @cached_property
    def condition_id(self) -> str:
        return _digest(self.condition)

    def at(self, **seeds_and_replicate: int) -> "Trial":
        """Return the same condition at other seeds and another replicate; a stream follows `seed` unless it is named.

        Cheap where a study has very many trials: nothing but these numbers changes, and they are levels already.
        """
        seed = seeds_and_replicate.get("seed", self.seed)
        follow = {f"seed_{stream}": seed for stream in STREAMS}
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_construct(**{**values, **follow, **seeds_and_replicate})

    def labels(self) -> dict[str, Any]:
        """The factors as they stand in a row: calls and tables as text, "off" where a number is not set."""
        values = self.model_dump(mode="json", exclude_none=True)
        scheduler = dict(self.scheduler)
        values |= {
            "workload": workload_label(self.workload),
            "optimizer": format_call(self.optimizer),
            "optimizer_name": self.optimizer["name"],
            "scheduler_name": scheduler["name"],
            "scheduler_interval": scheduler.pop("interval"),
            "scheduler_monitor": scheduler.get("monitor"),
            "scheduler": format_call(scheduler),
            "warmup": "off" if self.warmup == "off" else json.dumps(values["warmup"], sort_keys=True),
            "clip_grad_norm": None if self.clip_grad_norm == "off" else self.clip_grad_norm,
            "clip_grad_value": None if self.clip_grad_value == "off" else self.clip_grad_value,
        }
        return values


SEEDS = ("seed", *(f"seed_{stream}" for stream in STREAMS))
FACTORS = [name for name in Trial.model_fields if name != "replicate"]
REQUIRED = ("workload", "epochs", "batch_size", "base_lr", "optimizer", "scheduler")
_DEFAULTS = {name: field.default for name, field in Trial.model_fields.items()}
_ADAPTERS = {
    name: TypeAdapter(
        Annotated[(field.annotation, Field(), *field.metadata)], config=ConfigDict(strict=True, allow_inf_nan=False)
    )
    for name, field in Trial.model_fields.items()
}
# what people call a factor elsewhere
_ALSO_KNOWN = {
    "lr": "base_lr",
    "learning_rate": "base_lr",
    "benchmark": "cudnn_benchmark",
    "deterministic": "cudnn_deterministic",
    "tf32": "cudnn_fp32_precision",
    "amp": "precision",
    "model": "workload",
    "seeds": "seed",
    "threads": "num_threads",
    "lr_scheduler": "scheduler",
    "weight_decay": "optimizer",
    "momentum": "optimizer",
    "interval": "scheduler",
}


def _digest(content: dict) -> str:
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def recipe(workload: Any) -> dict:
    if isinstance(workload, str):
        return WORKLOADS.get(workload, {}).get("recipe", {})
    if isinstance(workload, Mapping):
        return {**WORKLOADS.get(workload.get("base"), {}).get("recipe", {}), **(workload.get("recipe") or {})}
    return {}


def unknown_factor(key: str) -> str:
    """Say that `key` is no factor, and what it is called here if it goes by another name elsewhere."""
    if key in ("weight_decay", "momentum", "interval"):
        return f"is no factor: it is an argument inside {_ALSO_KNOWN[key]}, as in {EXAMPLES[_ALSO_KNOWN[key]]}"
    if key in _ALSO_KNOWN:
        return f"is no factor: it is called {_ALSO_KNOWN[key]} here"
    return f"is no factor; allowed: {', '.join(FACTORS)}.{did_you_mean(key, FACTORS)}"


def _mistakes(factors: dict[str, Any]) -> list[str]:
    """Return what is wrong with each factor by itself: unknown ones and bad levels, or else what is missing."""
    found = []
    for key, level in factors.items():
        if key not in Trial.model_fields:
            found.append(f"{key} {unknown_factor(key)}")
            continue
        try:
            check_level(key, level)
        except Problems as error:
            found += [f"{key}{place_words(place)} {message}" for place, message in error.found]
    if found:
        return found
    if "workload" not in factors:
        return ['workload is missing: give workload="digits-cnn", or your own as "module:attr"']
    given = {**recipe(factors["workload"]), **factors}
    examples = {"epochs": "10", "batch_size": "128", "base_lr": "0.1", "optimizer": '"SGD"'}
    return [
        f"{key} is missing, and the workload has no recipe for it: give {key}={example}"
        for key, example in examples.items()
        if key not in given
    ]


def _sentence(item: dict) -> str:
    """Return pydantic's words for factors of which each is fine by itself, and which do not go together."""
    return item["msg"].removeprefix("Value error, ")


def check_level(key: str, level: Any) -> Any:
    """Return the level as plain JSON, checked. Raises Problems with everything that is wrong with it."""
    field = Trial.model_fields[key]
    if key == "workload":
        return check_workload(level)
    if key in ("scheduler", "optimizer"):
        return check_call(level, key)
    if key == "warmup" and isinstance(level, dict):
        return check_warmup(level)
    try:
        return _ADAPTERS[key].validate_python(level)
    except ValidationError as error:
        wanted = allowed(error.errors())
        meaning = "" if field.description in wanted else f" ({field.description})"
        raise Problems([((), f"found {level!r}; {wanted}{meaning}")]) from None


def factor_table() -> str:
    """Return the table of factors in the README: name, default, meaning."""
    lines = ["| factor | default | meaning |", "|---|---|---|"]
    for name in FACTORS:
        field = Trial.model_fields[name]
        default = "follows `seed`" if name in SEEDS and name != "seed" else f"`{field.default!r}`"
        if field.is_required():
            default = "" if name == "workload" else "the workload's recipe"
        elif isinstance(field.default, dict):
            table = {key: value for key, value in field.default.items() if key != "interval"}
            default = f"`{format_call(table)}`"
        meaning = field.description or "model + data + loss + recipe: a name, a table, or `module:attr`"
        lines.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(factor_table())
