"""The samples for Prometheus and Grafana, with a real Prometheus that scrapes a real service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_admin_command import echo, watched
from tests.support.balancers import sample, wait_until
from tests.support.checkout import ROOT
from tests.support.processes import SERVE, SERVE_WITH_WORKERS
from tests.support.prometheus import prometheus, promtool

DASHBOARD = json.loads(sample("grafana-dashboard.json"))
ALERTS = re.findall(r"alert: (\w+)", sample("alerts.yml"))


def test_promtool_finds_nothing_to_say_about_the_metrics() -> None:
    with watched() as watch:
        echo(watch.server, 3).close()
        for text in (watch.ask("/metrics").text,):
            checked = promtool("check", "metrics", stdin=text)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
        assert watch.server.stop() == 0


def test_the_configuration_and_the_rules_are_right(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / name).write_text(sample(name))
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_each_alert_fires_when_it_should_and_not_when_all_is_well(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(sample("alerts.yml"))
    cases = Path(__file__).with_name("alerts_test.yml").read_text()
    (tmp_path / "cases.yml").write_text(cases)
    checked = promtool("test", "rules", str(tmp_path / "cases.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {name: cases.count(f"alertname: {name}") for name in ALERTS} == dict.fromkeys(ALERTS, 2)


def test_prometheus_scrapes_what_was_sent(tmp_path: Path) -> None:
    with watched(command=SERVE) as one, watched(command=SERVE_WITH_WORKERS) as several:
        targets = [watch.url.removeprefix("http://") for watch in (one, several)]
        for watch, count in ((one, 30), (several, 50)):
            echo(watch.server, count).close()
        with prometheus(tmp_path, targets) as scraper:
            for target, count, workers in zip(targets, (30, 50), (1, 2), strict=True):
                this = f'{{job="trioecho", instance="{target}"}}'
                scraper.wait_for(f"up{this}", 1)
                scraper.wait_for(f"trioecho_messages_total{this}", count)
                scraper.wait_for(f"trioecho_workers{this}", workers)
                scraper.wait_for(f"trioecho_service_seconds_count{this}", count)
                scraper.wait_for(f"trioecho_sent_bytes_total{this}", count * 9)
                scraper.wait_for(f"trioecho_received_bytes_total{this}", count * 9)
            _check_queries_of_the_dashboard(scraper.query)
            _check_queries_of_alerts(scraper)
            echo(one.server, 5).close()
            scraper.wait_for("sum(trioecho_messages_total)", 85)
            assert one.server.stop() == several.server.stop() == 0
            scraper.wait_for("sum(up)", 0)
    assert one.server.reports[-1]["messages_total"] == 35


def _check_queries_of_alerts(scraper: Any) -> None:
    """Prometheus has loaded them, evaluates them, and none fires."""
    [group] = scraper.ask("rules", type="alert")["groups"]
    assert [rule["name"] for rule in group["rules"]] == ALERTS
    assert {rule["state"] for rule in group["rules"]} == {"inactive"}


# ---- the dashboard ----


def queries() -> Iterator[tuple[str, str]]:
    """The expressions of each panel, with the title of the panel."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def _check_queries_of_the_dashboard(query: Any) -> None:
    for title, expression in queries():
        asked = (
            expression.replace("$job", "trioecho")
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m")
            .replace("> 0", ">= 0")
        )
        assert "$" not in asked, title
        # A rate needs two scrapes.
        wait_until(partial(query, asked), f"{title}: nothing comes of {asked}")


def test_the_dashboard_names_only_metrics_that_there_are() -> None:
    with watched() as watch:
        echo(watch.server, 1).close()
        there = {re.split("[{ ]", line)[0] for line in watch.ask("/metrics").text.splitlines()}
        assert watch.server.stop() == 0
    named = {name for _, text in queries() for name in re.findall(r"\b(?:trioecho|process)_\w+", text)}
    named |= set(re.findall(r"\b(?:trioecho|process)_\w+", sample("alerts.yml")))
    assert named <= there


def test_the_dashboard_has_the_form_of_a_classic_one() -> None:
    """What Grafana documents of its "classic" model; a Grafana to load it is not at hand."""
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert "id" not in DASHBOARD  # the number that a Grafana gives it
    assert isinstance(DASHBOARD["schemaVersion"], int)
    assert set(DASHBOARD["time"]) == {"from", "to"}
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_has_a_place_of_its_own_a_unit_and_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["type"] in ("stat", "timeseries", "heatmap")
    place = panel["gridPos"]
    assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for other in DASHBOARD["panels"]:
        if other is not panel:
            there = other["gridPos"]
            assert (
                place["x"] >= there["x"] + there["w"]
                or there["x"] >= place["x"] + place["w"]
                or place["y"] >= there["y"] + there["h"]
                or there["y"] >= place["y"] + place["h"]
            )
    assert panel["fieldConfig"]["defaults"]["unit"]
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert [target["refId"] for target in panel["targets"]] == list("ABCD")[: len(panel["targets"])]
    for target in panel["targets"]:
        assert target["legendFormat"]


def test_the_guide_lists_each_alert() -> None:
    page = (ROOT / "trioecho/guide/operate.md").read_text()
    assert re.findall(r"^\| `(Trioecho\w+)` \|", page, re.MULTILINE) == ALERTS
