"""PutMetricData against a strict server: what arrives, in how many calls."""

from __future__ import annotations

import json
import os

import pytest

from svcready._core import fork
from svcready.metrics.sinks._cloudwatch._put._members import Members, body_bytes
from svcready.testing import FakeClock
from tests.conftest import Faults
from tests.metrics.conftest import IDENTITY
from tests.metrics.sinks.cloudwatch.put.conftest import Make, Recorder
from tests.metrics.sinks.cloudwatch.put.metrics_server import MetricsServer, Refused

pytest.importorskip("boto3")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore")

DOWN = Refused("InternalServiceError", 500)


def test_each_interval_arrives_once(
    make_sink: Make, server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> None:
    """Counts add up, levels are where they are, under the service's name."""
    sink = make_sink()
    recorder.count("orders", 3, Kind="retail")
    recorder.level("queue", 7)
    recorder.observe("wait", 1.0, 2.0, 2.0)
    clock.advance(60)
    assert sink.push(20)
    recorder.count("orders", 2, Kind="retail")
    recorder.level("queue", 4)
    clock.advance(60)
    assert sink.push(20)

    assert server.sums["orders", (("Kind", "retail"),)] == 5
    assert server.latest["queue", ()] == 4
    assert (server.counts["wait", ()], server.sums["wait", ()]) == (3, 5.0)
    assert server.units["wait", ()] == "Milliseconds"
    assert [namespace for namespace, _ in server.requests] == ["orders", "orders"]
    start_s = 1_800_000_000
    assert server.stamps["queue", ()] == [start_s, start_s + 60]


def test_nothing_recorded_is_no_call(make_sink: Make, server: MetricsServer) -> None:
    """An idle service costs nothing; nor does an empty distribution."""
    sink = make_sink()
    assert sink.push(20)
    assert server.calls == 0


def test_a_value_is_sent_as_it_is_kept(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """One value plainly, several with their counts, and statistics where asked for."""
    recorder.observe("one", 5.0)
    recorder.observe("same", 5.0, 5.0)
    recorder.observe("each", 1.0, 2.5)
    recorder.observe("some", 1.0, 2.0, 2.0)
    recorder.observe("quiet.size", 1.0, 2.0, 6.0)
    assert make_sink(statistic_sets=("quiet.*",)).push(20)

    sent = {datum["MetricName"]: datum for datum in server.requests[0][1]}
    common = {"MetricName", "Timestamp", "Unit"}
    numbers = {
        name: {key: value for key, value in datum.items() if key not in common}
        for name, datum in sent.items()
    }
    assert numbers == {
        "one": {"Value": 5},
        "same": {"Values": [5], "Counts": [2]},
        "each": {"Values": [1, 2.5]},
        "some": {"Values": [1, 2], "Counts": [1, 2]},
        "quiet.size": {
            "StatisticValues": {
                "SampleCount": 3,
                "Sum": 9,
                "Minimum": 1,
                "Maximum": 6,
            }
        },
    }


@pytest.mark.parametrize(("series", "calls"), [(1000, 1), (1001, 2), (3000, 3)])
def test_small_series_make_the_fewest_calls(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    series: int,
    calls: int,
) -> None:
    """A thousand in each."""
    for number in range(series):
        recorder.count("orders", number, Route=f"/r/{number}")

    assert make_sink().push(20)
    assert server.calls == len(server.requests) == calls
    assert sum(len(datums) for _, datums in server.requests) == series
    assert server.total("orders") == sum(range(series))


def test_large_series_make_the_fewest_calls(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """As many as their bytes need, and every body below 1 MB before compression."""
    for number in range(600):
        values = [number + index / 7 for index in range(150)]
        recorder.observe("wait", *values, Route=f"/r/{number}")

    assert make_sink().push(20)
    members = [datum for _, datums in server.requests for datum in datums]
    size = sum(len(json.dumps(member)) for member in members)
    assert size > 1_000_000
    assert server.calls == -(-size // 1_000_000)
    assert max(server.bodies) <= 1_000_000
    assert server.encodings == ["gzip"] * server.calls
    assert all(len(member["Values"]) == 150 for member in members)
    assert server.counts.total() == 600 * 150


def test_the_bytes_reckoned_are_those_sent(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """To the byte, as botocore writes them."""

    def record() -> None:
        for number in range(40):
            values = [index / 3 for index in range(50)]
            recorder.observe("wait", *values, Route=f'"{number}\\')

    record()
    members = Members(lambda _name: False, split=False)
    stamp_s = 1_800_000_000
    made = [e for datum in recorder.collect() for e in members.entries(datum, stamp_s)]
    record()
    assert make_sink().push(20)
    size = sum(entry.size for entry in made)
    assert server.bodies == [body_bytes("orders", size, 40)]


def test_many_values_are_merged_or_split(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """Never more than 150 in a datum; all counts and the sum are there."""
    for settings, name in (({}, "merged"), ({"split_values": True}, "split")):
        values = [1.0 + index / 100 for index in range(1000)]
        recorder.observe(name, *values)
        assert make_sink(**settings).push(20)
        datums = server.requests[-1][1]
        assert all(len(datum["Values"]) <= 150 for datum in datums)
        assert (len(datums) > 1) == bool(settings)
        assert server.counts[name, ()] == 1000


def test_high_resolution_goes_more_often(
    make_sink: Make, server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> None:
    """Stored by the second, and stamped so; a full push takes both."""
    sink = make_sink(high_resolution=("fast*",), high_resolution_interval_s=5.0)
    assert (sink.interval_s, sink.often_s) == (60.0, 5.0)
    for _ in range(3):
        recorder.count("fast.orders")
        recorder.count("orders")
        clock.advance(5)
        assert sink.push_often(5)

    assert [len(datums) for _, datums in server.requests] == [1, 1, 1]
    assert {datum["StorageResolution"] for _, (datum,) in server.requests} == {1}
    start_s = 1_800_000_000
    assert server.stamps["fast.orders", ()] == [start_s, start_s + 5, start_s + 10]
    recorder.count("fast.orders")
    clock.advance(45)
    assert sink.push(20)
    assert server.sums == {("fast.orders", ()): 4, ("orders", ()): 3}
    assert server.stamps["orders", ()] == [start_s]


def test_without_patterns_nothing_goes_more_often(make_sink: Make) -> None:
    """Nor where the whole is as fast."""
    assert make_sink().often_s == 0.0
    fast = make_sink(high_resolution=("fast*",), flush_interval_s=5.0)
    assert (fast.interval_s, fast.often_s) == (5.0, 0.0)


def test_a_clock_that_is_set_loses_nothing(
    make_sink: Make, server: MetricsServer, recorder: Recorder, clock: FakeClock
) -> None:
    """Stamps stay within two weeks back and two hours ahead of the clock as it is."""
    sink = make_sink()
    day_ns = 86_400 * 10**9
    for jump_ns in (20 * day_ns, -30 * day_ns, 3 * day_ns // 24):
        recorder.count("orders")
        clock.advance(60)
        clock.set_wall(clock.time_ns() + jump_ns)
        assert sink.push(20)
        assert server.stamps["orders", ()][-1] == clock.time_ns() // 10**9 - 60

    assert server.sums["orders", ()] == 3
    assert sink.describe()["clock_jumps"] == 3


def test_the_namespace_follows_the_service(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """Unless one is configured; and the collector learns of a new identity."""
    from dataclasses import replace

    sink, fixed = make_sink(), make_sink(namespace="Shop/Orders")
    for pushed in (sink, fixed):
        pushed.identify(replace(IDENTITY, service="returns"))
        recorder.count("orders")
        assert pushed.push(20)

    assert [name for name, _ in server.requests] == ["returns", "Shop/Orders"]
    assert recorder.identities[-1].service == "returns"
    assert sink.describe()["namespace"] == "returns"


def test_a_collector_that_fails_holds_back_nothing(
    make_sink: Make,
    server: MetricsServer,
    recorder: Recorder,
    faults: Faults,
) -> None:
    """What could not be sent before still goes."""
    sink = make_sink()
    recorder.count("orders")
    server.troubles = [DOWN]
    assert not sink.push(20)
    recorder.fault = ValueError("broken")
    assert sink.push(20)
    assert faults.claim("metrics.cloudwatch") is recorder.fault
    assert server.sums["orders", ()] == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads at fork: the point
def test_a_forked_child_sends_its_own(
    make_sink: Make, server: MetricsServer, recorder: Recorder
) -> None:
    """What was recorded or kept before the fork is the parent's to send, once."""
    fork.install()
    sink = make_sink()
    recorder.count("orders", 100)
    server.troubles = [DOWN]
    assert not sink.push(20)
    recorder.count("orders", 10)
    pid = os.fork()
    if pid == 0:
        sink.reset()  # as the pusher's lane does
        recorder.count("orders", 1)
        good = sink.push(10) and sink.describe()["pending"] == 0
        os._exit(0 if good else 1)

    assert os.waitpid(pid, 0)[1] == 0
    assert server.sums["orders", ()] == 1
    assert sink.push(20)
    assert server.sums["orders", ()] == 111
