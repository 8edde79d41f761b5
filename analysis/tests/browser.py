"""A headless Chromium, spoken to over its own DevTools protocol: what a reader's browser makes of a page.

Nothing is installed for it: tornado, which the notebook kernel brings, has the WebSocket. What this does *not* do: look
at the page; a person does.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WHY_NOT = "no chromium here: Debian's package `chromium` has it (.ci/run installs it)"
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a page: errors and warnings of its console, what it asked for, and what scripts returned."""

    errors: tuple[str, ...]
    requests: tuple[str, ...]
    values: tuple


def look(page: Path, width: int, scripts: list[str], dark: bool = False) -> Seen:
    """Open a page in a window so wide, and return what is seen when it has loaded; `scripts` are expressions."""
    return asyncio.run(_look(page, width, scripts, dark))


async def _look(page: Path, width: int, scripts: list[str], dark: bool) -> Seen:
    with tempfile.TemporaryDirectory(prefix="lrbench-browser-", ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            return await _visit(_address(process), page, width, scripts, dark)
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _address(process) -> str:
    """Return the WebSocket address of the browser's one tab."""
    for line in process.stderr:
        if "DevTools listening on" in line:
            host = line.split("//")[1].split("/")[0]
            with urllib.request.urlopen(f"http://{host}/json/list") as answer:
                return json.load(answer)[0]["webSocketDebuggerUrl"]
    raise AssertionError("chromium ended before it listened")


async def _visit(address: str, page: Path, width: int, scripts: list[str], dark: bool) -> Seen:
    from tornado.websocket import websocket_connect

    socket = await websocket_connect(address, max_message_size=64 * 2**20)
    events: list[dict] = []
    number = 0

    async def call(method: str, **parameters) -> dict:
        nonlocal number
        number += 1
        await socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(await socket.read_message())).get("id") != number:
            events.append(message)
        return message["result"]

    for domain in ("Page", "Network", "Log", "Runtime"):
        await call(f"{domain}.enable")
    await call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    await call("Emulation.setEmulatedMedia", features=[scheme])
    await call("Page.navigate", url=page.resolve().as_uri())
    while not any(event["method"] == "Page.loadEventFired" for event in events):
        events.append(json.loads(await socket.read_message()))
    values = []
    for script in scripts:
        result = await call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        values.append(result["result"].get("value"))
    socket.close()
    while await socket.read_message() is not None:  # until the other end has closed too
        pass
    said = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    sent = (event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent")
    return Seen(
        errors=tuple(json.dumps(event["params"]) for event in events if event["method"] in said),
        requests=tuple(url for url in sent if not url.startswith("data:") and url != page.resolve().as_uri()),
        values=tuple(values),
    )
