"""What routes that look and change say of themselves: parts that they share."""

from collections.abc import Mapping
from typing import Any

TEXT = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
NUMBER = {"type": "integer"}
AMOUNT = {
    "type": "string",
    "description": "Dollars as text, so that no digit is lost.",
}
_ERROR = {"type": "object", "properties": {"error": TEXT}, "required": ["error"]}
NEXT = {
    "type": ["string", "null"],
    "description": "`after` of the next page; null at the end.",
}


def maybe(schema: Mapping[str, Any], meaning: str = "") -> dict[str, Any]:
    """The same, or null."""
    found = {**schema, "type": [schema["type"], "null"]}
    return {**found, "description": meaning} if meaning else found


def several(schema: Mapping[str, Any], meaning: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": "array", "items": schema}
    return {**found, "description": meaning} if meaning else found


def thing(title: str, **properties: Any) -> dict[str, Any]:
    """An object that always has all of these."""
    return {
        "type": "object", "title": title, "properties": properties, "required": list(properties)
    }  # fmt: skip


def optional(**properties: Any) -> dict[str, Any]:
    """An object that may have some of these and nothing else."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def in_query(name: str, schema: Mapping[str, Any], meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": meaning}


def in_path(name: str, meaning: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": TEXT, "description": meaning}


def limit(usual: int, most: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return in_query("limit", schema, "How many at most.")


AFTER = in_query("after", TEXT, "`next` of the page before this one.")
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": TEXT,
    "description": "The ETag of what was read: 412 where somebody changed it since.",
}


def flag(name: str, meaning: str) -> dict[str, Any]:
    return in_query(name, {"type": "boolean", "default": False}, meaning)


def answer(meaning: str, schema: Mapping[str, Any], example: object = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": meaning, "content": {"application/json": content}}


def body(schema: Mapping[str, Any], example: object, *, needed: bool = True) -> dict[str, Any]:
    return {
        "required": needed,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def told(
    scope: str,
    good: Mapping[int, Mapping[str, Any]],
    *parameters: Mapping[str, Any],
    takes: Mapping[str, Any] | None = None,
    more: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """A route's answers and what it takes, as FastAPI wants them.

    more: further answers that are errors, beside those that every route has.
    """
    errors = {
        400: "A parameter or a body that cannot be read.",
        401: "No token, or one that is unknown or revoked.",
        403: f"The token lacks the scope {scope}.",
        500: "An error of the service.",
        **(more or {}),
    }
    if takes is not None:
        errors |= {
            413: "Too many bytes; the limit is named.",
            415: "A Content-Type or Content-Encoding that is not taken.",
        }
        errors.setdefault(422, "What was sent makes no sense; the message says what and why.")
    responses = {status: answer(words, _ERROR) for status, words in sorted(errors.items())}
    again = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    responses[503] = {
        **answer("Too much at once, or no database; send the same again.", _ERROR),
        "headers": {"Retry-After": again},
    }
    responses[429] = {
        **answer("Too many requests of this token in a minute.", _ERROR),
        "headers": {"Retry-After": again},
    }
    extra: dict[str, Any] = {"security": [{"token": []}]}
    if parameters:
        extra["parameters"] = list(parameters)
    if takes is not None:
        extra["requestBody"] = dict(takes)
    first, *_ = good
    return {
        "status_code": first,
        "responses": {**{status: dict(said) for status, said in good.items()}, **responses},
        "openapi_extra": extra,
    }
