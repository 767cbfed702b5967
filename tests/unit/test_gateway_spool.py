"""The spool keeps what it accepted, within its bound, and counts what it did not."""

import json
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from spendbeat_gateway import cli
from spendbeat_gateway import database as files
from spendbeat_gateway.outbox import Outbox
from spendbeat_gateway.spool import Spool

from tests.support.gateway import recorder, response
from tests.support.receiver import Receiver

MEGABYTE = 1 << 20


def kept(folder: Path) -> list[str]:
    outbox = Outbox(folder, 256 * MEGABYTE)
    found: list[str] = []
    while (batch := outbox.batch()) is not None:
        found += batch.bodies
        outbox.taken(batch.ids)
    outbox.close()
    return found


def test_at_the_bound_the_newest_is_refused_and_counted_and_the_rest_ships(tmp_path: Path) -> None:
    receiver = Receiver()
    with receiver.up():
        pass
    with recorder(tmp_path, receiver.url, spool_mb=2) as spendbeat:
        made = [
            spendbeat.record(response(n, model="m" * 3000), provider="openai") for n in range(800)
        ]
        stats = spendbeat.stats()
        ids = {id_ for id_ in made if id_}
        assert 300 < len(ids) < 800
        assert made[: len(ids)] == [response(n)["id"] for n in range(len(ids))]
        assert stats.dropped_by_reason == {"bound": 800 - len(ids)}
        assert files.size(tmp_path) < 40 * MEGABYTE
        with receiver.up():
            assert spendbeat.flush()
            assert receiver.ids == ids
            state = receiver.asked[-1].headers["Spendbeat-Spool"]
            assert f"dropped={800 - len(ids)};" in state
            assert spendbeat.record(response(900), provider="openai"), "there is room again"
            assert spendbeat.flush()
    outbox = Outbox(tmp_path, 2 * MEGABYTE)
    assert outbox.counters()["dropped_bound"] == 800 - len(ids), "the count is on disk"
    outbox.close()


def test_an_event_too_large_for_a_batch_is_dropped_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 16 * MEGABYTE)
    assert not spool.add("gateway", "x" * (MEGABYTE + 1))
    assert spool.add("gateway", "x" * MEGABYTE)
    spool.close()
    outbox = Outbox(tmp_path, 16 * MEGABYTE)
    assert outbox.counters() == {"dropped_size": 1}
    outbox.close()


def test_many_threads_of_many_recorders_lose_nothing(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, 64 * MEGABYTE) for _ in range(3)]

    def work(spool: Spool, who: int) -> None:
        for n in range(200):
            assert spool.add("gateway", f"{who}-{n}")

    threads = [
        threading.Thread(target=work, args=(spool, 10 * i + j))
        for i, spool in enumerate(spools)
        for j in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for spool in spools:
        spool.close()
    assert sorted(kept(tmp_path)) == sorted(
        f"{10 * i + j}-{n}" for i in range(3) for j in range(3) for n in range(200)
    )


def test_a_spool_locked_by_a_process_that_hangs_delays_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spendbeat_gateway.spool._PATIENCE", 0.3)
    spool = Spool(tmp_path, 16 * MEGABYTE)
    assert spool.add("gateway", "first")
    hanging = sqlite3.connect(tmp_path / files.FILE, isolation_level=None)
    hanging.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for n in range(50):
        assert spool.add("gateway", f"waits {n}")
    assert time.monotonic() - began < 10, "only one call waits in full"
    hanging.execute("ROLLBACK")
    hanging.close()
    assert spool.add("gateway", "third")
    spool.close()
    assert kept(tmp_path) == ["first", *(f"waits {n}" for n in range(50)), "third"]


def test_a_folder_that_cannot_be_used_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with recorder(tmp_path / "file" / "spool") as spendbeat:
        assert spendbeat.record(response(1), provider="openai") is None
        stats = spendbeat.stats()
        assert (stats.dropped, stats.faults) == (1, 0)
        assert stats.problem is not None


def test_a_file_that_is_no_spool_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / files.FILE).write_bytes(b"not a database" * 1000)
    with recorder(tmp_path) as spendbeat:
        assert spendbeat.record(response(1), provider="openai") is None
        assert spendbeat.stats().dropped == 1


def test_only_its_owner_can_enter_the_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 16 * MEGABYTE)
    spool.add("gateway", "{}")
    spool.close()
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0


def test_rejected_events_take_a_tenth_of_the_spool_at_most(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2 * MEGABYTE)
    outbox = Outbox(tmp_path, 2 * MEGABYTE)
    for n in range(30):
        spool.add("gateway", f"{n:02d}" + "x" * 9_998)
    batch = outbox.batch()
    assert batch is not None
    outbox.refused([(id_, "why") for id_ in batch.ids])
    assert outbox.settle()
    left = [event.body[:2] for event in outbox.rejected()]
    assert left == [f"{n:02d}" for n in range(10, 30)], "the oldest go"
    assert outbox.counters()["dropped_rejected"] == 10
    spool.close()
    outbox.close()


def test_the_command_shows_retries_and_drops_what_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPENDBEAT_GATEWAY_SPOOL", str(tmp_path))
    monkeypatch.setenv("SPENDBEAT_GATEWAY_TOKEN", "a-token-nobody-knows")
    spool, outbox = Spool(tmp_path, MEGABYTE), Outbox(tmp_path, MEGABYTE)
    for n in range(3):
        spool.add("gateway", json.dumps({"id": str(n)}))
    batch = outbox.batch()
    assert batch is not None
    outbox.refused([(id_, "no such model") for id_ in batch.ids])
    outbox.settle()

    def says(*command: str) -> str:
        assert cli.main(command) == 0
        return capsys.readouterr().out

    listed = [json.loads(line) for line in says("rejected", "list", "--json").splitlines()]
    assert [event["reason"] for event in listed] == ["no such model"] * 3
    assert json.loads(says("status", "--json"))["rejected"] == 3
    says("rejected", "drop", str(listed[0]["id"]))
    says("rejected", "retry")
    status = json.loads(says("status", "--json"))
    assert (status["waiting"], status["rejected"]) == (2, 0)
    assert "nobody-knows" not in says("status")
    spool.close()
    outbox.close()


def test_status_of_a_spool_that_is_not_there_makes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--spool", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none").exists()
