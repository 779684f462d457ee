"""Which packages are switched on, when, and what becomes of them."""

from __future__ import annotations

import sys
from importlib import import_module, metadata
from typing import TYPE_CHECKING

import pytest

from svcready.testing import running
from svcready.tracing.instrumentation import _switch
from svcready.tracing.instrumentation._choice import choose
from svcready.tracing.instrumentation._known import KNOWN
from tests.architecture.house import run_clean, run_clean_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.tracing.instrumentation.support import Site

pytest.importorskip("opentelemetry.instrumentation.instrumentor")
httpx = pytest.importorskip("httpx")
sqlalchemy = pytest.importorskip("sqlalchemy")

VARIABLE = "SVCREADY_TRACING_INSTRUMENT"
IN_EXTRA = [name for name, known in KNOWN.items() if not known.distribution]


def clients(words: str) -> Mapping[str, object]:
    """Return what is on, waits and is off with the setting at *words*."""
    with running(environ={VARIABLE: words}) as harness:
        described = harness.runtime.tracing.describe()["clients"]

    assert isinstance(described, dict)
    return described


def problems(words: str) -> list[str]:
    """Return what is said to be wrong with the setting at *words*."""
    with running(environ={VARIABLE: words}) as harness:
        return [p for p in harness.runtime.problems() if VARIABLE in p]


@pytest.mark.parametrize("name", IN_EXTRA)
def test_what_is_known_is_what_the_package_says(name: str) -> None:
    """The class is there, and is the one that the package's entry point names."""
    known = KNOWN[name]
    pytest.importorskip(known.library)
    module = import_module(f"opentelemetry.instrumentation.{known.package}")
    named = {
        entry.value.partition(":")[2]
        for entry in metadata.entry_points(group="opentelemetry_instrumentor")
        if entry.name == known.package
    }

    assert hasattr(module, known.instrumentor)
    assert known.instrumentor in named


@pytest.mark.parametrize(
    ("words", "automatic", "named"),
    [
        ("auto", set(KNOWN), set()),
        ("none", set(), set()),
        ("httpx, Redis", set(), {"httpx", "redis"}),
        ("aio-pika", set(), {"aio_pika"}),
        ("auto,-redis", set(KNOWN) - {"redis"}, set()),
        ("-redis", set(KNOWN) - {"redis"}, set()),
        ("auto,redis", set(KNOWN) - {"redis"}, {"redis"}),
        ("redis,httpx,-redis", set(), {"httpx"}),
        ("", set(), set()),
    ],
)
def test_the_setting_takes_names_and_what_to_leave_out(
    words: str, automatic: set[str], named: set[str]
) -> None:
    """`auto` is everything known; a name with a minus is not in it."""
    choice = choose([word for word in words.split(",") if word])

    assert set(choice.automatic) == automatic
    assert set(choice.named) == named
    assert choice.problems == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("htpx", "'htpx' is not known"),
        ("auto,-reqests", "did you mean requests?"),
        ("none,httpx", "none stands alone"),
        ("fastapi", "fastapi is left out, svcready traces requests itself"),
    ],
)
def test_a_bad_name_is_a_problem(words: str, said: str) -> None:
    """It is reported with the nearest known one, and everything else is traced."""
    assert any(said in problem for problem in problems(words))


def test_a_name_without_its_package_is_a_problem() -> None:
    """It says what to install; found by itself, it is told only where it's off."""
    said = problems("asyncpg")
    with running() as harness:
        assert harness.runtime.problems() == ()

    (problem,) = said
    assert problem.startswith(f"{VARIABLE}: asyncpg is not traced: ")
    assert problem.endswith("pip install opentelemetry-instrumentation-asyncpg")


def test_it_says_what_is_on_what_waits_and_what_is_off() -> None:
    """What is installed and left out has a reason."""
    pytest.importorskip("redis")
    described = clients("httpx")

    assert described["on"] == ["httpx"]
    assert described["waiting"] == []
    assert isinstance(described["off"], dict)
    assert described["off"]["redis"] == f"not in {VARIABLE}"


def test_what_is_on_ends_with_the_runtime(site: Site) -> None:
    """Nothing of the patches is left, and the next runtime starts from there."""
    before = httpx.HTTPTransport.handle_request
    for _ in range(3):
        with running() as harness:
            assert httpx.HTTPTransport.handle_request is not before
            httpx.get(site.url)
            assert len(harness.spans) == 1

        assert httpx.HTTPTransport.handle_request is before


def test_what_the_application_instrumented_stays_its_own(site: Site) -> None:
    """It is not patched twice, and not taken back."""
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    own = HTTPXClientInstrumentor()
    own.instrument()
    try:
        with running() as harness:
            httpx.get(site.url)
            on = harness.runtime.tracing.clients.describe()["on"]
            assert isinstance(on, list)
            assert "httpx (by the application)" in on
            assert len(harness.spans) == 1

        assert own.is_instrumented_by_opentelemetry
    finally:
        own.uninstrument()


def test_with_tracing_off_nothing_is_touched() -> None:
    """No patch, and nothing waits."""
    before = httpx.HTTPTransport.handle_request
    with running(settings={"tracing.enabled": False}) as harness:
        assert httpx.HTTPTransport.handle_request is before
        assert harness.runtime.tracing.clients.describe()["on"] == []


def test_a_package_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts, and the other libraries are traced."""
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    def fail(*_: object, **__: object) -> None:
        raise LookupError("another release")

    monkeypatch.setattr(HTTPXClientInstrumentor, "_instrument", fail)
    said = problems("httpx,sqlalchemy")

    assert said == [f"{VARIABLE}: httpx is not traced: LookupError: another release"]
    assert clients("httpx,sqlalchemy")["on"] == ["sqlalchemy"]


def test_a_version_that_a_package_does_not_know_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenTelemetry would log an error and go on; here it is with the problems."""
    from opentelemetry.instrumentation import httpx as package

    monkeypatch.setattr(
        package.HTTPXClientInstrumentor, "_instrumentation_dependencies", ("httpx<0.1",)
    )
    (said,) = problems("httpx")

    assert "httpx is not traced: DependencyConflictError" in said
    assert "httpx<0.1" in said


def test_a_library_imported_later_is_traced_from_then_on() -> None:
    """Also if that is by a name that the importing line binds."""
    code = """
import sys, json, svcready
from svcready.testing import running

with running() as harness:
    clients = harness.runtime.tracing.clients
    loaded = sorted({'httpx', 'wrapt', 'sqlalchemy'} & set(sys.modules))
    before = clients.describe(), loaded
    import httpx
    from sqlalchemy import create_engine, text
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("SELECT 1"))

    print(json.dumps([
        before, clients.describe(), [s.name for s in harness.spans],
        type(httpx.__loader__).__name__, type(httpx.__spec__.loader).__name__,
        harness.runtime.problems(),
    ]))
"""
    said = run_clean_json(code)
    assert isinstance(said, list)
    (first, loaded), later, spans, *loaders, wrong = said

    assert loaded == []
    assert {"httpx", "sqlalchemy"} <= set(first["waiting"])
    assert first["on"] == []
    assert {"httpx", "sqlalchemy"} <= set(later["on"])
    assert [name for name in spans if name != "connect"] == ["SELECT"]
    assert loaders == ["SourceFileLoader", "SourceFileLoader"]
    assert wrong == []


def test_starting_loads_no_client() -> None:
    """Nor what would patch it: that costs tens of milliseconds."""
    code = """
import sys, svcready
svcready.init(service="orders")
packages = {m for m in sys.modules if m.startswith("opentelemetry.instrumentation.")}
print(sorted(packages | {"wrapt", "asyncio", "requests"} & set(sys.modules)))
svcready.shutdown()
print([f for f in sys.meta_path if type(f).__module__.startswith("svcready")])
"""
    said = run_clean(code, env={"SVCREADY_LOG_LEVEL": "ERROR"}).splitlines()

    assert said == ["[]", "[]"]


def test_a_forked_child_goes_on_tracing(site: Site) -> None:
    """What is patched stays so, and what waits is waited for there, too."""
    code = f"""
import os, sys, httpx, svcready
from svcready.testing import running

with running() as harness:
    if pid := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    else:
        httpx.get({site.url!r})
        import requests
        requests.get({site.url!r})
        made = [span.scope.rpartition(".")[2] for span in harness.spans]
        os._exit(0 if made == ["httpx", "requests"] else 1)
"""
    assert run_clean(code) == "0\n"


def test_an_entry_point_that_nobody_knows_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the user installed and named is switched on, and off at the end."""
    done: list[str] = []

    class Own:
        is_instrumented_by_opentelemetry = False

        def instrument(self, **_: object) -> None:
            done.append("on")
            type(self).is_instrumented_by_opentelemetry = True

        def uninstrument(self) -> None:
            done.append("off")

    class Entry:
        name = "own-thing"

        def load(self) -> type[Own]:
            return Own

    real = metadata.entry_points

    def entry_points(**wanted: str) -> object:
        return [Entry()] if wanted else real()

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    with running(environ={VARIABLE: "own_thing"}) as harness:
        assert harness.runtime.tracing.clients.describe()["on"] == ["own_thing"]
        assert done == ["on"]

    assert done == ["on", "off"]


def test_what_fails_after_the_start_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start line has been written by then."""
    told: list[Callable[[], None]] = []

    def wait(_: str, tell: Callable[[], None]) -> Callable[[], None]:
        told.append(tell)
        return lambda: None

    monkeypatch.setattr(_switch, "when_imported", wait)
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.httpx", None)
    with running(environ={VARIABLE: "httpx"}) as harness:
        assert harness.runtime.problems() == ()
        told[0]()
        (problem,) = harness.runtime.problems()

        assert harness.logged(problem)[0]["level"] == "WARN"


def test_the_command_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`svcready config --check` tells what the start would, and switches nothing on."""
    from svcready.cli.config import main

    before = httpx.HTTPTransport.handle_request
    monkeypatch.setenv(VARIABLE, "httpx,htpx,asyncpg")

    assert main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "did you mean httpx?" in said
    assert "asyncpg is not traced" in said
    assert httpx.HTTPTransport.handle_request is before
    monkeypatch.setenv(VARIABLE, "auto,-redis")
    assert main(["--check"]) == 0
