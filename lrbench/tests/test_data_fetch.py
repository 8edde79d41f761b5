"""Downloads over a real line to a server on this machine: whole, broken, stalled, refused, and twice."""

import fcntl
import io
import os
import pickle
import socket
import tarfile
import threading
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

from lrbench import data_fetch
from lrbench.data_fetch import available, fetch
from lrbench.errors import InputError
from lrbench.torchvision_data import TORCHVISION, missing_files
from lrbench.trial.data import stage
from lrbench.trial.workload import resolve

TINY = {"base": "cifar10-resnet9", "data": "torchvision:CIFAR10"}


class Server(ThreadingHTTPServer):
    """Serves bytes by path and remembers what was asked for; a path may be cut short or stall after its head."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.stalled: set[str] = set()
        self.asked: list[str] = []
        self.done = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if name in self.server.stalled:
            self.wfile.write(content[:10])
            self.server.done.wait(20)
        else:
            self.wfile.write(content[: len(content) // 2] if name in self.server.cut else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.done.set()
    server.shutdown()
    thread.join()
    server.server_close()


class OldPickler(pickle.Pickler):
    """Pickles arrays as the NumPy of CIFAR's authors did: align=0, of which a NumPy of today warns."""

    def reducer_override(self, thing):
        return (np.dtype, ("u1", 0, 1)) if isinstance(thing, np.dtype) else NotImplemented


def old_pickle(thing) -> bytes:
    file = io.BytesIO()
    OldPickler(file, protocol=2).dump(thing)
    return file.getvalue()


@pytest.fixture
def cifar(server, monkeypatch):
    """A tiny CIFAR-10 on the server, in the format of the real one; torchvision's address and checksums point at it."""
    from torchvision.datasets import CIFAR10

    rng = np.random.default_rng(0)
    files = {"batches.meta": old_pickle({"label_names": [f"class {i}" for i in range(10)]})}
    for name, n in (("data_batch_1", 30), ("test_batch", 10)):
        pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        files[name] = old_pickle({"data": pixels, "labels": [i % 10 for i in range(n)]})
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    server.files["tiny.tar.gz"] = archive.getvalue()
    sums = {name: md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}/tiny.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive.getvalue()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return CIFAR10


def test_a_fetched_data_set_can_be_trained_on(server, cifar, tmp_path, capsys):
    """The folder is told, the progress said in plain lines, nothing else left behind, and staging reads it."""
    root = tmp_path / "new" / "data"
    assert fetch("CIFAR10", root) == root / "cifar-10-batches-py"
    assert sorted(path.name for path in root.iterdir()) == ["cifar-10-batches-py", "cifar-10-python.tar.gz"]
    output = capsys.readouterr()
    assert output.err.splitlines() == ["CIFAR10, file 1: 0.2 MB"]
    assert output.out == ""
    staged = stage(resolve(TINY), root)
    assert (len(staged.train_images), len(staged.val_images), len(staged.test_images)) == (27, 3, 10)


def test_what_is_there_is_not_fetched_again(server, cifar, tmp_path, capsys):
    """The second fetch says so and asks the server for nothing."""
    fetch("CIFAR10", tmp_path)
    asked = len(server.asked)
    capsys.readouterr()
    assert fetch("torchvision:CIFAR10", tmp_path) == tmp_path / "cifar-10-batches-py"
    assert len(server.asked) == asked
    assert "CIFAR10 is there already" in capsys.readouterr().err


def test_a_terminal_sees_a_bar(server, cifar, tmp_path, capsys, monkeypatch):
    """On a terminal a bar is drawn with its file's name and size."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    fetch("CIFAR10", tmp_path)
    drawn = capsys.readouterr().err
    assert "CIFAR10, file 1" in drawn
    assert "━" in drawn
    assert "kB" in drawn


def test_large_files_tell_each_tenth(capsys):
    """A file above 10 MB writes ten lines, one for each tenth that has come in; an unknown size writes one line."""
    update = data_fetch._lines("X, file 1", 20_000_000)
    for _ in range(625):
        update(32_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["X, file 1: 20.0 MB", "X, file 1: 10 % of 20.0 MB"]
    assert lines[-1] == "X, file 1: 100 % of 20.0 MB"
    assert len(lines) == 11
    data_fetch._lines("X, file 2", None)(1_000_000_000)
    assert capsys.readouterr().err.splitlines() == ["X, file 2: size unknown"]


def refuse(server, cifar, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(cifar, "url", f"http://127.0.0.1:{port}/tiny.tar.gz")


def lose(server, cifar, monkeypatch):
    del server.files["tiny.tar.gz"]


def cut(server, cifar, monkeypatch):
    server.cut.add("tiny.tar.gz")


def stall(server, cifar, monkeypatch):
    monkeypatch.setattr(data_fetch, "TIMEOUT_SECONDS", 0.2)
    server.stalled.add("tiny.tar.gz")


def tamper(server, cifar, monkeypatch):
    server.files["tiny.tar.gz"] = server.files["tiny.tar.gz"][:-1] + b"x"


def unpack_badly(server, cifar, monkeypatch):
    content = server.files["tiny.tar.gz"][:-2000]
    server.files["tiny.tar.gz"] = content
    monkeypatch.setattr(cifar, "tgz_md5", md5(content).hexdigest())


def damage_inside(server, cifar, monkeypatch):
    monkeypatch.setattr(cifar, "test_list", [["test_batch", "0" * 32]])


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (refuse, "Connection refused"),
        (lose, "HTTP Error 404: Not Found"),
        (cut, "corrupted"),
        (stall, "timed out"),
        (tamper, "corrupted"),
        (unpack_badly, "ended before the end-of-stream marker"),
        (damage_inside, "corrupted"),
    ],
)
def test_a_failure_is_one_sentence_and_leaves_nothing(server, cifar, tmp_path, monkeypatch, break_it, reason):
    """However the line or the file breaks, the reason is told with what to type, and what was there is as it was."""
    (tmp_path / "mine.txt").write_text("kept")
    break_it(server, cifar, monkeypatch)
    with pytest.raises(InputError) as caught:
        fetch("CIFAR10", tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("CIFAR10 was not fetched: ")
    assert reason in problem
    assert problem.endswith(f"lrbench data fetch CIFAR10 --data-root {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert missing_files("CIFAR10", tmp_path)


def test_a_data_set_of_two_files_comes_whole_or_not_at_all(server, tmp_path, monkeypatch):
    """If the test part cannot be had, the training part that came first is not left behind either."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    made = tmp_path / "made.mat"
    savemat(made, {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([[1], [2], [3], [10]])})
    server.files["train_32x32.mat"] = made.read_bytes()
    checksum = md5(made.read_bytes()).hexdigest()
    names = {part: (f"{server.url}/{part}_32x32.mat", f"{part}_32x32.mat", checksum) for part in ("train", "test")}
    monkeypatch.setattr(SVHN, "split_list", names)
    root = tmp_path / "data"
    with pytest.raises(InputError, match="404"):
        fetch("SVHN", root)
    assert list(root.iterdir()) == []
    server.files["test_32x32.mat"] = made.read_bytes()
    assert fetch("SVHN", root) == root / "train_32x32.mat"
    assert not missing_files("SVHN", root)


def test_an_interrupt_leaves_nothing(server, cifar, tmp_path, monkeypatch):
    """Ctrl-C in the middle of a download passes through and takes the half file with it."""
    from torchvision.datasets import utils

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(utils, "extract_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("CIFAR10", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_fetch_left_is_not_used(server, cifar, tmp_path):
    """A half archive in the hidden folder is thrown away, and a folder that lacks files takes in what it lacks."""
    landing = tmp_path / ".fetching-CIFAR10" / "cifar-10-batches-py"
    landing.mkdir(parents=True)
    (landing / "test_batch").write_bytes(b"half")
    half = tmp_path / "cifar-10-batches-py"
    half.mkdir()
    (half / "data_batch_1").write_bytes(b"older")
    fetch("CIFAR10", tmp_path)
    assert not (tmp_path / ".fetching-CIFAR10").exists()
    assert len(stage(resolve({**TINY, "train_limit": 20}), tmp_path).test_images) == 10


def test_two_fetches_do_not_meet(server, cifar, tmp_path):
    """While one process fetches a data set into a folder, a second one is told to wait."""
    landing = tmp_path / ".fetching-CIFAR10"
    landing.mkdir()
    handle = os.open(landing, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(InputError, match=r"is being fetched into .* by another process"):
            fetch("CIFAR10", tmp_path)
    finally:
        os.close(handle)
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "root", "words"),
    [
        ("CIFAR", Path("x"), "Did you mean 'CIFAR10'?"),
        ("digits", Path("x"), "'digits' is none of the torchvision data sets"),
        ("CIFAR10", None, "lrbench data fetch CIFAR10 --data-root DIR, or set LRBENCH_DATA=DIR"),
        (
            "FER2013",
            Path("x"),
            "torchvision cannot download FER2013; its owner hands it out. Get it from https://www.kaggle",
        ),
    ],
)
def test_what_cannot_be_fetched_is_told(tmp_path, monkeypatch, name, root, words):
    """Unknown names, no folder, and data that torchvision has no download for; no folder is made for any of them."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        fetch(name, root)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_list_tells_what_is_there(server, cifar, tmp_path):
    """Before a fetch CIFAR10 is absent, with the command to type; after it, present, with its folder."""
    before = {entry.name: entry for entry in available(tmp_path)}
    typed = f"lrbench data fetch CIFAR10 --data-root {tmp_path}"
    fetch("CIFAR10", tmp_path)
    after = {entry.name: entry for entry in available(tmp_path)}
    assert before["torchvision:CIFAR10"] == ("torchvision:CIFAR10", typed, False)
    assert after["torchvision:CIFAR10"] == ("torchvision:CIFAR10", str(tmp_path / "cifar-10-batches-py"), True)
    assert after["digits"] == ("digits", "inside scikit-learn", True)
    assert {name for name in after if after[name] != before[name]} == {"torchvision:CIFAR10"}
    absent = [entry for entry in available(None) if entry.name.startswith("torchvision:")]
    assert not any(entry.present for entry in absent)
    assert all(entry.where.endswith(" --data-root DIR") for entry in absent)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_table_calls_torchvision_as_it_wants_to_be_called(name):
    """Every data set of the table is a class of the installed torchvision that takes the arguments written there."""
    from torchvision import datasets

    for part in TORCHVISION[name].parts:
        signature(getattr(datasets, name)).bind("root", **part)
    assert TORCHVISION[name].files
