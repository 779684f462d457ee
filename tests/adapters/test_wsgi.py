from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import svcready
from svcready._core.context import current
from svcready.testing import Harness
from tests.adapters.support import ask_wsgi


def hello(environ: Any, start_response: Any) -> list[bytes]:
    """Answer with two pieces."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"he", b"llo"]


def http_of(harness: Harness) -> dict[str, Any]:
    """Return what the one access line says of the request."""
    (line,) = harness.access_lines
    http = line["http"]
    assert isinstance(http, dict)
    return http


def test_before_init_it_passes_everything_through() -> None:
    """Without a runtime a wrapped application answers as if it were bare."""
    reply = ask_wsgi(svcready.wrap(hello))

    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers == {"content-type": "text/plain"}


def test_a_bare_application_is_unmatched_but_whole(harness: Harness) -> None:
    """A callable declares no routes; the rest of the line and span is there."""
    reply = ask_wsgi(svcready.wrap(hello), "/any", HTTP_X_REQUEST_ID="abc")

    assert reply.headers["x-request-id"] == "abc"
    http = http_of(harness)
    assert (http["route"], http["response_bytes"]) == ("__unmatched__", 5)
    assert len(harness.spans) == 1


def test_a_body_that_streams_ends_the_request_when_closed(harness: Harness) -> None:
    """Its pieces are made inside the request's context, which is gone afterwards."""
    seen = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for piece in (b"a", b"b"):
            seen.append(current())
            yield piece

    ask_wsgi(svcready.wrap(app), HTTP_X_REQUEST_ID="streaming")

    assert [record.request_id for record in seen if record] == ["streaming"] * 2
    assert current() is None
    assert http_of(harness)["response_bytes"] == 2


def test_an_error_in_the_body_is_logged_once(harness: Harness) -> None:
    """A body that fails on its way is an error with the status that was sent."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise LookupError("late")

    with pytest.raises(LookupError):
        ask_wsgi(svcready.wrap(app))

    assert http_of(harness)["status"] == 200
    (line,) = (line for line in harness.lines if "error" in line)
    assert line["error"]["message"] == "'late'" or line["error"]["message"] == "late"  # type: ignore[index]
    assert current() is None


def test_an_error_before_the_response_is_500(harness: Harness) -> None:
    """It is logged once and raised as it was; the context is put back."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise LookupError("early")

    with pytest.raises(LookupError):
        ask_wsgi(svcready.wrap(app))

    assert http_of(harness)["status"] == 500
    assert len([line for line in harness.lines if "error" in line]) == 1
    assert current() is None


def test_a_thread_that_serves_again_has_no_old_ids(harness: Harness) -> None:
    """A request that could not end leaves nothing for the next on its thread."""
    seen = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(current())
        start_response("200 OK", [])
        return [b""]

    for number in range(3):
        ask_wsgi(svcready.wrap(app), HTTP_X_REQUEST_ID=f"id{number}")
        assert current() is None

    assert [record.request_id for record in seen if record] == ["id0", "id1", "id2"]


def test_operators_paths_are_answered_below_a_mount(harness: Harness) -> None:
    """The path is matched after SCRIPT_NAME is taken away."""
    reply = ask_wsgi(svcready.wrap(hello), "/health/liveness", SCRIPT_NAME="/shop")

    assert (reply.status, reply.body) == (200, b'{"status":"pass"}')
    assert harness.access_lines == []
