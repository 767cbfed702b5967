"""What rules and dashboard ask for is served by the real exporter and the real Flower."""

import re
import socket
import sys
from typing import Any

from pytest_celery import CeleryTestSetup

from spend import gateway_spools
from spend.gateway_spools import Spool
from tests.support import budgets, monitoring, outboxes
from tests.support.books import Books
from tests.support.metrics import Scrape
from tests.support.waiting import wait_for
from worker.database import transaction

SPENDBEAT = (sys.executable, "-c", "from worker.cli import main; main()")
LOGIN = "somebody:a-password"
SOURCE = "INSERT INTO litellm_sources (name, mode, run_at) VALUES ('proxy', 'logs', now())"


def test_every_metric_and_label_of_rules_and_dashboard_is_served(
    celery_setup: CeleryTestSetup, start: Any, books: Books
) -> None:
    """With something to say of everything, a gateway and a channel included; Flower without its
    login, as Prometheus asks.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    start("flower", "flower", FLOWER_PORT=str(port), FLOWER_BASIC_AUTH=LOGIN)
    exporter = start("exporter", "exporter", "--port", "0", command=SPENDBEAT)
    exporter.wait_for_log("/metrics")
    url = re.findall(r"http://\S+", exporter.logs())[0]
    books.spend("openai")
    budgets.add("shop")
    outboxes.put(outboxes.channel())
    with transaction() as session:
        gateway_spools.record(session, [Spool("api-7", waiting=3, dropped=0, oldest=2)])
    with books.engine.begin() as connection:
        connection.exec_driver_sql(SOURCE)
    start("beat", "beat")
    asked = {
        (metric, label)
        for expression in monitoring.expressions().values()
        for metric, labels in monitoring.asked(expression)
        for label in labels or {""}
        if metric != "up"  # Prometheus's own
    }

    def missing() -> set[tuple[str, str]]:
        served = set()
        for source in (url, f"http://127.0.0.1:{port}/metrics"):
            for metric, labels in Scrape(source).samples:
                served |= {(metric, ""), *((metric, name) for name, _ in labels)}
        return asked - served

    try:
        wait_for(lambda: not missing(), "all that is asked for")
    except AssertionError:
        assert missing() == set()
        raise
