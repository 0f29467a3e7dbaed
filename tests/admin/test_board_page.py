"""The board in a real browser, beside a service that runs."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.admin.test_admin_command import FRAME, Watched, echo, watched
from tests.admin.test_load_and_proxy import command_with_admin
from tests.support.browser import Browser, Scheme, Tab, open_browser
from tests.support.guard import GUARD_S
from tests.support.processes import SERVE_WITH_WORKERS
from tests.support.sockets import receive_all
from trioecho.base.tcp_info import HAS_TCP_INFO

BACKGROUNDS: dict[Scheme, str] = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}

# What stands on the page, as JSON.
SEEN = """JSON.stringify({
  state: document.querySelector("#state-text").textContent,
  numbers: Object.fromEntries([...document.querySelectorAll("#numbers div")].map((entry) =>
    [entry.querySelector("dt").textContent, entry.querySelector("dd").textContent])),
  events: [...document.querySelectorAll("#events li")].map(({textContent: text}) =>
    text.slice(text.indexOf(" ") + 1)),
  errors: [...document.querySelectorAll("#errors tbody tr")].map((row) => row.textContent),
  plots: [...document.querySelectorAll(".plot")].map((plot) => plot.getAttribute("aria-label")),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  background: getComputedStyle(document.body).backgroundColor,
  widths: [...document.querySelectorAll(".plot canvas")].map((each) => each.getBoundingClientRect().width),
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def seen(tab: Tab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tab.evaluate(SEEN))
    return found


def open_board(browser: Browser, watch: Watched, width_px: int = 1280, scheme: Scheme = "light") -> Tab:
    tab = browser.open_tab(width_px=width_px, scheme=scheme)
    tab.load(watch.url + "/")
    tab.wait_until("samples.length > 0")
    return tab


def test_the_board_shows_the_service_and_its_drain_as_it_happens(browser: Browser) -> None:
    with watched("--metrics-interval", "0.2") as watch:
        peer = echo(watch.server, 25)
        with watch.server.connect() as bad:
            bad.sendall(b"\xff\xff\xff\xff")
            assert receive_all(bad) == b""
        tab = open_board(browser, watch)
        tab.wait_until("document.querySelector('#errors').textContent.includes('frame_too_large')")
        page = seen(tab)
        assert page["state"] == "serving"
        assert page["numbers"]["connections"] == "1"
        assert page["numbers"]["workers"] == "1"
        assert page["numbers"]["errors since the start"] == "1"
        assert page["errors"] == ["frame_too_large1"]
        assert f"listening on {watch.server.addresses[0]}" in page["events"]
        assert tab.evaluate("samples.reduce((sum, sample) => sum + sample.messages, 0)") == 25
        in_heat = "samples.reduce((sum, {heat}) => sum + heat.reduce((all, [, n]) => all + n, 0), 0)"
        assert tab.evaluate(in_heat) == 25
        # A frame that has begun holds the drain open.
        peer.sendall(FRAME[:2])
        watch.server.process.terminate()
        tab.wait_until("document.querySelector('#state-text').textContent.startsWith('draining')")
        tab.wait_until("drains.length == 1")
        peer.sendall(FRAME[2:])
        assert receive_all(peer) == FRAME
        peer.close()
        tab.wait_until(
            "document.querySelector('#state-text').textContent !== 'draining: no new connection is accepted'"
        )
        assert watch.server.process.wait() == 0
        assert tab.evaluate("samples.at(-1).messages_total") == 26
        assert [each for each in tab.complaints() if "ERR_" not in each] == []  # the server has ended
        tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("width_px", [400, 900, 1400])
@pytest.mark.parametrize("scheme", BACKGROUNDS)
def test_it_fits_and_loads_nothing_from_elsewhere(width_px: int, scheme: Scheme, browser: Browser) -> None:
    with watched("--metrics-interval", "0.1") as watch:
        echo(watch.server, 5).close()
        tab = open_board(browser, watch, width_px, scheme)
        tab.wait_until("samples.length > 2")
        page = seen(tab)
        assert page["overflow"] == 0
        assert page["background"] == BACKGROUNDS[scheme]
        assert len(page["widths"]) == 6
        assert all(300 < width <= width_px for width in page["widths"])
        assert {url.removeprefix(watch.url) for url in tab.requests() if not url.startswith("data:")} == {
            *("/", "/board.css", "/uPlot.css", "/uPlot.js", "/heat.js", "/panels.js", "/board.js", "/events")
        }
        assert tab.complaints() == ()
        tab.close()
        assert watch.server.stop() == 0


def test_keys_and_words_tell_what_eyes_do_not(browser: Browser) -> None:
    with watched("--metrics-interval", "0.1", command=SERVE_WITH_WORKERS) as watch:
        peer = echo(watch.server, 5)
        tab = open_board(browser, watch)
        tab.wait_until("samples.length > 3")
        assert "Connections. open: now 1, from " in "\n".join(seen(tab)["plots"])
        assert tab.evaluate("document.querySelector('#state').getAttribute('role')") == "status"
        # Pause, by its key; then a plot's values, by the arrows.
        tab.evaluate("document.querySelector('#pause').focus() || ''")
        tab.press("Enter")
        assert tab.evaluate("document.querySelector('#pause').getAttribute('aria-pressed')") == "true"
        tab.evaluate("document.querySelectorAll('.plot')[3].focus() || ''")
        legend = "document.querySelectorAll('.plot')[3].querySelector('.u-legend').textContent"
        assert "open-" in tab.evaluate(legend)
        tab.press("End")
        tab.wait_until(f"/open1/.test({legend})")
        peer.close()
        tab.close()
        assert watch.server.stop() == 0


# Draws what a service may have, of which a library of charts may think less: one value, none, tiny and huge
# ones, all the same. The chance is the same each time.
NASTY = """(async () => {
  let state = 1;
  const chance = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const time = () => (chance() < 0.3 ? null : 10 ** (chance() * 9 - 4));
  for (let round = 0; round < 150; round++) {
    samples = [];
    let t = 1.79e9;
    for (let count = 1 + Math.floor(chance() * 3); count; count--) {
      const interval_s = chance() < 0.5 ? 0.2 : 2 * chance() + 0.0001;
      t += interval_s;
      samples.push({
        t, interval_s, p50: time(), p99: time(), max: time(), mean: time(),
        messages_per_s: chance() < 0.5 ? 0 : 1e7 * chance(), bytes_per_s: 0, blocked_s: 0, workers: 1,
        connections: Math.floor(chance() * 3), errors: chance() < 0.5 ? {} : { kind: 3 },
        heat: chance() < 0.5 ? [] : [[Math.floor(chance() * 60 - 24), 3]],
      });
    }
    samples.forEach(complete);
    show();
    await new Promise((resolve) => setTimeout(resolve));
  }
})()"""


def test_whatever_is_measured_is_drawn(browser: Browser) -> None:
    with watched("--metrics-interval", "0") as watch:
        tab = browser.open_tab(width_px=1280, scheme="light")
        tab.load(watch.url + "/")
        tab.wait_until("board !== null")
        tab.evaluate(NASTY)
        assert tab.complaints() == ()
        tab.close()
        assert watch.server.stop() == 0


def test_a_page_that_is_gone_without_a_word_does_not_hold_the_end_up() -> None:
    with watched() as watch:
        host, _, port = watch.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), GUARD_S) as mute:
            mute.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert mute.recv(1)
            assert watch.server.stop() == 0


def test_the_board_of_a_load_beside_the_server_s_own_times(browser: Browser) -> None:
    with watched("--metrics-interval", "0.2") as watch:
        metrics = ("--server-metrics", f"{watch.url}/metrics")
        words = ("load", watch.server.addresses[0], "--duration", "1h", "--rate", "200", *metrics)
        with command_with_admin(*words) as (load, _, url):
            tab = browser.open_tab(width_px=1280, scheme="light")
            tab.load(url + "/")
            tab.wait_until("samples.some((sample) => sample.server_mean > 0)")
            if HAS_TCP_INFO:
                tab.wait_until("samples.some((sample) => sample.rtt_p50 > 0)")
            page = seen(tab)
            assert page["state"] == "measuring"
            assert page["numbers"]["connections"] == "5"
            assert page["events"][-1] == "s run 1 begins at 200 messages/s"  # behind the 0
            assert tab.evaluate("document.querySelector('#progress').value") < 0.1
            assert "server, mean: now " in "\n".join(page["plots"])
            of_the_path = "p50 of the connections: now ", "segments: now ", "window: now ", "unsent: now "
            assert all(words in "\n".join(page["plots"]) for words in of_the_path) or not HAS_TCP_INFO
            assert tab.evaluate("samples.at(-1).curve.every(([, due, send]) => due >= send && send > 0)")
            load.send_signal(signal.SIGINT)
            tab.wait_until("document.querySelector('#state-text').textContent === 'ended'")
            assert load.wait() in (0, 5, 130)  # a busy machine saturates
            assert [each for each in tab.complaints() if "ERR_" not in each] == []  # it has ended
            tab.close()
        assert watch.server.stop() == 0
