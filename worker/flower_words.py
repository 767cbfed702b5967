"""What Flower's pages say of a task: a sentence instead of a name with arguments in braces.

Names stay as they are, since Flower filters by them; its metrics and its HTTP interface are not
touched.
"""

import ast
from typing import Any, Protocol, TypeVar


class Task(Protocol):
    """What Flower knows of one: texts, some cut or missing."""

    name: str | None
    args: str | None
    kwargs: str | None
    result: str | None


Known = TypeVar("Known", bound=Task)

# Each of tasks/*.py; in braces, the arguments.
SENTENCES = {
    "tasks.budgets.check": "Check the budgets that {provider} moved",
    "tasks.budgets.check_due": "Check the budgets whose time has come",
    "tasks.budgets.look": "Look for budgets to check",
    "tasks.budgets.review": "Look over all budgets",
    "tasks.capture.drain": "Book what gateways put into the inbox",
    "tasks.delivery.deliver": "Send the next message of {lane}",
    "tasks.delivery.ring": "Look for messages to send",
    "tasks.delivery.tidy": "Tidy channels and old messages",
    "tasks.guard.reconcile": "Tell guards what is spent",
    "tasks.guard_prices.publish": "Tell guards what models cost",
    "tasks.litellm.sync": "Read on in LiteLLM's database",
    "tasks.maintenance.audit": "Compare all totals with the ledger",
    "tasks.maintenance.prepare_months": "Make the ledger's partitions of coming months",
    "tasks.maintenance.prune": "Forget ticks that all have passed",
    "tasks.maintenance.prune_feed": "Forget old entries of the feed",
    "tasks.pricing.prune": "Forget what is settled",
    "tasks.pricing.settle": "Price requests that had no price",
    "tasks.rollups.roll_up": "Count what is new from {provider}",
    "tasks.ticks.take": "Take a tick",
}
_EMPTY = {"", "()", "{}", "None"}


def described(task: Known) -> Known:
    """Flower's copy of a task with a sentence as its arguments and its result in words."""
    given = _mapping(task.kwargs)
    task.args = sentence(task.name or "", given, task.args or "")
    task.result = outcome(_mapping(task.result), given) or task.result
    return task


def sentence(name: str, given: dict[str, Any], note: str) -> str:
    """What a task does. note: what the sender added, such as 'up to tick 812'."""
    plain = ", ".join(f"{key} {value}" for key, value in given.items())
    try:
        said = SENTENCES.get(name, plain).format(**{k: _words(v) for k, v in given.items()})
    except (KeyError, IndexError):  # its arguments were too long to be shown whole
        said = plain
    return said if note in _EMPTY else f"{said}, {note}".removeprefix(", ")


def outcome(result: dict[str, Any], given: dict[str, Any]) -> str:
    """A result without what was asked for, and without what is nothing."""
    found = {key: value for key, value in result.items() if value and key not in given}
    first = [str(found.pop(key)) for key in ("outcome", "result") if key in found]
    rest = [
        key.replace("_", " ") if value is True else f"{key.replace('_', ' ')} {value}"
        for key, value in found.items()
    ]
    return ", ".join([*first, *rest]) or ("nothing" if result else "")


def _words(value: object) -> object:
    """A lane such as budget:7/channel:3 in words; anything else as it is."""
    if isinstance(value, str) and "/channel:" in value:
        return value.replace(":", " ").replace("/", " to ")
    return value


def _mapping(shown: object) -> dict[str, Any]:
    """What Celery shows of a dictionary; empty where that is cut or something else."""
    try:
        found = ast.literal_eval(str(shown))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
