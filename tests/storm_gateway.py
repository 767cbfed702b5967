"""Kill processes that record calls at random moments, and compare what they noted with what came.

    ./run storm gateway --kills 50
    ./run storm gateway --kills 50 --service --away 60

By default what arrives at a receiver that is down a third of the time; with --service what is in
the ledger behind the real service, whose database goes away for --away seconds in the middle.
Prints what was noted, what arrived and what was lost; exit code 1 if anything was, or came twice.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from benchmarks.stack import database, server
from tests.support.gateway_kills import service_storm, storm
from worker.database import transaction


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--service", action="store_true", help="the real service and ledger")
    parser.add_argument("--away", type=float, default=60.0, help="seconds without its database")
    options = parser.parse_args(argv)
    if options.service:
        return against_the_service(options.kills, options.away, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = storm(Path(folder), options.kills, seed=options.seed)
    print(f"{found.kills} processes killed; {found.noted:,} calls noted by them")
    print(f"{found.arrived:,} arrived, {found.unknown:,} of them not noted before the kill")
    print(f"{found.sent_again:,} were sent twice, and count once by their id")
    print(f"{len(found.lost):,} lost")
    return 1 if found.lost else 0


def against_the_service(kills: int, seconds_away: float, seed: int) -> int:
    with server() as server_url, database(server_url), tempfile.TemporaryDirectory() as folder:
        url = os.environ["DATABASE_URL"]
        noted, meanwhile = service_storm(Path(folder), url, kills, seconds_away, seed=seed)
        with transaction("spendbeat_reader") as session:
            booked = list(session.scalars(text("SELECT request_id FROM cost_logs")))
    lost = noted - set(booked)
    print(f"{len(noted):,} calls noted; {meanwhile} processes killed while the database was away")
    print(f"{len(booked):,} rows booked, {len(set(booked)):,} different ids")
    print(f"{len(lost):,} lost, {len(booked) - len(set(booked)):,} booked twice")
    return 1 if lost or len(booked) != len(set(booked)) else 0


if __name__ == "__main__":
    sys.exit(main())
