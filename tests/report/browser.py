"""A headless Chromium, driven over a pair of pipes: no driver, no network."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_NOISE = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}


class Page:
    """One tab. ``said`` collects console messages, exceptions and policy violations."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.said: list[str] = []
        self.requests: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self._send(f"{domain}.enable")

    def open(self, url: str, width: int = 1400, height: int = 1000, dark: bool = False) -> None:
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Page.navigate", url="about:blank")
        self._send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + 10
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never became true: {expression}; {self.said}"
            time.sleep(0.02)

    def _send(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in _NOISE:
                self.said.append(json.dumps(answer["params"])[:500])
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])

    def _read(self) -> Any:
        while b"\0" not in self._buffer:
            data = os.read(self._from, 1 << 20)
            assert data, "the browser ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def open_browser(profile: Path) -> Iterator[Page]:
    """Start Chromium with a profile folder of its own."""
    assert CHROMIUM is not None
    command_read, to_browser = os.pipe()
    from_browser, answer_write = os.pipe()

    def take_pipes() -> None:
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (command_read, answer_write)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={profile}", "about:blank"],
        preexec_fn=take_pipes,
        pass_fds=(3, 4, command_read, answer_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        try:
            page = Page(to_browser, from_browser)
        except (AssertionError, BrokenPipeError):
            pytest.skip(f"{CHROMIUM} does not start here")
        yield page
    finally:
        os.close(to_browser)
        os.close(from_browser)
        process.kill()
        process.wait(10)
