"""Table `ingest_counts`: how much came in over HTTP and what became of it."""

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy.orm import Session

from spend.sql import query

ROUTES: Final = ("ingest", "litellm", "otlp")
# How a request ended. Only the first means that its events are in the ledger.
REQUESTS: Final = (
    "booked",
    "invalid",  # 400, 422
    "unauthorized",  # 401, 403
    "limited",  # 429
    "too_large",  # 413
    "unsupported",  # 415
    "incomplete",  # its sender went away or was too slow
    "busy",  # 503, too much at once
    "unavailable",  # 503, no Postgres
    "failed",  # 500
)
# What became of the events of requests that were booked; a rejected one was not.
EVENTS: Final = ("imported", "known", "conflict", "rejected", "unpriced")

# (requests or events, route, result) to how many more.
Counts = Mapping[tuple[str, str, str], int]


def add(session: Session, counts: Counts) -> None:
    """Add to what was counted before, by whatever process."""
    rows = [
        {"counted": counted, "route": route, "result": result, "more": more}
        for (counted, route, result), more in sorted(counts.items())
    ]
    session.execute(query("web", "add_counts"), {"counts": json.dumps(rows)})
