"""What the exporter says of the HTTP service and of gateways."""

from collections.abc import Callable, Iterator

import pytest

from spend import gateway_spools, ingest_counts
from spend.gateway_spools import MOST_NAMES, Spool
from tests.integration.test_exporter import serving
from tests.support.books import Books
from tests.support.metrics import Scrape
from worker.database import transaction
from worker.metrics import MOST_GATEWAYS


@pytest.fixture
def scrape(database: str) -> Iterator[Callable[[], Scrape]]:
    with serving(database) as scrape:
        yield scrape


def record(*spools: Spool) -> None:
    with transaction() as session:
        gateway_spools.record(session, spools)


def test_what_came_in_is_counted_by_route_and_result(scrape: Callable[[], Scrape]) -> None:
    """Over all processes, and visible as zero before anything came."""
    name = "spendbeat_ingest_requests_total"
    assert scrape().value(name, route="otlp", result="booked") == 0
    for _ in range(2):
        with transaction() as session:
            ingest_counts.add(session, {("requests", "otlp", "booked"): 3})
            ingest_counts.add(session, {("events", "otlp", "imported"): 700})
    found = scrape()
    assert found.value(name, route="otlp", result="booked") == 6
    assert found.value(name) == 6
    assert found.value("spendbeat_ingest_events_total", route="otlp") == 1400
    assert len(found.labels(name)) == len(ingest_counts.ROUTES) * len(ingest_counts.REQUESTS)


def test_a_gateways_newest_word_counts_and_silence_ages_what_waits(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    record(Spool("a", 5, 1, 10), Spool("b", 9, 0, 20))
    record(Spool("b", 0, 2, 0))
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gateway_spools SET seen_at = now() - interval '1 hour'")
    found = scrape()
    assert found.value("spendbeat_gateway_spool_waiting", gateway="a") == 5
    assert found.value("spendbeat_gateway_spool_dropped", gateway="b") == 2
    assert found.value("spendbeat_gateway_spool_age_seconds", gateway="b") == 0
    age = found.value("spendbeat_gateway_spool_age_seconds", gateway="a")
    assert age is not None
    assert age >= 3610


def test_names_of_gateways_are_bounded_and_old_ones_make_room(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """A name that is new with each start fills neither the table nor Prometheus."""
    record(*(Spool(f"pod-{n:04}", 1, 0, 1) for n in range(MOST_NAMES + 50)))
    assert books.scalar("SELECT count(*) FROM gateway_spools") == MOST_NAMES
    record(Spool("pod-0000", 7, 0, 1), Spool("late", 1, 0, 1))
    assert books.scalar("SELECT waiting FROM gateway_spools WHERE name = 'pod-0000'") == 7
    assert books.scalar("SELECT count(*) FROM gateway_spools WHERE name = 'late'") == 0
    found = scrape()
    assert len(found.labels("spendbeat_gateway_spool_waiting")) == MOST_GATEWAYS + 1
    assert found.value("spendbeat_gateway_spool_waiting") == MOST_NAMES + 6
    with books.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE gateway_spools SET seen_at = now() - interval '8 days' WHERE name > 'pod-0500'"
        )
    record(Spool("late", 1, 0, 1))
    assert books.scalar("SELECT count(*) FROM gateway_spools WHERE name = 'late'") == 1
    assert books.scalar("SELECT count(*) FROM gateway_spools") == 502
