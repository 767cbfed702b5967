"""Table `gateway_spools`: how much waits in the spools of gateways, as they say themselves.

A gateway says it in a header of what it sends:

    Spendbeat-Spool: name=api-7; waiting=12; dropped=0; oldest=3
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from spend.sql import query

# Names come from outside; a thousand gateways are more than anybody has, a million are a mistake.
MOST_NAMES = 1000
FORGET_DAYS = 7
_MOST_LENGTH = 400
_NAME = re.compile(r"[!-~]([ -~]{0,98}[!-~])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_FIGURES = ("waiting", "dropped", "oldest")


@dataclass(frozen=True)
class Spool:
    """waiting: events not sent yet. dropped: lost at the bound. oldest: seconds it has waited."""

    name: str
    waiting: int
    dropped: int
    oldest: int


def parse(header: str) -> Spool | None:
    """What the header says; None where it is not one of ours."""
    if len(header) > _MOST_LENGTH:
        return None
    parts = (part.partition("=") for part in header.split(";"))
    said = {name.strip(): value.strip() for name, _, value in parts}
    figures = [said.get(name, "") for name in _FIGURES]
    name = said.get("name", "")
    if not _NAME.fullmatch(name) or not all(_NUMBER.fullmatch(figure) for figure in figures):
        return None
    return Spool(name, *map(int, figures))


def record(session: Session, spools: Iterable[Spool]) -> None:
    """Keep the newest word of each gateway.

    Beyond MOST_NAMES new names are left out; those unheard of for FORGET_DAYS make room first.
    """
    said = json.dumps([asdict(spool) for spool in sorted(spools, key=lambda spool: spool.name)])
    session.execute(query("web", "forget_spools"), {"said": said, "days": FORGET_DAYS})
    session.execute(query("web", "record_spools"), {"said": said, "most": MOST_NAMES})
