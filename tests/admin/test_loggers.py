"""Levels over the operator's surface: who may change them, how, and for how long."""

from __future__ import annotations

import json
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest

import svcready
from svcready._runtime import Runtime
from svcready._runtime._background import _reload
from svcready._transport import group
from svcready.admin import OpsRequest, OpsResponse, build_surface
from svcready.admin._port._port import OpsPort
from svcready.testing import FakeClock, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from svcready.testing import Harness

TOKEN = {"authorization": "Bearer s3cret", "content-type": "application/json"}
ALLOWED = {"SVCREADY_ADMIN_TOKENS": "other,s3cret", "SVCREADY_LOG_ALLOW_DEBUG": "1"}
DAY_S = 86_400
OPERATOR = {"type": "operator", "id": "token 2", "ip": "203.0.113.9"}
SHOP = {"type": "logger", "id": "shop"}


@pytest.fixture(autouse=True)
def no_levels_left() -> Iterator[None]:
    """Let no test leave a level behind on the loggers that these use."""
    yield
    for name in tuple(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] == "shop":
            logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def clock() -> FakeClock:
    """Time that a test moves."""
    return FakeClock()


@pytest.fixture
def harness(clock: FakeClock) -> Iterator[Harness]:
    """Run a service in production whose operators may have DEBUG."""
    with running(environ=ALLOWED, clock=clock) as harness:
        yield harness


class Auditor:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def __call__(
        self,
        action: str,
        resource: Mapping[str, str],
        actor: Mapping[str, str],
        outcome: str,
        /,
        *,
        changes: Mapping[str, object] | None = None,
        **details: object,
    ) -> None:
        """Take it down."""
        self.told.append((action, resource, actor, outcome, changes, details))


def ask(
    runtime: Runtime,
    method: str = "GET",
    body: object = b"",
    query: str = "",
    headers: Mapping[str, str] = TOKEN,
    audit: Auditor | None = None,
    peer: str = "203.0.113.9",
) -> OpsResponse:
    """Ask for /admin/loggers."""
    text = (
        body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    )
    request = OpsRequest(
        method,
        "/admin/loggers",
        query,
        lambda name: headers.get(name.lower()),
        peer,
        text,
    )
    return build_surface(runtime, audit=audit).answer(request)


def listed(runtime: Runtime, prefix: str) -> dict[str, dict[str, Any]]:
    """Return what the list says of each logger whose name begins so."""
    answer = ask(runtime, query=f"name={prefix}")
    assert answer.status == 200
    return {it["logger"]: it for it in json.loads(answer.body)["loggers"]}


def messages(harness: Harness) -> list[str]:
    """Return the messages of the application's lines."""
    return [
        str(line["message"])
        for line in harness.lines
        if _fields(line, "source")["logger"].startswith("shop")
    ]


def _fields(line: dict[str, object], name: str) -> dict[str, Any]:
    found = line[name]
    assert isinstance(found, dict)
    return found


def test_a_level_is_changed_for_some_time(harness: Harness, clock: FakeClock) -> None:
    """For the logger and those below it; when the time is over it falls back."""
    runtime = harness.runtime
    log = svcready.get_logger("shop.db.pool")
    log.debug("before")
    answer = ask(runtime, "POST", {"logger": "shop.db", "level": "debug", "ttl": "90s"})
    log.debug("during")
    clock.advance(89)
    assert runtime.levels is not None
    runtime.levels.tick()
    log.debug("still")
    clock.advance(1)
    runtime.levels.tick()
    log.debug("after")

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "logger": "shop.db",
        "level": "DEBUG",
        "until": "2027-01-15T08:01:30Z",
        "workers": {"reached": 1, "of": 1},
    }
    assert messages(harness) == ["during", "still"]


def test_without_a_ttl_it_is_ten_minutes(harness: Harness) -> None:
    """No change is for ever."""
    answer = ask(harness.runtime, "POST", {"logger": "shop", "level": "ERROR"})

    assert json.loads(answer.body)["until"] == "2027-01-15T08:10:00Z"


def test_the_end_of_a_level_is_told_once(harness: Harness, clock: FakeClock) -> None:
    """What an operator began and forgot has its end in the log, with what is now."""
    runtime = harness.runtime
    assert runtime.levels is not None
    for name in ("shop.a", "shop.b", "shop.c"):
        ask(runtime, "POST", {"logger": name, "level": "ERROR", "ttl": "60s"})

    ask(runtime, "DELETE", query="name=shop.c")
    clock.advance(60)
    # Another change comes between the end and the look around.
    ask(runtime, "POST", {"logger": "shop.d", "level": "WARN"})
    runtime.levels.tick()
    runtime.levels.tick()

    ends = [
        line
        for line in harness.lines
        if line.get("event") == "svcready.log_level.expired"
    ]
    assert [(line["level"], line["message"]) for line in ends] == [
        ("INFO", "the time is over for the level of shop.a: INFO again"),
        ("INFO", "the time is over for the level of shop.b: INFO again"),
    ]


def test_one_process_tells_of_the_end(
    harness: Harness, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of the group have nothing to add."""
    runtime = harness.runtime
    assert runtime.levels is not None
    ask(runtime, "POST", {"logger": "shop", "level": "ERROR", "ttl": "60s"})
    clock.advance(60)
    monkeypatch.setattr(runtime.group, "members", lambda: ((7, "x"), (6, "x")))
    runtime.levels.tick()

    assert not [it for it in harness.lines if "expired" in str(it.get("event"))]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("shop.invoces", "shop.invoices"),
        ("shop.invoices", None),
        ("shop", None),
        ("shop.invoices.of.customers.abroad", None),
        ("json", None),
        ("rooot", "root"),
    ],
)
def test_a_misspelt_logger_is_told_in_the_answer(
    harness: Harness, name: str, meant: str | None
) -> None:
    """It is changed all the same: a logger may be made later. Twice asked, twice."""
    svcready.get_logger("shop.invoices").info("here")
    said = f"nobody has asked for the logger {name!r}; did you mean {meant!r}?"
    for _ in range(2):
        answer = ask(harness.runtime, "POST", {"logger": name, "level": "WARN"})
        assert json.loads(answer.body).get("notice") == (said if meant else None)
        assert json.loads(answer.body)["level"] == "WARN"


def test_what_was_not_there_is_no_change(harness: Harness) -> None:
    """To end a level that nobody set answers, and leaves no entry."""
    audit = Auditor()
    for _ in range(2):
        answer = ask(harness.runtime, "DELETE", query="name=shop", audit=audit)
        assert answer.status == 200

    assert audit.told == []


@pytest.mark.parametrize("way", ["null", "delete"])
def test_it_falls_back_at_once_if_asked(harness: Harness, way: str) -> None:
    """By the level null, or by DELETE."""
    runtime = harness.runtime
    ask(runtime, "POST", {"logger": "shop", "level": "ERROR"})
    if way == "null":
        answer = ask(runtime, "POST", {"logger": "shop", "level": None})
    else:
        answer = ask(runtime, "DELETE", query="name=shop")

    assert answer.status == 200
    assert json.loads(answer.body)["level"] == "INFO"
    assert json.loads(answer.body)["until"] is None
    svcready.get_logger("shop").info("yes")
    assert messages(harness) == ["yes"]


def test_the_list_says_who_set_what(harness: Harness) -> None:
    """Level, effective level, whose word it is, and until when."""
    runtime = harness.runtime
    logging.getLogger("shop.listed.own").setLevel(logging.ERROR)
    logging.getLogger("shop.listed.own.below")
    ask(runtime, "POST", {"logger": "shop.listed.now", "level": "WARN", "ttl": 60})

    assert listed(runtime, "shop.listed.") == {
        "shop.listed.now": {
            "logger": "shop.listed.now",
            "level": "WARN",
            "effective": "WARN",
            "set_by": "admin",
            "until": "2027-01-15T08:01:00Z",
        },
        "shop.listed.own": {
            "logger": "shop.listed.own",
            "level": "ERROR",
            "effective": "ERROR",
            "set_by": "own",
            "until": None,
        },
        "shop.listed.own.below": {
            "logger": "shop.listed.own.below",
            "level": None,
            "effective": "ERROR",
            "set_by": None,
            "until": None,
        },
    }
    assert listed(runtime, "root")["root"]["set_by"] == "default"
    assert set(listed(runtime, "")) > {"root", "shop.listed.now", "svcready"}


def test_the_list_names_where_a_setting_was_said() -> None:
    """A variable is a variable."""
    environ = {**ALLOWED, "SVCREADY_LOG_LEVELS": "shop.db=ERROR"}
    with running(environ=environ, settings={"log.level": "WARN"}) as harness:
        assert listed(harness.runtime, "shop.db")["shop.db"]["set_by"] == "variable"
        assert listed(harness.runtime, "root")["root"]["set_by"] == "argument"


def test_debug_in_production_needs_the_variable() -> None:
    """An operator's word alone is refused, which names the variable and is audited."""
    audit = Auditor()
    with running(environ={"SVCREADY_ADMIN_TOKENS": "s3cret"}) as harness:
        change = {"logger": "shop", "level": "DEBUG"}
        answer = ask(harness.runtime, "POST", change, audit=audit)
        svcready.get_logger("shop").debug("no")
        assert messages(harness) == []

    assert answer.status == 409
    assert "SVCREADY_LOG_ALLOW_DEBUG" in json.loads(answer.body)["detail"]
    assert [told[:4] for told in audit.told] == [
        ("log.level.change", SHOP, {**OPERATOR, "id": "token 1"}, "denied")
    ]


def test_every_change_is_audited(harness: Harness) -> None:
    """Who, which logger, from what to what, until when, and how many processes."""
    audit = Auditor()
    ask(harness.runtime, "POST", {"logger": "shop", "level": "WARN"}, audit=audit)
    ask(harness.runtime, "DELETE", query="name=shop", audit=audit)
    until = "2027-01-15T08:10:00Z"
    workers = {"workers": {"reached": 1, "of": 1}}

    assert audit.told == [
        (
            "log.level.change",
            SHOP,
            OPERATOR,
            "success",
            {
                "level": {"from": "INFO", "to": "WARN"},
                "until": {"from": None, "to": until},
            },
            workers,
        ),
        (
            "log.level.change",
            SHOP,
            OPERATOR,
            "success",
            {
                "level": {"from": "WARN", "to": "INFO"},
                "until": {"from": until, "to": None},
            },
            workers,
        ),
    ]


def test_without_an_auditor_a_line_tells_of_it(harness: Harness) -> None:
    """A change is never silent."""
    ask(harness.runtime, "POST", {"logger": "shop", "level": "WARN"})
    (line,) = (
        line
        for line in harness.lines
        if line.get("event") == "svcready.log.level.change"
    )

    context = _fields(line, "context")
    assert line["message"] == "log.level.change on logger/shop: success"
    assert (context["actor"], context["resource"]) == (OPERATOR, SHOP)
    assert context["changes"]["level"] == {"from": "INFO", "to": "WARN"}


def test_a_group_that_cannot_be_told_is_an_answer(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk gives 503, and an audit entry."""

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(harness.runtime.group, "update", fail)
    audit = Auditor()
    change = {"logger": "shop", "level": "WARN"}
    answer = ask(harness.runtime, "POST", change, audit=audit)

    assert answer.status == 503
    assert json.loads(answer.body)["detail"] == "No space left on device"
    assert audit.told[0][3] == "failure"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        {},
        {"logger": "shop"},
        {"level": "INFO"},
        {"logger": "", "level": "INFO"},
        {"logger": 7, "level": "INFO"},
        {"logger": "x" * 257, "level": "INFO"},
        {"logger": "a\nb", "level": "INFO"},
        {"logger": "shop", "level": "LOUD"},
        {"logger": "shop", "level": 10},
        {"logger": "shop", "level": "INFO", "ttl": 0},
        {"logger": "shop", "level": "INFO", "ttl": True},
        {"logger": "shop", "level": "INFO", "ttl": None},
        {"logger": "shop", "level": "INFO", "ttl": []},
        {"logger": "shop", "level": "INFO", "ttl": "soon"},
        {"logger": "shop", "level": "INFO", "ttl": DAY_S + 1},
        {"logger": "shop", "level": "INFO", "ttl": "-1s"},
        {"logger": "shop", "level": "INFO", "more": 1},
    ],
    ids=str,
)
def test_what_is_no_change_is_refused(harness: Harness, body: object) -> None:
    """With 400, a reason, and nothing changed."""
    audit = Auditor()
    answer = ask(harness.runtime, "POST", body, audit=audit)

    assert answer.status == 400
    assert ("content-type", "application/problem+json") in answer.headers
    assert json.loads(answer.body)["detail"]
    assert audit.told == []


@pytest.mark.parametrize("ttl", [1, 0.5 + 0.5, "1s", "24h", DAY_S, "1440m"])
def test_how_long_can_be_said_in_any_unit(harness: Harness, ttl: object) -> None:
    """Seconds, or a number with its unit, from a second to a day."""
    change = {"logger": "shop", "level": "INFO", "ttl": ttl}

    assert ask(harness.runtime, "POST", change).status == 200


def test_only_so_many_levels_at_a_time(harness: Harness) -> None:
    """A script gone wild is stopped; those in force can still be changed."""
    for number in range(64):
        change = {"logger": f"shop.l{number}", "level": "WARN"}
        assert ask(harness.runtime, "POST", change).status == 200

    more = {"logger": "shop.more", "level": "WARN"}
    assert ask(harness.runtime, "POST", more).status == 409
    again = {"logger": "shop.l0", "level": "ERROR"}
    assert ask(harness.runtime, "POST", again).status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, {}, 401),
        ({"authorization": "Bearer wrong"}, {}, 401),
        ({**TOKEN, "content-type": "text/plain"}, {}, 415),
        ({**TOKEN, "content-type": "application/x-www-form-urlencoded"}, {}, 415),
        ({"authorization": "Bearer s3cret"}, {}, 415),
        (TOKEN, None, 413),
        ({**TOKEN, "origin": "https://evil.example", "host": "api.local"}, {}, 403),
        ({**TOKEN, "origin": "null", "host": "api.local"}, {}, 403),
    ],
    ids=str,
)
def test_who_may_not_change_anything(
    harness: Harness, headers: Mapping[str, str], body: object, status: int
) -> None:
    """Nobody without a token, and no form or page of another origin."""
    good = {"logger": "shop", "level": "ERROR"} if body == {} else body
    answer = ask(harness.runtime, "POST", good, headers=headers)

    assert answer.status == status
    svcready.get_logger("shop").info("yes")
    assert messages(harness) == ["yes"]


def test_a_page_of_the_same_origin_may(harness: Harness) -> None:
    """And a content type with a parameter is the same type."""
    headers = {
        **TOKEN,
        "content-type": "application/json; charset=utf-8",
        "origin": "https://api.local",
        "host": "api.local",
    }
    change = {"logger": "shop", "level": "ERROR"}

    assert ask(harness.runtime, "POST", change, headers=headers).status == 200


def test_development_is_open_to_this_machine_only() -> None:
    """Without a token: a loopback peer with a loopback Host, and no page elsewhere."""
    environ = {"SVCREADY_SERVICE_ENVIRONMENT": "development"}
    local = {"host": "localhost:8000", "content-type": "application/json"}
    change = {"logger": "shop", "level": "DEBUG"}
    audit = Auditor()
    with running(environ=environ) as harness:

        def post(headers: Mapping[str, str], peer: str = "127.0.0.1") -> int:
            return ask(
                harness.runtime,
                "POST",
                change,
                headers=headers,
                peer=peer,
                audit=audit,
            ).status

        assert post(local) == 200
        assert post({**local, "origin": "http://localhost:8000"}) == 200
        assert post({**local, "origin": "http://localhost:3000"}) == 403
        assert post({**local, "origin": "https://evil.example"}) == 403
        assert post({**local, "host": "evil.example"}) == 404
        assert post(local, "203.0.113.9") == 404

    (told,) = {json.dumps(told[2]) for told in audit.told}
    assert json.loads(told) == {"type": "operator", "id": "local", "ip": "127.0.0.1"}


def test_other_methods_are_told_which_there_are(harness: Harness) -> None:
    """405, with those that are allowed."""
    answer = ask(harness.runtime, "PUT", {})

    assert answer.status == 405
    assert ("allow", "GET, HEAD, POST, DELETE") in answer.headers


def test_without_logs_or_admin_there_is_no_such_path() -> None:
    """What is switched off is not answered."""
    for name in ("SVCREADY_LOG_ENABLED", "SVCREADY_ADMIN_ENABLED"):
        with running(environ={**ALLOWED, name: "false"}) as harness:
            assert "/admin/loggers" not in build_surface(harness.runtime).routes


def test_what_another_version_wrote_is_read_with_care(harness: Harness) -> None:
    """Entries that make no sense, or are over, or last too long, are left out."""
    runtime = harness.runtime
    now_ns = runtime.clock.time_ns()
    soon_ns = now_ns + 10**9
    runtime.group.post(
        "log.levels",
        {
            "shop.good": [40, soon_ns],
            "shop.over": [40, now_ns],
            "shop.long": [40, now_ns + 2 * DAY_S * 10**9],
            "shop.odd": ["ERROR", soon_ns],
            "shop.short": [40],
            "shop.none": None,
        },
    )
    named = {n for n, it in listed(runtime, "shop").items() if it["set_by"] == "admin"}
    runtime.group.post("log.levels", ["?"])

    assert named == {"shop.good"}
    assert listed(runtime, "shop.good")["shop.good"]["set_by"] is None


def test_the_file_changes_levels_of_a_running_service(tmp_path: Path) -> None:
    """`level` and `levels` take effect when it is read again; temporary ones stay."""
    file = tmp_path / "svcready.toml"
    file.write_text("")
    environ = {**ALLOWED, "SVCREADY_CORE_CONFIG_FILE": str(file)}
    with running(environ=environ) as harness:
        runtime = harness.runtime
        ask(runtime, "POST", {"logger": "shop.now", "level": "ERROR"})
        file.write_text(
            '[default.log]\nlevel = "ERROR"\nlevels = {"shop.db" = "DEBUG"}'
        )
        _reload(runtime)
        for name in ("shop", "shop.db", "shop.now"):
            svcready.get_logger(name).debug(f"{name} debug")
            svcready.get_logger(name).warning(f"{name} warning")

        assert messages(harness) == ["shop.db debug", "shop.db warning"]
        assert listed(runtime, "shop.db")["shop.db"]["set_by"] == "file"
        assert listed(runtime, "root")["root"]["set_by"] == "file"


def test_a_misspelt_logger_is_told_at_the_start() -> None:
    """If it is nearly one that exists; one that is merely not there yet is no news."""
    svcready.get_logger("shop.orders")
    levels = "shop.ordrs=DEBUG,shop.entirely.different=WARN,shop.orders=WARN"
    environ = {**ALLOWED, "SVCREADY_LOG_LEVELS": levels}
    with running(environ=environ) as harness:
        harness.runtime.ready()

        (notice,) = harness.runtime.notices
        assert notice == (
            "SVCREADY_LOG_LEVELS names the logger 'shop.ordrs', which nobody has asked "
            "for; did you mean 'shop.orders'?"
        )


@pytest.mark.parametrize(
    ("length", "body", "status"),
    [
        ("{size}", b'{"logger": "shop", "level": "WARN"}', 200),
        ("9" * 30, b"", 413),
        ("70000", b"", 413),
        ("-1", b"", 400),
        (None, b"", 400),
    ],
)
def test_the_operators_port_reads_bodies(
    harness: Harness, length: str | None, body: bytes, status: int
) -> None:
    """As long as they say they are, up to the limit, and then the connection ends."""
    port = OpsPort(build_surface(harness.runtime), "127.0.0.1", 0)
    lines = [
        "POST /admin/loggers HTTP/1.1",
        "Host: x",
        "Authorization: Bearer s3cret",
        "Content-Type: application/json",
    ]
    if length is not None:
        lines.append(f"Content-Length: {length.format(size=len(body))}")

    try:
        with socket.create_connection(("127.0.0.1", port.port), timeout=20) as line:
            line.sendall("\r\n".join((*lines, "", "")).encode() + body)
            answer = b"".join(iter(lambda: line.recv(65536), b""))
    finally:
        port.close()

    assert answer.split(b" ")[1] == str(status).encode()


def test_a_worker_that_is_cut_off_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a directory to meet in, a level counts for one worker, which is told."""
    monkeypatch.setattr(group, "parent_of", lambda: (1, "1"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    environ = {**ALLOWED, "SVCREADY_CORE_RUN_DIR": str(blocked / "run")}
    with running(environ=environ) as harness:
        harness.runtime.wake()

        assert "SVCREADY_CORE_RUN_DIR" in str(harness.runtime.notices)
