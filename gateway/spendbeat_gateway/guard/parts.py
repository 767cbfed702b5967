"""What a part of a message is, if it is no text, and what parts say about caching."""

from collections.abc import Mapping
from typing import Any, Literal

Medium = Literal["image", "audio", "file"]

_KINDS: dict[str, Medium] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "container_upload": "file",
    "document": "file",
    "file": "file",
    "input_file": "file",
    "input_video": "file",
    "video": "file",
    "video_url": "file",
}
# Gemini's, whose kind is in the MIME type.
_DATA = ("inlineData", "inline_data", "fileData", "file_data")
_MIME_TYPES = ("mime_type", "mimeType")
# Parts without a type that are named by their key.
_NAMES = ("image_url", "input_audio", "file", "image", "document", "video", "video_url")
# A text of at most so many characters is a link or an id, which says nothing about what is behind.
_LINK = 2048
_DEEP = 4
# Where a request may ask for caching, and how deep to look for it.
_CACHED = (
    "cache_control",
    "cache_control_injection_points",
    "input",
    "messages",
    "system",
    "tools",
)
_DEEPEST = 12


def medium(part: Mapping[str, Any]) -> Medium | None:
    """What a part is; None for a text, or a message."""
    kind = part.get("type")
    if isinstance(kind, str) and kind in _KINDS:
        return _KINDS[kind]
    for name in _DATA:
        inner = part.get(name)
        if isinstance(inner, Mapping):
            mime = next((str(inner[key]) for key in _MIME_TYPES if inner.get(key)), "")
            return _KINDS.get(mime.partition("/")[0], "file")
    if kind is None and "role" not in part:
        return next((_KINDS[name] for name in _NAMES if isinstance(part.get(name), Mapping)), None)
    return None


def data_length(value: object, depth: int = 0) -> int:
    """Characters of the data that a part carries itself; 0 where it is a link or an id."""
    if isinstance(value, str):
        return len(value) if len(value) > _LINK or value.startswith("data:") else 0
    if isinstance(value, Mapping) and depth < _DEEP:
        return max((data_length(inner, depth + 1) for inner in value.values()), default=0)
    return 0


def mention_an_hour(request: Mapping[str, Any]) -> bool:
    """Whether a request asks anywhere for a cache that lasts longer than five minutes."""
    return any(_lasts(request.get(key), 0) for key in _CACHED)


def _lasts(value: object, depth: int) -> bool:
    if isinstance(value, Mapping):
        if value.get("ttl") not in {None, "5m"}:
            return True
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return False
    if depth > _DEEPEST:
        return True  # nobody nests like that, so it is not worth to find out
    return any(_lasts(one, depth + 1) for one in value if isinstance(one, Mapping | list | tuple))
