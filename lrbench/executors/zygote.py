"""The process that trials are forked from: `python -m lrbench.executors.zygote SOCKET [large-pages]`.

It loads torch, torch._dynamo (the first optimizer imports it) and the trial room, then the data of the trials that it
is told of first, and then forks one child for each request. It never touches CUDA, not even to ask whether there is
any, never runs an operation on several threads and never imports the user's code: a child could not use CUDA or OpenMP
after that.
"""

import contextlib
import ctypes
import faulthandler
import gc
import os
import pickle
import select
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from lrbench.executors.pages import collapse, stop_asking
from lrbench.executors.stage_file import StageFile, stage_file
from lrbench.workloads import WORKLOADS

PR_SET_PDEATHSIG = 1
# From here on moving the rest into large pages gives back more than it takes: the start is 0.36 s longer (0.08 to
# 0.82), and each trial has its core for 12 ms less (80 trials of digits-cnn with and without, in turn; n = 8 runs of
# each; 2 cores, 2026-11-23).
MANY_TRIALS = 80


def main(descriptor: int, *, large_pages: bool) -> None:
    if large_pages:
        del os.environ["GLIBC_TUNABLES"]  # it was ours, and has been read; trials and their rows know nothing of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control_socket = socket.socket(fileno=descriptor)
    control = Connection(os.dup(descriptor))
    try:
        _get_ready(control)
    except (EOFError, ConnectionResetError):  # there was nothing to run, or something was wrong with it
        os._exit(0)
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(wakeup_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup_write)
    children: dict[int, int] = {}
    try:
        while True:
            ready, _, _ = select.select([control.fileno(), wakeup], [], [])
            if wakeup in ready:
                os.read(wakeup, 4096)
                _reap(children, control)
            if control.fileno() in ready:
                message, number, packed, log = control.recv()
                _, (write_end, *_), _, _ = socket.recv_fds(control_socket, 1, 1)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    control.close()
                    control_socket.close()
                    os.close(wakeup)
                    os.close(wakeup_write)
                    if large_pages:
                        stop_asking()
                    _child(message, packed, log, Connection(write_end, readable=False))
                os.setpgid(pid, pid)  # a group of its own, so that what the user's code starts ends with the trial
                os.close(write_end)
                children[pid] = number
                _tell(control, "started", number, pid)
    except (EOFError, ConnectionResetError, BrokenPipeError):  # the runner has gone, however it went
        for pid in children:
            _kill_group(pid)
        os._exit(0)  # all that torch loaded takes a second to be taken down in order, and the runner waits for it


def _get_ready(control: Connection) -> None:
    """Load and stage everything that children are to find; return when the first can be forked."""
    gc.disable()  # a third of the time that importing takes is the collector looking through what stays anyway
    import torch  # noqa: F401 (the half of what there is to load)

    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_hear, control)
        _load()
        request = asked.result()
    _stage(request["workloads"], request["data_root"])
    _load_arguments()
    gc.freeze()
    gc.enable()
    if request["num_trials"] >= MANY_TRIALS:
        collapse()  # the rest, before the first fork: pages that two processes share would stay small


def _hear(control: Connection) -> dict:
    """Return what is to come, and move what torch has brought meanwhile: another core does, while Python imports."""
    request = control.recv()
    if request["num_trials"] >= MANY_TRIALS:
        collapse()
    return request


def _load() -> None:
    import torch
    import torch._dynamo

    from lrbench.trial import loop  # noqa: F401 (children have it loaded)
    from lrbench.trial.data import stage  # noqa: F401

    torch.set_num_threads(1)
    _do_once(torch)


def _do_once(torch) -> None:
    """Do what is done once in a process, 3 ms that no trial then needs: torch reads the sources that a stack of calls
    is told with, starts its generators and wraps the optimizer's methods. No forward, no backward."""
    from lrbench.trial.optim import before_training

    torch.manual_seed(0)
    torch.nn.Conv2d(1, 8, kernel_size=3), torch.nn.Linear(8, 8)
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.1)
    with before_training():  # its pattern is compiled
        torch.optim.lr_scheduler.ConstantLR(optimizer)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _stage(workloads: list, data_root: Path | None) -> None:
    from lrbench.errors import InputError
    from lrbench.trial.data import stage
    from lrbench.trial.workload import resolve

    for workload in workloads:
        if isinstance(workload, str) and workload in WORKLOADS:
            resolve(workload)  # a child finds it ready
        table = _data_alone(workload)
        if table is not None:
            with contextlib.suppress(InputError):  # the check, in a child, meets it again and tells the user
                stage(resolve(table), data_root)


def _load_arguments() -> None:
    """Have the arguments of every class ready, for the children that look theirs up."""
    from lrbench.calls import arguments_model, class_names, own_schedulers

    own_schedulers()
    for kind in ("scheduler", "optimizer"):
        for name in class_names(kind):
            arguments_model(kind, name)


def _data_alone(workload: str | dict) -> dict | None:
    """Return a table with the workload's data and a model of ours; None where the data comes from the user's code."""
    table = WORKLOADS.get(workload) if isinstance(workload, str) else workload
    if table is None:
        return None
    table = {**WORKLOADS.get(table.get("base"), {}), **table}
    data = table["data"]
    if ":" in data and data.partition(":")[0] not in ("torchvision", "imagefolder"):
        return None
    shape = {key: table[key] for key in ("image_size", "train_limit") if key in table}
    return {"model": "lrbench.trial.models:resnet9", "data": data, **shape}


def _reap(children: dict[int, int], control: Connection) -> None:
    while children:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return
        _kill_group(ended.si_pid)  # before it is reaped: until then its number is nobody else's
        pid, status = os.waitpid(ended.si_pid, 0)
        _tell(control, "ended", children.pop(pid), os.waitstatus_to_exitcode(status))


def _tell(connection: Connection, *message) -> None:
    """Send plain data. Connection.send would copy a table of every type that a library knows how to pickle first,
    and with it fifty pages of memory that this process shares."""
    connection.send_bytes(pickle.dumps(message))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # the user's code may have moved itself to another group
        os.killpg(pid, signal.SIGKILL)


def _child(message: str, packed: bytes, log: str | None, answer: Connection) -> None:
    """Do what was asked, answer, and leave without Python's long goodbye."""
    zygote = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody is left behind if the zygote is killed
    if os.getppid() != zygote:
        os._exit(1)
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if log is not None:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
        sys.stdout.reconfigure(line_buffering=True)  # what was printed before a segfault is in the row
        faulthandler.enable()
        payload = pickle.loads(packed)
        _check(payload, answer) if message == "check" else _run(payload, answer, log)
        code = 0
    except BaseException:  # noqa: BLE001 (a forked child must never return into the zygote's loop)
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):  # a full disk may refuse the last words
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _check(payload: dict, answer: Connection) -> None:
    from lrbench.trial.check import problems

    found = problems(payload["trials"], payload["data_root"], report=partial(_tell, answer, "stage"))
    _tell(answer, "problems", found)


def _run(payload: dict, answer: Connection, log: str) -> None:
    import random

    import numpy
    import torch

    from lrbench.trial.flags import set_environment
    from lrbench.trial.loop import run_here

    random.seed()  # a new process begins anywhere; a fork would begin where every other trial of this run does
    numpy.random.seed(list(os.urandom(16)))  # the same without an argument takes half a millisecond of a new process
    assert not torch.cuda.is_initialized(), "the zygote touched CUDA: no child of it can use a GPU"
    set_environment()
    if payload["cores"]:
        os.sched_setaffinity(0, payload["cores"])
    device = "cpu"
    if payload["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = payload["gpu"]  # still read: nothing has touched CUDA in this process
        device = "cuda:0"
    row = run_here(
        payload["trial"],
        device=device,
        data_root=payload["data_root"],
        where=payload["columns"],
        checkpoint=payload["checkpoint"],
        watch=payload["watch"],
        report=StageFile(stage_file(log)).write,
    )
    _tell(answer, row)


if __name__ == "__main__":
    main(int(sys.argv[1]), large_pages=sys.argv[2:] == ["large-pages"])
