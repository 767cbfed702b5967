"""A dry run: everything that an import does up to the database."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import tzinfo
from itertools import islice

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend.attributions import Mix
from spend.capture.normalise import Normaliser
from spend.capture.pipeline import (
    BATCH_ROWS,
    Numbered,
    OnProgress,
    RejectsSink,
    Source,
    normalised,
)
from spend.capture.staging import Stager
from spend.capture.store import StoreResult
from spend.capture.summary import ImportSummary
from spend.pricing import Origin, PriceBook, overrides


def try_source(
    engine: Engine,
    source: Source,
    *,
    zone: tzinfo | None = None,
    batch_rows: int = BATCH_ROWS,
    rejects: RejectsSink | None = None,
    on_progress: OnProgress | None = None,
) -> ImportSummary:
    """Read, check and price all rows of a source; nothing is written but the rejects.

    `imported` counts what an import would book if none of it were known.
    """
    with Session(engine) as session:
        stager = Stager(PriceBook(overrides.load(session)))
    attributions: dict[Mix, int] = defaultdict(int)
    versions: dict[Origin, int] = defaultdict(int)
    normaliser = Normaliser(zone)
    rows: Iterator[Numbered] = iter(source)
    summary = ImportSummary()
    began = time.monotonic()
    while True:
        chunk = normalised(islice(rows, batch_rows), normaliser, source.raw, rejects)
        if not chunk.read:
            return summary
        batch = stager.stage(chunk.requests, attributions, versions)
        attributions.clear()
        booked = StoreResult(len(batch.rows), batch.known, batch.conflicts, len(batch.unpriced))
        summary = replace(
            summary.stored(booked),
            read=summary.read + chunk.read,
            rejected=summary.rejected + chunk.rejected,
            seconds=time.monotonic() - began,
        )
        if on_progress:
            on_progress(summary)
