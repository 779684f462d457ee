from __future__ import annotations

import logging

from svcready._core.context import ContextRecord, activate
from svcready.config._sections.log import LogSettings
from tests.logging.support import SPAN, TRACE, XRAY, Listener, Log, make_log


def test_the_access_line_tells_all_of_a_request(log: Log) -> None:
    """One line with the member `http`, the ids and what the application bound."""
    activate(ContextRecord("req-1", "cor-1", TRACE, SPAN, fields={"tenant": "t1"}))

    log.pillar.access_log().write(
        "GET", "/orders/{id}", 200, 0.0123456, 10, 512, "10.0.0.1"
    )

    (line,) = log.lines
    assert line["message"] == "GET /orders/{id} 200"
    assert line["level"] == "INFO"
    assert line["http"] == {
        "method": "GET",
        "route": "/orders/{id}",
        "status": 200,
        "duration_ms": 12.346,
        "request_bytes": 10,
        "response_bytes": 512,
        "client": "10.0.0.1",
    }
    assert line["source"] == {"logger": "svcready.access"}
    assert line["context"] == {"tenant": "t1"}
    assert (line["request_id"], line["xray_trace_id"]) == ("req-1", XRAY)


def test_what_is_unknown_of_a_request_is_left_out(log: Log) -> None:
    """Sizes and client are optional."""
    log.pillar.access_log().write("GET", "/", 204, 0.001)

    assert set(log.last["http"]) == {"method", "route", "status", "duration_ms"}


def test_the_level_tells_whose_fault_it_is(log: Log) -> None:
    """2xx to 4xx are INFO, 5xx WARN, an error that nobody has written yet ERROR."""
    access = log.pillar.access_log()
    error = ValueError("boom")
    access.write("GET", "/", 404, 0.001)
    access.write("GET", "/", 503, 0.001)
    access.write("GET", "/", 500, 0.001, error=error)
    access.write("GET", "/", 500, 0.001, error=error)

    assert [line["level"] for line in log.lines] == ["INFO", "WARN", "ERROR", "WARN"]
    assert ["error" in line for line in log.lines] == [False, False, True, False]


def test_others_see_access_lines_too(log: Log) -> None:
    """With another handler both get the line, ours with the same members."""
    access = log.pillar.access_log()
    listener = Listener()
    logging.getLogger("svcready.access").addHandler(listener)
    access.write("GET", "/", 200, 0.001, error=None)
    access.write("GET", "/", 500, 0.001, error=ValueError("x"))
    logging.getLogger("svcready.access").removeHandler(listener)

    assert [record.getMessage() for record in listener.records] == [
        "GET / 200",
        "GET / 500",
    ]
    assert [line["http"]["status"] for line in log.lines] == [200, 500]
    assert log.last["error"]["type"] == "ValueError"


def test_access_lines_can_be_switched_off_by_their_logger(log: Log) -> None:
    """As any logger, `svcready.access` has a level."""
    std = logging.getLogger("svcready.access")
    std.setLevel(logging.WARNING)
    log.pillar.access_log().write("GET", "/", 200, 0.001)
    log.pillar.access_log().write("GET", "/", 500, 0.001)
    std.setLevel(logging.NOTSET)

    assert [line["http"]["status"] for line in log.lines] == [500]


def test_hostile_routes_and_clients_break_nothing() -> None:
    """Quotes, surrogates and great length stay inside a valid line of its limit."""
    log = make_log(LogSettings(max_line_bytes=4096))
    log.pillar.start()
    log.pillar.access_log().write(
        'G"ET', '/"\n\udc80' + "x" * 9999, 200, float("1e9"), client='"\udc80' * 999
    )
    log.pillar.close()

    assert len(log.written[0]) <= 4096
    assert log.last["http"]["method"] == 'G"ET'


def test_servers_access_lines_are_muted_once_there_are_ours(log: Log) -> None:
    """Before, a server's access lines come out as lines; after, ours replace them."""
    theirs = logging.getLogger("uvicorn.access")
    theirs.setLevel(logging.INFO)
    theirs.info("GET / 200")
    log.pillar.access_log()
    theirs.info("GET / 200")
    assert not theirs.hasHandlers()
    log.pillar.close()

    assert [line["message"] for line in log.lines] == ["GET / 200"]
    assert theirs.propagate
    assert not theirs.disabled


def test_an_access_file_that_the_operator_named_goes_on(log: Log) -> None:
    """A handler that doesn't print is not ours to take."""
    theirs = logging.getLogger("gunicorn.access")
    listener = Listener()
    theirs.addHandler(listener)
    theirs.setLevel(logging.INFO)
    log.pillar.access_log()
    log.written.clear()
    theirs.info("GET / 200")
    theirs.removeHandler(listener)

    assert len(listener.records) == 1
    assert log.lines == []


def test_request_lines_of_development_servers_are_muted(log: Log) -> None:
    """Only their request lines; what else they say comes out."""
    log.pillar.access_log()
    for name in ("werkzeug", "django.server", "django.request"):
        logging.getLogger(name).setLevel(logging.INFO)

    log.pillar.unify()
    logging.getLogger("werkzeug").info(
        '127.0.0.1 - - [now] "%s" %s %s', "GET /", 200, 0
    )
    logging.getLogger("werkzeug").info("Running on http://127.0.0.1")
    logging.getLogger("django.server").info("GET /", extra={"server_time": "now"})
    logging.getLogger("django.request").warning(
        "Not Found: /", extra={"status_code": 404}
    )
    logging.getLogger("django.request").error("Gone bad", extra={"status_code": 500})

    assert [line["message"] for line in log.lines] == [
        "Running on http://127.0.0.1",
        "Gone bad",
    ]
