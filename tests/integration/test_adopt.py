"""An existing table becomes part of the ledger: every row once, every digit, and a way back."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from spend.errors import BadInputError, BusyError, UnavailableError
from tests.conftest import forget_caches
from tests.support import ledger as books
from tests.support.captured import counted, ledger, spendbeat
from tests.support.plain import ROWS, SUMMARY, TABLE, plain_database, run
from worker import database as databases
from worker.database import make_engine, transaction

Plain = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def plain(postgres_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plain:
    """Makes DATABASE_URL name a database that holds what statements make."""
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def made(*statements: str) -> Iterator[str]:
        with plain_database(postgres_server, *statements) as url:
            monkeypatch.setenv("DATABASE_URL", url)
            forget_caches()
            try:
                yield url
            finally:
                databases.engine("spendbeat_writer").dispose()
                databases.engine("spendbeat_reader").dispose()
                forget_caches()

    return made


def adopted(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return found


def said(*arguments: str) -> str:
    result = spendbeat("ledger", "adopt", *arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def total(rows: int) -> Decimal:
    return sum((n * Decimal("0.000123457") for n in range(1, rows + 1)), Decimal(0))


def test_a_plain_table_is_booked_whole_and_twice_is_once(plain: Plain) -> None:
    """With a serial id, whose sequence has the name of ours, and a summary beside it."""
    summary = (
        "INSERT INTO spend_summary SELECT provider, model, sum(cost_usd) FROM cost_logs"
        " GROUP BY 1, 2"
    )
    with plain(TABLE, SUMMARY, ROWS.format(rows=1000), summary):
        found = adopted("--batch", "300")
        assert (found["imported"], found["known"], found["rejected"]) == (1000, 0, 0)
        balance = found["balance"]
        assert balance["agrees"]
        assert balance["table"] == {"rows": 1000, "cost": "61.7902285", "unpriced": 0}
        assert total(1000) == Decimal("61.7902285")
        assert Decimal(found["old_spend_summary"]) == total(1000)
        assert counted() == (1000, 1000, total(1000))
        row = ledger("request_id, provider, model, cost_usd, started_at")[16]
        assert row == (
            "adopted:17", "anthropic", "model-2", Decimal("0.002098769"),
            datetime(2026, 9, 1, 0, 17, tzinfo=UTC),
        )  # fmt: skip
        again = adopted()
        assert (again["imported"], again["known"], again["balance"]["agrees"]) == (0, 1000, True)
        books.roll()
        assert sum(books.summary().values()) == total(1000)


def test_rows_that_come_later_are_caught_up_with(plain: Plain) -> None:
    """In the old table; and the application's own INSERT now goes into the ledger."""
    with plain(TABLE, ROWS.format(rows=10)) as url:
        adopted()
        insert = "INSERT INTO {} (provider, model, cost_usd) VALUES ('openai', 'm', 1)"
        run(url, insert.format("cost_logs_adopted"))
        found = adopted()
        assert (found["imported"], found["known"]) == (1, 10)
        run(url, insert.format("cost_logs"))
        assert adopted()["balance"]["agrees"]
        assert counted()[0] == 12


def test_a_dry_run_changes_nothing(plain: Plain) -> None:
    with plain(TABLE, ROWS.format(rows=10)) as url:
        found = adopted("--dry-run")
        assert (found["imported"], found["dry_run"], found["table_rows"]) == (10, True, 10)
        with make_engine(url, None).connect() as connection:
            names = connection.execute(
                text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            )
            assert set(names.scalars()) == {"cost_logs", "cost_logs_id_seq", "cost_logs_pkey"}


def test_a_double_is_read_through_its_shortest_text(plain: Plain) -> None:
    """0.1 + 0.2 is 0.3; what has more than twelve places is rounded and said."""
    table = (
        "CREATE TABLE cost_logs (id text, provider text, model text, cost_usd {},"
        " created_at timestamptz)"
    )
    costs = (
        "INSERT INTO cost_logs SELECT 'n-' || n, 'p', 'm', c, '2026-09-01Z'"
        " FROM unnest({}::{}[]) WITH ORDINALITY AS t (c, n)"
    )
    with plain(
        table.format("double precision"),
        costs.format("ARRAY[0.1, 0.2, 1e-5, 123456.789, 2.5e-12, 3.5e-12]", "double precision"),
    ):
        found = adopted()
        assert found["table_cost"] == "123457.089010000006"
        assert counted()[2] == Decimal("123457.089010000006")
        balance = found["balance"]
        assert balance["agrees"]
        assert (balance["rounded_rows"], balance["rounding"]) == (2, "0")
    with plain(table.format("real"), costs.format("ARRAY[0.1, 1.0000001]", "real")):
        assert adopted()["table_cost"] == "1.1000001"
    with plain(table.format("money"), costs.format("ARRAY[1234.5, 0.1]", "numeric")):
        assert adopted()["table_cost"] == "1234.6"


def test_a_rounded_cost_is_no_missing_one(plain: Plain) -> None:
    with plain(
        "CREATE TABLE cost_logs (id int PRIMARY KEY, provider text, model text, cost_usd numeric,"
        " created_at timestamptz)",
        "INSERT INTO cost_logs SELECT n, 'p', 'm', 0.0000000000014, '2026-09-01Z'"
        " FROM generate_series(1, 10) AS n",
    ):
        found = adopted()
        assert found["balance"]["agrees"]
        assert found["balance"]["rounding"] == "-0.000000000004"
        assert "10 costs had more than twelve places" in said()


def test_times_without_a_zone_need_one_before_anything_is_touched(plain: Plain) -> None:
    naive = TABLE.replace("timestamptz", "timestamp")
    row = "INSERT INTO cost_logs (provider, model, cost_usd, created_at) VALUES ('p', 'm', 1, '{}')"
    with plain(naive, row.format("2026-10-25 02:30"), row.format("2026-07-01")) as url:
        with pytest.raises(BadInputError, match=r"created_at is timestamp .*--timezone"):
            adopted()
        run(url, "SELECT FROM cost_logs_id_seq, cost_logs")
        adopted("--timezone", "Europe/Berlin")
        assert [row.started_at for row in ledger("started_at, id")] == [
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
            datetime(2026, 6, 30, 22, tzinfo=UTC),
        ]


def test_rows_that_cannot_be_booked_are_named_and_none_is_lost(
    plain: Plain, tmp_path: Path
) -> None:
    rows = """
    INSERT INTO cost_logs (provider, model, cost_usd) VALUES
      ('p', 'm', 1), (NULL, 'm', 0.25), ('', 'm', 0.5), ('p', 'm', -2), ('openai', 'gpt-4o', NULL)
    """
    with plain(TABLE, rows):
        found = adopted()
        assert found["left_out"] == {
            "provider is missing": 2,
            "cost_usd is negative: '-2.000000000'": 1,
        }
        assert found["balance"]["left_out"] == {"rows": 3, "cost": "-1.25", "unpriced": 0}
        assert found["balance"]["agrees"]
        assert (found["unpriced"], counted()[2]) == (1, Decimal(1)), "no cost, no tokens: unpriced"
        assert len(Path(found["rejects_file"]).read_text().splitlines()) == 4
        again = adopted("--if-missing", "provider=unknown")
        assert (again["imported"], again["rejected"]) == (2, 1)
        assert counted()[2] == Decimal("1.75")
        assert "Left out, 1 times: cost_usd is negative" in said("--if-missing", "provider=unknown")


def test_columns_called_like_a_field_are_taken_and_others_are_named(plain: Plain) -> None:
    """A row without a cost whose tokens are known is priced."""
    with plain(
        "CREATE TABLE cost_logs (id uuid PRIMARY KEY, provider varchar(20), model varchar(99),"
        " cost_usd numeric, created_at timestamptz, input_tokens int, output_tokens bigint,"
        " project text, tags text[], colour text)",
        "INSERT INTO cost_logs VALUES (gen_random_uuid(), 'openai', 'gpt-4o', NULL, '2026-09-01Z',"
        " 1000, 100, 'shop', '{b,a}', 'red')",
    ):
        found = adopted()
        assert found["ignored_columns"] == ["colour"]
        assert found["balance"]["agrees"]
        assert found["balance"]["booked"]["priced_rows"] == 1
        assert counted()[2] == Decimal("0.0035")
        assert (
            books.scalar("SELECT project || array_to_string(tags, '') FROM token_usage") == "shopab"
        )


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("id int, provider text, model text, price numeric", "neither tokens"),
        ("id int, model text, cost_usd numeric", "provider is missing"),
        ("id int, provider text, model text, cost_usd json", "cost_usd would come from"),
        ("provider text, model text, cost_usd numeric", "id is missing"),
        ("id int, provider text, model text, cost_usd numeric, started_at date", "--timezone"),
    ],
)
def test_another_shape_is_refused_and_nothing_is_renamed(
    plain: Plain, columns: str, problem: str
) -> None:
    with plain(f"CREATE TABLE cost_logs ({columns}, created_at timestamptz)") as url:
        with pytest.raises(BadInputError, match=problem):
            adopted()
        run(url, "SELECT FROM cost_logs")


def test_other_names_of_columns_can_be_said(plain: Plain) -> None:
    with plain(
        "CREATE TABLE cost_logs (nr int, vendor text, model text, price numeric, at timestamptz)",
        "INSERT INTO cost_logs VALUES (1, 'v', 'm', 0.5, '2026-09-01Z')",
    ):
        maps = ("id=nr", "provider=vendor", "cost_usd=price", "started_at=at")
        found = adopted(*(part for pair in maps for part in ("--map", pair)), "--set", "team=core")
        assert (found["imported"], found["balance"]["agrees"]) == (1, True)


def test_ids_that_are_there_twice_are_named(plain: Plain) -> None:
    table = TABLE.replace("PRIMARY KEY", "")
    same = "UPDATE cost_logs SET id = 7 WHERE id > 1"
    says = pytest.raises(BadInputError, match=r"same id: 7\..*ADD COLUMN row_number")
    with plain(table, ROWS.format(rows=3), same), says:
        adopted()
    with plain(table, ROWS.format(rows=3)):
        assert adopted()["imported"] == 3


def test_a_table_elsewhere_is_only_read(
    database: str, postgres_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    statements = [each.replace("cost_logs", "app.calls") for each in (TABLE, ROWS.format(rows=20))]
    schema = ("CREATE SCHEMA app", *statements)
    with plain_database(postgres_server, *schema) as url:
        found = adopted("--from", url, "--table", "app.calls")
        assert (found["imported"], found["balance"]["agrees"]) == (20, True)
        name = make_url(url).database
        assert ledger("request_id, id")[0].request_id == f"adopted@{name}.app.calls:1"
        run(url, "INSERT INTO app.calls (provider, model, cost_usd) VALUES ('p', 'm', 1)")
        assert adopted("--from", url, "--table", "app.calls")["imported"] == 1
        other = adopted("--from", url, "--table", "app.calls", "--name", "copy")
        assert (other["imported"], other["balance"]["agrees"]) == (21, True)
        with pytest.raises(BadInputError, match=r"no table 'app\.nope'"):
            adopted("--from", url, "--table", "app.nope")
    with pytest.raises(BadInputError, match="own"):
        adopted("--table", "cost_logs")
    with pytest.raises(BadInputError, match="but Spendbeat's own"):
        adopted()


def test_a_password_of_the_other_database_is_not_shown(database: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        adopted("--from", f"postgresql://u:secret@/x?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_somebody_who_holds_the_table_is_said_to(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spend.capture.adopt import aside

    monkeypatch.setattr(aside, "_LOCK_TIMEOUT", "10ms")
    with plain(TABLE) as url:
        engine = make_engine(url, None)
        with engine.begin() as holder:
            holder.execute(text("SELECT FROM cost_logs"))
            with pytest.raises(BusyError, match="Somebody uses cost_logs"):
                adopted()
        engine.dispose()
        run(url, "SELECT FROM cost_logs")


def test_names_that_others_need_are_not_taken_from_them(plain: Plain) -> None:
    with plain(
        TABLE, "CREATE TABLE series (id int)", "CREATE TABLE alembic_version (version_num text)"
    ) as url:
        for command in (("ledger", "adopt"), ("migrate",)):
            with pytest.raises(BadInputError, match=r"alembic_version.*table series.*--from"):
                spendbeat_raises(*command)
        run(url, "SELECT FROM cost_logs")


def spendbeat_raises(*arguments: str) -> str:
    result = spendbeat(*arguments)
    if result.exception:
        raise result.exception
    return result.output


def test_migrate_says_what_to_do_about_such_a_table(plain: Plain) -> None:
    with plain(TABLE, SUMMARY):
        with pytest.raises(BadInputError, match=r"cost_logs and spend_summary .*ledger adopt"):
            spendbeat_raises("migrate")
        adopted()
        assert "Schema is at" in spendbeat_raises("migrate")


def test_the_way_back(plain: Plain) -> None:
    with plain(TABLE, SUMMARY, ROWS.format(rows=5)) as url:
        adopted()
        with transaction() as session:
            books.add(session)
        with pytest.raises(BadInputError, match="would lose them"):
            said("--undo", "--yes")
    with plain(TABLE, SUMMARY, ROWS.format(rows=5)) as url:
        adopted()
        assert "as before" in said("--undo", "--yes")
        run(url, "INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', 1)")
        engine = make_engine(url, None)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT max(id) FROM cost_logs")) == 6
            assert connection.scalar(text("SELECT to_regclass('pk_spend_summary')")) is not None
        engine.dispose()
        with pytest.raises(BadInputError, match="Nothing was set aside"):
            said("--undo", "--yes")
        assert adopted()["imported"] == 6, "and forth again"


def test_a_schema_that_cannot_be_made_leaves_the_old_table_as_it_was(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker import schema

    def broken(_connection: object) -> None:
        raise BadInputError("no right to make roles")

    monkeypatch.setattr(schema, "upgrade", broken)
    with plain(TABLE, ROWS.format(rows=5)) as url:
        with pytest.raises(BadInputError, match="no right"):
            adopted()
        run(url, "INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', 1)")
