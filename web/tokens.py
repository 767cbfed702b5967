"""Who is asking: the token of a request, looked up and remembered for a moment."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.requests import Request

from spend import tokens
from spend.tokens import Token
from web.refusals import bound, forbidden, foreign, unauthorized, unavailable

# A revoked token works for at most this long. An unknown one may be remembered too: secrets are
# random, so none was ever sent before it was made.
REMEMBERED_SECONDS = 2.0
_MOST_REMEMBERED = 10_000
# Look-ups have threads of their own, so that wrong tokens cannot keep right ones from being
# served, nor ask the database for more than this at a time.
_THREADS = 2
# A browser that logged in to the dashboard sends its token in this.
COOKIE = "spendbeat_token"
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class Tokens:
    """The tokens that this process has seen lately."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(_THREADS, "spendbeat-tokens")
        self._known: dict[bytes, tuple[float, Token | None]] = {}

    async def require(self, request: Request, *scopes: str, tenants: bool = False) -> Token:
        """The token of a request; one of the scopes is enough. Raises Refusal: 401, 403 or 503.

        tenants: a bound token is let in too, and whoever asked sees to it that it gets its own.
        """
        secret = _bearer(request) or _cookie(request)
        if not secret:
            raise unauthorized(
                "A token is needed: 'Authorization: Bearer sb_...'; 'spendbeat tokens create'"
                " makes one."
            )
        token = await self.find(secret)
        if token is None:
            raise unauthorized("This token is not known, or was revoked.")
        if token.binding is not None and not tenants:
            raise bound()
        if token.scopes.isdisjoint(scopes):
            raise forbidden(scopes[0])
        return token

    async def find(self, secret: str) -> Token | None:
        """The live token with this secret. Raises Refusal: 503."""
        return await self._find(tokens.digest(secret)) if tokens.looks_right(secret) else None

    async def _find(self, digest: bytes) -> Token | None:
        until, token = self._known.get(digest, (0.0, None))
        if time.monotonic() < until:
            return token
        asked = time.monotonic()
        try:
            token = await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, digest)
        except SQLAlchemyError as error:
            raise unavailable() from error
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = asked + REMEMBERED_SECONDS, token
        return token

    def _ask(self, digest: bytes) -> Token | None:
        with Session(self._engine) as session:
            return tokens.find(session, [digest]).get(digest)

    def close(self) -> None:
        self._pool.shutdown()


def _bearer(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _cookie(request: Request) -> str:
    """What the dashboard's login left, unless another site may have made the browser send it."""
    secret = request.cookies.get(COOKIE, "")
    if secret and request.method not in _SAFE_METHODS and not own_page(request):
        raise foreign()
    return secret


def own_page(request: Request) -> bool:
    """Whether a page of ours sent this; browsers say so in headers that no page can set."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Older ones. The scheme is left out: a proxy before us may speak TLS where we do not.
    _, _, host = request.headers.get("origin", "").partition("://")
    return bool(host) and host.lower() == request.headers.get("host", "").lower()
