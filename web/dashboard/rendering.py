"""Pages from templates: every value escaped, nothing inline, nothing from other hosts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from web.dashboard import files, words
from web.dashboard.look import label, shown

KIND = "text/html; charset=utf-8"
THEMES = ("light", "dark")
# Everything that a page loads or talks to is ours, and nothing in it runs but our files: a name
# that somebody sends with a request can never become a script, escaped or not.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Page:
    """What a route shows: a template and what it says."""

    template: str
    said: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


def rendered(page: Page, **more: object) -> bytes:
    """HTML, in UTF-8."""
    return _templates().get_template(page.template).render(**page.said, **more).encode()


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("web.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in (
        "money", "cost", "exact", "short_money", "count", "short", "percent", "change", "moment",
        "iso", "ago", "zone", "day_before", "short_money_rounded",
    ):  # fmt: skip
        found.filters[name] = getattr(words, name)
    found.filters["label"] = label
    found.filters["shown"] = shown
    found.globals["static"] = files.url
    return found
