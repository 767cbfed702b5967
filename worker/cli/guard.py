"""Commands about the guard: how its counters stand, and loading them anew."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click
from redis import Redis
from redis.exceptions import RedisError
from spendbeat_gateway.guard import publishing

from spend.amounts import dollars
from spend.enforcement import readings
from spend.enforcement.rules import NANO, Counter, rules
from spend.errors import UnavailableError
from worker import guard as guards
from worker.cli.output import print_json, print_table
from worker.database import transaction


@click.group
def guard() -> None:
    """The guard in front of calls: its counters in Redis, and loading them from Postgres."""


@guard.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show how each enforced budget stands in Redis, and how old that is.

    Used is what Postgres says is spent, plus settlements that it does not cover yet, plus what
    calls under way hold.

    \b
    Examples:
      spendbeat guard status
      spendbeat guard status --json
    """
    redis = guards.client()
    try:
        with transaction("spendbeat_reader") as session:
            known = rules(session, datetime.now(UTC))
            last = readings.last_number(session)
        found = [
            _counter(redis, counter)
            for name, counter in sorted(known.counters.items())
            if name in known.due
        ]
        state = guards.noted(redis)
        counts = publishing.counts(redis)
    except RedisError as error:
        raise _away(error) from error
    told = _told(state, last)
    if as_json:
        print_json({**told, "counters": found, "decisions": counts})
        return
    _show(found)
    click.echo()
    for line in _lines(told):
        click.echo(line)
    said = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
    click.echo(f"Decisions: {said or 'none yet'}.")


@guard.command
@click.option(
    "--forget",
    is_flag=True,
    help="Also forget settlements that the ledger does not have; calls that are still on their"
    " way to it are then not counted until they arrive.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reload(*, forget: bool, as_json: bool) -> None:
    """Load rules and counters from Postgres, whatever Redis has; holds and settlements stay.

    After Postgres was restored from a backup, and after calls that will never be recorded.

    \b
    Examples:
      spendbeat guard reload
      spendbeat guard reload --forget
    """
    try:
        with transaction() as session:
            done = guards.reload(session, guards.client(), datetime.now(UTC), forget=forget)
    except RedisError as error:
        raise _away(error) from error
    if as_json:
        print_json(
            {"reading": done.reading, "counters": done.counters, "forgotten": done.covered}
            if forget
            else {"reading": done.reading, "counters": done.counters}
        )
    else:
        click.echo(f"{done.counters:,} counters are loaded from reading {done.reading}.")


def _counter(redis: Redis, counter: Counter) -> dict[str, Any]:
    first = counter.wanted.first.isoformat()
    have = publishing.counter(redis, counter.name, first)
    found: dict[str, Any] = {
        "budget": counter.budget,
        "counter": counter.name,
        "first_day": None if counter.span.end is None else first,
        "loaded": have is not None,
    }
    if have is None:
        return found
    amounts = {name: getattr(have, name) for name in ("spent", "settled", "held", "used")}
    amounts |= {"limit": have.limit, "soft": have.soft}
    amounts["left"] = None if have.limit is None else have.limit - have.used
    said = {name: None if nano is None else _plain(nano) for name, nano in amounts.items()}
    return {**found, **said, "reading": have.reading}


def _told(state: Mapping[str, str], last: int) -> dict[str, Any]:
    at = state.get("at")
    return {
        "reading": int(state["reading"]) if "reading" in state else None,
        "age_seconds": None if at is None else round(max(0.0, time.time() - float(at)), 3),
        "readings": int(state.get("readings", 0)),
        "refused": int(state.get("refused", 0)),
        "last_number": last,
        "behind": state.get("behind") == "1",
        "pending": int(state.get("pending", 0)),
        "oldest_pending_seconds": float(state.get("oldest", 0)),
        "drift": state.get("drift", "0"),
    }


def _show(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("No budget says that guards enforce it; see 'spendbeat budgets edit --help'.")
        return
    columns = ("limit", "spent", "settled", "held", "left")
    print_table(
        ["budget", "period from", *columns],
        [
            (
                one["budget"],
                one["first_day"] or "all time",
                *(
                    ("" if one[name] is None else f"${dollars(Decimal(one[name]))}")
                    if one["loaded"]
                    else "not loaded"
                    for name in columns
                ),
            )
            for one in found
        ],
        numbers=columns,
    )


def _lines(told: Mapping[str, Any]) -> list[str]:
    if told["reading"] is None:
        return ["Never reconciled: is beat running, and a worker?"]
    first = (
        f"Reading {told['reading']:,} of Postgres, {told['age_seconds']:.1f} s old;"
        f" {told['pending']:,} settlements not in it, the oldest of"
        f" {told['oldest_pending_seconds']:.0f} s; drift ${dollars(Decimal(told['drift']))}."
    )
    lines = [first]
    if told["behind"]:
        lines.append(
            "Redis has later readings than this Postgres gives: it was restored, or two databases"
            " use one Redis. 'spendbeat guard reload' makes Redis follow this one."
        )
    return lines


def _plain(nano: int) -> str:
    return f"{Decimal(nano) / NANO:f}"


def _away(error: RedisError) -> UnavailableError:
    return UnavailableError(
        f"The Redis of guards does not answer: {type(error).__name__}. See"
        " SPENDBEAT_GUARD_REDIS_URL and REDIS_URL."
    )


commands = {"guard": guard}
