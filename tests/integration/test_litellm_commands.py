"""The command line and the task around the sync: what people see, and what is never shown."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import make_url, text

from spend.capture.desk import Desk
from spend.litellm import names
from tests.conftest import forget_caches
from tests.support.captured import counted, ledger, spendbeat
from tests.support.litellm_syncs import synced
from tests.support.litellm_tables import LitellmTables
from worker.database import transaction
from worker.exporter import PostgresCollector, reader

NOW = datetime.now(UTC).replace(microsecond=0)
PRISMA = "connection_limit=10&pool_timeout=60&schema=public&pgbouncer=true"


def with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


def command(*arguments: str) -> dict[str, Any]:
    result = spendbeat("litellm", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: Any = json.loads(result.stdout)
    return found if isinstance(found, dict) else {"sources": found}


def test_a_url_of_prismas_works_and_the_status_tells_how_far_it_is(
    database: str, litellm: LitellmTables
) -> None:
    litellm.log("chatcmpl-of-the-first-call", NOW)
    litellm.log("chatcmpl-without-a-time-that-is-possible", datetime(2012, 1, 1, tzinfo=UTC))
    before = command("sync", "--dry-run", "--since", "2000-01-01", "--database", litellm.url)
    assert (before["rows"], before["rejected"], counted()[0]) == (1, 1, 0)
    assert command("status")["sources"][0]["read_to"] is None
    found = command("sync", "--database", with_query(litellm.url, PRISMA))
    assert (found["rows"], found["mode"], counted()[0]) == (1, "logs", 1)
    (source,) = command("status")["sources"]
    assert source["rows_total"] == 1
    assert float(source["lag"]) < 60
    text_ = spendbeat("litellm", "sync", "--database", litellm.url).output
    assert "1 rows read, 0 booked" in text_
    assert "spend logs" in spendbeat("litellm", "status").output
    found_metrics = {m.name: m.samples for m in PostgresCollector(reader(database)).collect()}
    (rows,), (lag,) = (
        found_metrics[f"spendbeat_litellm_{name}"] for name in ("rows", "lag_seconds")
    )
    assert (rows.labels["source"], rows.value) == (source["name"], 1)
    assert 0 <= lag.value < 60


@pytest.fixture
def stranger(litellm: LitellmTables) -> Any:
    """A login that may connect and nothing else; its URL and what runs statements as its owner."""
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    litellm.run(f"CREATE ROLE {name} LOGIN PASSWORD 'p@ss-word'")
    url = make_url(litellm.url).set(username=name, password="p@ss-word")
    yield name, url.render_as_string(hide_password=False)
    litellm.run(f"DROP OWNED BY {name}")
    litellm.run(f"DROP ROLE {name}")


def failure(*arguments: str) -> str:
    result = spendbeat("litellm", "sync", *arguments)
    assert result.exception is not None
    assert "p@ss" not in str(result.exception) + result.output
    return str(result.exception)


def test_a_login_that_may_not_read_is_told_the_grant_and_a_narrow_one_is_enough(
    database: str, litellm: LitellmTables, stranger: tuple[str, str]
) -> None:
    name, url = stranger
    said = failure("--database", url)
    grant = said.partition("run:\n")[2]
    assert f'TO "{name}"' in grant
    columns = 'request_id, "startTime", spend, prompt_tokens, completion_tokens, model'
    litellm.run(f'GRANT SELECT ({columns}) ON "LiteLLM_SpendLogs" TO {name}')
    litellm.log("chatcmpl-read-by-a-narrow-login", NOW, model="openai/gpt-4o")
    assert command("sync", "--database", url)["rows"] == 1
    (row,) = ledger("provider, model, cost_usd")
    assert tuple(row) == ("openai", "gpt-4o", Decimal("0.0035"))
    litellm.run(f'REVOKE SELECT ON "LiteLLM_SpendLogs" FROM {name}')
    for statement in grant.split(";"):
        if statement.strip():
            litellm.run(statement)
    assert command("sync", "--database", url)["rows"] == 0
    assert command("status")["sources"][0]["error"] is None


def test_what_is_wrong_with_the_database_is_said_without_the_password(
    database: str, litellm: LitellmTables, stranger: tuple[str, str]
) -> None:
    assert "no table LiteLLM_SpendLogs" in failure("--database", database)
    assert "LITELLM_DATABASE_URL" in failure()
    assert "must start with postgresql" in failure("--database", "mysql://a:p@ss@host/x")
    assert "is not a URL" in failure("--database", "p@ss")
    assert "cannot be used" in failure("--database", "postgresql://a:p@ss-word@127.0.0.1:1/x")
    litellm.run('CREATE SCHEMA proxy; ALTER TABLE "LiteLLM_SpendLogs" SET SCHEMA proxy')
    assert "?schema=proxy" in failure("--database", litellm.url)
    litellm.run('ALTER TABLE proxy."LiteLLM_SpendLogs" DROP COLUMN spend')
    assert "no column spend" in failure("--database", with_query(litellm.url, "schema=proxy"))
    assert "no column spend" in json.dumps(command("status"))


def test_a_key_keeps_its_name_when_it_is_deleted_or_its_rows_do_not_say_it(
    litellm: LitellmTables, desk: Desk
) -> None:
    named = {"user_api_key_alias": "checkout"}
    litellm.log("chatcmpl-row-that-says-the-name", NOW, api_key="k1", metadata=named)
    litellm.run(
        "INSERT INTO \"LiteLLM_VerificationToken\" (token, key_alias) VALUES ('k2', 'search')"
    )
    litellm.log("chatcmpl-row-with-only-the-hash-2", NOW, api_key="k2")
    synced(litellm, desk)
    litellm.run('DELETE FROM "LiteLLM_VerificationToken"')
    for key in ("k1", "k2", "k3"):
        litellm.log(f"chatcmpl-later-with-only-the-hash-{key}", NOW, api_key=key)
    synced(litellm, desk)
    with transaction("spendbeat_reader") as session:
        found = session.execute(
            text("SELECT api_key, count(*) FROM token_usage GROUP BY 1 ORDER BY 1")
        )
        assert [tuple(row) for row in found] == [("checkout", 2), ("k3", 1), ("search", 2)]


def test_of_the_names_of_keys_only_so_many_are_kept(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MOST", 3)
    for n in range(5):
        with transaction() as session:
            names.learn(session, {f"hash-{n}": f"name {n}"})
    with transaction() as session:
        names.learn(session, {"hash-4": "renamed"})
        kept = names.known(session, [f"hash-{n}" for n in range(5)])
    assert kept == {"hash-2": "name 2", "hash-3": "name 3", "hash-4": "renamed"}


def test_the_task_reads_the_database_that_the_settings_name(
    database: str, litellm: LitellmTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_DATABASE_URL", with_query(litellm.url, PRISMA))
    forget_caches()
    from tasks.litellm import sync

    litellm.log("chatcmpl-found-by-the-task", NOW - timedelta(hours=1))
    assert sync()["rows"] == 1
    assert sync()["rows"] == 0
