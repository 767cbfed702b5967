"""Spend by any dimension, a page of lines at a time, each of which leads deeper."""

from datetime import UTC, datetime

from web.calls import Call
from web.dashboard import look as looks
from web.dashboard import paging
from web.dashboard.overview import figures, framed
from web.dashboard.rendering import Page

LINES = 50


def make(call: Call) -> Page:
    """The page."""
    after = paging.after(call.query.get("after"))
    with call.looking() as session:
        look = looks.read(session, call.query, datetime.now(UTC))
        found = figures(session, look, LINES, after)
        said = framed(session, look, empty=found.empty)
    following = paging.following(found.lines[-1]) if found.more else None
    return Page(
        "spend.html", {**said, "figures": found, "following": following, "paged": after is not None}
    )
