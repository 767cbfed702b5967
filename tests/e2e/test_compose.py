"""Every command of docker-compose.yml, with its environment, until its health check passes."""

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, text

from tests.support import compose
from tests.support.compose import Container, Machine
from tests.support.programs import ROOT
from tests.support.waiting import wait_for
from worker.database import make_engine

VARIABLES = {
    # Characters that mean something in a URL, in a shell and in the file itself.
    "POSTGRES_PASSWORD": "p@ss:w/rd#${HOME}%41 '",
    "FLOWER_PASSWORD": "an other",
    "GRAFANA_PASSWORD": "a third",
    "SPENDBEAT_CONCURRENCY": "1",
    "SPENDBEAT_TICK_SECONDS": "0.5",
}
PORTS = ("5432", "6379", "8000", "5555", "9808", "9090")
# Its image is not to be had by pip or from Debian; what it reads is checked in the unit tests.
NOT_HERE = {"grafana"}
# The checks of these ask themselves, and answer at once that nobody is there.
ASK_THEMSELVES = {"postgres", "web", "flower", "exporter", "prometheus"}
MAKE_TOKEN = ("spendbeat", "tokens", "create", "prometheus", "--scope", "metrics", "--json")
ROW = "INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', 1.5)"
TOTAL = "SELECT total_cost FROM spend_summary WHERE provider = 'p'"
# Settings of Postgres, and what they are called for a socket.
GIVING_UP = {
    "tcp_keepalives_idle": socket.TCP_KEEPIDLE,
    "tcp_keepalives_interval": socket.TCP_KEEPINTVL,
    "tcp_keepalives_count": socket.TCP_KEEPCNT,
    "tcp_user_timeout": socket.TCP_USER_TIMEOUT,
}
STOP = {"postgres": signal.SIGINT}  # as its image says


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    return Machine.of(tmp_path, PORTS)


@pytest.fixture
def containers(machine: Machine) -> Iterator[dict[str, Container]]:
    """All of them in the order of their start, none started; ended with the test."""
    services = compose.read(VARIABLES)["services"]
    names = [name for name in compose.in_order(services) if name not in NOT_HERE]
    found = {name: Container(name, services[name], machine) for name in names}
    make_database(found["postgres"], machine)
    found["redis"].command += ("--bind", "127.0.0.1", "--port", machine.ports["6379"])
    found["redis"].command += ("--dir", str(machine.private("redis")))
    configure(found["prometheus"], machine)
    with ExitStack() as stack:
        for each in found.values():
            stack.callback(each.kill)
        yield found


def make_database(postgres: Container, machine: Machine) -> None:
    """As the image does before its first start."""
    postgres.environment["PGDATA"] = str(machine.private("postgres"))
    postgres.environment["PGPORT"] = machine.ports["5432"]
    password = machine.folder / "password"
    password.write_text(VARIABLES["POSTGRES_PASSWORD"])
    given = postgres.environment
    postgres.run(
        "initdb",
        f"--username={given['POSTGRES_USER']}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        *given["POSTGRES_INITDB_ARGS"].split(),
    )
    own = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
    }
    options = [word for name, value in own.items() for word in ("-c", f"{name}={value}")]
    postgres.command += tuple(options)
    # With --single it makes the database before anybody can connect.
    made = f"CREATE DATABASE {given['POSTGRES_DB']};\n"
    postgres.run("postgres", "--single", "postgres", given=made)


def configure(prometheus: Container, machine: Machine) -> None:
    """With its settings and its volume where this test has them; the image names the program."""
    settings = machine.private("settings")
    (settings / "secrets").mkdir()
    for path in (ROOT / "monitoring").glob("*.yml"):
        said = machine.here(path.read_text()).replace("scrape_interval: 15s", "scrape_interval: 1s")
        (settings / path.name).write_text(said)
    places = {"=/etc/prometheus": settings, "=/prometheus": machine.private("prometheus")}
    words = prometheus.command
    for inside, ours in places.items():
        words = tuple(word.replace(inside, f"={ours}") for word in words)
    prometheus.command = ("prometheus", *words)


def healthy(container: Container, machine: Machine) -> bool:
    assert container.running, container.logs()
    if container.name == "redis":  # no package has the program that its check runs
        try:
            return bool(redis.Redis(port=int(machine.ports["6379"])).ping())
        except redis.ConnectionError:
            return False
    return container.healthy()


def start(container: Container, machine: Machine) -> None:
    if container.name == "migrate":
        assert container.start().process.wait(120) == 0, container.logs()
        return
    if container.name in ASK_THEMSELVES:
        assert not container.healthy(), "well before it runs"
    container.start()
    wait_for(lambda: healthy(container, machine), f"the health of {container.name}", 90)


def assert_soon_given_up(engine: Engine) -> None:
    """Both ends of a connection over a network notice when the other is gone without a word."""
    with engine.connect() as connection:
        shown = [connection.scalar(text(f"SHOW {name}")) for name in GIVING_UP]
        own = socket.socket(fileno=os.dup(connection.connection.driver_connection.fileno()))
    with own:
        ours = [own.getsockopt(socket.IPPROTO_TCP, option) for option in GIVING_UP.values()]
    assert shown == ["15", "5", "3", "30000"]
    assert ours == [15, 5, 3, 30_000]


def test_every_service_gets_well_does_its_work_and_ends_in_time(
    containers: dict[str, Container], machine: Machine
) -> None:
    """As an account that may write nowhere else; a row is counted, and Prometheus is told of it."""
    for container in containers.values():
        start(container, machine)

    url = f"postgresql+psycopg2://spendbeat@127.0.0.1:{machine.ports['5432']}/spendbeat"
    engine = make_engine(url, "spendbeat_writer", password=VARIABLES["POSTGRES_PASSWORD"])
    with engine.begin() as connection:
        connection.execute(text(ROW))

    def counted() -> bool:
        with engine.connect() as connection:
            return connection.scalar(text(TOTAL)) is not None

    wait_for(counted, "the row's cost among the totals")
    assert_soon_given_up(engine)
    engine.dispose()

    made = containers["web"].run(*MAKE_TOKEN)
    token = machine.folder / "settings" / "secrets" / "metrics.token"
    token.write_text(json.loads(made)["secret"])

    def reached() -> bool:
        url = f"http://127.0.0.1:{machine.ports['9090']}/api/v1/targets"
        with urllib.request.urlopen(url, timeout=5) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return {each["health"] for each in targets} == {"up"}

    wait_for(reached, "Prometheus to reach all that it scrapes", 60)

    for container in reversed(containers.values()):
        if container.name != "migrate":
            code = container.end(STOP.get(container.name, signal.SIGTERM))
            assert code == 0, f"{container.name} ended with {code}:\n{container.logs()}"
