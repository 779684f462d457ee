"""No secret of the corpus leaves the process, whichever way it is taken."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from opentelemetry import trace

import svcready
from svcready.cli import main
from svcready.health._check import CHECKS
from svcready.metrics import counter
from svcready.testing import running
from tests.adapters.support import ask_asgi, http_scope
from tests.core.corpus_secrets import Secret, is_told, secrets
from tests.health.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.adapters._asgi_messages import Message, Receive, Scope, Send
    from tests.tracing.collector import Collector

CORPUS = secrets()
log = svcready.get_logger("tests.secrecy")


class _Login:
    """An object that says a secret of itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Login({self.text!r})"


def fail(secret: Secret) -> None:
    """Raise a chain of exceptions that hold the secret."""
    try:
        raise ValueError(secret.text)
    except ValueError as error:
        raise RuntimeError({"said": secret.text, "n": 1}) from error


def named(secret: Secret) -> dict[str, object]:
    """Return the secret under its name, if only the name tells it."""
    return {secret.name: secret.value} if secret.name else {"note": secret.text}


def told(outputs: Iterator[tuple[Secret, str]]) -> list[tuple[str, str]]:
    """Return the forms and values that an output holds."""
    return [(s.form, s.value) for s, output in outputs if is_told(s, output)]


def test_log_lines() -> None:
    """Messages, arguments, context, bound fields, exceptions, stacks, deep values."""

    def lines() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS:
            harness._written.clear()
            with svcready.bound(**named(secret), bound=secret.text):
                log.info("got %s", secret.text)
                log.info(f"got {secret.text}", n=1)  # noqa: G004 - as many do
                log.warning("x", order=7, **named(secret))
                log.info("x", who=_Login(secret.text), deep={"a": [named(secret)]})
                log.info("x", event_dict={"event": "e", "kw": named(secret)})
                log.info("x", changes={"before": named(secret), "after": None})
                logging.getLogger("lib").error("%r", named(secret), extra={"a": [1]})
                try:
                    fail(secret)
                except RuntimeError:
                    log.exception("it failed")

            harness.runtime.flush(1.0)
            yield secret, b"".join(harness._written).decode()

    with running(settings={"log.level": "DEBUG"}) as harness:
        assert told(lines()) == []


def test_console_lines() -> None:
    """Text for people has none either."""

    def lines() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS[::3]:
            harness._written.clear()
            log.info("got %s", secret.text, **named(secret))
            try:
                fail(secret)
            except RuntimeError:
                log.exception("it failed")

            harness.runtime.flush(1.0)
            yield secret, b"".join(harness._written).decode()

    with running(settings={"log.format": "console"}) as harness:
        assert told(lines()) == []


def test_audit_entries() -> None:
    """Changes, details, and what is said of the actor; before they are hashed."""

    def entries() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS[::3]:
            before = len(harness.audit_entries)
            svcready.audit.record(
                "order.changed",
                {"type": "order", "id": "7"},
                {"id": "u-1", "note": secret.text},
                "success",
                changes={key: (None, value) for key, value in named(secret).items()},
                said=secret.text,
                deep={"a": [named(secret)]},
            )
            made = harness.audit_entries[before:]
            assert len(made) == 1
            yield secret, json.dumps(made, ensure_ascii=False)

    with running() as harness:
        assert told(entries()) == []


@pytest.mark.parametrize("layout", ["ecs", "otel", "flat"])
def test_layouts(layout: str) -> None:
    """Another layout shows no more than ours."""

    def lines() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS[::5]:
            harness._written.clear()
            log.info("got %s", secret.text, **named(secret))
            try:
                fail(secret)
            except RuntimeError:
                log.exception("it failed")

            harness.runtime.flush(1.0)
            yield secret, b"".join(harness._written).decode()

    with running(settings={"log.layout": layout}) as harness:
        assert told(lines()) == []


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector that listens; it needs what the extra `otlp` brings."""
    pytest.importorskip("opentelemetry.proto")
    from tests.tracing.collector import Collector

    made = Collector()
    yield made
    made.close()


def make_spans(secret: Secret) -> None:
    """Put the secret into spans of ours, by our API and by OpenTelemetry's."""
    try:
        with svcready.span(secret.text, text=secret.text, **named(secret)) as ours:
            svcready.annotate(found=secret.text)
            svcready.metadata("data", {"a": [named(secret)]})
            ours.set(who=_Login(secret.text), several=[secret.text, "b"])
            current = trace.get_current_span()
            current.set_attribute("by.api", secret.text)
            current.add_event(secret.text, {"note": secret.text})
            fail(secret)
    except RuntimeError as error:
        with trace.get_tracer("lib").start_as_current_span(secret.text) as theirs:
            theirs.set_attributes({"db.statement": secret.text, "n": 1})
            theirs.record_exception(error)
            theirs.set_status(trace.StatusCode.ERROR, secret.text)


def test_spans(collector: Collector) -> None:
    """Neither OTLP's bytes nor the trace view have one, whoever set it on a span."""

    def exported() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS:
            before = len(collector.spans)
            make_spans(secret)
            assert harness.runtime.flush(5.0)
            sent = collector.spans[before:]
            assert len(sent) == 2
            raw = b"".join(span.SerializeToString() for span in sent)
            collector.requests.clear()
            yield secret, raw.decode("utf-8", "replace")
            yield secret, str(harness.spans[-2:])

    settings = {"otlp.endpoint": collector.url, "tracing.max_value_chars": 100}
    with running(settings=settings) as harness:
        assert told(exported()) == []


def test_metric_labels() -> None:
    """A label's value is searched once, when its series is new."""
    asked = counter("secrecy_asked", "Asked.", labels=("who",))
    with running(settings={"metrics.max_series": 100_000}) as harness:
        for secret in CORPUS:
            asked.labels(secret.text).inc()
            asked.labels(who=secret.text).inc()

        metrics = harness.runtime.metrics
        assert metrics is not None
        page = metrics.prometheus.render(None, None, ())[2].decode()
        assert "[redacted:jwt]" in page
        assert harness.sample("secrecy_asked_total") == 2 * len(CORPUS)

    assert told((secret, page) for secret in CORPUS[::5]) == []


def test_health_report() -> None:
    """Neither what a check raises nor what it says of a connection is told."""
    current = CORPUS[0]

    @svcready.health.check("secrecy", interval=10, fail_after=1)
    def broken() -> None:
        fail(current)

    rig = Rig().start()
    rig.pillar.add_info("pool", lambda: {"dsn": current.text, "a": [named(current)]})

    def reports() -> Iterator[tuple[Secret, str]]:
        nonlocal current
        for current in CORPUS:
            rig.advance(10)
            yield current, json.dumps(rig.pillar.report())

    assert told(reports()) == []
    assert "[redacted:" in str(rig.status("secrecy").output)
    rig.close()
    CHECKS.clear()


def test_start_line_and_problems(capfd: pytest.CaptureFixture[str]) -> None:
    """What is said at the start, and of bad settings, has none."""

    def starts() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS[::16]:
            password = quote(secret.value, safe="")
            environ = {
                "SVCREADY_OTLP_ENDPOINT": f"http://u:{password}@127.0.0.1:9",
                "SVCREADY_LOG_LEVEL": secret.text,
                "SVCREADY_HEALTH_LOOP": secret.text,
                "SVCREADY_SERVICE_VERSION": secret.text,
                "SVCREADY_CORE_START_SUMMARY": "full",
            }
            with running(environ=environ, settings={"core.start_summary": "full"}) as h:
                h.runtime.ready()
                said = b"".join(h._written).decode()
                health = h.runtime.health
                assert health is not None
                said += json.dumps(health.report())

            yield secret, said + capfd.readouterr().out

    assert told(starts()) == []


def test_configuration_print_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`svcready config` has none, and masks secret settings even with redaction off."""

    def prints() -> Iterator[tuple[Secret, str]]:
        for secret in CORPUS[::16]:
            monkeypatch.setenv("SVCREADY_ADMIN_TOKENS", secret.value)
            monkeypatch.setenv("SVCREADY_SERVICE_VERSION", secret.text)
            monkeypatch.setenv("SVCREADY_LOG_LEVEL", secret.text)
            for more in ([], ["--json"], ["--check"]):
                main(["config", *more])

            yield secret, capsys.readouterr().out

    assert told(prints()) == []
    monkeypatch.setenv("SVCREADY_LOG_REDACT_ENABLED", "false")
    monkeypatch.setenv("SVCREADY_ADMIN_TOKENS", "correct-horse-battery-staple-1")
    main(["config"])
    assert "correct-horse" not in capsys.readouterr().out


@pytest.mark.parametrize("summary", ["line", "full", "off"])
def test_a_loud_warning_when_off(
    capfd: pytest.CaptureFixture[str], summary: str
) -> None:
    """Off, the start line warns in every form, once; so do metrics and deep report."""
    settings = {"log.redact_enabled": False, "core.start_summary": summary}
    with running(settings=settings) as harness:
        harness.runtime.ready()
        harness.runtime.ready()
        said = b"".join(harness._written).decode() + capfd.readouterr().out
        health = harness.runtime.health
        assert health is not None
        report = health.report()
        log.info("x", password="hunter2")

        assert said.count("SVCREADY_LOG_REDACT_ENABLED is false") == 1
        assert "SVCREADY_LOG_REDACT_ENABLED is false" in str(report["info"])
        assert harness.sample("svcready_config_errors") == 1
        assert harness.lines[-1]["context"] == {"password": "hunter2"}


def test_off_is_no_error_in_strict_mode() -> None:
    """Strict mode fails for what is wrong, not for what was asked for."""
    settings = {"log.redact_enabled": False, "core.strict": True}
    with running(settings=settings) as harness:
        harness.runtime.ready()


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    svcready.bind(query=scope["query_string"])
    log.info("headers %s", scope["headers"])
    raise RuntimeError(str(scope["query_string"]))


def test_requests() -> None:
    """A caller's ids, path, query and headers, and what is raised of them, stay in."""
    app = svcready.wrap(_app)

    async def answers() -> list[tuple[Secret, str]]:
        made = []
        for secret in CORPUS:
            harness._written.clear()
            # A credential without its scheme, or a value without its name, is anything.
            told_alone = secret.value == secret.text
            value = secret.value.encode() if told_alone else b"a b"
            query = f"q={quote_plus(secret.text)}"
            if secret.name:
                query += f"&{secret.name}={quote_plus(secret.value)}"

            messages: list[object] = []
            headers = [(name, value) for name in (b"x-request-id", b"x-correlation-id")]
            headers += [
                (secret.name.lower().encode() or b"x-note", secret.text.encode())
            ]
            path = f"/a/{quote_plus(secret.text)}"
            scope = http_scope(path, headers=headers, query_string=query.encode())
            with pytest.raises(RuntimeError):
                await app(scope, _receive, _keep(messages))

            harness.runtime.flush(1.0)
            told = b"".join(harness._written).decode() + str(harness.spans[-1:])
            made.append((secret, told + str(messages)))

        return made

    with running() as harness:
        assert told(iter(asyncio.run(answers()))) == []


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _keep(messages: list[object]) -> Send:
    async def send(message: Message) -> None:
        messages.append(message)

    return send


@pytest.mark.parametrize("name", ["x-request-id", "x-correlation-id"])
def test_ids_that_are_secrets(name: str) -> None:
    """A caller's id that is a secret is replaced; the usual ones are kept."""

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        log.info("here")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = svcready.wrap(plain)
    field = name.removeprefix("x-").replace("-", "_")
    tokens = [s.value for s in CORPUS if s.form in {"JSON web token", "card number"}]
    usual = ["0191e7c2-7b0e-7cc3-98c5-4e4d3d1f1c11", "0" * 32, "order-17", "a:b/c+d=="]
    with running() as harness:
        for value in [*usual, *(token for token in tokens if len(token) <= 128)]:
            scope = http_scope(headers=[(name.encode(), value.encode())])
            asyncio.run(ask_asgi(app, scope))
            kept = harness.logged("here")[-1][field] == value
            assert kept == (value in usual), value
