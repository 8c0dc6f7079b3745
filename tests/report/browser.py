"""A real headless Chromium, driven over its debugging pipe: no driver program, no package, no port.

The DevTools protocol is spoken as JSON messages ended by a zero byte on file descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip

START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(each), fcntl.F_DUPFD_CLOEXEC, 10) for each in sys.argv[1:3]]
os.closerange(3, 10)
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Moves the two pipes to the descriptors Chromium expects and becomes it."""


def program() -> str | None:
    """Return the path of an installed Chromium or Chrome, None when there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page. What the page logged, blocked and asked for is kept in `events`."""

    def __init__(self, profile: Path) -> None:
        """Start the browser with its data in ``profile``; raises FileNotFoundError without one."""
        path = program()
        if path is None:
            raise FileNotFoundError("no Chromium found")
        command = [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        theirs, self._to = os.pipe()
        self._from, answers = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, str(theirs), str(answers), *command],
            pass_fds=(theirs, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(profile)},
        )  # fmt: skip
        os.close(theirs)
        os.close(answers)
        self._buffer = b""
        self._id = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        """Return the browser."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the browser and wait for it."""
        os.close(self._to)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command; raises AssertionError with the browser's message."""
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, url: str, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load ``url`` in a window of this size and scheme, and wait until it is loaded."""
        self.view(width, height, dark)
        for address in ("about:blank", url):  # leaving first: another part of the same page loads nothing
            self.events.clear()
            self.call("Page.navigate", url=address)
            deadline = time.monotonic() + 60
            while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
                self.events.append(self._read(deadline))

    def view(self, width: int, height: int = 900, dark: bool = False, media: str = "") -> None:
        """Show the page in a window of this size, colour scheme and medium."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def run(self, code: str) -> Any:
        """Return the value of a JavaScript expression, awaited; raises AssertionError when it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: str, number: int, text: str = "") -> None:
        """Press and release one key of the keyboard."""
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def complaints(self) -> list[str]:
        """Return what went wrong on the page: errors, refused or failed requests, messages of the policy."""
        self.run("new Promise(done => setTimeout(done, 50))")
        found = []
        for event in self.events:
            method, details = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(str(details["exceptionDetails"].get("exception", details)))
            elif method == "Log.entryAdded":
                found.append(details["entry"]["text"])
            elif method == "Runtime.consoleAPICalled":
                found.append(f"console.{details['type']}")
            elif method == "Audits.issueAdded":
                found.append(json.dumps(details["issue"]))
        return found

    def requests(self) -> list[str]:
        """Return every address the page asked for, without what its policy stopped."""
        parameters = [(event.get("method"), event.get("params", {})) for event in self.events]
        stopped = {
            each["requestId"]
            for method, each in parameters
            if method == "Network.loadingFailed" and each.get("blockedReason") == "csp"
        }
        return [
            each["request"]["url"]
            for method, each in parameters
            if method == "Network.requestWillBeSent" and each["requestId"] not in stopped
        ]

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        answer = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """Return the page as it prints."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser gave no answer within 60 s"
            received = os.read(self._from, 1 << 20)
            assert received, f"the browser ended with {self._process.poll()}"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))
