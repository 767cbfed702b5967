"""A logger for a proxy under test: appends LiteLLM's own payloads to the file in OWN_LOG."""

import json
import os
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger


class Own(CustomLogger):
    """LiteLLM's own numbers, by no code of ours."""

    def _note(self, kwargs: Any) -> None:
        text = json.dumps(kwargs["standard_logging_object"], default=str)
        with Path(os.environ["OWN_LOG"]).open("a") as file:
            file.write(text + "\n")

    def log_success_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    def log_failure_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    async def async_log_success_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    async def async_log_failure_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)


collector = Own()
