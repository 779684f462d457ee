from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.servers.harness import ROOT, Service, eventually, free_port, sample_of

EXAMPLES = ROOT / "examples"
ORDERS = ("fastapi_orders", "flask_orders", "django_orders")


def commands_of(example: str) -> list[str]:
    """Return the commands of an example's README, in order."""
    text = (EXAMPLES / example / "README.md").read_text()
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE)


def server_command(example: str) -> list[str]:
    """Return the command that the README serves the example with, on a free port."""
    (line,) = (
        command
        for command in commands_of(example)
        if command.startswith(("uvicorn ", "gunicorn "))
    )
    server, *rest = shlex.split(line)
    where = ["--port", "{port}"] if server == "uvicorn" else ["-b", "127.0.0.1:{port}"]
    return [server, *rest, *where]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The downstream, controlled by `PUT /mode`."""
    port = free_port()
    log = tmp_path_factory.mktemp("payments") / "output"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "payments.py"],
            cwd=EXAMPLES / "downstream",
            env={"PORT": str(port), "PAYMENTS_SLOW_S": "1.5"},
            stdout=out,
            stderr=out,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:

            def answers() -> bool:
                try:
                    return client.get("/mode").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(answers, "payments answer")
            yield client
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=ORDERS)
def orders(
    request: pytest.FixtureRequest,
    payments: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """An example, served as its README says."""
    example: str = request.param
    directory = tmp_path_factory.mktemp(example)
    environ = {
        "ORDERS_DATABASE": str(directory / "orders.db"),
        "PAYMENTS_URL": str(payments.base_url),
        "SVCREADY_TRACING_SAMPLING": "100%",
        # As an operator tunes it; the code says 5 s, doubled each time.
        "SVCREADY_POLICY__PAYMENTS__BREAKER_OPEN_S": "500ms",
        "SVCREADY_POLICY__PAYMENTS__BREAKER_OPEN_MAX_S": "500ms",
        "SVCREADY_POLICY__PAYMENTS__RETRY_BASE_S": "10ms",
    }
    for command in commands_of(example):
        if "manage.py" in command:
            subprocess.run(
                [sys.executable, "manage.py", "migrate"],
                check=True,
                capture_output=True,
                cwd=EXAMPLES / example,
                env={**os.environ, **environ},
            )

    with Service(
        server_command(example), directory, environ=environ, cwd=EXAMPLES / example
    ) as service:
        yield service


@pytest.mark.parametrize("example", ORDERS)
def test_it_takes_three_lines(example: str) -> None:
    """Each example turns svcready on in at most three lines."""
    text = "\n".join(path.read_text() for path in (EXAMPLES / example).rglob("*.py"))
    lines = [
        line
        for line in text.splitlines()
        if re.match(
            r'svcready\.init\(|    "svcready\.adapters|INSTALLED_APPS = \["svc', line
        )
    ]
    assert 1 <= len(lines) <= 3


def test_orders_are_taken_read_and_paid(
    orders: Service, payments: httpx.Client
) -> None:
    """The three services behave alike: create, get, list, pay, and what is wrong."""
    payments.put("/mode", json={"mode": "ok"})
    created = orders.client.post("/orders", json={"item": "book", "amount": 1200})
    assert created.status_code == 201
    order = created.json()
    assert (order["item"], order["amount"], order["status"]) == ("book", 1200, "open")

    path = f"/orders/{order['id']}"
    assert orders.client.get(path).json() == order
    assert order in orders.client.get("/orders").json()
    assert orders.client.get("/orders/999999").status_code == 404
    wrong = orders.client.post("/orders", json={"item": "book", "amount": -1})
    assert wrong.status_code == 422

    paid = orders.client.post(f"{path}/pay").json()
    assert (paid["status"], len(paid["receipt"])) == ("paid", 12)
    assert orders.client.post(f"{path}/pay").json() == paid

    (line,) = (
        line
        for line in orders.lines_of(created.headers["x-request-id"])
        if line["message"] == "order accepted"
    )
    assert line["context"] == {"order_id": order["id"], "amount": 1200}
    page = orders.get("/metrics").body
    assert sample_of(page, "orders_created_total") == 1
    assert sample_of(page, "orders_paid_total", outcome="paid") == 1
    readiness = orders.get("/health/readiness")
    assert readiness.status == 200


@pytest.mark.parametrize("mode", ["broken", "down", "slow"])
def test_a_sick_downstream_is_retried_then_left_alone(
    orders: Service, payments: httpx.Client, mode: str
) -> None:
    """
    Payments that fail are retried, then refused at once while the breaker is open,
    and go through again when it has closed.
    """
    payments.put("/mode", json={"mode": "ok"})
    order = orders.client.post("/orders", json={"item": mode, "amount": 1}).json()
    pay = f"/orders/{order['id']}/pay"
    payments.put("/mode", json={"mode": mode})

    statuses: list[int] = []
    while 503 not in statuses:
        assert len(statuses) < 20
        answer = orders.client.post(pay)
        statuses.append(answer.status_code)

    assert set(statuses[:-1]) <= {502}
    assert int(answer.headers["retry-after"]) >= 1
    page = orders.get("/metrics").body
    assert sample_of(page, "svcready_resilience_state", name="payments") == 2
    assert sample_of(page, "svcready_resilience_retries_total", name="payments") > 0
    assert orders.logged("circuit breaker payments is open")

    payments.put("/mode", json={"mode": "ok"})

    def is_paid() -> bool:
        return orders.client.post(pay).status_code == 200

    eventually(is_paid, "the order is paid again", 20)
