from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from svcready._core import events, fork
from svcready._transport.aws import make_client
from svcready._transport.sinks._destination import Entry, Outcome
from svcready._transport.sinks._sink import Sink
from svcready._transport.sinks.cloudwatch_logs import (
    CloudWatchLogs,
    available,
    cloudwatch_sink,
)
from tests.moto_account import serve_account
from tests.transport.logs_server import DAY_MS, HOUR_MS, Body, LogsServer, Refused

pytest.importorskip("moto.server")
pytest.importorskip("boto3")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:moto"
)

FOREVER = float("inf")
GROUP, STREAM = "/svcready/orders", "i-1"
CREATION = ["PutLogEvents", "CreateLogStream", "CreateLogGroup"]
CREATION += ["CreateLogStream", "PutLogEvents"]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give botocore what an operator's environment would."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogsServer]:
    """Run the strict server, and let botocore find it."""
    made = LogsServer()
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    yield made
    made.stop()


def names() -> tuple[str, str]:
    """Name group and stream."""
    return GROUP, STREAM


def entry(text: str, age_ms: int = 0) -> Entry:
    """Make a line that was logged so long ago."""
    return Entry(20, time.time_ns() // 1_000_000 - age_ms, text.encode() + b"\n")


def test_lines_arrive_with_their_times(server: LogsServer) -> None:
    """Group and stream are made when they are missing, and only then."""
    logs = CloudWatchLogs(names)
    batch = [entry("one", 5), entry('{"n": "caf\u00e9"}', 4)]
    assert logs.deliver(batch, FOREVER).left == []
    assert logs.deliver([entry("three")], FOREVER).left == []

    assert server.messages(GROUP, STREAM) == ["one", '{"n": "caf\u00e9"}', "three"]
    stamps = [event["timestamp"] for event in server.groups[GROUP][STREAM]]
    assert stamps[:2] == [it.time_ms for it in batch]
    assert server.calls == [*CREATION, "PutLogEvents"]
    logs.close()


def test_others_may_be_faster(server: LogsServer) -> None:
    """Group and stream that another process makes meanwhile are as good."""
    server.groups[GROUP] = {}
    server.refusals = [
        ("PutLogEvents", Refused("ResourceNotFoundException")),
        ("CreateLogStream", Refused("ResourceNotFoundException")),
        ("CreateLogGroup", Refused("ResourceAlreadyExistsException")),
    ]
    logs = CloudWatchLogs(names)

    assert logs.deliver([entry("one")], FOREVER).fault == ""
    assert server.calls == CREATION
    logs.close()


def test_names_follow_the_service(server: LogsServer) -> None:
    """A forked child, or a service that learns its name late, has its own stream."""
    instance = "a"
    logs = CloudWatchLogs(lambda: ("/svcready/unknown:python", instance))
    logs.deliver([entry("one")], FOREVER)
    instance = "b*"
    logs.deliver([entry("two")], FOREVER)

    group = "/svcready/unknown-python"
    assert server.messages(group, "a") == ["one"]
    assert server.messages(group, "b-") == ["two"]
    logs.close()


def test_old_and_future_lines_are_counted(server: LogsServer) -> None:
    """The service takes the rest; more than a day apart they are different calls."""
    server.retention[GROUP] = 7
    server.groups[GROUP] = {STREAM: []}
    batch = [
        entry("future", -3 * HOUR_MS),
        entry("old", 15 * DAY_MS),
        entry("expired", 8 * DAY_MS),
        entry("yesterday", 25 * HOUR_MS),
        entry("now"),
    ]
    outcome = CloudWatchLogs(names).deliver(batch, FOREVER)

    assert (outcome.left, outcome.fault) == ([], "")
    assert {why: lines for why, lines in outcome.lost if lines} == {
        "too_old": 1,
        "expired": 1,
        "too_new": 1,
    }
    assert server.messages(GROUP, STREAM) == ["yesterday", "now"]
    assert server.sizes == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("refused", "tries"),
    [
        (Refused("AccessDeniedException"), 1),
        (Refused("UnrecognizedClientException"), 1),
        (Refused("ServiceUnavailableException", 503), 2),  # botocore tries again
        (Refused("ThrottlingException"), 2),
    ],
)
def test_what_passes_keeps_the_lines(
    server: LogsServer, refused: Refused, tries: int
) -> None:
    """With what AWS said; and they go out when it no longer says so."""
    server.groups[GROUP] = {STREAM: []}
    server.refusals = [("PutLogEvents", refused)] * tries
    logs = CloudWatchLogs(names)
    batch = [entry("one"), entry("two")]
    outcome = logs.deliver(batch, FOREVER)
    assert outcome.fault == f"AWS answers {refused.code} to PutLogEvents"
    assert outcome.left == batch
    assert server.calls == ["PutLogEvents"] * tries

    assert logs.deliver(outcome.left, FOREVER).left == []
    assert server.messages(GROUP, STREAM) == ["one", "two"]
    logs.close()


def test_of_several_calls_only_the_rest_is_kept(server: LogsServer) -> None:
    """What was taken before the fault does not come twice."""
    server.groups[GROUP] = {STREAM: []}
    logs = CloudWatchLogs(names)
    batch = [entry("yesterday", 25 * HOUR_MS), entry("now")]
    put = server.answer

    def answer(operation: str, body: Body) -> tuple[int, Body]:
        if "now" in str(body):
            return 400, {"__type": "AccessDeniedException"}

        return put(operation, body)

    server.answer = answer  # type: ignore[method-assign]
    assert logs.deliver(batch, FOREVER).left == batch[1:]
    assert server.messages(GROUP, STREAM) == ["yesterday"]
    logs.close()


def test_what_is_refused_for_good_is_given_up(server: LogsServer) -> None:
    """The same call would be refused for ever; it is counted and said."""
    server.groups[GROUP] = {STREAM: []}
    server.refusals = [("PutLogEvents", Refused("InvalidParameterException"))]
    logs = CloudWatchLogs(names)
    outcome = logs.deliver([entry("odd"), entry("too")], FOREVER)

    assert (outcome.left, outcome.fault) == ([], "")
    assert ("rejected", 2) in outcome.lost
    assert outcome.notice == (
        "AWS answers InvalidParameterException to PutLogEvents; such lines are given up"
    )
    assert logs.deliver([entry("next")], FOREVER).lost == (("too_large", 0),)
    logs.close()


def test_a_batch_that_was_taken_before_is_done(server: LogsServer) -> None:
    """The answer to a call that is repeated after its own answer was lost."""
    server.groups[GROUP] = {STREAM: []}
    server.refusals = [("PutLogEvents", Refused("DataAlreadyAcceptedException"))]

    assert CloudWatchLogs(names).deliver([entry("one")], FOREVER).fault == ""


def test_a_group_that_may_not_be_made_is_said(server: LogsServer) -> None:
    """With the name of what the policy lacks."""
    server.refusals = [("CreateLogGroup", Refused("AccessDeniedException"))]

    fault = CloudWatchLogs(names).deliver([entry("one")], FOREVER).fault
    assert fault == "AWS answers AccessDeniedException to CreateLogGroup"


def test_the_retention_is_set_once(server: LogsServer) -> None:
    """On the group, after it is there."""
    logs = CloudWatchLogs(names, retention_days=90)
    for text in ("one", "two"):
        assert logs.deliver([entry(text)], FOREVER).notice == ""

    assert server.retention == {GROUP: 90}
    assert server.calls.count("PutRetentionPolicy") == 1
    logs.close()


def test_a_retention_that_may_not_be_set_is_a_notice(server: LogsServer) -> None:
    """Lines are delivered, and it is not tried again."""
    server.refusals = [("PutRetentionPolicy", Refused("AccessDeniedException"))] * 2
    logs = CloudWatchLogs(names, retention_days=90)
    outcome = logs.deliver([entry("one")], FOREVER)

    assert outcome.left == []
    assert outcome.notice == (
        f"the retention of {GROUP} is not set: "
        "AWS answers AccessDeniedException to PutRetentionPolicy"
    )
    logs.deliver([entry("two")], FOREVER)
    assert server.calls.count("PutRetentionPolicy") == 1
    logs.close()


def test_a_retention_that_is_throttled_is_tried_again(server: LogsServer) -> None:
    """With the next batch, as when many processes start at once."""
    server.refusals = [("PutRetentionPolicy", Refused("OperationAbortedException"))]
    logs = CloudWatchLogs(names, retention_days=90)
    for text in ("one", "two"):
        assert logs.deliver([entry(text)], FOREVER).notice == ""

    assert server.retention == {GROUP: 90}
    logs.close()


def test_without_credentials_lines_wait(
    server: LogsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And go out when there are some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    logs = CloudWatchLogs(names)
    outcome = logs.deliver([entry("one")], FOREVER)
    assert (len(outcome.left), outcome.fault) == (1, "NoCredentialsError")


def test_without_a_region_lines_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said by its name, once."""
    monkeypatch.delenv("AWS_REGION")

    fault = CloudWatchLogs(names).deliver([entry("one")], FOREVER).fault
    assert fault == "NoRegionError"


def test_a_server_that_never_answers_keeps_nobody(server: LogsServer) -> None:
    """A flush ends at its deadline, and what did not arrive is counted."""
    server.go_on.clear()
    sink = cloudwatch_sink("test", names)
    sink(b"one\n", 20)
    started_s = time.monotonic()

    assert not sink.close(0.3)
    assert time.monotonic() - started_s < 3
    assert sink.dropped == {"deadline": 1}


def test_who_waits_himself_has_a_deadline_too(server: LogsServer) -> None:
    """At interpreter exit, where no thread starts: both tries fit into what is left."""
    server.go_on.clear()
    started_s = time.monotonic()
    outcome = CloudWatchLogs(names).deliver([entry("one")], started_s + 0.8)

    assert (len(outcome.left), outcome.fault) == (1, "ReadTimeoutError")
    assert time.monotonic() - started_s < 10  # half of that is loading boto3


def test_lines_of_one_second_are_one_call(server: LogsServer) -> None:
    """Because calls are limited per account; a flush does not wait for them."""
    sink = cloudwatch_sink("test", names)
    assert sink.destination.linger_s == 1.0
    for number in range(500):
        sink(b"%d\n" % number, 20)

    assert sink.flush(20)
    assert sum(server.sizes) == 500
    assert len(server.sizes) <= 2
    assert server.messages(GROUP, STREAM) == [str(number) for number in range(500)]
    assert sink.close(10)


class IntoSink(logging.Handler):
    """What the log's own handler is to a sink."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink
        self.seen = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's text."""
        self.seen += 1
        self.sink(record.getMessage().encode() + b"\n", record.levelno)


def test_botocore_may_log_what_it_likes(server: LogsServer) -> None:
    """At DEBUG a call writes dozens of lines; sending them would never end."""
    sink = cloudwatch_sink("test", names)
    root, handler = logging.getLogger(), IntoSink(sink)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        sink(b"mine\n", 20)
        assert sink.flush(20)
        assert sink.close(10)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    assert handler.seen > 10
    assert server.messages(GROUP, STREAM) == ["mine"]


def test_an_outage_is_told_once(server: LogsServer) -> None:
    """However many tries fail; and that lines get through again, once."""
    told: list[object] = []
    ends = [
        events.subscribe(kind, told.append)
        for kind in (events.DestinationFailed, events.DestinationRecovered)
    ]
    server.groups[GROUP] = {STREAM: []}
    server.refusals = [("PutLogEvents", Refused("AccessDeniedException"))] * 3
    destination = CloudWatchLogs(names)
    sink = Sink("test", destination, uniform=lambda _low, _high: 0.0)
    sink(b"one\n", 20)
    while not sink.flush(20):  # it gives up after three tries
        pass

    for end in ends:
        end()

    assert [type(event).__name__ for event in told] == [
        "DestinationFailed",
        "DestinationRecovered",
    ]
    assert server.messages(GROUP, STREAM) == ["one"]
    assert sink.close(10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_a_forked_child_has_connections_of_its_own(server: LogsServer) -> None:
    """Both write, and neither reads the other's answers."""
    fork.install()
    stream = "parent"
    sink = cloudwatch_sink("test", lambda: (GROUP, stream))
    sink(b"one\n", 20)
    assert sink.flush(20)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            stream = "child"
            sink(b"two\n", 20)
            status = 0 if sink.close(20) else 1
        finally:
            os._exit(status)

    sink(b"three\n", 20)
    assert sink.flush(20)
    assert os.waitpid(pid, 0)[1] == 0
    assert server.messages(GROUP, "parent") == ["one", "three"]
    assert server.messages(GROUP, "child") == ["two"]
    assert sink.close(10)


def test_an_odd_answer_is_an_outage(server: LogsServer) -> None:
    """A proxy that answers 200 with a page has not taken the lines."""
    server.groups[GROUP] = {STREAM: []}
    server.answer = lambda *_: (200, "<html>")  # type: ignore[assignment,method-assign]
    outcome = CloudWatchLogs(names).deliver([entry("one")], FOREVER)

    assert (len(outcome.left), bool(outcome.fault)) == (1, True)


def test_empty_lines_are_left_out(server: LogsServer) -> None:
    """The service refuses them, and with them everything else in the call."""
    outcome = CloudWatchLogs(names).deliver([entry("")], FOREVER)

    assert outcome == Outcome([], (("too_large", 0),))
    assert server.calls == []
    assert available()


def test_moto_takes_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """An implementation that is not ours reads back what was sent."""
    with serve_account() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        sink = cloudwatch_sink("test", names, retention_days=30)
        for number in range(5):
            sink(b'{"n": %d}\n' % number, 20)

        assert sink.flush(20)
        client: Any = make_client("logs", timeout_s=10)
        read = client.get_log_events(logGroupName=GROUP, logStreamName=STREAM)
        assert [it["message"] for it in read["events"]] == [
            f'{{"n": {number}}}' for number in range(5)
        ]
        groups = client.describe_log_groups()["logGroups"]
        assert [group["retentionInDays"] for group in groups] == [30]
        assert sink.close(10)
