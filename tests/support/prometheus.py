"""A real Prometheus on loopback with our rules and our scrape configuration, but for the addresses
and the pace.
"""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support import monitoring
from tests.support.programs import Program
from tests.support.waiting import wait_for
from tests.tools import tool

PACE = "500ms"


class Prometheus:
    """Answers of its HTTP API."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=f"{url}/api/v1/", trust_env=False, timeout=30)

    def ready(self) -> bool:
        try:
            return self.client.get("../../-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def targets(self) -> dict[str, str]:
        """The state of each job's only target: up, or why it is not."""
        found = self._get("targets")["activeTargets"]
        return {t["labels"]["job"]: t["lastError"] or t["health"] for t in found}

    def rules(self) -> dict[str, dict[str, Any]]:
        groups = self._get("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def _get(self, path: str, **query: str) -> Any:
        answer = self.client.get(path, params=query)
        said = answer.json()
        assert said["status"] == "success", said
        return said["data"]


def configured(folder: Path, token: str, targets: Mapping[str, str] | None = None) -> Path:
    """A copy of what is in monitoring/, with this token.

    targets: where each job's one target is, by its name, and scraped quickly; as in the file unless
    given.
    """
    copy = folder / "monitoring"
    shutil.copytree(monitoring.FOLDER, copy)
    (copy / "secrets").mkdir(exist_ok=True)
    (copy / "secrets" / "metrics.token").write_text(token)
    if targets is not None:
        settings = monitoring.load("prometheus.yml")
        settings["global"] = {"scrape_interval": PACE, "evaluation_interval": PACE}
        jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
        assert jobs.keys() == targets.keys()
        for name, at in targets.items():
            jobs[name]["static_configs"] = [{"targets": [at]}]
        (copy / "prometheus.yml").write_text(yaml.safe_dump(settings))
    return copy / "prometheus.yml"


@contextmanager
def prometheus(folder: Path, token: str, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Runs with a database of its own in the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = (
        os.fspath(tool("prometheus")),
        f"--config.file={configured(folder, token, targets)}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    program = Program("prometheus", command, folder / "prometheus.log", {})
    program.start()
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        wait_for(found.ready, "Prometheus")
        yield found
        found.client.close()
    finally:
        program.stop()
