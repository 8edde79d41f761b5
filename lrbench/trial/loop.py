"""One trial in this process: flags, data, build, train, evaluate, row. Reads top to bottom.

What is timed is the training loop alone. Nothing in it waits for a GPU: losses stay on the device until the epoch's
end, batches are cut from resident tensors by a seeded permutation, and the applied rates are Python floats already.
What this does *not* do: give the trial a process of its own (`lrbench.executors`), or write the row down.
"""

import json
import math
import os
import resource
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import torch

from lrbench import nvml, place
from lrbench.checkpoints import Checkpoint
from lrbench.factors import Trial
from lrbench.record import trial_columns
from lrbench.seeds import derive_seed
from lrbench.shares import resolved
from lrbench.trial.checkpoint import Course, Parts, restore, write
from lrbench.trial.clock import StepClock
from lrbench.trial.data import augmentation, batch, stage
from lrbench.trial.digest import digest
from lrbench.trial.evaluate import NUM_PROBE_IMAGES, all_logits, class_accuracy, quality
from lrbench.trial.fingerprint import kernel_fingerprint
from lrbench.trial.flags import flags_hold, read_flags, set_flags
from lrbench.trial.memory import format_cores, private_memory_mib
from lrbench.trial.models import logits_of
from lrbench.trial.optim import build_optimizer, build_scheduler, in_closed_form, warmup_factors
from lrbench.trial.plan import plan_columns
from lrbench.trial.poke import poke
from lrbench.trial.repeats import repeat_columns
from lrbench.trial.steps import ForgottenSeeds, StepDigests, end_digests
from lrbench.trial.workload import resolve
from lrbench.watch import Watch

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
# what a row says of the time of a trial that was stopped
CUT_OFF = ("first_step_seconds", "settle_seconds", "train_seconds", "num_steady_steps")


def run_here(
    trial: Trial,
    *,
    device: str,
    data_root: Path | None,
    where: dict,
    checkpoint: Checkpoint | None = None,
    watch: Watch = Watch(),
    report: Callable[[str, float], None] = lambda stage, share: None,
) -> dict:
    """Run the trial in this process and return its row; a failure is a row with its status.

    `device` is torch's name of the device in this process ("cpu", "cuda:0"); `where` are the columns that all trials
    of a run share; `report(stage, share of the epochs done)` is called off the clock. With a `checkpoint` the trial
    goes on from what lies there, and writes there how far it has come. `watch` says what else is looked at.
    """
    began = perf_counter()
    row = {
        **trial_columns(trial),
        **where,
        "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "load_average": os.getloadavg()[0],
        "environment": json.dumps(place.environment(), sort_keys=True),
        "cores": format_cores(os.sched_getaffinity(0)),
        "cudnn_flags_inert": torch.device(device).type != "cuda",
    }

    def reached(stage: str, share: float = 0.0) -> None:
        row["stage"] = stage
        report(stage, share)

    try:
        finite = _train(trial, torch.device(device), data_root, checkpoint, watch, row, reached)
        row["status"] = "completed" if finite else "diverged"
    except (Exception, SystemExit) as error:  # noqa: BLE001 (user code runs here; what it raises is this trial's row)
        row["status"] = "out_of_memory" if _is_out_of_memory(error) else "crashed"
        told = "".join(traceback.format_exception(error))[-4000:]
        row["error"] = told.encode(errors="backslashreplace").decode()  # a file's name need not be UTF-8; a row is
    row["total_seconds"] = perf_counter() - began
    if row["total_seconds"] >= 1:  # it takes the kernel 12 ms to say: a thirtieth of the shortest trials
        row["private_memory_mib"] = private_memory_mib()
    return row


def _train(
    trial: Trial,
    device: torch.device,
    data_root: Path | None,
    checkpoint: Checkpoint | None,
    watch: Watch,
    row: dict,
    reached: Callable,
) -> bool:
    """Fill `row` with what is seen; return False where the loss stopped being finite."""
    reached("flags")
    set_flags(trial)
    held = flags_hold(trial, read_flags())
    gpu = None
    if device.type == "cuda":
        torch.cuda.set_device(device)
        properties = torch.cuda.get_device_properties(device)
        gpu = nvml.Gpu(str(properties.uuid))
        row |= {"gpu_name": properties.name, "gpu_uuid": str(properties.uuid)}
        row |= {"cudnn_version": str(torch.backends.cudnn.version()), "gpu_sm_clock_start_mhz": gpu.sm_clock_mhz()}

    reached("data")
    workload = resolve(trial.workload)
    staged = stage(workload, data_root)
    row["data_sha256"] = staged.sha256
    images, labels = staged.train_images.to(device), staged.train_labels.to(device)
    mean, std = staged.mean.to(device), staged.std.to(device)
    memory_format = torch.channels_last if trial.channels_last else torch.contiguous_format
    steps_per_epoch = len(images) // trial.batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"batch_size {trial.batch_size} is more than the {len(images)} training images")
    num_steps = trial.epochs * steps_per_epoch
    row["steps_per_epoch"] = steps_per_epoch

    reached("build")
    began = perf_counter()
    # torch.manual_seed also notes, with a traceback, what a GPU's generators are to be seeded with once there is one:
    # 1.5 ms of a trial on a machine without a driver (digits-cnn, n = 8 pairs of 60 trials, 2 cores, 2026-11-23)
    no_gpu = device.type == "cpu" and row.get("driver_version") is None
    seed_torch = torch.default_generator.manual_seed if no_gpu else torch.manual_seed
    seed_torch(derive_seed("init", trial.seed_init))  # drawn on the CPU: the same weights on every machine
    model = workload.model(num_classes=staged.num_classes, **workload.model_args)
    poke(model, trial.poke_ulps)
    model = model.to(device, memory_format=memory_format)
    row["num_parameters"] = sum(parameter.numel() for parameter in model.parameters())
    parameters = model.parameters() if workload.groups == "single" else workload.groups(model)
    optimizer = build_optimizer(trial.optimizer, parameters, trial.base_lr)
    per_step = trial.scheduler["interval"] == "step"
    base_lrs = [float(group["lr"]) for group in optimizer.param_groups]
    budget = num_steps if per_step else trial.epochs
    scheduler = build_scheduler(trial.scheduler, optimizer, budget)
    monitor = trial.scheduler.get("monitor")
    num_warmup_steps, warmup_factor = warmup_factors(trial.warmup, num_steps, optimizer)
    # None rather than a disabled one: that costs 2 % of a step of the smallest network (`python -m benchmarks.peers`).
    scaler = torch.amp.GradScaler(device.type) if trial.precision == "fp16" else None
    forward = model if trial.compile == "off" else torch.compile(model, mode=trial.compile)
    row["build_seconds"] = perf_counter() - began

    autocast = nullcontext()  # a disabled autocast costs half a percent of a step of the smallest network
    if trial.precision != "fp32":
        autocast = torch.autocast(device.type, AUTOCAST[trial.precision])
    clock = StepClock(device, num_steps, gpu)
    finite = True
    seed_torch(derive_seed("dropout", trial.seed_dropout))
    course = Course(applied_lr=[[] for _ in optimizer.param_groups])
    parts = Parts(model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler, clock=clock, device=device)
    if checkpoint is not None:
        course = restore(checkpoint.path, trial, parts) or course
    forgotten = ForgottenSeeds(course, device)
    digests = StepDigests(watch, parts, course)
    applied_lr = course.applied_lr

    def record_lr(optimizer, *_):
        for rates, group in zip(applied_lr, optimizer.param_groups, strict=True):
            rates.append(float(group["lr"]))

    optimizer.register_step_pre_hook(record_lr)  # torch calls it inside each step that is not skipped
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    def save() -> None:
        course.num_steps = clock.num_steps
        forgotten.look()
        write(checkpoint.path, trial, parts, course)

    def step_scheduler(metric: float | None) -> None:
        course.scheduler_steps.append(len(applied_lr[0]))
        if monitor:
            course.metrics.append(metric)
        scheduler.step(*([metric] if monitor else []))

    clipped = trial.clip_grad_norm != "off" or trial.clip_grad_value != "off"

    def forward_backward() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = workload.loss(logits_of(forward(x)), y)
        (loss if scaler is None else scaler.scale(loss)).backward()
        if clipped:
            if scaler is not None:
                scaler.unscale_(optimizer)
            if trial.clip_grad_norm != "off":
                torch.nn.utils.clip_grad_norm_(model.parameters(), trial.clip_grad_norm)
            if trial.clip_grad_value != "off":
                torch.nn.utils.clip_grad_value_(model.parameters(), trial.clip_grad_value)
        return loss.detach()

    reached("train")
    began = perf_counter()
    for epoch in range(course.epoch, trial.epochs):
        model.train()
        clock.start()
        order = torch.randperm(len(images), generator=_generator("order", trial.seed_order, epoch)).to(device)
        offsets, flips = augmentation(
            _generator("augmentation", trial.seed_augmentation, epoch),
            len(images),
            workload.crop_padding,
            workload.flip,
        )
        offsets, flips = offsets.to(device), flips.to(device)
        losses = course.losses
        for step in range(course.step, steps_per_epoch):
            index = order[step * trial.batch_size : (step + 1) * trial.batch_size]
            x = batch(images, index, offsets, flips, mean, std, workload.crop_padding, memory_format)
            y = labels[index]
            # The warm-up multiplies the scheduled rate for this step only, so that the scheduler, recursive ones and
            # ReduceLROnPlateau among them, goes on from its own rate.
            looking = watch.due(clock.num_steps + 1, step + 1 == steps_per_epoch)
            if looking:
                digests.before()
            tracing = _tracing(watch, clock.num_steps + 1, model)
            warming = clock.num_steps < num_warmup_steps
            if warming:
                scheduled = [group["lr"] for group in optimizer.param_groups]
                factor = warmup_factor(clock.num_steps)
                for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
                    group["lr"] = rate * factor
            num_before = len(applied_lr[0])
            with tracing:
                if trial.optimizer["name"] == "LBFGS":  # evaluates the loss itself, several times in a step
                    losses.append(optimizer.step(forward_backward))
                else:
                    losses.append(forward_backward())
                    if scaler is None:
                        optimizer.step()
                    else:
                        scaler.step(optimizer)
                        scaler.update()
            if warming:
                for group, rate in zip(optimizer.param_groups, scheduled, strict=True):
                    group["lr"] = rate
            skipped = len(applied_lr[0]) == num_before  # by the GradScaler
            if warming and not skipped:
                course.multipliers.append(factor)
            if per_step and not skipped:
                step_scheduler(losses[-1].item() if monitor else None)
            clock.step()
            course.step = step + 1
            ended = course.step == steps_per_epoch
            stopping = clock.num_steps == watch.stop_after or 0 < watch.stop_after_seconds < perf_counter() - began
            saving = checkpoint is not None and not ended and checkpoint.due(clock.num_steps, False)
            if looking or saving or ended or stopping:
                clock.stop()
                if looking:
                    digests.after(clock.num_steps, index, x, losses[-1])
                if saving:
                    save()
                if stopping:
                    break
                if not ended:
                    clock.start()

        # Off the clock: the epoch's losses, validation, and the scheduler, which may want to see them.
        epoch_losses = torch.stack(losses).float()
        course.train_loss_steps += epoch_losses.tolist()
        course.train_loss_curve.append(epoch_losses.double().mean().item())
        course.losses = []
        course.order_sha256 = sha256(f"{course.order_sha256} {digest([('order', order)])}".encode()).hexdigest()
        if stopping:  # what a row says of whole trials is left out
            break
        if device.type == "cuda":
            course.peak_mib = max(course.peak_mib, torch.cuda.max_memory_allocated(device) / 2**20)
        evaluation_began = perf_counter()
        forgotten.before_evaluation()
        logits = all_logits(model, staged.val_images, mean, std, device, memory_format, autocast)
        loss, accuracy = quality(logits, staged.val_labels, workload.loss)
        forgotten.after_evaluation()
        course.evaluate_seconds += perf_counter() - evaluation_began
        course.val_loss_curve.append(loss)
        course.val_accuracy_curve.append(accuracy)
        course.train_seconds_curve.append(clock.train_seconds)
        finite = math.isfinite(course.train_loss_curve[-1]) and math.isfinite(loss)
        if not finite:
            break
        if not per_step:
            step_scheduler(getattr(course, f"{monitor}_curve")[-1] if monitor else None)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        course.epoch, course.step = epoch + 1, 0
        if checkpoint is not None and course.epoch < trial.epochs and checkpoint.due(clock.num_steps, True):
            save()
        reached("train", (epoch + 1) / trial.epochs)

    forgotten.look()
    row |= {
        **end_digests(parts, course),
        "num_optimizer_steps": len(applied_lr[0]),
        "num_resumes": course.num_resumes,
        "resumed_at_step": course.resumed_at_step,
        "train_loss_steps": course.train_loss_steps,
        "applied_lr": applied_lr,
        "applied_lr_sha256": sha256(json.dumps(applied_lr).encode()).hexdigest(),
        "python_rng_used": course.python_rng_used,
        "numpy_rng_used": course.numpy_rng_used,
        "evaluation_rng_used": course.evaluation_rng_used,
        "num_steps": clock.num_steps,
    }
    if stopping:
        times = clock.columns(trial.batch_size)
        row |= {name: times[name] for name in CUT_OFF}
        return True
    if device.type != "cuda":
        course.peak_mib = max(course.peak_mib, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    effective = read_flags()
    plan, call = in_closed_form(resolved(trial.scheduler, budget))
    row |= plan_columns(plan, call, course, base_lrs, "step" if per_step else "epoch", steps_per_epoch, clock.num_steps)
    weights_device = next((str(parameter.device) for parameter in model.parameters()), str(device))
    row |= {
        **effective,
        "effective_device": weights_device,
        "flags_held": held and flags_hold(trial, effective) and torch.device(weights_device).type == device.type,
        **clock.columns(trial.batch_size),
        **(gpu.state() if gpu else {}),
        "peak_memory_mib": course.peak_mib,
        "train_loss_curve": course.train_loss_curve,
        "val_loss_curve": course.val_loss_curve,
        "val_accuracy_curve": course.val_accuracy_curve,
        "train_seconds_curve": course.train_seconds_curve,
        "final_train_loss": course.train_loss_curve[-1],
        "final_val_loss": course.val_loss_curve[-1],
        "final_val_accuracy": course.val_accuracy_curve[-1],
        "evaluate_seconds": course.evaluate_seconds,
    }
    if course.num_resumes:  # a speed is of one process
        row |= dict.fromkeys(("samples_per_second", "step_seconds_median", "step_seconds_p95"))
    if not finite:
        row["error"] = f"the loss was no longer finite in epoch {epoch + 1} of {trial.epochs}"
        return False

    reached("evaluate", 1.0)
    began = perf_counter()
    logits = all_logits(model, staged.test_images, mean, std, device, memory_format, autocast)
    loss, accuracy = quality(logits, staged.test_labels, workload.loss)
    predictions = logits.argmax(dim=1).to(torch.int32)
    probe = logits[:NUM_PROBE_IMAGES]
    row |= {
        "final_loss": loss,
        "final_accuracy": accuracy,
        "class_accuracy": class_accuracy(predictions, staged.test_labels, staged.num_classes),
        "predictions": predictions.tolist(),
        "predictions_sha256": digest([("predictions", predictions)]),
        "probe_logits": probe.flatten().tolist(),
        "logits_sha256": digest([("logits", probe)]),
        "evaluate_seconds": course.evaluate_seconds + perf_counter() - began,
    }
    if watch.repeats:
        row |= repeat_columns(watch.repeats, model, forward, forward_backward, x, autocast)
    if device.type == "cuda":  # one more step, after all that is kept: the plans of this process are still in its cache
        model.train()
        row |= kernel_fingerprint(forward_backward)
    reached("done", 1.0)
    return True


def _tracing(watch: Watch, num_steps: int, model: torch.nn.Module):
    """Return a context that writes the operators of this step down, where it is the one that is asked for."""
    if watch.trace is None or num_steps != watch.stop_after:
        return nullcontext()
    from lrbench.trial.trace import tracing

    return tracing(watch.trace, model)


def _generator(stream: str, seed: int, epoch: int) -> torch.Generator:
    """A generator for one epoch's draw from one stream: no state to carry from epoch to epoch, or to save."""
    return torch.Generator().manual_seed(derive_seed(stream, seed, epoch))


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA has an exception of its own; the CPU's allocator raises a RuntimeError, told by its words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
