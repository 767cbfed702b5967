"""Who a request is for: LiteLLM's key data, the caller's metadata, and tags."""

from collections.abc import Mapping
from typing import Any

from models import ATTRIBUTION_FIELDS
from spend.attribution.tags import spread
from spend.capture.litellm.loose import first, mapping, text
from spend.capture.values import MAX_TAGS

# Where LiteLLM keeps what it knows of a virtual key, best name first.
_KEY_DATA = {
    "organization": ("user_api_key_org_alias", "user_api_key_org_id"),
    "project": ("user_api_key_project_alias", "user_api_key_project_id"),
    "user_id": ("user_api_key_user_id",),
    "team": ("user_api_key_team_alias", "user_api_key_team_id"),
    "api_key": ("user_api_key_alias", "user_api_key_hash"),
}
_ALIASES = {"user": "user_id", "org": "organization"}
# The caller's own words; the later wins.
_CALLERS = ("requester_metadata", "spend_logs_metadata")
# LiteLLM adds these to the caller's tags by itself. They say nothing about who spent.
_ADDED = ("User-Agent: ",)


def attribution(payload: Mapping[str, Any]) -> dict[str, object]:
    """The attribution fields and tags.

    First what the caller said (`spend_logs_metadata`, then the request's other metadata), then
    what LiteLLM knows of the key, then a tag such as `project:alpha`. A tag that says something
    else than the field already does stays a tag.
    """
    metadata = mapping(payload.get("metadata"))
    caller = said(metadata)
    found = {
        field: first(caller, field) or first(metadata, *_KEY_DATA.get(field, ()))
        for field in ATTRIBUTION_FIELDS
    }
    filled = spread(found, _tags(payload.get("request_tags"), caller.get("tags")))
    tags = filled.get("tags")
    return {**filled, "tags": tags[:MAX_TAGS] if isinstance(tags, list) else []}


def said(metadata: Mapping[str, Any]) -> dict[str, object]:
    """What the caller gave with the request, under our names.

    Only `spend_logs_metadata` passes the SDK; the proxy keeps all of it in `requester_metadata`,
    and our callback adds there what it finds in the SDK's metadata.
    """
    sources = (
        mapping(metadata.get(name)) for name in ("requester_metadata", "spend_logs_metadata")
    )
    return {
        _ALIASES.get(name, name): value
        for source in sources
        for name, value in source.items()
        if text(value) or isinstance(value, list)
    }


def _tags(*sources: object) -> list[str]:
    """The caller's tags, each once, in their order."""
    found: dict[str, None] = {}
    for source in sources:
        parts = source.split(",") if isinstance(source, str) else source
        for part in parts if isinstance(parts, list | tuple) else ():
            tag = text(part)
            if tag and not tag.startswith(_ADDED):
                found[tag] = None
    return list(found)
