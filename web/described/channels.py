"""The description of the routes under /channels."""

from models import CHANNEL_KINDS
from spend.delivery.outcome import REASONS
from web import asking
from web.described.calls import (
    AFTER,
    NEXT,
    NUMBER,
    TEXT,
    TIME,
    answer,
    body,
    flag,
    in_path,
    limit,
    maybe,
    optional,
    several,
    thing,
    told,
)

_KIND = {"type": "string", "enum": list(CHANNEL_KINDS)}
CHANNEL = thing(
    "Channel",
    id=NUMBER,
    name=TEXT,
    kind=_KIND,
    address={
        **TEXT,
        "description": "Without what may be a secret: the query, the path of Slack's.",
    },
    state={"type": "string", "enum": ["active", "disabled", "removed"]},
    state_at=TIME,
    state_reason=TEXT,
    failing_since=maybe(TIME, "null while it works."),
    created_at=TIME,
)
_SECRET = maybe(
    TEXT, "To check signatures with (whsec_...), shown this once; null: the kind has none."
)
_WANTED = thing(
    "ChannelWanted",
    name={**TEXT, "maxLength": 100},
    kind=_KIND,
    address={**TEXT, "description": "A URL; for email mailboxes, separated by commas."},
)
_OUTCOME = thing(
    "ChannelTest",
    channel=TEXT,
    id={**TEXT, "description": "The webhook-id of the message."},
    result={"type": "string", "enum": ["delivered", "retry", "gone"]},
    reason={"type": "string", "enum": list(REASONS)},
    status=maybe(NUMBER, "Of HTTP or SMTP; null where no answer came."),
    seconds={"type": "number"},
    answer={**TEXT, "description": "Its first 500 characters, or what went wrong."},
    retry_after=maybe({"type": "number"}, "Seconds that the receiver asked to wait."),
)
_NAME = in_path("name", "The channel's name.")
_UNKNOWN = {404: "There is no such channel."}
_NOW = answer("The channel as it is now.", CHANNEL)

LIST = told(
    "read",
    {200: answer("A page.", thing("Channels", channels=several(CHANNEL), next=NEXT))},
    limit(asking.USUAL, asking.MOST),
    AFTER,
    flag("removed", "Also channels that were removed."),
)
ADD = told(
    "channels",
    {
        201: answer(
            "It is made.",
            thing("ChannelAdded", **CHANNEL["properties"], secret=_SECRET),
        )
    },
    takes=body(
        _WANTED, {"name": "ops", "kind": "webhook", "address": "https://example.com/hooks/spend"}
    ),
    more={
        409: "There is a channel of this name already.",
        422: "The address is none, or one that nobody allowed; the message says why.",
    },
)
SHOW = told("read", {200: answer("The channel.", CHANNEL)}, _NAME, more=_UNKNOWN)
REMOVE = told("channels", {200: answer("It was this one.", CHANNEL)}, _NAME, more=_UNKNOWN)
TEST = told("channels", {200: answer("What came back.", _OUTCOME)}, _NAME, more=_UNKNOWN)
DISABLE = told(
    "channels",
    {200: _NOW},
    _NAME,
    takes=body(
        optional(reason={**TEXT, "maxLength": 500}),
        {"reason": "receiver moves on Monday"},
        needed=False,
    ),
    more=_UNKNOWN,
)
ENABLE = told("channels", {200: _NOW}, _NAME, more=_UNKNOWN)
ROTATE = told(
    "channels",
    {
        200: answer(
            "The new secret.",
            thing(
                "ChannelSecret",
                name=TEXT,
                secret=_SECRET,
                old_until=maybe(TIME, "Until when the old one signs too; null: not at all."),
            ),
        )
    },
    _NAME,
    takes=body(
        optional(
            overlap={
                **TEXT,
                "default": "24h",
                "description": "How long the old one signs too: 30m, 7d, 0.",
            }
        ),
        {"overlap": "7d"},
        needed=False,
    ),
    more=_UNKNOWN,
)
