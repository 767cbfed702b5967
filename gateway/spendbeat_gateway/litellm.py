"""The callback for LiteLLM's proxy and SDK.

    litellm_settings:
      callbacks: ["spendbeat_gateway.litellm.callback"]     # in the proxy's config

    litellm.callbacks = [spendbeat_gateway.litellm.callback]  # in a program

Needs LiteLLM 1.60 or newer and SPENDBEAT_GATEWAY_* in the environment. SPENDBEAT_GATEWAY_GUARD=1
asks the guard before each call as well (litellm_guard.py), for which LiteLLM 1.72 is needed.
"""

import os

from spendbeat_gateway.litellm_callback import Callback, Calls
from spendbeat_gateway.settings import PREFIX

__all__ = ["Callback", "Calls", "callback"]


def _made() -> Callback:
    """With the guard, where the environment wants it."""
    if os.environ.get(f"{PREFIX}GUARD", "").strip().lower() not in {"1", "true", "yes", "on"}:
        return Callback()
    from spendbeat_gateway.litellm_guard import GuardedCallback  # noqa: PLC0415 - it needs redis

    return GuardedCallback()


callback = _made()
