"""A real Prometheus scrapes a real stack: what rules and dashboard ask for is there."""

import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_celery import CeleryTestSetup

from models import SCOPES
from spend import secrets
from tests.support import delivery_storm, monitoring
from tests.support.books import Books
from tests.support.hooks import hook
from tests.support.programs import Program
from tests.support.prometheus import Prometheus, prometheus
from tests.support.service import token
from tests.support.waiting import wait_for

SPENDBEAT = (sys.executable, "-c", "from worker.cli import main; main()")
LOGIN = "somebody:a-password"
SOURCE = "INSERT INTO litellm_sources (name, mode, run_at) VALUES ('proxy', 'logs', now())"
SHOP = {"project": "shop"}
# Seconds; seven programs that begin on a busy machine are long about it.
PATIENCE = 90.0
SPOOL = "name=api-7;waiting=3;dropped=0;oldest=2"


@pytest.fixture
def environment(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """With what deliveries to a receiver of the test need."""
    for name, value in delivery_storm.environment(secrets.new_key()).items():
        environment[name] = value
        monkeypatch.setenv(name, value)
    return environment


def address(program: Program) -> str:
    """Host and port of what says where it is."""
    wait_for(lambda: re.search(r"http://\S+", program.logs()), "its address", PATIENCE)
    (found, *_) = re.findall(r"http://([^\s/]+)", program.logs())
    return found


@pytest.fixture
def targets(celery_setup: CeleryTestSetup, start: Any) -> Iterator[dict[str, str]]:
    """Everything that is scraped, by the name of its job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        flower = int(free.getsockname()[1])
    start("flower", "flower", FLOWER_PORT=str(flower), FLOWER_BASIC_AUTH=LOGIN)
    exporter = start("exporter", "exporter", "--port", "0", command=SPENDBEAT)
    web = start("web", "web", "--port", "0", "--processes", "2", command=SPENDBEAT)
    start("beat", "beat")
    yield {
        "spendbeat": address(exporter),
        "flower": f"127.0.0.1:{flower}",
        "web": address(web),
    }
    for program in (exporter, web):
        assert "Traceback" not in program.logs()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == HTTPStatus.OK
    except httpx.TransportError:
        return False


def listen(url: str, secret: str) -> list[str]:
    """What one client hears of events, line by line, until the service ends."""
    heard: list[str] = []

    def hear() -> None:
        bearer = {"authorization": f"Bearer {secret}"}
        stream = httpx.stream("GET", f"{url}/events", headers=bearer, trust_env=False, timeout=60)
        with suppress(httpx.HTTPError), stream as answer:
            heard.extend(answer.iter_lines())

    threading.Thread(target=hear, daemon=True).start()
    return heard


def live(url: str, secret: str, receiver: str) -> None:
    """What a day brings: a channel, a budget, calls that are asked for, sent, crossed and told."""
    bearer = {"authorization": f"Bearer {secret}", "spendbeat-spool": SPOOL}
    with httpx.Client(base_url=url, headers=bearer, trust_env=False, timeout=30) as client:

        def ask(method: str, path: str, **said: Any) -> dict[str, Any]:
            answer = client.request(method, path, json=said or None)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

        ask("POST", "/channels", name="ops", kind="webhook", address=receiver)
        line = {"period": "total", "scope": SHOP, "thresholds": ["50%,channel=ops"]}
        ask("POST", "/budgets", name="shop", hard_limit="1", **line)
        call = {"provider": "openai", "model": "gpt-4o", **SHOP}
        ask("POST", "/guard/reserve", estimate_usd="0.1", **call)
        now = datetime.now(UTC).isoformat()
        ask("POST", "/ingest", id="a", started_at=now, cost_usd="0.8", input_tokens=9, **call)
        strange = {**call, "model": "nobody-knows-it"}
        ask("POST", "/ingest", id="b", started_at=now, input_tokens=9, **strange)
        ask("GET", "/spend")


def test_everything_is_scraped_and_every_expression_says_something(
    targets: dict[str, str], books: Books, tmp_path: Path
) -> None:
    """All targets are up, all rules can be asked, and no panel of the dashboard is empty."""
    secret = token("all", *SCOPES)
    with books.engine.begin() as connection:
        connection.exec_driver_sql(SOURCE)
    with prometheus(tmp_path, secret, targets) as found, hook() as receiver:
        url = f"http://{targets['web']}"
        wait_for(lambda: answers(url), "the service", PATIENCE)
        heard = listen(url, secret)
        wait_for(lambda: heard, "a stream that has begun", PATIENCE)
        live(url, secret, receiver.url())
        wait_for(lambda: receiver.got, "the message of a crossing", PATIENCE)
        wait_for(lambda: {"event: spend", "event: alert"} <= set(heard), "both kinds", PATIENCE)
        _until_empty(lambda: {j: s for j, s in found.targets().items() if s != "up"}, "targets")
        names = {rule["alert"] for rule in monitoring.rules()}
        _until_empty(lambda: names - _healthy(found), "rules that nobody could ask")
        panels = {n: e for n, e in monitoring.expressions().items() if n not in names}
        _until_empty(
            lambda: {name for name, expression in panels.items() if not found.query(expression)},
            "panels without data",
        )
        _until_empty(lambda: {a for a in _asked() if not found.query(a)}, "labels without values")
        counted = ("sum(spendbeat_sse_clients) == 1", "sum(spendbeat_sse_events_total) > 1")
        _until_empty(lambda: {c for c in counted if not found.query(c)}, "the listener")


def _healthy(found: Prometheus) -> set[str]:
    rules = found.rules()
    assert not [rule["lastError"] for rule in rules.values() if rule.get("lastError")]
    return {name for name, rule in rules.items() if rule["health"] == "ok"}


def _asked() -> set[str]:
    """One expression for each metric, and one for each label of it, that rules and panels name."""
    asked = {
        (metric, label)
        for expression in monitoring.expressions().values()
        for metric, labels in monitoring.asked(expression)
        for label in labels or {""}
    }
    return {f'{metric}{{{label}!=""}}' if label else metric for metric, label in asked}


def _until_empty(left: Any, what: str) -> None:
    """Waits until nothing is left; says what was."""
    last: list[Any] = []

    def empty() -> bool:
        last[:] = [left()]
        return not last[0]

    try:
        wait_for(empty, what, PATIENCE)
    except AssertionError:
        assert last[0] == set(), what
