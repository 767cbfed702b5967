"""Channels: added, found, tried, switched off and on, given another secret, removed."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from spend import notes
from spend.delivery import registry, trial
from spend.delivery.channels import LONGEST_OVERLAP
from spend.delivery.channels import shown as said
from spend.lengths import length
from web import asking
from web.calls import Answer, Call, Calls, Door
from web.described import channels as described
from worker import sending

_LOOK = ("read", "channels")
_CHANGE = ("channels",)
_OVERLAP = "24h"
_MOST_REASON = 500


def listed(call: Call) -> Answer:
    """A page of channels by name, without their secrets."""
    asking.only(call, "limit", "after", "removed")
    most = asking.count(call)
    after = asking.place(call)
    removed = asking.flag(call, "removed")
    with call.looking() as session:
        found = registry.listed(session, removed=removed, after=after, most=most + 1)
    page = found[:most]
    following = asking.next_place(page[-1].name, page[-1].id) if len(found) > most else None
    return Answer({"channels": [said(channel) for channel in page], "next": following})


def shown(call: Call) -> Answer:
    """One channel, without its secrets."""
    asking.only(call)
    with call.looking() as session:
        return Answer(said(registry.named(session, call.path["name"])))


def add(call: Call) -> Answer:
    """Make a channel. The secret that a webhook's receiver needs is in this answer and in no other.

    Whoever lost it gives the channel another one with rotate-secret.
    """
    asking.only(call)
    names = ("name", "kind", "address")
    given = asking.fields(call, *names, needed=names)
    with call.changing() as session:
        keys = sending.sealing_keys(session, given["kind"])
        added = registry.add(
            session, given["name"], given["kind"], given["address"], keys,
            allowed=sending.allowed(),
        )  # fmt: skip
    headers = {"Location": f"/channels/{added.channel.name}"}
    return Answer({**said(added.channel), "secret": added.secret}, 201, headers)


def test(call: Call) -> Answer:
    """Send a real message now, and say what came back. Also to a disabled channel, which stays so.

    The answer is 200 whatever the receiver said; `result` is `delivered` where it took it.
    """
    asking.only(call)
    asking.fields(call)
    with call.looking() as session:
        channel = registry.named(session, call.path["name"])
    message = trial.message(channel)
    outcome = sending.send(channel, message)
    return Answer({"channel": channel.name, "id": message.id, **asdict(outcome)})


def disable(call: Call) -> Answer:
    """Send nothing to a channel until it is enabled."""
    asking.only(call)
    reason = asking.fields(call, "reason").get("reason", f"by {call.by}")
    notes.check(reason, _MOST_REASON)
    with call.changing() as session:
        registry.disable(session, registry.named(session, call.path["name"]).id, reason)
        return Answer(said(registry.named(session, call.path["name"])))


def enable(call: Call) -> Answer:
    """Send to a disabled channel again."""
    asking.only(call)
    asking.fields(call)
    with call.changing() as session:
        registry.enable(session, registry.named(session, call.path["name"]).id)
        return Answer(said(registry.named(session, call.path["name"])))


def rotate_secret(call: Call) -> Answer:
    """Give a webhook a new signing secret, shown this once; the old one signs too for a while."""
    asking.only(call)
    overlap = asking.fields(call, "overlap").get("overlap", _OVERLAP)
    span = length(overlap, LONGEST_OVERLAP)
    with call.changing() as session:
        channel = registry.named(session, call.path["name"])
        secret = registry.rotate_secret(session, channel.id, sending.keys(), span)
    until = (datetime.now(UTC) + span).isoformat(timespec="seconds") if span > _NONE else None
    return Answer({"name": channel.name, "secret": secret, "old_until": until})


def remove(call: Call) -> Answer:
    """Remove a channel for good; its URL and secrets are forgotten, its name is free again."""
    asking.only(call)
    asking.fields(call)
    with call.changing() as session:
        channel = registry.named(session, call.path["name"])
        registry.remove(session, channel.id)
    return Answer({**said(channel), "state": "removed", "state_reason": ""})


_NONE = timedelta(0)
_ONE = "/channels/{name}"
DOORS = (
    Door("GET", "/channels", "List channels", listed, _LOOK, extra=described.LIST),
    # The name of a host is looked up, which may take its time.
    Door("POST", "/channels", "Add a channel", add, _CHANGE, "errand", extra=described.ADD),
    Door("GET", _ONE, "Show a channel", shown, _LOOK, extra=described.SHOW),
    Door("DELETE", _ONE, "Remove a channel", remove, _CHANGE, "change", extra=described.REMOVE),
    Door("POST", f"{_ONE}/test", "Try a channel", test, _CHANGE, "errand", extra=described.TEST),
    Door(
        "POST", f"{_ONE}/disable", "Disable a channel", disable, _CHANGE, "change",
        extra=described.DISABLE,
    ),
    Door(
        "POST", f"{_ONE}/enable", "Enable a channel", enable, _CHANGE, "change",
        extra=described.ENABLE,
    ),
    Door(
        "POST", f"{_ONE}/rotate-secret", "Give a webhook another secret", rotate_secret, _CHANGE,
        "change", extra=described.ROTATE,
    ),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """Routes under /channels."""
    return calls.router(DOORS)
