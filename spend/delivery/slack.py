"""Incoming webhooks of Slack, and of what speaks like it (Mattermost, Rocket.Chat, Discord's
/slack addresses).

Limits of a text and of blocks: https://docs.slack.dev/reference/block-kit/blocks
"""

import json
from dataclasses import replace

from spend.delivery import answers, words
from spend.delivery.destination import Networks, Resolve
from spend.delivery.outcome import Message, Outcome

_HEADER_CHARACTERS = 150
_SECTION_CHARACTERS = 3000
# What Slack says when a webhook was removed or its workspace is gone: never again. An archived
# channel answers 410 by itself:
# https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks
_ENDED = {"no_service", "no_team", "team_disabled", "invalid_token"}
_ENDING = {403, 404}


def send(
    address: str, message: Message, *, allowed: Networks, resolve: Resolve | None = None
) -> Outcome:
    """One attempt."""
    outcome = answers.attempt(
        address,
        json.dumps(content(message)).encode(),
        {"Content-Type": "application/json"},
        allowed=allowed,
        resolve=resolve,
    )
    if outcome.status in _ENDING and outcome.answer in _ENDED:
        return replace(outcome, result="gone", reason="gone", retry_after=None)
    return outcome


def content(message: Message) -> dict[str, object]:
    """What Slack takes: text for notifications and for who knows no blocks, and blocks."""
    title, text = words.title(message), words.text(message)
    header = {"type": "plain_text", "text": _cut(title, _HEADER_CHARACTERS)}
    blocks: list[dict[str, object]] = [{"type": "header", "text": header}]
    if text:
        section = {"type": "mrkdwn", "text": _cut(escaped(text), _SECTION_CHARACTERS)}
        blocks.append({"type": "section", "text": section})
    whole = _cut(escaped(f"{title}\n{text}" if text else title), _SECTION_CHARACTERS)
    return {"text": whole, "blocks": blocks}


def escaped(text: str) -> str:
    """Text in which nothing is a link or calls people, such as <!channel>."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    cut = text[: most - 3]
    # Never in the middle of what `escaped` wrote.
    start = cut.rfind("&")
    if start >= 0 and ";" not in cut[start:] and len(cut) - start < len("&amp;"):
        cut = cut[:start]
    return cut + "..."
