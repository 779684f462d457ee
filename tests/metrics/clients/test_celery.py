"""Metrics of Celery's tasks, with a worker on a broker in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.metrics import instrument_celery
from tests.servers.harness import eventually

celery = pytest.importorskip("celery")

from celery.contrib.testing.worker import start_worker  # noqa: E402
from celery.signals import setup_logging  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.testing import FakeClock
    from tests.metrics.clients.support import Page

DURATION = "celery.task.duration"


WORK: list[Callable[[float], None]] = []
"""What the task does with the seconds that it is given, as a test says."""


@pytest.fixture(scope="module")
def app() -> Iterator[object]:
    """Make an application with tasks, and a worker in a thread that runs them."""
    app = celery.Celery(
        "orders", broker="memory://orders", backend="cache+memory://", set_as_current=0
    )
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="orders.pack", shared=False)  # type: ignore[untyped-decorator]
    def pack(seconds: float) -> float:
        WORK[-1](seconds)
        return seconds

    @app.task(name="orders.fail", shared=False)  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise LookupError("hunter2")

    @app.task(  # type: ignore[untyped-decorator]
        name="orders.again", shared=False, bind=True, max_retries=1
    )
    def again(self: object) -> str:
        if not self.request.retries:  # type: ignore[attr-defined]
            raise self.retry(exc=TimeoutError(), countdown=0)  # type: ignore[attr-defined]

        return "done"

    def leave_logging_alone(**_: object) -> None:
        """Be there: a worker whose logging somebody sets up sets no levels."""

    setup_logging.connect(leave_logging_alone, weak=False)
    try:
        with start_worker(app, perform_ping_check=False, pool="solo"):
            yield app
    finally:
        setup_logging.disconnect(leave_logging_alone)


def send(app: object, name: str, *args: object) -> object:
    """Publish a task, wait for its end and return what it left."""
    task = app.tasks[name].delay(*args)  # type: ignore[attr-defined]
    task.get(timeout=20, propagate=False)
    return task.result


@pytest.fixture(autouse=True)
def _work(clock: FakeClock) -> None:
    WORK.append(clock.advance)


@pytest.fixture
def undo() -> Iterator[object]:
    """Measure Celery until the test's end."""
    undo = instrument_celery()
    yield undo
    undo()


def test_tasks_are_counted_and_timed(app: object, page: Page, undo: object) -> None:
    """Published, consumed and timed by name, queue and outcome; errors by class."""
    assert send(app, "orders.pack", 2) == 2
    assert send(app, "orders.pack", 3) == 3
    send(app, "orders.fail")
    eventually(lambda: page.count(DURATION) == 3, "the task's end")

    packed = {"task": "orders.pack", "queue": "celery", "outcome": "success"}
    assert page.total(DURATION, **packed) == pytest.approx(5)
    assert page.count(DURATION, outcome="failure", error_type="LookupError") == 1
    here = {"messaging_system": "celery", "messaging_destination_name": "celery"}
    assert page.value("messaging.client.sent.messages", **here) == 3
    assert page.value("messaging.client.consumed.messages", **here) == 3
    assert page.count("messaging.process.duration", **here) == 3
    assert page.count("messaging.process.duration", error_type="LookupError") == 1
    assert page.value("celery.task.active") == 0
    assert "hunter2" not in page.text()


def test_a_retry_is_an_outcome(app: object, page: Page, undo: object) -> None:
    """The first run ends in a retry, with its reason, the second in success."""
    assert send(app, "orders.again") == "done"
    eventually(lambda: page.count(DURATION) == 2, "both runs")

    assert page.count(DURATION, outcome="retry", error_type="TimeoutError") == 1
    assert page.count(DURATION, outcome="success", error_type="") == 1
    assert page.value("messaging.client.sent.messages") == 2


def test_celery_is_instrumented_once_and_taken_back(app: object, page: Page) -> None:
    """Twice counts once, and after the undo nothing."""
    undo = instrument_celery()
    assert instrument_celery() is undo
    send(app, "orders.pack", 1)
    eventually(lambda: page.count(DURATION) == 1, "the task's end")
    undo()
    send(app, "orders.pack", 1)

    assert page.count(DURATION) == 1
    assert page.value("messaging.client.sent.messages") == 1
