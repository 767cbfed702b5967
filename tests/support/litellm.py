"""LiteLLM itself, in the environment that ./run makes for it: its Python, its proxy, its calls."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.programs import ROOT, Program
from tests.support.waiting import wait_for

PROGRAMS = ROOT / "tests" / "support" / "litellm_programs"
BIN = ROOT / ".venv-litellm" / "bin"
MASTER_KEY = "sk-a-master-key-for-tests-only-0123456789abcdef"


def python() -> str:
    """The Python that has LiteLLM."""
    found = BIN / "python"
    assert found.exists(), "LiteLLM's environment is missing; './run test' makes it"
    return str(found)


def environment(url: str, token: str, spool: Path) -> dict[str, str]:
    """What a process with our callback gets; LiteLLM's price list is the one in its wheel."""
    return {
        "SPENDBEAT_GATEWAY_URL": url,
        "SPENDBEAT_GATEWAY_TOKEN": token,
        "SPENDBEAT_GATEWAY_SPOOL": str(spool),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "*",
    }


def calls(script: str, variables: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a script of litellm_programs with LiteLLM; the JSON that it prints last."""
    done = subprocess.run(
        [python(), str(PROGRAMS / script), *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


class Proxy:
    """A running LiteLLM proxy and a client of it."""

    def __init__(self, client: httpx.Client, program: Program) -> None:
        self.client = client
        self.program = program

    def ask(self, path: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/v1/{path}", json=body, headers=named)

    def chat(self, model: str, content: str, *, tags: str = "", **more: Any) -> httpx.Response:
        messages = [{"role": "user", "content": content}]
        headers = {"x_litellm_tags": tags} if tags else {}
        return self.ask(
            "chat/completions", {"model": model, "messages": messages, **more}, **headers
        )


@contextmanager
def proxy(
    folder: Path, port: int, config: Mapping[str, Any], variables: Mapping[str, str]
) -> Iterator[Proxy]:
    """LiteLLM's proxy on a loopback port, without a database, from a config (JSON is YAML)."""
    file = folder / "config.yaml"
    settings = {"general_settings": {"master_key": MASTER_KEY}, **config}
    file.write_text(json.dumps(settings))
    # The ledger's database is not for LiteLLM, which would take it for its own.
    without = ("env", "-u", "DATABASE_URL", "-u", "REDIS_URL")
    command = (*without, python(), str(BIN / "litellm"), "--config", str(file))
    program = Program(
        "litellm",
        (*command, "--host", "127.0.0.1", "--port", str(port)),
        folder / "litellm.log",
        {**variables, "PYTHONPATH": str(folder)},
    ).start()
    bearer = {"Authorization": f"Bearer {MASTER_KEY}"}
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers=bearer, timeout=30, trust_env=False) as client:
            wait_for(lambda: _alive(client, program), "LiteLLM's proxy to answer", 90)
            yield Proxy(client, program)
    finally:
        program.stop()


def _alive(client: httpx.Client, program: Program) -> bool:
    assert program.running, program.logs()
    try:
        return client.get("/health/liveliness").is_success
    except httpx.TransportError:
        return False
