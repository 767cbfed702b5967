"""A dry run: everything that an import does up to the database."""

import time
from collections import defaultdict
from dataclasses import replace
from datetime import tzinfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend.capture.building import Builder, RejectsSink, Source
from spend.capture.normalise import Normaliser
from spend.capture.pipeline import BATCH_ROWS, OnProgress
from spend.capture.staging import Stager
from spend.capture.store import StoreResult
from spend.capture.summary import ImportSummary
from spend.pricing import PriceBook, overrides


def try_source(
    engine: Engine | None,
    source: Source,
    *,
    zone: tzinfo | None = None,
    batch_rows: int = BATCH_ROWS,
    rejects: RejectsSink | None = None,
    on_progress: OnProgress | None = None,
) -> ImportSummary:
    """Read, check and price all rows of a source; nothing is written but the rejects.

    `imported` counts what an import would book if none of it were known. engine: None where there
    is no ledger yet, so no prices of one's own either.
    """
    book = PriceBook()
    if engine is not None:
        with Session(engine) as session:
            book = PriceBook(overrides.load(session))
    stager = Stager(book, defaultdict(int), defaultdict(int))
    builder = Builder(source, Normaliser(zone), stager, lambda _mixes, _days: None, rejects)
    summary = ImportSummary()
    began = time.monotonic()
    while (batch := builder.batch(batch_rows)) is not None:
        booked = StoreResult(len(batch), batch.known, batch.conflicts, len(batch.unpriced))
        summary = replace(
            summary.stored(booked),
            read=builder.read,
            rejected=builder.rejected,
            seconds=time.monotonic() - began,
        )
        if on_progress:
            on_progress(summary)
    return summary
