"""Who a call of LiteLLM is for and which model it asks, known before it is made.

Spendbeat derives both from the event that the callback ships (spend/capture/litellm). The guard
needs them earlier: what LiteLLM has of the call at that time is brought into the shape of that
event, and read the way it will be read there. tests/unit/test_guard_attribution.py compares both.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from spendbeat_gateway.guard.attributing import FIELDS, spread
from spendbeat_gateway.litellm_payload import without_keys

_MAX_TEXT = 512
_MAX_TAGS = 100
_KEY = re.compile(r"\bsk-[\w-]{6,}")
_HASH = re.compile(r"[0-9a-f]{64}")
# What LiteLLM knows of a virtual key, best name first.
_KEY_DATA = {
    "organization": ("user_api_key_org_alias", "user_api_key_org_id"),
    "project": ("user_api_key_project_alias", "user_api_key_project_id"),
    "user_id": ("user_api_key_user_id",),
    "team": ("user_api_key_team_alias", "user_api_key_team_id"),
    "api_key": ("user_api_key_alias", "user_api_key_hash"),
}
_ALIASES = {"user": "user_id", "org": "organization"}
_ADDED = "User-Agent: "
_FAMILIES = ("vertex_ai", "bedrock")
_UNKNOWN = "unknown"


def before(
    kwargs: Mapping[str, Any], header_tags: Iterable[str] = ()
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What litellm_payload.trimmed() takes, of a call that has not been made.

    kwargs: of LiteLLM's call. header_tags: what LiteLLM adds to its tags by its settings.
    """
    own, litellms = _mapping(kwargs.get("metadata")), _mapping(kwargs.get("litellm_metadata"))
    metadata = {**litellms, **own}
    key = metadata.get("user_api_key")
    if isinstance(key, str) and _HASH.fullmatch(key):
        metadata["user_api_key_hash"] = key
    said = metadata.get("metadata")
    if metadata.get("requester_metadata") is None and isinstance(said, dict):
        metadata["requester_metadata"] = said
    tags = own.get("tags") or litellms.get("tags")
    tags = [*tags, *header_tags] if isinstance(tags, list) else [*header_tags]
    return {"metadata": metadata, "request_tags": tags}, {"litellm_params": {"metadata": own}}


def attribution(event: Mapping[str, Any]) -> dict[str, object]:
    """The attribution fields and tags of an event as litellm_payload.trimmed() makes it.

    What the caller said, then what LiteLLM knows of the key, then tags that name a field.
    """
    metadata = _mapping(event.get("metadata"))
    caller: dict[str, object] = {}
    for name in ("requester_metadata", "spend_logs_metadata"):
        for field, value in _mapping(metadata.get(name)).items():
            if text(value) or isinstance(value, list):
                caller[_ALIASES.get(field, field)] = value
    found = {
        field: _first(caller, field) or _first(metadata, *_KEY_DATA.get(field, ()))
        for field in FIELDS
    }
    made = spread(found, _tags(event.get("request_tags"), caller.get("tags")))
    tags = made["tags"]
    made["tags"] = tags[:_MAX_TAGS] if isinstance(tags, list) else []
    return made


def provider_and_model(provider: object, model: object, listed: object = None) -> tuple[str, str]:
    """Both under the names that the ledger has for them.

    listed: the provider of LiteLLM's price list, where the call names none.
    """
    name = text(model) or _UNKNOWN
    prefix, slash, rest = name.partition("/")
    found = _family(text(provider) or (slash and prefix) or text(listed) or _UNKNOWN)
    if slash and rest and _family(prefix) == found:
        name = rest
    return found, name


def text(value: object) -> str | None:
    """A text as the ledger keeps it of what the callback ships, which is without keys."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    found = value.replace("\0", "").encode(errors="replace").decode()
    if "sk-" in found:
        found = without_keys(found)
        found = _KEY.sub(lambda key: hashlib.sha256(key[0].encode()).hexdigest(), found)
    return found.strip()[:_MAX_TEXT].strip() or None


def _first(source: Mapping[str, Any], *names: str) -> str | None:
    return next((found for name in names if (found := text(source.get(name)))), None)


def _tags(*sources: object) -> list[str]:
    found: dict[str, None] = {}
    for source in sources:
        parts = source.split(",") if isinstance(source, str) else source
        for part in parts if isinstance(parts, list | tuple) else ():
            tag = text(part)
            if tag and not tag.startswith(_ADDED):
                found[tag] = None
    return list(found)


def _family(provider: str) -> str:
    return next((name for name in _FAMILIES if provider.startswith(name)), provider)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
