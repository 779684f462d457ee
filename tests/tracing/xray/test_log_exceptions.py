"""Exceptions that are logged through OpenTelemetry reach X-Ray on their span."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent

_PROGRAM = dedent(
    """
    import json, logging
    from opentelemetry import _logs, trace
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from svcready.config._sections.xray import DaemonAddress, XraySettings
    from svcready.tracing import span
    from tests.tracing.support import make_pillar
    from tests.tracing.xray.daemon import FakeDaemon

    daemon = FakeDaemon()
    address = DaemonAddress(daemon.address, daemon.address)
    settings = XraySettings(daemon_address=address)
    when = WHEN
    if when == "before":
        _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))

    pillar = make_pillar(xray=settings)
    pillar.start()
    if when == "later":
        _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))
        with span("first"):
            pass

        pillar.flush(5.0)
        daemon.receive(1)

    logger = _logs.get_logger("app")
    with span("work"):
        try:
            raise ValueError("bad hunter2")
        except ValueError as error:
            logger.emit(LogRecord(body="it broke", exception=error))

        logger.emit(LogRecord(body="nothing", attributes={"k": 1}))

    logger.emit(LogRecord(exception=KeyError("outside of any span")))
    pillar.flush(5.0)
    (document,) = daemon.receive(1)
    pillar.close(1.0)
    with trace.get_tracer("t").start_as_current_span("after"):
        logger.emit(LogRecord(exception=KeyError("closed")))

    print(json.dumps(document["cause"]))
    daemon.close()
    """
)


def run(when: str) -> list[dict[str, object]]:
    """Return the exceptions of a span inside which one was logged."""
    program = _PROGRAM.replace("WHEN", repr(when))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cause = json.loads(done.stdout)
    assert isinstance(cause, dict)
    exceptions: list[dict[str, object]] = cause["exceptions"]
    return exceptions


def test_a_logged_exception_is_the_spans() -> None:
    """With its type, its redacted message and its stack."""
    (made,) = run("before")

    assert made["type"] == "ValueError"
    assert made["message"] == "bad ***"
    assert [frame["label"] for frame in made["stack"]] == ["<module>"]  # type: ignore[attr-defined]


def test_a_logger_provider_may_be_set_later() -> None:
    """It is joined when spans are sent next."""
    (made,) = run("later")

    assert made["type"] == "ValueError"
