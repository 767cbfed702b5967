"""The error with which a call that a budget has no room for is refused, in LiteLLM's terms."""

import math

from litellm import RateLimitError

from spendbeat_gateway.guard.answers import Refusal

_TOO_MANY = 429
# A status for which LiteLLM's Router neither tries again nor cools a deployment down: neither
# helps, and others would have to do without the deployment.
_QUIET = 400


class BudgetRefusedError(RateLimitError):  # type: ignore[misc] # LiteLLM is not there for mypy
    """A budget or rate limit has no room for this call. refusal: which one, and until when.

    The status is 429. While the error passes through a Router it is 400; see loud().
    """

    def __init__(self, refusal: Refusal, provider: str, model: str, *, routed: bool) -> None:
        super().__init__(message=refusal.message, llm_provider=provider, model=model)
        self.refusal = refusal
        self.message = refusal.message
        self.headers = headers(refusal)
        self.status_code = _QUIET if routed else _TOO_MANY

    def loud(self) -> None:
        """Make it the 429 that it is; called where a proxy turns it into an answer."""
        self.message = self.refusal.message  # the Router appends what it tried
        self.status_code = _TOO_MANY
        self.headers = headers(self.refusal)


def headers(refusal: Refusal) -> dict[str, str]:
    """When to come again. Clients made by OpenAI would otherwise try again at once."""
    if refusal.retry_after is None:
        return {"x-should-retry": "false"}
    found = {"retry-after": str(max(1, math.ceil(refusal.retry_after)))}
    return found if refusal.retry_after <= 60 else {**found, "x-should-retry": "false"}  # noqa: PLR2004 - as long as those clients wait at most
