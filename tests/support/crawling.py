"""Pages that are found by following links, as somebody who is logged in."""

import html
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

import requests

from tests.support.worlds import MARKS, World

COOKIE = "spendbeat_token"
_LINK = re.compile(r"""(?:href|src|action)=["']([^"']+)["']""")
_ODD = (
    "", "0", "-1", "1e999", "9" * 400, "\x00", "\u202e\U0001f4b8", "../..", "<b>'\"", "%", "None",
    "2026-13-45", "0001-01-01", "9999-12-31", "Europe/Nowhere",
    *(f"{mark}-organization" for mark in MARKS),
)  # fmt: skip


def crawl(
    world: World, kind: str, *starts: str, most: int = 60
) -> Iterator[tuple[str, requests.Response]]:
    """Each page that links lead to, by its path with the query; a redirect is a page too.

    Of pages that differ in values alone, as those of days, two.
    """
    waiting, shapes = list(starts), Counter(map(_shape, starts))
    while waiting and most:
        path, most = waiting.pop(0), most - 1
        answer = visit(world, kind, path)
        yield path, answer
        links = [answer.headers.get("location", "")]
        if answer.headers.get("content-type", "").startswith("text/html"):
            links += [html.unescape(link) for link in _LINK.findall(answer.text)]
        for link in links:
            parts = urlsplit(urljoin(world.url + path, link))
            there = parts.path + (f"?{parts.query}" if parts.query else "")
            if not world.url.endswith(parts.netloc) or "/static/" in there or "logout" in there:
                continue
            if there not in waiting and shapes[_shape(there)] < 2:
                shapes[_shape(there)] += 1
                waiting.append(there)


def _shape(path: str) -> tuple[str, ...]:
    parts = urlsplit(path)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return re.sub(r"\d+", "0", parts.path), *names


def visit(world: World, kind: str, path: str) -> requests.Response:
    """As a browser that was given this token at the login."""
    secret = world.secrets[kind]
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    if secret is not None:
        headers["Cookie"] = f"{COOKIE}={secret}"
    return world.session.get(world.url + path, headers=headers, timeout=30, allow_redirects=False)


def bent(path: str) -> Iterator[str]:
    """The same page asked wrongly: each of its parameters, and its last part, made odd."""
    parts = urlsplit(path)
    said = parse_qsl(parts.query, keep_blank_values=True)
    for place, (name, _) in enumerate(said):
        for odd in _ODD:
            changed = [*said[:place], (name, odd), *said[place + 1 :]]
            yield f"{parts.path}?{urlencode(changed)}"
    if parts.path.count("/") > 2:
        before = parts.path.rpartition("/")[0]
        for odd in _ODD:
            if odd not in ("", "../.."):
                yield f"{before}/{quote(odd, safe='')}"


def asked(path: str) -> str:
    """What a path says, so that an echo is not taken for a leak."""
    return unquote(path)
