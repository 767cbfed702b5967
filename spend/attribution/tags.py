"""Tags that name a field: `project:alpha` is a project, not a tag."""

from collections.abc import Iterable, Mapping

FIELD_OF_KEY = {
    "agent": "agent",
    "org": "organization",
    "organization": "organization",
    "project": "project",
    "sprint": "sprint",
    "team": "team",
    "user": "user_id",
    "user_id": "user_id",
}


def split(tags: Iterable[object]) -> tuple[dict[str, str], list[object]]:
    """What tags say about attribution fields, and the tags that are left, in their order.

    The key is read without regard to case. Of two tags for one field the first counts, and the
    other stays a tag, unless it says the same; so does a tag without a value, and whatever is no
    text (capture says what is wrong with it).
    """
    fields: dict[str, str] = {}
    rest: list[object] = []
    for tag in tags:
        field, value = _field(tag)
        if field is None or fields.setdefault(field, value) != value:
            rest.append(tag)
    return fields, rest


def spread(row: Mapping[str, object], tags: Iterable[object]) -> dict[str, object]:
    """A request's fields with those that its tags name, where the row itself does not say them.

    What the row says is more specific: a tag that says something else stays a tag. The tags left
    are the field `tags`, whatever it held before; it is not there when none is left.
    """
    found, rest = split(tags)
    filled = {name: value for name, value in row.items() if name != "tags"}
    for field, value in found.items():
        if filled.get(field) in (None, ""):
            filled[field] = value
        elif filled[field] != value:
            rest.append(f"{_key_of(field)}:{value}")
    if rest:
        filled["tags"] = rest
    return filled


def _field(tag: object) -> tuple[str | None, str]:
    if not isinstance(tag, str):
        return None, ""
    key, _, value = tag.partition(":")
    value = value.strip()
    return (FIELD_OF_KEY.get(key.strip().lower()) if value else None), value


def _key_of(field: str) -> str:
    return {"user_id": "user"}.get(field, field)
