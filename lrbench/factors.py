"""The factors: what can vary in a trial, its allowed levels, and the trial that they make. No torch here.

`Trial` lists every factor with its type, default and meaning. `check_level` tells whether a level is allowed and, if
not, everything that is wrong with it. What this does *not* do: read files or build grids (`lrbench.study`).
"""

import json
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lrbench.calls import (
    COMPOSITES,
    SCHEDULER_DEFAULTS,
    STEP_COUNTS,
    Reference,
    arguments_model,
    format_call,
    is_reference,
    known_names,
    parse_call,
    unknown_class,
)
from lrbench.closed_forms import PER_GROUP
from lrbench.errors import InputError, did_you_mean
from lrbench.seeds import STREAMS
from lrbench.workloads import DATA, DEFAULTS, WORKLOADS, workload_label

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
LARGEST_COUNT = 2**31 - 1  # what a row's int32 columns hold; a seed's are int64
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
MONITORS = {"val_loss": "min", "train_loss": "min", "val_accuracy": "max"}


class Problems(ValueError):
    """Several problems found below one place: [(place, message)]. Only travels inside this module."""

    def __init__(self, found: list[tuple[tuple, str]]):
        self.found = found
        super().__init__("; ".join(message for _, message in found))


# ---------------------------------------------------------------------------------------------- scheduler, optimizer


def _call(value: Any, kind: Literal["scheduler", "optimizer"], place: tuple = (), nested: bool = False) -> dict:
    """Return a table of a torch class with its arguments checked against the installed torch's own signature."""
    if isinstance(value, str):
        try:
            value = parse_call(value, kind)
        except InputError as error:
            raise Problems([(place, str(error))]) from None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise Problems([(place, f"found {value!r}; a {kind} is a table with a name, as in {_EXAMPLES[kind]}")])
    table = dict(value)
    name = table.pop("name")
    own_code = kind == "scheduler" and is_reference(name)
    if name not in known_names(kind) and not own_code:
        raise Problems([((*place, "name"), unknown_class(kind, name))])
    found: list[tuple[tuple, str]] = []
    extra = {}
    if kind == "scheduler":
        table = {**SCHEDULER_DEFAULTS.get(name, {}), **table}
        given = table.pop("monitor", None) if name in COMPOSITES else None
        extra, problems = _scheduler_extras(name, table, place, nested)
        found += problems
        if isinstance(table.get("schedulers"), list):
            table["schedulers"] = list(table["schedulers"])
            for index, child in enumerate(table["schedulers"]):
                try:
                    table["schedulers"][index] = _call(child, kind, (*place, "schedulers", index), nested=True)
                except Problems as error:
                    found += error.found
            if not found:
                found += _one_metric(table["schedulers"], given, extra, place, nested)
    if own_code:
        if found:
            raise Problems(found)
        return {"name": name, **table, **extra}
    model = arguments_model(kind, name)
    try:  # the dump makes 1 and 1.0 the same level of a float argument, and so the same trial
        table = model.model_validate(table).model_dump(exclude_unset=True)
    except ValidationError as error:
        found += _explain(error, model, place, f"{name}'s arguments")
    if found:
        raise Problems(found)
    return {"name": name, **table, **extra}


def _scheduler_extras(name: str, table: dict, place: tuple, nested: bool) -> tuple[dict, list]:
    """Take out of `table` what is ours and not torch's: `interval`, and for ReduceLROnPlateau `monitor`."""
    extra, found = {}, []
    plateau = name == "ReduceLROnPlateau"
    watches = plateau or (is_reference(name) and "monitor" in table)  # the user's own says so by naming a metric
    if "interval" in table or not nested:
        extra["interval"] = table.pop("interval", "epoch")
        if extra["interval"] not in ("epoch", "step"):
            found.append(((*place, "interval"), f"found {extra['interval']!r}; allowed: 'epoch', 'step'"))
        if nested:
            found.append(((*place, "interval"), "belongs to the outermost scheduler: one clock drives them all"))
    if watches:
        extra["monitor"] = monitor = table.pop("monitor", "val_loss")
        if monitor not in MONITORS:
            hint = did_you_mean(str(monitor), MONITORS)
            found.append(((*place, "monitor"), f"found {monitor!r}; allowed: {', '.join(MONITORS)}.{hint}"))
        elif plateau and table.get("mode", "min") != MONITORS[monitor]:
            wanted = f'mode = "{MONITORS[monitor]}"'
            found.append(
                ((*place, "mode"), f"with monitor {monitor!r} the rate would fall on progress: write {wanted}")
            )
        if extra.get("interval") == "step" and monitor != "train_loss":
            found.append(((*place, "monitor"), f'interval = "step" can only watch "train_loss", found {monitor!r}'))
    return extra, found


def _one_metric(
    children: list[dict], given: str | None, extra: dict, place: tuple, nested: bool
) -> list[tuple[tuple, str]]:
    """Give a scheduler that holds others the metric that they watch; say what is wrong where they watch two."""
    watched = sorted({child["monitor"] for child in children if "monitor" in child})
    if given is not None and watched != [given]:
        seen = f"what is inside watches {watched[0]!r}" if watched else "nothing inside watches a metric"
        return [((*place, "monitor"), f"found {given!r}, but {seen}: leave it out here")]
    if len(watched) > 1:
        return [(place, f"its schedulers watch {' and '.join(watched)}; allowed: one metric, which all of them see")]
    if watched:
        extra["monitor"] = watched[0]
        if not nested and extra["interval"] == "step" and watched[0] != "train_loss":
            return [((*place, "interval"), f'"step" can only watch "train_loss", found {watched[0]!r}')]
    return []


def _explain(error: ValidationError, model: type[BaseModel], place: tuple, what: str) -> list[tuple[tuple, str]]:
    """Turn pydantic's errors into ours: one for each argument, whatever the number of union members that refused it."""
    found: dict[tuple, list[dict]] = {}
    for item in error.errors():
        depth = 2 if item["loc"][0] == "recipe" else 1  # below, pydantic names the members of a union too
        where = [*item["loc"][:depth], *[part for part in item["loc"][depth:] if isinstance(part, int)][:1]]
        found.setdefault(tuple(where), []).append(item)
    explained = []
    for where, items in found.items():
        known = list(model.model_fields)
        if items[0]["type"] == "extra_forbidden":
            hint = did_you_mean(str(where[0]), known)
            message = f"is unknown; {what}: {', '.join(known) or 'none'}.{hint}"
        elif items[0]["type"] == "missing":
            message = f"is missing and has no default; {what}: {', '.join(known)}"
        else:
            message = f"found {items[0]['input']!r}; {_allowed(items)}"
        explained.append(((*place, *where), message))
    return explained


def _wanted(item: dict) -> str:
    """Say in words what one pydantic error would have accepted."""
    if item["type"] == "string_type" and item["loc"][:1] and item["loc"][0] in STEP_COUNTS:
        return 'a share of the budget such as "30%"'
    if item["type"] == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        if "%" in pattern:
            return 'a share of the budget such as "30%"'
        return "auto, cpu, cuda or cuda:N" if "cuda" in pattern else 'a name such as "module:attr"'
    nouns = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "list_type": "a list",
        "dict_type": "a table",
        "model_type": "a table",
        "finite_number": "a finite number",
    }
    if item["type"] in nouns:
        return nouns[item["type"]]
    message = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return message.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


def _allowed(items: list[dict]) -> str:
    wanted = dict.fromkeys(_wanted(item) for item in items)
    if 'a share of the budget such as "30%"' in wanted or 'a name such as "module:attr"' in wanted:
        wanted.pop("a text", None)
    return "allowed: " + " or ".join(wanted)


def wrong_groups(scheduler: dict, num_groups: int) -> str:
    """Say where a checked scheduler speaks of another number of parameter groups than there are; "" where it does not.

    >>> wrong_groups({"name": "LambdaLR", "lr_lambda": ["m:a", "m:b"]}, 2)
    ''
    """
    name, children = scheduler["name"], scheduler.get("schedulers", [])
    keys = (*PER_GROUP, "schedulers") if name == "PerGroupLR" else PER_GROUP
    for key in keys:
        value = scheduler.get(key)
        if isinstance(value, list) and len(value) != num_groups:
            there = f"{num_groups} parameter group{'' if num_groups == 1 else 's'}"
            return (
                f"{name} has {len(value)} {key} for {there}: give one for each group. A workload makes several by "
                "groups, a function of the model that returns them: "
                'workload = { base = "digits-cnn", groups = "my_groups:by_layer" }'
            )
    inner = 1 if name == "PerGroupLR" else num_groups  # each of its children sees one group alone
    return next(filter(None, (wrong_groups(child, inner) for child in children)), "")


def _makes_one_group(workload: str | dict) -> bool:
    """Whether a workload is known to have a single parameter group; what the user's own code makes is not known."""
    if isinstance(workload, dict):
        return workload.get("groups", DEFAULTS["groups"]) == "single"
    return workload in WORKLOADS


def _named(kind: Literal["scheduler", "optimizer"]):
    return BeforeValidator(lambda value: _call(value, kind))


# ------------------------------------------------------------------------------------------------- warmup, workload


class Warmup(BaseModel):
    """A multiplier on the scheduled rate over the first optimizer steps; the schedule's own clock runs underneath.

    With W warm-up steps, at 0-based step t: linear w(t) = min(1, (t + 1) / W); constant w(t) = factor up to W, then 1;
    exponential w(t) = 1 - exp(-(t + 1) / W). W is `steps`, or `fraction` of all steps (rounded, at least 1). The
    untuned kinds have no length of their own: W = 2 / (1 - beta2) for linear, 1 / (1 - beta2) for exponential; beta2 is
    the optimizer's, that of Adam and its kin, unless it is given here. Source: Ma and Yarats, arXiv 1910.04209.
    """

    model_config = STRICT
    kind: Literal["linear", "constant", "exponential", "untuned_linear", "untuned_exponential"]
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    factor: Annotated[float, Field(ge=0, le=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self):
        if self.kind.startswith("untuned"):
            if (self.fraction, self.steps) != (None, None):
                raise ValueError(f'kind = "{self.kind}" takes its length from beta2: leave fraction and steps out')
        elif (self.fraction is None) == (self.steps is None):
            raise ValueError("give its length once: fraction = 0.1, or steps = 100")
        if (self.kind == "constant") != (self.factor is not None):
            raise ValueError('kind = "constant" needs its factor = 0.1, and no other kind has one')
        if self.beta2 is not None and not self.kind.startswith("untuned"):
            raise ValueError(f'kind = "{self.kind}" has no beta2: the untuned kinds take their length from it')
        return self


class Recipe(BaseModel):
    model_config = STRICT
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    base_lr: Annotated[float, Field(ge=0)] | None = None
    optimizer: Annotated[dict, _named("optimizer")] | None = None


class WorkloadTable(BaseModel):
    """A workload written out in a study file. See lrbench.workloads for what each key means."""

    model_config = STRICT
    base: Literal[tuple(WORKLOADS)] | None = None
    model: Reference | None = None
    model_args: dict[str, JsonValue] = {}
    data: (
        Annotated[str, Field(pattern=r"^(\w+|torchvision:\w+|imagefolder:.+|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*)$")] | None
    ) = None
    loss: Literal["cross_entropy"] | Reference = DEFAULTS["loss"]
    groups: Literal["single"] | Reference = DEFAULTS["groups"]
    image_size: Annotated[int, Field(ge=0)] = DEFAULTS["image_size"]
    crop_padding: Annotated[int, Field(ge=0)] = DEFAULTS["crop_padding"]
    flip: bool = DEFAULTS["flip"]
    train_limit: Annotated[int, Field(ge=0)] = DEFAULTS["train_limit"]
    recipe: Recipe = Recipe()


def _workload(value: Any) -> str | dict:
    if isinstance(value, str):
        if value in WORKLOADS or TypeAdapter(Reference).validator.isinstance_python(value):
            return value
        hint = did_you_mean(value, WORKLOADS)
        allowed = f"{', '.join(WORKLOADS)}, or your own as module:attr or a table with model and data"
        raise Problems([((), f"found {value!r}; allowed: {allowed}.{hint}")])
    if not isinstance(value, dict):
        raise Problems([((), f"found {value!r}; a workload is a name or a table with model and data")])
    found = []
    try:
        WorkloadTable.model_validate(value)
    except ValidationError as error:
        found += _explain(error, WorkloadTable, (), "a workload's keys")
    if not found and "base" not in value:
        found += [
            ((key,), "is missing: a workload without `base` needs model and data")
            for key in ("model", "data")
            if key not in value
        ]
    data = value.get("data")
    if isinstance(data, str) and ":" not in data and data not in (*DATA, "synthetic"):
        allowed = f"{', '.join(DATA)}, synthetic, torchvision:CLASS, imagefolder:PATH, module:attr"
        found.append((("data",), f"found {data!r}; allowed: {allowed}.{did_you_mean(data, [*DATA, 'synthetic'])}"))
    if found:
        raise Problems(found)
    return value


def _off(value_type):
    return Literal["off"] | value_type


# ------------------------------------------------------------------------------------------------------------ factors


class Trial(BaseModel):
    """One point of the grid with its seed and replicate: a description, named by a hash of its content.

    Every factor is a field; `Trial(workload="digits-cnn", scheduler="StepLR(step_size=3)")` is a whole trial, the rest
    being defaults and the workload's recipe.
    """

    model_config = STRICT

    workload: Annotated[str | dict, BeforeValidator(_workload)]
    epochs: Annotated[int, Field(ge=1, le=LARGEST_COUNT, description="passes over the training images")]
    batch_size: Annotated[
        int, Field(ge=1, le=LARGEST_COUNT, description="images in one optimizer step; a last partial batch is dropped")
    ]
    base_lr: Annotated[float, Field(ge=0, description="the optimizer's lr, which the scheduler starts from")]
    optimizer: Annotated[dict, _named("optimizer"), Field(description="a torch.optim class with its arguments")]
    scheduler: Annotated[
        dict, _named("scheduler"), Field(description="a torch.optim.lr_scheduler class with its arguments")
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
        if _makes_one_group(self.workload) and (wrong := wrong_groups(self.scheduler, 1)):
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
_EXAMPLES = {
    "optimizer": '{ name = "SGD", momentum = 0.9, weight_decay = 5e-4 }',
    "scheduler": '{ name = "StepLR", step_size = "30%", interval = "epoch" }',
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
        return f"is no factor: it is an argument inside {_ALSO_KNOWN[key]}, as in {_EXAMPLES[_ALSO_KNOWN[key]]}"
    if key in _ALSO_KNOWN:
        return f"is no factor: it is called {_ALSO_KNOWN[key]} here"
    return f"is no factor; allowed: {', '.join(FACTORS)}.{did_you_mean(key, FACTORS)}"


def check_level(key: str, level: Any) -> Any:
    """Return the level as plain JSON, checked. Raises Problems with everything that is wrong with it."""
    field = Trial.model_fields[key]
    if key == "workload":
        return _workload(level)
    if key in ("scheduler", "optimizer"):
        return _call(level, key)
    if key == "warmup" and isinstance(level, dict):
        return _warmup(level)
    try:
        return _ADAPTERS[key].validate_python(level)
    except ValidationError as error:
        raise Problems([((), f"found {level!r}; {_allowed(error.errors())} ({field.description})")]) from None


def _warmup(table: dict) -> dict:
    try:
        return Warmup.model_validate(table).model_dump(mode="json", exclude_none=True, exclude_unset=True)
    except ValidationError as error:
        whole = [((), f"found {table!r}; {_wanted(item)}") for item in error.errors() if not item["loc"]]
        raise Problems(whole or _explain(error, Warmup, (), "a warmup's keys")) from None


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
