"""Files go into the ledger, each request once and at its price; the rest is named with a reason."""

import csv
import gzip
import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from spend.capture.pipeline import import_requests
from spend.capture.summary import ImportSummary
from spend.errors import BadInputError, UnavailableError
from spend.generate import requests
from tests.support.captured import AZURE, azure_trace, counted, imported, ledger, spendbeat
from worker.database import engine, transaction

DAY = datetime(2026, 11, 2, tzinfo=UTC).date()
HEADER = "id,started_at,provider,model,input_tokens,output_tokens"


def figures(summary: Any) -> tuple[int, ...]:
    """read, imported, known, conflicts, rejected, unpriced"""
    names = ("read", "imported", "known", "conflicts", "rejected", "unpriced")
    return tuple(summary[name] for name in names)


def lines(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_a_trace_without_ids_is_booked_whole_and_once(database: str, tmp_path: Path) -> None:
    """CRLF, 100 ns, no end of the last line; equal lines stay two requests."""
    trace = tmp_path / "trace.csv"
    tokens = azure_trace(trace, 500)
    assert figures(imported(trace, *AZURE, "--batch", "64")) == (500, 500, 0, 0, 0, 0)
    rows = ledger("input_tokens, output_tokens, cost_usd, started_at, attribution_id")
    assert [row[:2] for row in rows] == tokens
    per_million = Decimal("2.50"), Decimal(10)
    cost = sum(a * per_million[0] + b * per_million[1] for a, b in tokens) / 1_000_000
    assert counted() == (500, 500, cost)
    assert rows[9].started_at == datetime(2023, 11, 16, 18, 15, 47, 111113, tzinfo=UTC)

    assert figures(imported(trace, *AZURE, "--batch", "7")) == (500, 0, 500, 0, 0, 0)
    assert counted() == (500, 500, cost)


def test_a_file_that_grew_adds_what_is_new(database: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    azure_trace(trace, 90)
    imported(trace, *AZURE)
    azure_trace(trace, 200)
    with trace.open("ab") as file:
        file.write(b"\r\n" + trace.read_bytes().splitlines()[1])  # an equal of the first line
    assert figures(imported(trace, *AZURE)) == (201, 111, 90, 0, 0, 0)


def test_one_request_by_three_routes_around_midnight_is_one_row(
    database: str, tmp_path: Path
) -> None:
    for n, moment in enumerate(
        ("2026-10-31T23:59:59.9996Z", "2026-10-31T23:59:59.999Z", "2026-11-01T00:00:00Z")
    ):
        path = lines(tmp_path / f"{n}.csv", f"chatcmpl-1,{moment},openai,gpt-4o,10,5")
        summary = imported(path)
        assert figures(summary) == (1, 1 - min(n, 1), min(n, 1), 0, 0, 0)
    assert counted()[:2] == (1, 1)
    (row,) = ledger("started_at")
    assert row.started_at == datetime(2026, 10, 31, 23, 59, 59, 999600, tzinfo=UTC)


def test_the_same_id_with_other_content_is_reported_and_not_booked(
    database: str, tmp_path: Path
) -> None:
    first = "r1,2026-11-01T10:00:00Z,openai,gpt-4o,10,5"
    imported(lines(tmp_path / "a.csv", first))
    path = lines(
        tmp_path / "b.csv",
        first,
        "r1,2026-11-01T10:00:02Z,openai,gpt-4o,10,5",  # as far as rounding may go
        "r1,2026-11-01T10:00:00Z,openai,gpt-4o,11,5",
        "r1,2026-11-01T10:00:03Z,openai,gpt-4o,10,5",
        "r2,2026-11-01T10:00:00Z,openai,gpt-4o,10,5",
        "r2,2026-11-01T10:00:00Z,openai,gpt-4o,12,5",
    )
    # In one batch and in batches of one: known from the file itself or from the database.
    for batch in ("100", "1"):
        with transaction("spendbeat_owner") as session:
            session.execute(text("ALTER TABLE request_keys DISABLE TRIGGER ALL"))
            session.execute(text("DELETE FROM request_keys WHERE row_id > 1"))
        summary = imported(path, "--batch", batch)
        assert figures(summary) == (6, 1, 2, 3, 0, 0)
        with Path(summary["rejects_file"]).open(newline="") as file:
            found = [(row["line"], row["reason"]) for row in csv.DictReader(file)]
        assert found == [
            ("4", "this id is known with other content"),
            ("5", "this id is known with another time"),
            ("7", "this id is known with other content"),
        ]
    assert next(row.input_tokens for row in ledger("DISTINCT id, input_tokens")) == 10


def test_bad_rows_are_left_out_with_line_and_reason_and_the_rest_goes_in(
    database: str, tmp_path: Path
) -> None:
    path = lines(
        tmp_path / "x.csv",
        '"multi\nline",2026-11-01T10:00:00Z,openai,gpt-4o,1,1',
        "b,yesterday,openai,gpt-4o,1,1",
        "",
        "c,2026-11-01T10:00:00Z,openai",
        "d,2026-11-01T10:00:00Z,openai,gpt-4o,-1,1",
        "e,2026-11-01T10:00:00Z,openai,orchid,1,1",
    )
    with path.open("ab") as file:
        file.write(b"\xff\xfe,2026-11-01T10:00:00Z,openai,gpt-4o,1,1\n")
        file.write(b'f,2026-11-01T10:00:00Z,"openai,gpt-4o,1,1\n')
    summary = imported(path)
    assert figures(summary) == (7, 2, 0, 0, 5, 1)
    rejects = tmp_path / "x.csv.rejects.csv"
    assert summary["rejects_file"] == str(rejects)
    assert rejects.stat().st_mode & 0o077 == 0
    with rejects.open(newline="") as file:
        found = [(int(row["line"]), row["reason"], row["raw"]) for row in csv.DictReader(file)]
    assert [line for line, _, _ in found] == [4, 6, 7, 9, 10]
    assert [reason.split(":")[0] for _, reason, _ in found] == [
        "started_at is not a time",
        "3 columns instead of 6",
        "a token count is negative",
        "id is not valid UTF-8",
        "3 columns instead of 6",
    ]
    assert found[0][2] == "b,yesterday,openai,gpt-4o,1,1"
    assert [row.cost_usd is None for row in ledger("cost_usd")] == [False, True]


def test_a_file_of_which_no_row_can_be_read_fails(database: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "a,2026-11-01 10:00:00,openai,gpt-4o,1,1")
    result = spendbeat("import", str(path))
    assert result.exit_code == 1
    assert "1 rejected" in result.output
    assert "no UTC offset" in (tmp_path / "x.csv.rejects.csv").read_text()
    assert counted()[0] == 0


def test_columns_that_do_not_fit_stop_the_import_before_it_begins(
    database: str, tmp_path: Path
) -> None:
    path = lines(tmp_path / "x.csv", "1,2", header="a,b")
    with pytest.raises(BadInputError, match="model is missing; provider is missing"):
        imported(path, "--map", "input_tokens=a", "--set", "started_at=2026-01-01T00:00:00Z")
    assert counted()[0] == 0


def made_files(folder: Path) -> dict[str, Path]:
    """The same requests in every format, packed and not."""
    rows = list(requests(400, 3, DAY))
    for row in rows:
        row["cost_usd"] = None if row["status"] == "success" else 0.25
    rows[5]["trace_id"] = "a\tb\\c\nd\re\"f,Zoë '"
    files = {name: folder / name for name in ("a.csv", "a.jsonl", "a.parquet")}
    with files["a.csv"].open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with files["a.jsonl"].open("w") as file:
        file.writelines(json.dumps({**r, "tags": str(r["tags"]).split(",")}) + "\n" for r in rows)
    times = [datetime.fromisoformat(str(row["started_at"])) for row in rows]
    table = pa.Table.from_pylist([{**r, "started_at": t} for r, t in zip(rows, times, strict=True)])
    pq.write_table(table, files["a.parquet"])
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        files[name + ".packed"] = folder / (name + ".packed")
        files[name + ".packed"].write_bytes(gzip.compress(files[name].read_bytes()))
    semicolons = folder / "semicolons"
    content = files["a.csv"].read_text().splitlines()
    semicolons.write_text("\ufeff" + "\n".join(content[:1]).replace(",", ";") + "\n")
    with semicolons.open("a", newline="") as file:
        csv.DictWriter(file, rows[0], delimiter=";").writerows(rows)
    return {**files, "semicolons": semicolons}


def test_every_format_gives_the_same_requests(database: str, tmp_path: Path) -> None:
    files = made_files(tmp_path)
    names = list(files)
    assert figures(imported(files[names[0]]))[:2] == (400, 400)
    first = ledger("request_id, trace_id, started_at, cost_usd, attribution_id, status")
    assert first[5].trace_id == "a\tb\\c\nd\re\"f,Zoë '"
    assert sum(row.cost_usd == Decimal("0.25") for row in first) == sum(
        row.status == "failure" for row in first
    )
    for name in names[1:]:
        # Known to the last one: the same id, content (cost included) and time.
        summary = imported(files[name])
        assert (name, figures(summary)[:5]) == (name, (400, 0, 400, 0, 0))
    for name in ("a.csv", "a.jsonl.packed", "a.parquet", "a.parquet.packed"):
        summary = imported("-", stdin=files[name].read_bytes())
        assert (name, figures(summary)[:5]) == (name, (400, 0, 400, 0, 0))


def test_times_in_a_zone_on_the_days_when_clocks_change(database: str, tmp_path: Path) -> None:
    path = lines(
        tmp_path / "x.csv",
        *(
            f"{n},{moment},openai,gpt-4o,1,1"
            for n, moment in enumerate(
                ("2026-03-29 01:59:59", "2026-03-29 02:30:00", "2026-03-29 03:00:00",
                 "2026-10-25 01:59:59", "2026-10-25 02:30:00", "2026-10-25 03:00:00")
            )
        ),
    )  # fmt: skip
    imported(path, "--timezone", "Europe/Berlin")
    assert [f"{row.started_at:%m-%d %H:%M:%S}" for row in ledger("started_at")] == [
        "03-29 00:59:59", "03-29 01:30:00", "03-29 01:00:00",
        "10-24 23:59:59", "10-25 00:30:00", "10-25 02:00:00",
    ]  # fmt: skip


def test_attribution_is_one_row_per_mix(database: str, tmp_path: Path) -> None:
    header = HEADER + ",organization,user,tags"
    tail = ",2026-11-01T10:00:00Z,openai,gpt-4o,1,1"
    path = lines(
        tmp_path / "x.csv",
        f'a{tail},acme,u1,"b,a"',
        f'b{tail},acme,u1,"a,b,a"',
        f"c{tail},acme,u2,",
        f"d{tail},,,",
        header=header,
    )
    imported(path)
    ids = [row.attribution_id for row in ledger("attribution_id")]
    assert ids == [ids[0], ids[0], ids[2], 0]
    with transaction("spendbeat_reader") as session:
        mixes = session.execute(
            text("SELECT organization, user_id, tags FROM attributions ORDER BY id")
        ).all()
    assert [tuple(mix) for mix in mixes] == [
        (None, None, []), ("acme", "u1", ["a", "b"]), ("acme", "u2", []),
    ]  # fmt: skip


def test_where_each_cost_is_from_is_kept_with_the_row(database: str, tmp_path: Path) -> None:
    spendbeat(
        "prices", "set", "orchid", "--provider", "openai", "--input", "1", "--output", "2",
        "--from", "2026-11-02",
    )  # fmt: skip
    path = lines(
        tmp_path / "x.csv",
        "a,2026-11-01T10:00:00Z,openai,gpt-4o,1000,100,,",
        "b,2026-11-01T10:00:00Z,openai,gpt-4o,1000,100,0.07,",
        "c,2026-11-01T10:00:00Z,openai,orchid,1000,100,,",
        "d,2026-11-03T10:00:00Z,openai,orchid,1000,100,,",
        "e,2026-11-03T10:00:00Z,ollama,llama3,1000,100,,",
        "f,2026-11-03T10:00:00Z,nobody,x,1000,100,,",
        "g,2026-11-03T10:00:00Z,nobody,x,,,,failure",
        header=HEADER + ",cost_usd,status",
    )
    imported(path)
    with transaction("spendbeat_reader") as session:
        rows = session.execute(
            text(
                "SELECT request_id, cost_usd, source, version, assumption FROM cost_logs AS c"
                " JOIN price_versions AS v ON v.id = price_version_id ORDER BY c.id"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("a", Decimal("0.0035"), "genai-prices", "0.2.3", ""),
        ("b", Decimal("0.07"), "given", "", ""),
        ("c", Decimal("0.0012"), "override", "1", "before-first-price"),
        ("d", Decimal("0.0012"), "override", "1", ""),
        ("e", Decimal(0), "local", "", ""),
        ("f", None, "unpriced", "", ""),
        ("g", Decimal(0), "given", "", "failed-without-usage"),
    ]


def test_a_dry_run_reads_everything_and_books_nothing(database: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    azure_trace(trace, 100)
    assert figures(imported(trace, *AZURE, "--dry-run")) == (100, 100, 0, 0, 0, 0)
    assert counted()[0] == 0
    with transaction("spendbeat_reader") as session:
        assert session.scalar(text("SELECT count(*) FROM attributions")) == 1


def test_two_people_importing_the_same_file_at_once(database: str, tmp_path: Path) -> None:
    """Each row ends in the ledger once, and the two counts add up."""
    rows = list(requests(6000, 5, DAY))
    barrier, engine_ = threading.Barrier(3), engine()
    summaries: list[ImportSummary] = []

    def work() -> None:
        barrier.wait(30)
        # Batches of different sizes, so that each meets keys that the other is just writing.
        size = 150 + 37 * len(summaries)
        summaries.append(import_requests(engine_, rows, batch_rows=size))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [s.imported + s.known for s in summaries] == [6000] * 3
    assert sum(s.imported for s in summaries) == 6000
    assert counted()[:2] == (6000, 6000)
    with transaction("spendbeat_reader") as session:
        # Every key leads to the row that it was booked with.
        strays = session.scalar(
            text(
                "SELECT count(*) FROM request_keys AS k LEFT JOIN cost_logs AS c"
                " ON c.id = k.row_id AND c.started_at = k.started_at WHERE c.id IS NULL"
            )
        )
    assert strays == 0


def test_rows_are_in_the_order_of_the_file(database: str) -> None:
    rows = list(requests(1000, 5, DAY))
    import_requests(engine(), rows, batch_rows=300)
    assert [row.request_id for row in ledger("request_id")] == [row["id"] for row in rows]


def test_a_batch_is_in_whole_or_not_at_all(database: str) -> None:
    rows = list(requests(1000, 5, DAY))
    with transaction("spendbeat_owner") as session:
        session.execute(
            text(
                "ALTER TABLE cost_logs ADD CONSTRAINT broken"
                f" CHECK (request_id IS DISTINCT FROM '{rows[700]['id']}')"
            )
        )
    with pytest.raises(UnavailableError, match=r"refused the batch.*\n500 rows were booked"):
        import_requests(engine(), rows, batch_rows=250)
    assert counted()[:2] == (500, 500)
    with transaction("spendbeat_owner") as session:
        session.execute(text("ALTER TABLE cost_logs DROP CONSTRAINT broken"))
    assert import_requests(engine(), rows, batch_rows=250).imported == 500
    assert counted()[:2] == (1000, 1000)


def test_mappings_can_be_imported_without_a_file(database: str) -> None:
    seen: list[ImportSummary] = []
    row = {"started_at": "2026-11-01T00:00:00Z", "provider": "openai", "model": "gpt-4o"}
    summary = import_requests(
        engine(),
        [{**row, "input_tokens": 5, "user": "u"}, {**row, "colour": "red"}],
        on_progress=seen.append,
    )
    assert (summary.read, summary.imported, summary.rejected) == (2, 1, 1)
    assert seen[-1] == summary
