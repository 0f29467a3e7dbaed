"""A page in a real browser: Chromium without a window, spoken to over a pair of pipes.

What it says is the Chrome DevTools Protocol, a JSON object and a zero byte a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tests.support.guard import GUARD_S
from tests.support.programs import needs_program

Scheme = Literal["light", "dark"]

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Chromium reads commands from descriptor 3 and answers on 4.
_START = "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); \
os.execv(sys.argv[3], sys.argv[3:])"
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # as root, as in most containers, there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)


@dataclass(frozen=True)
class Look:
    """How a page came out.

    Attributes:
      overflow_px: how much wider it is than its window.
      background: its computed colour.
      requests: the addresses of all that it asked for.
      complaints: what stands in the browser's console.
      answer: to the question.
    """

    overflow_px: int
    background: str
    requests: tuple[str, ...]
    complaints: tuple[str, ...]
    answer: str


class Browser:
    """One that runs; use `open_browser`."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands = commands
        self._answers = answers
        self._count = 0
        self._events: list[dict[str, Any]] = []

    def look_at(
        self, page: Path, *, width_px: int, scheme: Scheme, ask: str = "''", point_at: str = ""
    ) -> Look:
        """Load a page into a new tab of this width and colour scheme; answer a question in JavaScript.

        The pointer is on the element that ``point_at`` evaluates to, if there is one.
        """
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        tab = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable", tab)
        self._call(
            "Emulation.setDeviceMetricsOverride",
            tab,
            width=width_px,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._call(
            "Emulation.setEmulatedMedia", tab, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self._events.clear()
        self._call("Page.navigate", tab, url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next_message())
        overflow = self._evaluate(
            tab, "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        background = self._evaluate(tab, "getComputedStyle(document.body).backgroundColor")
        if point_at:
            self._point_at(tab, point_at)
        answer = self._evaluate(tab, ask)
        look = Look(overflow, background, tuple(self._requests()), tuple(self._complaints()), answer)
        self._call("Target.closeTarget", targetId=target)
        return look

    def close(self) -> None:
        """End the browser, and wait until it has."""
        self._call("Browser.close")
        while self._answers.read(65536):
            pass

    def _point_at(self, tab: str, element: str) -> None:
        self._evaluate(tab, f"void ({element}).scrollIntoView({{block: 'center'}}) || ''")
        box = f"(({element}).getBoundingClientRect())"
        x, y = (
            self._evaluate(tab, f"{box}.{edge} + {box}.{size} / 2")
            for edge, size in (("left", "width"), ("top", "height"))
        )
        self._call("Input.dispatchMouseEvent", tab, type="mouseMoved", x=x, y=y)

    def _requests(self) -> Iterator[str]:
        for event in self._events:
            if event["method"] == "Network.requestWillBeSent":
                yield event["params"]["request"]["url"]

    def _complaints(self) -> Iterator[str]:
        for event in self._events:
            if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                yield json.dumps(event["params"])

    def _evaluate(self, tab: str, expression: str) -> Any:
        return self._call("Runtime.evaluate", tab, expression=expression)["result"]["value"]

    def _call(self, method: str, tab: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if tab is not None:
            message["sessionId"] = tab
        self._commands.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next_message()).get("id") != self._count:
            self._events.append(answer)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def _next_message(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            message += byte
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@contextlib.contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Chromium, without a window, until the end of the block; skip the test if it is not installed."""
    chromium = needs_program(*CHROMIUM_NAMES)
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", _START, str(read_commands), str(write_answers)),
            *(chromium, *_OPTIONS, f"--user-data-dir={profile}"),
        ],
        pass_fds=(read_commands, write_answers),
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    guard = threading.Timer(GUARD_S, process.kill)
    guard.start()
    try:
        with os.fdopen(commands, "wb", 0) as writer, os.fdopen(answers, "rb") as reader:
            browser = Browser(writer, reader)
            yield browser
            browser.close()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
