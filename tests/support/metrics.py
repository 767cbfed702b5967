"""Reading a Prometheus endpoint the way Prometheus would."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from worker.celery import app
from worker.exporter import make_endpoint, registry

NOWHERE = "redis+socket:///nonexistent/redis.sock?virtual_host=0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What one scrape said. text: what it said, where it was asked for in another way."""

    def __init__(self, url: str, text: str | None = None) -> None:
        if text is None:
            with urllib.request.urlopen(url, timeout=15) as answer:
                text = answer.read().decode()
        self.text = text
        self.samples: Samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        }

    def value(self, metric: str, /, **labels: str) -> float | None:
        """The sum of the samples that have these labels; None if there is none."""
        found = [
            value
            for (sample, having), value in self.samples.items()
            if sample == metric and labels.items() <= dict(having).items()
        ]
        return sum(found) if found else None

    def labels(self, name: str) -> set[frozenset[tuple[str, str]]]:
        return {having for sample, having in self.samples if sample == name}


def parsed(text: str) -> Scrape:
    """An answer that is here already."""
    return Scrape("", text)


@contextmanager
def serving(database_url: str, **bounds: int) -> Iterator[Callable[[], Scrape]]:
    """Scrapes an endpoint that has this database and no Redis."""
    found, _ = registry(app, database_url, NOWHERE, **bounds)
    server = make_endpoint(found, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield lambda: Scrape(f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
