"""To the service by HTTP."""

import gzip
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

import urllib3

from spendbeat_gateway.answers import Answer, Bad, Later, Taken, scrubbed

_CONNECT = 5.0  # seconds
_PATHS = {"gateway": "/ingest", "litellm": "/ingest/litellm"}
_TAKEN = range(200, 300)
_TOO_LARGE = 413
_VERDICTS = (400, _TOO_LARGE, 422)
_LONGEST_WAIT = 3600.0


class Web:
    """POSTs batches to {url}/ingest and {url}/ingest/litellm with a bearer token."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._secrets = (token,) if token else ()
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": "spendbeat-gateway",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self.abandon()

    @property
    def where(self) -> str:
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    def send(
        self, route: str, bodies: list[str], *, state: dict[str, str], timeout: float
    ) -> Answer:
        path = _PATHS.get(route)
        if path is None:
            return Bad(f"no route is called {route!r:.40}")
        items = ",".join(bodies)
        text = f"[{items}]" if route == "litellm" else f'{{"events":[{items}]}}'
        try:
            response = self._pool.request(
                "POST",
                self._url + path,
                body=gzip.compress(text.encode(), compresslevel=1, mtime=0),
                headers={**self._headers, "Spendbeat-Spool": header(state)},
                timeout=urllib3.Timeout(connect=min(_CONNECT, timeout), total=timeout),
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Later(
                f"{self.where} cannot be reached: {scrubbed(_short(error), self._secrets)}"
            )
        return self._answer(response, len(bodies))

    def _answer(self, response: urllib3.BaseHTTPResponse, sent: int) -> Answer:
        status = response.status
        if status in _TAKEN:
            return Taken()
        wait = _retry_after(response.headers)
        if status in (401, 403):
            return Later(
                f"{self.where} answers {status}: SPENDBEAT_GATEWAY_TOKEN is missing, wrong or not"
                " allowed to ingest; events are kept",
                wait or 30.0,
                loud=True,
            )
        said = _json(response.data)
        if status == _TOO_LARGE or (status in _VERDICTS and isinstance(said, dict)):
            return Bad(f"{self._said(said) or 'refused'} ({status})", _items(said, sent))
        loud = status not in (429, 503)
        reason = f"{self.where} answers {status} {self._said(said)}".rstrip()
        return Later(reason, wait, loud=loud)

    def _said(self, said: object) -> str:
        """The message of an answer, if it has one that is short enough to show."""
        found = said
        for name in ("error", "message"):
            found = found.get(name, "") if isinstance(found, dict) else found
        return scrubbed(found, self._secrets) if isinstance(found, str) else ""

    def abandon(self) -> None:
        self._pool = urllib3.PoolManager(num_pools=2, maxsize=1, retries=False)


def header(state: Mapping[str, str]) -> str:
    """name=a; waiting=3: values in printable ASCII without the separators."""
    return "; ".join(
        f"{name}={''.join(c if ' ' < c <= '~' and c not in ';=,' else '_' for c in value)}"
        for name, value in state.items()
    )


def _items(said: object, sent: int) -> tuple[tuple[int, str], ...]:
    """The bad items that an answer names; none of them where it names one that was not sent."""
    problems = said.get("problems") if isinstance(said, dict) else None
    found: dict[int, str] = {}
    for problem in problems if isinstance(problems, list) else ():
        index = problem.get("index") if isinstance(problem, dict) else None
        if not isinstance(index, int) or not 0 <= index < sent:
            return ()
        found[index] = str(problem.get("reason") or "refused")[:500]
    return tuple(found.items())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = (
            float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time()
        )
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _json(data: bytes) -> object:
    try:
        return json.loads(data[: 1 << 20])
    except ValueError:
        return None


def _short(error: BaseException) -> str:
    """urllib3 puts the connection object first: "<...>: Failed to ..."."""
    return str(error).rpartition(">: ")[2] or type(error).__name__
