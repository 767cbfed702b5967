"""Real tokenizers: OpenAI's by tiktoken, and the one that Anthropic published, in a process."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import litellm
from tests.support.programs import ROOT


def folder() -> Path:
    """Where LiteLLM has the files of OpenAI's encodings."""
    found = next(ROOT.glob(".venv-litellm/lib/python3*/site-packages/litellm"), None)
    assert found is not None, "LiteLLM's environment is missing; './run test' makes it"
    return found / "litellm_core_utils" / "tokenizers"


class Claude:
    """Counts tokens as Anthropic's published tokenizer does."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def count(self, text: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def claude() -> Iterator[Claude]:
    program = litellm.PROGRAMS / "count_tokens.py"
    with subprocess.Popen(
        [litellm.python(), str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Claude(process)
        finally:
            process.kill()
