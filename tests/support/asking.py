"""A client of the HTTP service that asks and changes, with a token for all of it."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from jsonschema import Draft202012Validator

from models import SCOPES
from tests.support.service import Service, token


class Client:
    """Calls with a token named `name`; every answer has to fit its description."""

    def __init__(self, service: Service, *scopes: str, name: str = "operator") -> None:
        self.service = service
        self.name = name
        self.bearer = f"Bearer {token(name, *(scopes or SCOPES))}"
        self.described = service.client.get("/openapi.json").json()["paths"]

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        named = {"Authorization": self.bearer, **(headers or {})}
        extra: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.service.client.request(method, path, headers=named, **extra)
        self.check(method, path, answer)
        return answer

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """An answer is one that the service says it gives there, in the form it says."""
        operation = self._operation(method, path)
        if operation is None:
            assert answer.status_code in (404, 405)
            return
        described = operation["responses"].get(str(answer.status_code))
        assert described, f"{method} {path}: {answer.status_code} {answer.text}"
        schema = described["content"]["application/json"]["schema"]
        Draft202012Validator(schema).validate(answer.json())

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, operations in self.described.items():
            fits = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern))
            if re.fullmatch(fits, unquote(path.partition("?")[0]), re.DOTALL):
                return operations.get(method.lower())  # type: ignore[no-any-return]  # of JSON
        return None

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
