"""Table `api_key_names`: what a key was called, kept when it is deleted or rotated."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from models import ApiKeyName
from spend.litellm.source import Source
from spend.sql import query

# Keys of people come and go; those of a hundred thousand are some 15 MB.
MOST = 100_000
_TABLES = ("LiteLLM_VerificationToken", "LiteLLM_DeletedVerificationToken")
_LONGEST = 512


def known(session: Session, hashes: Iterable[str]) -> dict[str, str]:
    """The names of those of these hashes that have one."""
    wanted = select(ApiKeyName.hash, ApiKeyName.name).where(ApiKeyName.hash.in_(set(hashes)))
    return {row.hash: row.name for row in session.execute(wanted)}


def learn(session: Session, names: Mapping[str, str]) -> None:
    """Keep the names of keys; a name that is known already costs a look-up."""
    fits = {h: n for h, n in names.items() if h and n and max(len(h), len(n)) <= _LONGEST}
    have = known(session, fits) if fits else {}
    new = {hash_: name for hash_, name in fits.items() if have.get(hash_) != name}
    if new:
        binds = {"hashes": list(new), "names": list(new.values()), "most": MOST}
        session.execute(query("litellm", "learn_names"), binds)


def ask(source: Source, connection: Connection, hashes: Iterable[str]) -> dict[str, str]:
    """What LiteLLM calls these keys, where its tables of keys may be read; deleted ones too."""
    wanted = sorted(set(hashes))
    found: dict[str, str] = {}
    for table in _TABLES:
        columns = source.columns(connection, table)
        if wanted and {"token", "key_alias"} <= columns:
            statement = text(
                f"SELECT token, key_alias FROM {source.table(table)}"  # noqa: S608 - one of two constants
                " WHERE token = ANY(:hashes) AND key_alias <> ''"
            )
            rows = connection.execute(statement, {"hashes": wanted})
            found = {**{row.token: row.key_alias for row in rows}, **found}
    return found
