"""The embedded servers: they keep what they were given, whatever ends them, and leave nothing."""

import multiprocessing
import os
import pwd
import signal
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from spend.errors import BusyError, SpendbeatError
from tests.support.homes import kill_everything, names
from tests.support.waiting import wait_for
from worker.broker import client
from worker.embedded import paths
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.redis import EmbeddedRedis
from worker.processes import running_in


def execute(url: str, sql: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(sql))
    engine.dispose()


def scalar(url: str, sql: str) -> object:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(text(sql))
    engine.dispose()
    return found


def test_rows_and_messages_are_there_after_a_restart(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres, EmbeddedRedis(home) as redis:
        execute(postgres.url(), "CREATE TABLE kept AS SELECT 7 AS n")
        client(redis.url).set("kept", "7")
    assert names(home) == []
    with EmbeddedPostgres(home) as postgres, EmbeddedRedis(home) as redis:
        assert scalar(postgres.url(), "SELECT n FROM kept") == 7
        assert client(redis.url).get("kept") == b"7"


def test_committed_rows_survive_kill_nine_of_every_server_process(home: Path) -> None:
    postgres, redis = EmbeddedPostgres(home), EmbeddedRedis(home)
    postgres.start()
    redis.start()
    execute(postgres.url(), "CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n")
    client(redis.url).set("kept", "7")
    # AOF is synced once a second; the kernel keeps what was written when the process dies.
    kill_everything(home)
    wait_for(lambda: postgres.poll() is not None and redis.poll() is not None, "both to be dead")
    assert (postgres.data / "postmaster.pid").exists()

    postgres.start()  # as a supervisor does
    redis.start()
    try:
        assert scalar(postgres.url(), "SELECT count(*) FROM kept") == 100_000
        assert client(redis.url).get("kept") == b"7"
    finally:
        redis.stop()
        postgres.stop()
    assert names(home) == []


def test_a_busy_backend_does_not_outlive_the_postmaster_into_the_next_start(home: Path) -> None:
    postgres = EmbeddedPostgres(home)
    postgres.start()
    # Only its own loop: it looks neither at the postmaster nor at its socket.
    loop = "DO $$ BEGIN FOR i IN 1..2000000000 LOOP NULL; END LOOP; END $$"
    busy = create_engine(postgres.url())
    connection = busy.connect()
    backend = connection.scalar(text("SELECT pg_backend_pid()"))
    thread = threading.Thread(target=_until_the_end, args=(connection, loop))
    thread.start()
    try:
        wait_for(lambda: _state(postgres, backend) == "active", "the backend to be busy")
        os.kill(postgres.pid, signal.SIGKILL)
        wait_for(lambda: postgres.poll() is not None, "the postmaster to be dead")
        wait_for(lambda: running_in(postgres.data, "postgres") == [backend], "only it to be left")
        postgres.start()
        assert backend not in running_in(postgres.data, "postgres")
    finally:
        postgres.stop()
        thread.join()
        busy.dispose()


def _until_the_end(connection: Connection, sql: str) -> None:
    with suppress(OperationalError):
        connection.execute(text(sql))
    connection.invalidate()


def _state(postgres: EmbeddedPostgres, pid: object) -> object:
    return scalar(postgres.url(), f"SELECT state FROM pg_stat_activity WHERE pid = {pid}")


def test_a_server_that_outlived_its_holder_is_ended_by_the_next(home: Path) -> None:
    first = EmbeddedPostgres(home)
    first.start()
    orphan = first.pid
    first._lock.release()  # what the end of the holder does
    second = EmbeddedPostgres(home)
    second.start()
    try:
        assert first.poll() == 0, "it was asked to shut down, not killed"
        assert orphan not in running_in(second.data, "postgres")
    finally:
        second.stop()


def test_a_foreign_process_with_the_pid_of_a_stale_file_is_left_alone(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        data = postgres.data
    (data / "postmaster.pid").write_text(f"{os.getppid()}\n{data}\n1\n5432\n\n\n\nready\n")
    (data / "postmaster.pid").chmod(0o644)
    with EmbeddedPostgres(home) as postgres:
        assert scalar(postgres.url(), "SELECT 1") == 1
    os.kill(os.getppid(), 0)


def test_a_second_holder_of_a_home_is_refused_and_told_who_holds_it(home: Path) -> None:
    with EmbeddedPostgres(home), pytest.raises(BusyError, match=f"process {os.getpid()} "):
        EmbeddedPostgres(home).start()
    with EmbeddedPostgres(home) as again:
        assert again.poll() is None


def test_data_of_another_postgres_is_refused_by_name(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        data = postgres.data
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(SpendbeatError, match="made by Postgres 15, the embedded one is 18"):
        EmbeddedPostgres(home).start()
    assert names(home) == []


def test_an_interrupted_creation_is_begun_anew(home: Path) -> None:
    half = home / "postgres.new"
    half.mkdir(parents=True)
    home.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(home) as postgres:
        assert scalar(postgres.url(), "SELECT 1") == 1
    assert not half.exists()


def test_a_failed_start_says_why_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(SpendbeatError, match="shared_buffers") as caught:
        EmbeddedPostgres(home, {"shared_buffers": "nonsense"}).start()
    assert "postgres.log" in str(caught.value)
    assert names(home) == []


def test_settings_are_ours_and_alter_system_stays(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        assert scalar(postgres.url(), "SHOW server_encoding") == "UTF8"
        assert scalar(postgres.url(), "SHOW jit") == "off"
        assert scalar(postgres.url(), "SHOW shared_preload_libraries") == "pg_stat_statements"
        engine = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("ALTER SYSTEM SET work_mem = '65MB'"))
            connection.execute(text("ALTER SYSTEM SET listen_addresses = '*'"))
        engine.dispose()
    with EmbeddedPostgres(home) as postgres:
        assert scalar(postgres.url(), "SHOW work_mem") == "65MB"
        assert scalar(postgres.url(), "SHOW listen_addresses") == "", "no password: never a port"


def test_only_the_servers_account_can_enter_the_folder_of_the_sockets(home: Path) -> None:
    with EmbeddedPostgres(home):
        found = paths.sockets(home).stat()
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert stat.S_IMODE(paths.postgres_data(home).stat().st_mode) == 0o700
        expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
        assert found.st_uid == expected


def test_a_folder_for_sockets_that_is_somebody_elses_is_refused(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    sockets = paths.sockets(home)
    sockets.mkdir(exist_ok=True)
    sockets.rmdir()
    sockets.symlink_to(home)
    with pytest.raises(SpendbeatError, match="belongs to"):
        EmbeddedPostgres(home).start()
    sockets.unlink()


def test_root_is_told_that_nobody_cannot_enter_the_home_and_others_just_run(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    if os.geteuid() != 0:
        with EmbeddedPostgres(closed / "home") as postgres:
            assert postgres.poll() is None
        return
    with pytest.raises(SpendbeatError, match="'nobody', who cannot enter"):
        EmbeddedPostgres(closed / "home").start()
    assert not (closed / "home").exists()


def _whole_life(home: Path) -> None:
    """In a forked process: start both as an ordinary user, use them, stop them."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    with EmbeddedPostgres(home) as postgres, EmbeddedRedis(home) as redis:
        assert scalar(postgres.url(), "SELECT current_user") == "postgres"
        assert client(redis.url).ping()
        assert postgres.data.stat().st_uid == os.geteuid()


def test_an_ordinary_user_runs_them_too(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    mine = tmp_path / "mine"
    mine.mkdir()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(mine, nobody.pw_uid, nobody.pw_gid)
    child = multiprocessing.get_context("fork").Process(target=_whole_life, args=(mine / "home",))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert names(mine) == []


def test_root_follows_no_link_that_the_servers_account_left_in_its_folder(home: Path) -> None:
    with EmbeddedPostgres(home) as postgres:
        data = postgres.data
    victim = home / "victim"
    victim.write_text("untouched")
    (data / "postgresql.conf.new").symlink_to(victim)
    with EmbeddedPostgres(home):
        pass
    assert victim.read_text() == "untouched"
    assert victim.stat().st_uid == os.geteuid()
