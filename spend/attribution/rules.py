"""Table `attribution_rules`: what is known about requests that do not say it themselves."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, MATCH_FIELDS, AttributionRule
from spend.attribution.matching import Filled, Rule, Rules
from spend.errors import BadInputError
from spend.sql import query

__all__ = ["Filled", "Rule", "Rules", "add", "end", "listed", "load", "rivals", "version"]

MAX_TEXT = 512
_PRIORITY = 1_000_000
_LOCK = text("SELECT pg_advisory_xact_lock(x'5BEA70004'::bigint)")


def load(session: Session) -> Rules:
    """All rules, to be applied."""
    return Rules(listed(session))


def version(session: Session) -> str:
    """Another text whenever a rule was added or ended, or a limit of values set.

    Whoever sees another one than before load()s again and forgets ids that it resolved.
    """
    return str(session.scalars(query("attribution", "version")).one())


def listed(session: Session) -> list[Rule]:
    """All rules, oldest first."""
    found = session.scalars(select(AttributionRule).order_by(AttributionRule.id))
    return [_rule(row) for row in found]


def add(session: Session, rule: Rule) -> Rule:
    """Keep a rule, whose id and created_at do not matter; returns it as it is kept.

    Raises BadInputError where it makes no sense, or a rule that holds at the same time and
    matches the same says something about the same field.
    """
    _check(rule)
    session.execute(_LOCK)
    for other in listed(session):
        if _same(rule, other) and rule.overlaps(other) and _ever(other):
            raise BadInputError(
                f"Rule {other.id} already says that {described(other)}. End it first:"
                f" spendbeat attribution rules end {other.id} --at TIME"
            )
    columns = ("match_field", "match_value", "set_field", "set_value", "priority", "valid_from",
               "valid_to", "created_by")  # fmt: skip
    statement = (
        insert(AttributionRule)
        .values({column: getattr(rule, column) for column in columns})
        .returning(AttributionRule)
    )
    return _rule(session.scalars(statement).one())


def end(session: Session, id_: int, at: datetime) -> Rule:
    """Let a rule hold only for requests that began before `at`; before its start: for none.

    Raises BadInputError for a rule that does not exist or has ended before.
    """
    session.execute(_LOCK)
    row = session.get(AttributionRule, id_)
    if row is None:
        raise BadInputError(f"There is no rule {id_}; see 'spendbeat attribution rules list'.")
    if row.valid_to is not None and row.valid_to <= at:
        raise BadInputError(
            f"Rule {id_} ends at {row.valid_to.isoformat()} already. To go on, add another one."
        )
    valid_to = at if row.valid_from is None else max(at, row.valid_from)
    statement = update(AttributionRule).where(AttributionRule.id == id_).values(valid_to=valid_to)
    session.execute(statement)
    session.refresh(row)
    return _rule(row)


def rivals(rule: Rule, others: Iterable[Rule]) -> list[Rule]:
    """Other rules that may say something else about the field, for one and the same request."""
    return [
        other
        for other in others
        if other.id != rule.id
        and other.set_field == rule.set_field
        and other.set_value != rule.set_value
        and rule.overlaps(other)
        and _ever(other)
        and _meet(rule, other)
    ]


def described(rule: Rule) -> str:
    """A rule as a part of a sentence."""
    start = f" from {rule.valid_from.isoformat()}" if rule.valid_from else ""
    stop = f" to {rule.valid_to.isoformat()}" if rule.valid_to else ""
    return (
        f"{rule.match_field} {rule.match_value!r} is {rule.set_field} {rule.set_value!r}"
        f"{start}{stop}"
    )


def _check(rule: Rule) -> None:
    if rule.match_field not in MATCH_FIELDS:
        raise BadInputError(
            f"A rule cannot match {rule.match_field!r}; choose from {', '.join(MATCH_FIELDS)}."
        )
    if rule.set_field not in ATTRIBUTION_FIELDS:
        raise BadInputError(
            f"A rule cannot fill {rule.set_field!r}; choose from {', '.join(ATTRIBUTION_FIELDS)}."
        )
    if rule.match_field == rule.set_field:
        raise BadInputError(
            f"A rule fills only what is missing, so one that matches {rule.match_field} cannot"
            " fill it."
        )
    for value in (rule.match_value, rule.set_value):
        if not value or value != value.strip() or "\0" in value or len(value) > MAX_TEXT:
            raise BadInputError(
                f"{value[:40]!r} is not a value of 1 to {MAX_TEXT} characters without spaces"
                " around them."
            )
    if "*" in rule.match_value[:-1]:
        raise BadInputError(
            f"{rule.match_value!r} has a * before its end; only a beginning can be given."
        )
    if abs(rule.priority) > _PRIORITY:
        raise BadInputError(f"A priority is at most {_PRIORITY:,}.")
    if rule.valid_from and rule.valid_to and rule.valid_to <= rule.valid_from:
        raise BadInputError("A rule must end after it begins.")


def _same(one: Rule, other: Rule) -> bool:
    return (one.match_field, one.match_value, one.set_field) == (
        other.match_field,
        other.match_value,
        other.set_field,
    )


def _ever(rule: Rule) -> bool:
    """Whether it holds at any time; one that was ended before it began does not."""
    return None in (rule.valid_from, rule.valid_to) or rule.valid_from != rule.valid_to


def _meet(one: Rule, other: Rule) -> bool:
    """Whether a value can match both; of different fields, a request can."""
    if one.match_field != other.match_field or one.match_field == "tag":
        return True
    if one.prefix is not None and other.prefix is not None:
        short, long = sorted((one.prefix, other.prefix), key=len)
        return long.startswith(short)
    if one.prefix is not None:
        return other.match_value.startswith(one.prefix)
    if other.prefix is not None:
        return one.match_value.startswith(other.prefix)
    return one.match_value == other.match_value


def _rule(row: AttributionRule) -> Rule:
    return Rule(
        row.id,
        row.match_field,
        row.match_value,
        row.set_field,
        row.set_value,
        row.priority,
        row.valid_from,
        row.valid_to,
        row.created_at,
        row.created_by,
    )
