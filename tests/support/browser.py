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
from collections.abc import Callable, Iterator
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
# What the protocol wants to know of a key besides its name.
_CODES = {"Enter": {"windowsVirtualKeyCode": 13}, "End": {"windowsVirtualKeyCode": 35}}


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

    def __init__(self, commands: IO[bytes], answers: IO[bytes], kill: Callable[[], object]) -> None:
        self._commands = commands
        self._answers = answers
        self._kill = kill
        self._count = 0
        self.events: list[dict[str, Any]] = []

    def look_at(
        self, page: Path, *, width_px: int, scheme: Scheme, ask: str = "''", point_at: str = ""
    ) -> Look:
        """Load a page into a new tab of this width and colour scheme; answer a question in JavaScript.

        The pointer is on the element that ``point_at`` evaluates to, if there is one.
        """
        tab = self.open_tab(width_px=width_px, scheme=scheme)
        tab.load(page.as_uri())
        if point_at:
            tab.point_at(point_at)
        look = Look(
            tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"),
            tab.evaluate("getComputedStyle(document.body).backgroundColor"),
            tab.requests(),
            tab.complaints(),
            tab.evaluate(ask),
        )
        tab.close()
        return look

    def open_tab(self, *, width_px: int, scheme: Scheme) -> Tab:
        """Return a new tab of this width and colour scheme; what happened in others is forgotten."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(
            self, target, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        )
        for domain in ("Page", "Network", "Log", "Runtime"):
            tab.call(f"{domain}.enable")
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        return tab

    def close(self) -> None:
        """End the browser, and wait until it has."""
        self.call("Browser.close")
        while self._answers.read(65536):
            pass

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return what a method of the protocol returns."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while (answer := self.next_message()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def next_message(self) -> dict[str, Any]:
        """Return an event, or what answers a call."""
        message = bytearray()
        guard = threading.Timer(GUARD_S, self._kill)
        guard.start()
        try:
            while (byte := self._answers.read(1)) != b"\0":
                assert byte, "the browser has ended"
                message += byte
        finally:
            guard.cancel()
        parsed: dict[str, Any] = json.loads(message)
        return parsed


class Tab:
    """A page that stays open; of `Browser.open_tab`."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a method of the protocol returns for this tab."""
        return self._browser.call(method, self._session, **parameters)

    def load(self, url: str) -> None:
        """Load a page, with all that it needs."""
        events = self._browser.events
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in events):
            events.append(self._browser.next_message())

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_until(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true; the guard of the browser bounds that."""
        look = f"const look = () => ({condition}) ? resolve(true) : setTimeout(look, 10); look();"
        self.evaluate(f"new Promise((resolve) => {{ {look} }})")

    def point_at(self, element: str) -> None:
        """Move the pointer to the element that an expression returns."""
        self.evaluate(f"({element}).scrollIntoView({{block: 'center'}})")
        box = f"(({element}).getBoundingClientRect())"
        x, y = (
            self.evaluate(f"{box}.{edge} + {box}.{size} / 2")
            for edge, size in (("left", "width"), ("top", "height"))
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """Press a key, by its name in the DOM, and let it go."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **_CODES.get(key, {}), **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, **_CODES.get(key, {}))

    def requests(self) -> tuple[str, ...]:
        """Return the addresses of all that was asked for."""
        return tuple(
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent"
        )

    def complaints(self) -> tuple[str, ...]:
        """Return what stands in the console."""
        return tuple(
            json.dumps(event["params"])
            for event in self._browser.events
            if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        )

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)


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
    try:
        with os.fdopen(commands, "wb", 0) as writer, os.fdopen(answers, "rb") as reader:
            browser = Browser(writer, reader, process.kill)
            yield browser
            browser.close()
    finally:
        process.kill()
        process.wait()
