"""Spools of processes that a fork by C code made (see forks.py): taken over when these are gone."""

import os
import shutil
from pathlib import Path

from spendbeat_gateway.election import Election
from spendbeat_gateway.outbox import Outbox

PREFIX = "fork-"


def name() -> str:
    """For the spool of this process."""
    return f"{PREFIX}{os.getpid()}-{os.urandom(4).hex()}"


def adopt(folder: Path, outbox: Outbox) -> None:
    """Move what orphans below `folder` hold into `outbox`. Raises sqlite3.Error and OSError."""
    for orphan in folder.glob(f"{PREFIX}*"):
        if _alive(orphan.name):
            continue
        election = Election(orphan)
        try:
            if election.won():
                _empty(Outbox(orphan, outbox.limit), outbox)
                shutil.rmtree(orphan)
        finally:
            election.leave()


def _empty(orphan: Outbox, outbox: Outbox) -> None:
    try:
        outbox.count(orphan.counters())
        orphan.retry([event.id for event in orphan.rejected()])  # they will be refused again
        while (batch := orphan.batch()) is not None:
            outbox.adopt(batch)
            orphan.taken(batch.ids)
    finally:
        orphan.close()


def _alive(name_: str) -> bool:
    pid = name_.split("-")[1]
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
