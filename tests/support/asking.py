"""A client of the HTTP service that asks and changes, with a token for all of it."""

from collections.abc import Mapping
from typing import Any

import httpx

from models import SCOPES
from tests.support.service import Service, token


class Client:
    """Calls with a token of its own, whose name is `name`."""

    def __init__(self, service: Service, *scopes: str, name: str = "operator") -> None:
        self.service = service
        self.name = name
        self.bearer = f"Bearer {token(name, *(scopes or SCOPES))}"

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        named = {"Authorization": self.bearer, **(headers or {})}
        extra: dict[str, Any] = {} if body is None else {"json": body}
        return self.service.client.request(method, path, headers=named, **extra)

    def get(self, path: str) -> Any:
        """The JSON of an answer of 200."""
        return self.good("GET", path)

    def good(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = self.call(
            method, path, body, {name.replace("_", "-"): said for name, said in headers.items()}
        )
        assert answer.is_success, answer.text
        return answer.json()

    def bad(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        """The status of a refusal, and its words."""
        answer = self.call(
            method, path, body, {name.replace("_", "-"): said for name, said in headers.items()}
        )
        assert answer.is_error, answer.text
        return answer.status_code, answer.json()["error"]
