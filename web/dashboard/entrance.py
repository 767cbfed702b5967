"""Logging in: a token is pasted once, and stays in a cookie that no script can read."""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from spend.tokens import Token
from web.dashboard.rendering import HEADERS, KIND, THEMES, Page, rendered
from web.refusals import Refusal
from web.tokens import COOKIE, Tokens, own_page

HOME = "/dashboard"
LOGIN = f"{HOME}/login"
THEME = "spendbeat_theme"
_DAYS_30 = 30 * 24 * 3600
_MOST_FORM = 16 * 1024
_MOST_FIELDS = 50
_SEE_OTHER = 303
_ENDED = "This token is not known any more: it was revoked. Paste another one."
_WRONG = "This token is not known, or was revoked."
_NOT_READ = "This token may not read: it needs the scope read."


class Entrance:
    """The login page, what it does with a token, and the way out."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def show(self, request: Request) -> Response:
        """The form; with the reason why somebody who was logged in is here again."""
        ended = "ended" in request.query_params
        answer = _page(request, request.query_params.get("next"), problem=_ENDED if ended else "")
        if ended:
            _forget(answer)
        return answer

    async def enter(self, request: Request) -> Response:
        """Keep a token that may read, and go on to where somebody wanted to be."""
        if not own_page(request):
            return _page(request, None, "This form was sent from another site.", 403)
        said = await form(request)
        following, secret = said.get("next"), said.get("token", "").strip()
        if not secret:
            return _page(request, following, "Paste a token.", 422)
        try:
            token = await self._tokens.find(secret)
        except Refusal as refusal:
            return _page(request, following, refusal.message, refusal.status)
        if problem := _problem(token):
            return _page(request, following, problem, 403)
        answer = RedirectResponse(place(following), _SEE_OTHER, dict(HEADERS))
        answer.set_cookie(
            COOKIE, secret, _DAYS_30, httponly=True, samesite="strict", secure=_https(request)
        )
        return answer

    async def leave(self, request: Request) -> Response:
        """Forget the token in this browser; it goes on to exist."""
        answer = RedirectResponse(LOGIN, _SEE_OTHER, dict(HEADERS))
        if own_page(request):
            _forget(answer)
        return answer


def place(said: str | None) -> str:
    """Where to go after the login: a page of the dashboard, whatever the URL says."""
    if not said or not said.isascii() or not said.isprintable() or "\\" in said:
        return HOME
    parts = urlsplit(said)
    inside = parts.path == HOME or parts.path.startswith(f"{HOME}/")
    if parts.scheme or parts.netloc or not inside or "/.." in parts.path or parts.path == LOGIN:
        return HOME
    return said


def address(request: Request) -> str:
    """What was asked for, as it was written: a name in a path may have %, ? or letters of any kind
    in it.
    """
    raw = request.scope.get("raw_path")
    path = raw.decode("ascii", "replace") if raw else quote(request.url.path)
    return path + (f"?{request.url.query}" if request.url.query else "")


def to_login(request: Request) -> Response:
    """Somebody without a token that is known: to the login, and from there back here."""
    here = address(request)
    if request.method != "GET":
        here = urlsplit(request.headers.get("referer", "")).path or HOME
    known = COOKIE in request.cookies
    if not known and request.headers.get("sec-fetch-site") == "cross-site":
        # A link in a message: browsers keep the cookie back until a page of ours asks for it.
        content = rendered(Page("again.html", {"address": here}), theme="")
        return Response(content, headers=dict(HEADERS), media_type=KIND)
    said = {"next": here} if here != HOME else {}
    query = urlencode({**said, **({"ended": ""} if known else {})})
    return RedirectResponse(f"{LOGIN}?{query}" if query else LOGIN, _SEE_OTHER, dict(HEADERS))


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name; empty where it is none, or too long."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_FORM:
                return {}
        text = body.decode("utf-8", "replace")
        said = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (ClientDisconnect, ValueError):
        return {}
    return {name: values[-1] for name, values in said.items()}


def theme(request: Request) -> str:
    """Light or dark where somebody chose one; empty is what the system says."""
    said = request.cookies.get(THEME, "")
    return said if said in THEMES else ""


def _problem(token: Token | None) -> str:
    if token is None:
        return _WRONG
    return "" if "read" in token.scopes else _NOT_READ


def _page(
    request: Request, following: str | None, problem: str = "", status: int = 200
) -> Response:
    said = {"next": place(following), "home": HOME, "problem": problem}
    content = rendered(Page("login.html", said), theme=theme(request))
    return Response(content, status, dict(HEADERS), KIND)


def _forget(answer: Response) -> None:
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _https(request: Request) -> bool:
    """Whether the browser speaks TLS with us, or with a proxy before us."""
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or origin.lower().startswith("https:")
