"""The fields of a request, in the order in which values travel through the capture path."""

from collections.abc import Mapping

from models import ATTRIBUTION_FIELDS, TOKEN_CLASSES
from spend.capture.request import Rejected

FIELDS = (
    "id",
    "started_at",
    "provider",
    "model",
    *TOKEN_CLASSES,
    "cost_usd",
    "status",
    "trace_id",
    "session_id",
    "end_user",
    "other_ids",
    "service_tier",
    "gateway_cost_usd",
    "provider_cost_usd",
    *ATTRIBUTION_FIELDS,
    "tags",
)
REQUIRED = ("started_at", "provider", "model")
# A row with none of these would count a request that used and cost nothing.
MEASURED = (*TOKEN_CLASSES, "cost_usd", "gateway_cost_usd", "provider_cost_usd")
_NAMES = frozenset(FIELDS)
ALIASES = {"user": "user_id", "request_id": "id"}


def canonical(name: str) -> str | None:
    """The field of this name or alias; None for a name that is not one."""
    name = ALIASES.get(name, name)
    return name if name in FIELDS else None


def arrange(raw: Mapping[str, object]) -> list[object]:
    """The values of a mapping of fields (or aliases) in the order of FIELDS. Raises Rejected."""
    if raw.keys() <= _NAMES:
        return [raw.get(field) for field in FIELDS]
    row: dict[str, object] = {}
    for name, value in raw.items():
        field = canonical(name)
        if field is None:
            raise Rejected(f"unknown field {name!r:.60}")
        if field in row:
            raise Rejected(f"{field} is there twice, as {name!r} too")
        row[field] = value
    return [row.get(field) for field in FIELDS]
