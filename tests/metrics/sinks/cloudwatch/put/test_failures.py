"""PutMetricData when the service does not take it: nothing is lost, nothing twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from svcready._core.events import (
    DestinationFailed,
    DestinationNoted,
    DestinationRecovered,
    ItemsDropped,
)
from svcready.metrics._push import Pusher
from tests.metrics.sinks.cloudwatch.put.metrics_server import (
    MetricsServer,
    Refused,
    Troubles,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.testing import FakeClock
    from tests.conftest import Faults
    from tests.metrics.sinks.cloudwatch.put.conftest import Make, Recorder

pytest.importorskip("boto3")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")

THROTTLED = Refused("Throttling")
DOWN = Refused("InternalServiceError", 500)
DENIED = Refused("AccessDenied", 403)
EXPIRED = Refused("ExpiredToken", 403)


def kinds(told: list[object]) -> list[str]:
    """Name what was published."""
    return [type(event).__name__ for event in told]


@pytest.mark.parametrize(
    "trouble", [THROTTLED, DOWN, DENIED, EXPIRED, Refused("503", 503), Troubles.RESET]
)
def test_what_passes_keeps_the_data(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    told: list[object],
    trouble: str | Refused,
) -> None:
    """It goes with the next flush, merged with what came since: one call, no more."""
    sink = make_sink()
    recorder.count("orders", 2)
    recorder.observe("wait", 1.0, 3.0)
    recorder.level("queue", 9)
    server.troubles = [trouble] * 3
    for _ in range(3):
        assert not sink.push(20)
        recorder.count("orders", 1)
        recorder.observe("wait", 2.0)
        recorder.level("queue", 4)

    assert server.calls == 3
    assert sink.push(20)
    assert server.calls == 4
    assert server.sums == {("orders", ()): 5, ("wait", ()): 10.0, ("queue", ()): 4}
    assert server.counts["wait", ()] == 5
    assert kinds(told) == ["DestinationFailed", "DestinationRecovered"]
    assert sink.describe()["dropped"] == {}


@pytest.mark.parametrize(
    "weather", [THROTTLED, DOWN, Refused("503", 503), Troubles.RESET]
)
def test_a_minute_of_failures_loses_no_counts(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    clock: FakeClock,
    told: list[object],
    weather: str | Refused,
) -> None:
    """A thousand series, 60 s of faults, by the pusher's own pace; then one call."""
    sink = make_sink(flush_interval_s=10.0)
    pusher = Pusher([sink], clock)
    bad_until_s = clock.monotonic() + 60.0
    server.weather = lambda: weather if clock.monotonic() < bad_until_s else None
    recorded = 0
    for second in range(140):
        for number in range(1000) if second % 20 == 0 else range(10):
            recorder.count("orders", 1, Route=f"/r/{number}")
            recorded += 1

        clock.advance(1.0)
        pusher._lanes[0].worker.run_due()

    assert server.calls - len(server.requests) < 12  # the failed: no tight loop
    assert len(server.requests[0][1]) == 1000
    assert pusher.flush(5)
    assert server.total("orders") == recorded
    assert kinds(told) == ["DestinationFailed", "DestinationRecovered"]
    pusher.close()


def lowest(low: float, _high: float) -> float:
    """Draw the lower bound."""
    return low


def highest(_low: float, high: float) -> float:
    """Draw the upper bound."""
    return high


# Looked at each second: after half a minute and further 1, 2, 4, 8 and 15 s, then each
# 27 s; or after a minute and further 3, 5, 9, 18 and 36 s, then each 66 s.
@pytest.mark.parametrize(("draw", "calls"), [(lowest, 6 + 131), (highest, 6 + 52)])
def test_an_outage_of_an_hour_loses_no_counts(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    clock: FakeClock,
    told: list[object],
    draw: Callable[[float, float], float],
    calls: int,
) -> None:
    """One line at its start and one at its end; what waits is bounded by series."""
    sink = make_sink()
    pusher = Pusher([sink], clock, draw)
    server.weather = lambda: DOWN
    for second in range(3600):
        for number in range(20) if second % 60 == 0 else ():
            recorder.count("orders", 1, Route=f"/r/{number}")
            recorder.observe("wait", 1.0, 2.0, 4.0, Route=f"/r/{number}")

        clock.advance(1.0)
        pusher._lanes[0].worker.run_due()
        assert sink.pending <= 40

    assert server.calls == calls
    server.weather = lambda: None
    clock.advance(66.0)
    pusher._lanes[0].worker.run_due()
    assert len(server.requests) == 1
    assert server.total("orders") == 60 * 20
    assert server.total("wait") == 60 * 20 * 7
    assert server.counts["wait", (("Route", "/r/7"),)] == 180
    assert kinds(told) == ["DestinationFailed", "DestinationRecovered"]
    failed, recovered = told
    assert isinstance(failed, DestinationFailed)
    assert failed[:2] == ("metrics.cloudwatch", "CloudWatch")
    assert isinstance(recovered, DestinationRecovered)
    assert recovered.lost == 0
    assert recovered.failed_s == pytest.approx(3600, abs=70)
    pusher.close()


def test_a_server_that_hangs_takes_its_time_and_no_more(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """The counts are sent again: nobody knows whether they were taken."""
    sink = make_sink(timeout_s=0.2)
    recorder.count("orders", 3)
    server.troubles = [Troubles.HANG]
    assert not sink.push(20)
    assert sink.describe()["uncertain"] == 1
    assert sink.push(20)
    assert server.sums["orders", ()] == 3


def test_a_lost_answer_means_twice(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """At least once: it cannot be told from a request that never arrived."""
    sink = make_sink()
    recorder.count("orders", 3)
    server.troubles = [Troubles.LOST]
    assert not sink.push(20)
    assert sink.push(20)
    assert server.sums["orders", ()] == 6
    assert sink.describe()["uncertain"] == 1


def test_of_several_calls_only_the_rest_is_kept(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """What was taken before the fault does not come twice; no call follows it."""
    sink = make_sink()
    for number in range(2500):
        recorder.count("orders", 1, Route=f"/r/{number}")

    server.weather = lambda: DOWN if server.calls == 2 else None
    assert not sink.push(20)
    assert server.calls == 2
    assert sink.push(20)
    assert server.calls == 4
    assert set(server.sums.values()) == {1}
    assert server.total("orders") == 2500


def test_a_push_that_a_signal_ends_sends_nothing_twice(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while the last counts are sent: those that arrived are not kept."""
    sink = make_sink()
    for number in range(2500):
        recorder.count("orders", 1, Route=f"/r/{number}")

    put, calls = sink._client.put, []

    def interrupted(*request: object) -> None:
        calls.append(request)
        if len(calls) == 2:
            raise KeyboardInterrupt

        put(*request)  # type: ignore[arg-type]

    monkeypatch.setattr(sink._client, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sink.push(20)

    assert sink.push(20)
    assert set(server.sums.values()) == {1}
    assert server.total("orders") == 2500


def test_one_bad_datum_is_given_up_alone(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    clock: FakeClock,
    told: list[object],
) -> None:
    """It is looked for by halving; its series rests for an hour, the others go."""
    sink = make_sink()
    server.bad = lambda datum: datum["MetricName"] == "bad"

    def record() -> None:
        for number in range(1000):
            name = "bad" if number == 321 else "orders"
            recorder.count(name, 1, Route=f"/r/{number}")

    record()
    assert sink.push(20)
    assert server.total("orders") == 999
    assert server.calls <= 2 * 10 + 1
    assert told == [
        ItemsDropped("metrics.cloudwatch", "rejected", 1),
        DestinationNoted(
            "metrics.cloudwatch",
            "CloudWatch",
            "AWS answers InvalidParameterValue to PutMetricData for metric 'bad', "
            "which is given up for an hour; the others are sent",
        ),
    ]
    calls = server.calls
    record()
    assert sink.push(20)
    assert server.calls == calls + 1
    assert sink.describe()["dropped"] == {"rejected": 2}

    clock.advance(3601)
    server.bad = lambda _datum: False
    record()
    assert sink.push(20)
    assert server.total("bad") == 1


def test_many_bad_datums_make_no_storm(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """The calls of one flush are bounded; the good ones come through by and by."""
    sink = make_sink()
    server.bad = lambda datum: datum["MetricName"] == "bad"
    for number in range(300):
        recorder.count("bad" if number % 3 else "orders", 1, Route=f"/r/{number}")

    flushes = 0
    while not sink.push(20):
        flushes += 1
        assert server.calls <= 130 * flushes
        assert flushes < 12

    assert server.total("orders") == 100
    assert sink.describe()["dropped"] == {"rejected": 200}


def test_an_unknown_refusal_does_not_hold_back_the_others(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """It may be about one request alone, so the next is tried; nothing is lost."""
    sink = make_sink()
    for number in range(2000):
        recorder.count("orders", 1, Route=f"/r/{number}")

    server.troubles = [Refused("SomethingNew")]
    assert not sink.push(20)
    assert server.total("orders") == 1000
    assert sink.push(20)
    assert set(server.sums.values()) == {1}


def test_a_request_that_is_too_large_is_halved(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """Should the service reckon otherwise than we do."""
    sink = make_sink()
    for number in range(10):
        recorder.count("orders", 1, Route=f"/r/{number}")

    server.troubles = [Refused("RequestEntityTooLarge", 413)]
    assert sink.push(20)
    assert [len(datums) for _, datums in server.requests] == [5, 5]
    assert sink.describe()["dropped"] == {}


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (
            ("AWS_REGION",),
            "no region is known; SVCREADY_CLOUDWATCH_REGION or AWS_REGION gives it",
        ),
        (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            "no AWS credentials are found",
        ),
    ],
)
def test_what_comes_late_is_found(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    told: list[object],
    monkeypatch: pytest.MonkeyPatch,
    lacking: tuple[str, ...],
    reason: str,
) -> None:
    """A region or credentials added while the service runs; told once until then."""
    sink = make_sink()
    with monkeypatch.context() as without:
        for name in lacking:
            without.delenv(name)

        for _ in range(2):
            recorder.count("orders")
            assert not sink.push(20)

        failed = DestinationFailed("metrics.cloudwatch", "CloudWatch", reason)
        assert told == [failed]

    assert sink.push(20)
    assert server.sums["orders", ()] == 2
    assert kinds(told) == ["DestinationFailed", "DestinationRecovered"]


def test_a_missing_permission_is_named(
    make_sink: Make, server: MetricsServer, recorder: Recorder, told: list[object]
) -> None:
    """With what the role needs."""
    server.troubles = [DENIED]
    recorder.count("orders")
    assert not make_sink().push(20)
    (failed,) = told
    assert isinstance(failed, DestinationFailed)
    assert failed.reason == (
        "AWS answers AccessDenied to PutMetricData; its role needs "
        "cloudwatch:PutMetricData"
    )


def test_what_is_unsent_at_the_end_is_counted(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    clock: FakeClock,
    told: list[object],
) -> None:
    """By reason, as the last line says it."""
    sink = make_sink()
    pusher = Pusher([sink], clock)
    recorder.count("orders", 5, Kind="retail")
    recorder.count("orders", 5, Kind="other")
    server.weather = lambda: DOWN
    assert not pusher.flush(5)
    pusher.close()
    assert pusher.lost == {"deadline": 2}
    assert ItemsDropped("metrics.cloudwatch", "deadline", 2) in told
    assert not pusher.flush(5)


def test_a_push_that_hangs_at_the_end_is_counted_as_lost(
    make_sink: Make, server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> None:
    """It is waited for no longer than the flush may take, and does not come back."""
    sink = make_sink(timeout_s=20.0)
    pusher = Pusher([sink], clock)
    pusher.wake()
    recorder.count("orders")
    server.troubles = [Troubles.HANG]
    assert not pusher.flush(0.3)
    pusher.close()
    assert pusher.lost == {"deadline": 1}
    server.stop()
    for thread in threading.enumerate():
        if thread.name == "svcready-cloudwatch":
            thread.join(20)

    assert sink.pending == 0


def test_a_flush_that_somebody_waits_for_keeps_its_time(
    make_sink: Make, server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> None:
    """Where the caller pushes itself, a call may take what is left and no more."""
    sink = make_sink(timeout_s=20.0)
    pusher = Pusher([sink], clock)
    recorder.count("orders")
    server.troubles = [Troubles.HANG]
    assert not pusher.flush(0.3)
    assert pusher.flush(5)
    assert server.sums["orders", ()] == 1
    pusher.close()


def test_what_cannot_be_sent_spoils_no_request(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    told: list[object],
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A value that is none is given up and told of once; so is a fault of ours."""
    sink = make_sink()
    for _ in range(2):
        recorder.level("odd", float("nan"))
        recorder.count("orders")
        assert sink.push(20)

    assert server.calls == len(server.requests) == 2
    assert server.sums == {("orders", ()): 2}
    assert sink.describe()["dropped"] == {"invalid": 2}
    assert kinds(told).count("DestinationNoted") == 1

    broken = ValueError("broken")

    def entries(*_: object) -> None:
        raise broken

    monkeypatch.setattr(sink._members, "entries", entries)
    assert sink.push(20)  # of the level, which is still there
    assert faults.claim("metrics.cloudwatch") is broken
    assert sink.describe()["dropped"] == {"invalid": 2, "internal_error": 1}
