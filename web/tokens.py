"""Who is asking: the bearer token of a request, looked up and remembered for a moment."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.requests import Request

from spend import tokens
from spend.tokens import Token
from web.refusals import forbidden, unauthorized, unavailable

# A revoked token works for at most this long. An unknown one may be remembered too: secrets are
# random, so none was ever sent before it was made.
REMEMBERED_SECONDS = 2.0
_MOST_REMEMBERED = 10_000
# Look-ups have threads of their own, so that wrong tokens cannot keep right ones from being
# served, nor ask the database for more than this at a time.
_THREADS = 2


class Tokens:
    """The tokens that this process has seen lately."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(_THREADS, "spendbeat-tokens")
        self._known: dict[bytes, tuple[float, Token | None]] = {}

    async def require(self, request: Request, *scopes: str) -> Token:
        """The token of a request; one of the scopes is enough. Raises Refusal: 401, 403 or 503."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise unauthorized(
                "A token is needed: 'Authorization: Bearer sb_...'; 'spendbeat tokens create'"
                " makes one."
            )
        token = await self._find(tokens.digest(secret)) if tokens.looks_right(secret) else None
        if token is None:
            raise unauthorized("This token is not known, or was revoked.")
        if token.scopes.isdisjoint(scopes):
            raise forbidden(scopes[0])
        return token

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
