"""What leaves fits the schema that is published, and the schema is not blind."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from spend.delivery import notices, trial, webhook
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message
from tests.support.programs import ROOT

SCHEMA = json.loads((ROOT / "docs/schemas/webhook-1.schema.json").read_text())
NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
CHANNEL = Channel(3, "ops", "webhook", "https://example.com/", "active", NOW, "", None, NOW)


def sent(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(webhook.payload(message))
    return found


MESSAGES = [
    notices._message(CHANNEL, "gone", "It answered that it is gone for good.", given_up=2),
    notices._message(CHANNEL, "failing", "Every delivery failed.", given_up=0),
    trial.message(CHANNEL),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_fits_the_schema(message: Message) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(sent(message), SCHEMA)


@pytest.mark.parametrize("missing", ["title", "text", "channel", "reason", "given_up", "version"])
def test_a_message_that_lacks_a_field_does_not(missing: str) -> None:
    content = sent(MESSAGES[0])
    del content["data"][missing]
    with pytest.raises(jsonschema.ValidationError, match=missing):
        jsonschema.validate(content, SCHEMA)


def test_fields_and_types_may_be_added() -> None:
    content = sent(MESSAGES[0])
    content["data"]["new"] = 1
    jsonschema.validate(content, SCHEMA)
    jsonschema.validate({**content, "type": "budget.something_new"}, SCHEMA)


def test_the_document_shows_a_message_that_fits() -> None:
    document = (ROOT / "docs/webhooks.md").read_text()
    shown = document.partition("```json\n")[2].partition("```")[0]
    jsonschema.validate(json.loads(shown), SCHEMA)
