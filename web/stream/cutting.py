"""uvicorn's HTTP with a way to cut a connection off.

To close one waits until the other side has taken what was sent, and a server that stops waits for
that: a listener that reads nothing would hold it up to the end of its patience.
"""

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CUT = "spendbeat.cut"


class Protocol(HttpToolsProtocol):
    """Each request knows how its connection is cut."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[_CUT] = self.transport.abort  # type: ignore[literal-required]  # ASGI allows more


def cut(scope: Scope) -> None:
    """Drop what waits for the other side, and the connection; under another server nothing."""
    if _CUT in scope:
        scope[_CUT]()
