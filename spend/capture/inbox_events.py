"""An event of the inbox as the desk takes it."""

import json

from spend.capture import litellm
from spend.capture.desk import Raw
from spend.capture.request import Rejected


def read(route: str, body: str) -> Raw:
    """The fields of an event that came by a route, or why it has none."""
    try:
        event = json.loads(body)
    except ValueError as error:
        return Rejected(f"not JSON: {error}")
    if not isinstance(event, dict):
        return Rejected("not a JSON object")
    if route == "gateway":
        return event
    try:
        return litellm.request(event)
    except Rejected as verdict:
        return verdict
