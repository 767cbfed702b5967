"""The style and the scripts of the pages, under addresses that change with their contents."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

PATH = "/dashboard/static"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_A_YEAR = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    content: bytes
    kind: str
    version: str


@cache
def _all() -> dict[str, _File]:
    found = {}
    for file in files("web.dashboard").joinpath("static").iterdir():
        kind = _KINDS.get("." + file.name.rpartition(".")[2])
        if kind:
            content = file.read_bytes()
            found[file.name] = _File(content, kind, sha256(content).hexdigest()[:12])
    return found


def url(name: str) -> str:
    """Where a page finds a file of ours."""
    return f"{PATH}/{name}?{_all()[name].version}"


async def serve(request: Request) -> Response:
    """One of the files, by its name; there is no other way to a file."""
    file = _all().get(request.path_params["name"])
    if file is None:
        return PlainTextResponse("There is no such file.", 404)
    current = request.url.query == file.version
    headers = {
        "Cache-Control": _FOR_A_YEAR if current else "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(file.content, headers=headers, media_type=file.kind)
