"""What is counted against a limit, and what becomes of a mix that is beyond one. No database."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from models import ATTRIBUTION_FIELDS
from spend.attribution.mix import Mix

OTHER = "(other)"
# Where values are counted, besides the fields themselves and tag:KEY for the tags with a key.
PLAIN_TAGS = "tag"
TAG_KEYS = "tag_keys"
COMBINATIONS = "combinations"
_BEYOND_COMBINATIONS = ("agent", "user_id")

# (field, value), the field as in models.AttributionValue.
Value = tuple[str, str]


def tag_values(key: str) -> str:
    """The field in which the values of a tag's key are counted."""
    return f"{PLAIN_TAGS}:{key}"


def kind(field: str) -> str:
    """One of few names for a field: all keys of tags are one."""
    return PLAIN_TAGS if field.startswith(f"{PLAIN_TAGS}:") else field


def keys(mixes: Iterable[Mix]) -> set[Value]:
    """The keys of all tags that have one."""
    found = (tag.partition(":") for mix in mixes for tag in mix.tags)
    return {(TAG_KEYS, key) for key, colon, _ in found if colon}


def values(mixes: Iterable[Mix], refused: AbstractSet[Value]) -> set[Value]:
    """The values of all fields and tags; not of tags whose key was refused."""
    found: set[Value] = set()
    for mix in mixes:
        found.update(_values(mix, refused))
    return {value for value in found if value[1] != OTHER}


def _values(mix: Mix, refused: AbstractSet[Value]) -> Iterator[Value]:
    for field in ATTRIBUTION_FIELDS:
        value = getattr(mix, field)
        if value is not None:
            yield field, value
    for tag in mix.tags:
        key, colon, value = tag.partition(":")
        if not colon:
            yield PLAIN_TAGS, tag
        elif (TAG_KEYS, key) not in refused:
            yield tag_values(key), value


def capped(mix: Mix, refused: AbstractSet[Value]) -> Mix:
    """The mix with (other) in place of what was refused."""
    fields = {
        field: OTHER if (field, value) in refused else value
        for field in ATTRIBUTION_FIELDS
        if (value := getattr(mix, field)) is not None
    }
    return Mix(**fields, tags=tuple(sorted({_tag(tag, refused) for tag in mix.tags})))


def _tag(tag: str, refused: AbstractSet[Value]) -> str:
    key, colon, value = tag.partition(":")
    if not colon:
        return OTHER if (PLAIN_TAGS, tag) in refused else tag
    if (TAG_KEYS, key) in refused:
        return OTHER
    return f"{key}:{OTHER}" if (tag_values(key), value) in refused else tag


def coarse(mix: Mix) -> Mix:
    """The mix without what multiplies most: agent, user and tags are (other) where there are any.

    What is left has few values in practice; there it stays as it is.
    """
    fields = {field: OTHER for field in _BEYOND_COMBINATIONS if getattr(mix, field) is not None}
    return mix._replace(**fields, tags=(OTHER,) if mix.tags else ())
