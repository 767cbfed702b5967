"""What an answer of HTTP means, as Standard Webhooks 1.0.0 suggests ("Delivery success and
failure"): 2xx is success, 410 ends it, anything else is tried again, a redirect too.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from spend.delivery import destination, posting
from spend.delivery.destination import AddressError, Networks, Resolve, UnresolvedError, Url
from spend.delivery.outcome import Outcome, Reason, Result
from spend.delivery.posting import Answer, Deadline, PostError

ANSWER_CHARACTERS = 500
# The longest pause between two attempts; who asks for more gets the next one then.
MOST_RETRY_AFTER = 86_400.0
_GONE = 410
_BUSY = {429, 502, 503, 504}
_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)
# Shorter parts of a URL are words such as "hook", not what nobody may know.
_SHORTEST_SECRET = 12


def attempt(
    address: str,
    body: bytes,
    headers: Callable[[], Mapping[str, str]] | Mapping[str, str],
    *,
    allowed: Networks,
    resolve: Resolve | None = None,
) -> Outcome:
    """Post once. headers may be a function, which is called when the address is known to be fit."""
    began = time.monotonic()
    deadline = Deadline(posting.TOTAL_SECONDS)
    try:
        url = destination.parse(address)
        checked = destination.check(url, allowed, resolve)
        said = headers() if callable(headers) else headers
        answer = posting.post(url, checked.addresses, body, said, deadline)
    except PostError as error:
        return Outcome("retry", error.reason, None, _since(began), str(error))
    except UnresolvedError as error:
        return Outcome("retry", "unresolved", None, _since(began), str(error))
    except AddressError as error:
        return Outcome("retry", "forbidden", None, _since(began), str(error))
    return meaning(url, answer, _since(began))


def meaning(url: Url, answer: Answer, seconds: float) -> Outcome:
    """What to do after this answer."""
    result, reason = _verdict(answer.status)
    return Outcome(
        result,
        reason,
        answer.status,
        seconds,
        printable(_hidden(answer.body.decode("utf-8", "replace"), url)),
        wait(answer.retry_after) if result == "retry" else None,
    )


def wait(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After, a number or an HTTP date; None where it makes no sense."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MOST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    # A date with the zone -0000 comes without one; HTTP knows only GMT.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MOST_RETRY_AFTER)


def printable(text: str) -> str:
    """The first characters in one line: no control characters for a terminal or Postgres."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    return " ".join(words)[:ANSWER_CHARACTERS]


def _verdict(status: int) -> tuple[Result, Reason]:
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
        return "delivered", "accepted"
    if status == _GONE:
        return "gone", "gone"
    if status in _BUSY:
        return "retry", "busy"
    if 300 <= status < 400:  # noqa: PLR2004
        return "retry", "redirect"
    if 400 <= status < 500:  # noqa: PLR2004
        return "retry", "refused"
    return "retry", "failed" if status >= 500 else "not_http"  # noqa: PLR2004


def _hidden(text: str, url: Url) -> str:
    """An answer that repeats the URL, which may be a secret, without it."""
    parts = [url.target, *re.split(r"[/?&=]", url.target)]
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, "***")
    return text


def _since(began: float) -> float:
    return round(time.monotonic() - began, 6)
