"""A message in words, for people: a headline and lines."""

import json

from spend.delivery.outcome import Message


def title(message: Message) -> str:
    """One line."""
    return " ".join(str(message.body.get("title") or message.type).split())


def text(message: Message) -> str:
    """body["text"], or else the plain values of the body, one a line."""
    said = message.body.get("text")
    if said:
        return str(said)
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in message.body.items()
        if name not in {"title", "text", "version"}
    )
