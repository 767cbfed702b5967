"""Rules and dashboard: each can be understood, parsed and drawn."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support import monitoring

ROOT = Path(__file__).resolve().parents[2]
RULES = {rule["alert"]: rule for rule in monitoring.rules()}


def anchors(document: str) -> set[str]:
    """Of its headings, as they are made for links."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / document).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_two_rules_have_a_name_in_common() -> None:
    assert len(RULES) == len(monitoring.rules())


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"].endswith(".")
    document, _, anchor = notes["runbook"].partition("#")
    assert anchor in anchors(document)
    assert monitoring.asked(rule["expr"])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_a_rule_names_of_its_alert_is_there(rule: dict[str, Any]) -> None:
    """A label in a text that an aggregation has dropped would be an empty word."""
    kept = monitoring.kept(rule["expr"])
    named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert kept is None or named <= kept


def test_each_rule_is_tried_where_it_fires_and_where_it_does_not() -> None:
    """By what promtool runs: silent after an hour, firing after three."""
    tried: set[str] = set()
    for case in monitoring.load("rules_test.yml")["tests"]:
        silent, firing = case["promql_expr_test"]
        (name,) = set(re.findall(r'alertname="(\w+)"', silent["expr"] + firing["expr"]))
        assert "exp_samples" not in silent
        assert [sample["value"] for sample in firing["exp_samples"]] == [1]
        tried.add(name)
    assert tried == RULES.keys()


def test_prometheus_reads_the_rules_and_scrapes_exporter_flower_and_service() -> None:
    """Under the names and ports of the compose file, which also gives it the token."""
    settings = monitoring.load("prometheus.yml")
    assert settings["rule_files"] == ["rules.yml"]
    compose = monitoring.load("../docker-compose.yml")["services"]
    jobs = {job["job_name"]: job["static_configs"] for job in settings["scrape_configs"]}
    tokens = [job["authorization"] for job in settings["scrape_configs"] if "authorization" in job]
    assert tokens == [{"credentials_file": "secrets/metrics.token"}]
    mounted = [volume.split(":") for volume in compose["prometheus"]["volumes"]]
    assert ["./monitoring/secrets", "/etc/prometheus/secrets", "ro"] in mounted
    assert jobs.keys() == {"spendbeat", "flower", "web"}
    for ((target,),) in ([each["targets"] for each in job] for job in jobs.values()):
        host, _, port = target.partition(":")
        assert any(line.endswith(f":{port}") for line in compose[host]["ports"])


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = monitoring.load("grafana/spendbeat.json")["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_every_legend_names_labels_that_its_expression_leaves() -> None:
    for panel in monitoring.panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m")
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            kept = monitoring.kept(expression)
            assert kept is not None, panel["title"]
            assert named <= kept, panel["title"]
