"""X-Ray's central rules in a whole pillar, over real sockets, threads and forks."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("botocore")

from svcready._core import fork
from svcready._core.worker import Worker
from svcready._transport.xray_api import ProxyApi
from svcready.config import load
from svcready.tracing._pillar import TracePillar
from svcready.tracing.sampling._central._central_rules import CentralRules
from svcready.tracing.sampling._central._plan import plan_central
from svcready.tracing.sampling._layers import UNMATCHED
from svcready.tracing.sampling._service import Service
from tests.tracing.sampling.central.driving import Driven, make_clock, nothing, run
from tests.tracing.sampling.central.fake_xray import (
    FakeApi,
    FakeXray,
    require_model,
    rule,
)
from tests.tracing.sampling.central.loopback import serve
from tests.tracing.support import IDENTITY, Masker

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready._transport.xray_api import Answer
    from svcready.tracing._server import ServerTracer
    from svcready.tracing._server_trace import ServerTrace

require_model()

QUIET_S = 30.0


def make_pillar(clock: Clock, **environ: str) -> TracePillar:
    """Return a pillar as these variables have it, which keeps its spans."""
    read = load(environ={"SVCREADY_TRACING_VIEW_SPANS": "100", **environ})
    assert not read.problems
    return TracePillar(
        read.tracing,
        read.otlp,
        read.xray,
        identity=IDENTITY,
        resource_attributes={},
        clock=clock,
        redactor=Masker(),
        development=False,
    )


def begin(server: ServerTracer, path: str = "/", xray: str | None = None) -> Any:
    """Begin the trace of a request."""
    return server.begin("GET", path, None, None, xray, None, nothing)


def test_the_standard_variables_are_enough() -> None:
    """OTEL_TRACES_SAMPLER=xray asks the endpoint and samples by what it says."""
    xray = FakeXray(make_clock())
    xray.change(rule("all", URLPath="/a", FixedRate=1.0), rule("none", FixedRate=0.0))
    xray.rules["none"]["ReservoirSize"] = 0
    with serve(xray) as url:
        pillar = make_pillar(
            xray.clock,
            OTEL_TRACES_SAMPLER="xray",
            OTEL_TRACES_SAMPLER_ARG=f"endpoint={url},polling_interval=60",
        )
        assert url in str(pillar.describe()["sampling"])
        assert "no rules yet" in str(pillar.describe()["sampling"])
        pillar.start()
        assert pillar._central is not None
        pillar._central._woken = True  # the test refreshes
        refresh(xray, pillar, 1)

        sampled, left_out = begin(pillar.server, "/a"), begin(pillar.server, "/b")
        sampled.end(None, 200, None)
        told = begin(pillar.server, "/b", "Root=1-5759e988-bd862e3fe1be46a994272793")
        forced = begin(
            pillar.server,
            "/b",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        )
        refresh(xray, pillar)
        pillar.close(1.0)

    assert (sampled.sampled, left_out.sampled) == (True, False)
    assert (told.sampled, forced.sampled) == (False, True)
    spans = [span.attributes for span in pillar.recent()]
    assert [it["aws.xray.sampling_rule"] for it in spans] == ["all"], (
        "asking for rules makes no spans"
    )
    assert xray.told == {"all": [1, 1, 1], "none": [2, 0, 0]}, "only roots count"
    assert "3 rules, 11 s old" in str(pillar.describe()["sampling"])


def test_sixty_rules_over_http() -> None:
    """Pages and chunks pass through real sockets as through none."""
    xray = FakeXray(make_clock())
    xray.change(*(rule(f"r{n}", URLPath=f"/{n}", Priority=n + 1) for n in range(59)))
    with serve(xray) as url:
        process = Driven(xray, api=ProxyApi(url))
        run(xray.clock, 2, process)
        for n in range(60):
            process.decide(f"/{n}")

        run(xray.clock, 11, process)
        xray.broken = "refuse"
        run(xray.clock, 310, process)
        assert process.decide("/1") in {"r1", None}

    assert {name: told[0] for name, told in xray.told.items()} == dict.fromkeys(
        xray.rules, 1
    )
    assert "no sampling rules: RemoteDisconnected" in process.rules.describe()


class Waited(ProxyApi):
    """Says when it was asked for rules, whichever thread does, and can be held."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = threading.Event()
        self.goes = threading.Event()
        self.goes.set()

    def rules(self, next_token: str) -> Answer:
        """Ask for one page of rules."""
        self.asked.set()
        assert self.goes.wait(QUIET_S)
        return super().rules(next_token)


def test_the_first_decision_starts_the_thread() -> None:
    """Nothing runs before, and the decision itself does not wait."""
    xray = FakeXray(make_clock())
    xray.change(rule("all", FixedRate=1.0))
    with serve(xray) as url:
        api, worker = Waited(url), Worker("rules-of-a-test")
        rules = make(api, worker)
        assert worker._thread is None
        api.goes.clear()
        assert rules.decide("GET", "/", nothing) is UNMATCHED

        assert api.asked.wait(QUIET_S)
        api.goes.set()
        assert worker.stop(QUIET_S)
        assert rules.decide("GET", "/", nothing) == "all"


def test_forked_workers_are_clients_of_their_own() -> None:
    """Each fetches and reports by itself, and only what it decided (ADOT's fault e)."""
    fork.install()
    xray = FakeXray(make_clock())
    xray.change(rule("all", FixedRate=1.0))
    with serve(xray) as url:
        api, worker = Waited(url), Worker("rules-of-a-test")
        rules = make(api, worker)
        worker.run_due()
        for _ in range(3):
            assert rules.decide("GET", "/", nothing) == "all"

        for _ in range(2):
            pid = os.fork()
            if not pid:
                os._exit(_child(rules, api, worker))

            assert os.waitpid(pid, 0)[1] == 0

        assert worker.stop(QUIET_S)

    documents = [
        document
        for call in xray.calls
        for document in call.body.get("SamplingStatisticsDocuments", [])
    ]
    clients = [it["ClientID"] for it in documents]
    assert len(set(clients)) == 2
    assert rules.client_id not in clients
    assert [it["RequestCount"] for it in documents] == [1, 1]


def _child(rules: CentralRules, api: Waited, worker: Worker) -> int:
    """Decide once as a worker would, and have it reported at once."""
    if worker._thread is not None or rules._woken:
        return 1

    api.asked.clear()
    rules._woken = True
    if rules.decide("GET", "/", nothing) != "all":
        return 2

    rules._refresher._rules_due_s = rules._refresher._report_due_s = 0.0
    rules._job.due_s = 0.0
    worker.wake()
    if not api.asked.wait(QUIET_S):
        return 3

    return 0 if worker.stop(QUIET_S) else 4


def make(api: Waited, worker: Worker) -> CentralRules:
    """Return central rules on the system's clock."""
    from contextlib import nullcontext

    from svcready._core.clock import SYSTEM_CLOCK

    return CentralRules(
        api,
        Service("orders"),
        SYSTEM_CLOCK,
        worker,
        interval_s=300.0,
        quiet=nullcontext,
    )


BOOSTED = {"SamplingRateBoost": {"MaxRate": 0.5, "CooldownWindowMinutes": 1}}


def boosted_pillar(xray: FakeXray, url: str, **environ: str) -> TracePillar:
    """Return a started pillar with one rule that may be boosted, and one that not."""
    may = rule("may", URLPath="/may/*", FixedRate=0.0, ReservoirSize=0, **BOOSTED)
    xray.change(may, rule("no", URLPath="/no", FixedRate=0.0, ReservoirSize=0))
    pillar = make_pillar(
        xray.clock,
        SVCREADY_XRAY_SAMPLING="true",
        SVCREADY_XRAY_SAMPLING_ENDPOINT=url,
        **environ,
    )
    pillar.start()
    assert pillar._central is not None
    pillar._central._woken = True  # the test refreshes
    pillar._central._worker.run_due()
    return pillar


def refresh(xray: FakeXray, pillar: TracePillar, seconds: float = 11) -> None:
    """Let time pass, and refresh once."""
    xray.clock.advance(seconds)
    assert pillar._central is not None
    pillar._central._worker.run_due()


def test_anomalies_are_reported_and_the_boost_is_applied_as_far_as_allowed() -> None:
    """BoostRate is in force until its time is over, and never above MaxRate."""
    xray = FakeXray(make_clock())
    with serve(xray) as url:
        pillar = boosted_pillar(xray, url)
        for status, error in ((200, None), (503, None), (None, ValueError())):
            trace: ServerTrace = begin(pillar.server, "/may/x")
            assert trace.ends
            trace.end("/may/{id}", status, error)
            trace.end("/may/{id}", status, error)

        assert not begin(pillar.server, "/no").ends
        xray.boosts = {"may": 0.9, "no": 0.9}
        refresh(xray, pillar)
        during = [begin(pillar.server, "/may/x").sampled for _ in range(1000)]
        never = [begin(pillar.server, "/no").sampled for _ in range(100)]
        xray.clock.advance(61)
        after = [begin(pillar.server, "/may/x").sampled for _ in range(100)]
        pillar.close(1.0)

    assert len(xray.boosts_told) == 1
    told = xray.boosts_told[0]
    told.pop("Timestamp")
    assert told == {
        "RuleName": "may",
        "ServiceName": "orders",
        "AnomalyCount": 2,
        "TotalCount": 3,
        "SampledAnomalyCount": 0,
    }
    assert 400 <= during.count(True) <= 600
    assert not any(never)
    assert not any(after)


def test_conditions_say_what_an_anomaly_is() -> None:
    """Status and latency have to hold together, for the operations that are named."""
    xray = FakeXray(make_clock())
    conditions = {
        "version": 1.0,
        "anomalyConditions": [
            {"errorCodeRegex": "^5..$", "highLatencyMs": 500},
            {"errorCodeRegex": "^4", "operations": ["GET /may/a"]},
            {"highLatencyMs": 2000, "usage": "sampling-boost"},
            {"errorCodeRegex": "^2", "usage": "anomaly-trace-capture"},
        ],
    }
    ended = [
        ("/may/a", 503, 0.1, False),
        ("/may/a", 503, 0.5, True),
        ("/may/a", 404, 0.0, True),
        ("/may/b", 404, 0.0, False),
        ("/may/b", 200, 2.0, True),
        ("/may/b", None, 0.0, False),
    ]
    with serve(xray) as url:
        pillar = boosted_pillar(
            xray, url, AWS_XRAY_ADAPTIVE_SAMPLING_CONFIG=json.dumps(conditions)
        )
        for path, status, took_s, _ in ended:
            trace = begin(pillar.server, path)
            xray.clock.advance(took_s)
            trace.end(path, status, None)

        refresh(xray, pillar)
        pillar.close(1.0)

    assert xray.boosts_told[0]["TotalCount"] == len(ended)
    assert xray.boosts_told[0]["AnomalyCount"] == sum(it[3] for it in ended)


def test_without_a_rule_to_boost_traces_are_the_usual_ones() -> None:
    """What is not asked for costs nothing at the end of a request."""
    xray = FakeXray(make_clock())
    with serve(xray) as url:
        pillar = boosted_pillar(xray, url)
        xray.change()
        assert pillar._central is not None
        pillar._central._refresher._fetch(xray.clock.monotonic())
        kinds = {type(begin(pillar.server)).__name__ for _ in range(100)}
        pillar.close(1.0)

    assert kinds == {"ServerTrace", "RecordedTrace"}


def test_asking_is_not_traced() -> None:
    """Instrumented clients make no spans of our own calls."""
    from opentelemetry import context

    xray = FakeXray(make_clock())
    xray.change()
    pillar = make_pillar(xray.clock, SVCREADY_XRAY_SAMPLING="true")
    pillar.start()
    quiet: list[object] = []

    def hear(*_: object) -> None:
        quiet.append(context.get_value("suppress_instrumentation"))

    assert pillar._central is not None
    pillar._central._refresher._api = FakeApi(xray, hear)
    pillar._central._worker.run_due()
    pillar.close(1.0)

    assert quiet == [True]
    assert context.get_value("suppress_instrumentation") is None


DAEMON = "AWS_XRAY_DAEMON_ADDRESS"


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, ""),
        ({DAEMON: "d:7"}, "http://d:7"),
        ({DAEMON: "tcp:d:7 udp:u:8"}, "http://d:7"),
        ({DAEMON: "[::1]:7"}, "http://[::1]:7"),
        ({DAEMON: "d:7", "SVCREADY_TRACING_SAMPLING": "2/s"}, ""),
        ({DAEMON: "d:7", "SVCREADY_TRACING_RULES": "* /a 1%"}, ""),
        ({DAEMON: "d:7", "OTEL_TRACES_SAMPLER": "always_on"}, ""),
        ({DAEMON: "d:7", "SVCREADY_XRAY_SAMPLING": "false"}, ""),
        ({DAEMON: "d:7", "SVCREADY_SERVICE_ENVIRONMENT": "local"}, ""),
        ({DAEMON: "d:7", "SVCREADY_TRACING_ENABLED": "false"}, ""),
        ({"SVCREADY_XRAY_SAMPLING_ENDPOINT": "http://p:9"}, "http://p:9"),
        (
            {
                "SVCREADY_XRAY_SAMPLING_ENDPOINT": "aws",
                "SVCREADY_TRACING_SAMPLING": "1%",
            },
            "",
        ),
        ({"SVCREADY_XRAY_SAMPLING": "true"}, "http://127.0.0.1:2000"),
        (
            {"SVCREADY_XRAY_SAMPLING": "true", "SVCREADY_TRACING_RULES": "* /a 1%"},
            "http://127.0.0.1:2000",
        ),
        ({"OTEL_TRACES_SAMPLER": "xray"}, "http://127.0.0.1:2000"),
        ({"OTEL_TRACES_SAMPLER": "xray", "SVCREADY_XRAY_SAMPLING": "0"}, ""),
        ({"OTEL_TRACES_SAMPLER": "xray", "SVCREADY_TRACING_SAMPLING": "1%"}, ""),
        (
            {"SVCREADY_XRAY_SAMPLING": "1", "SVCREADY_XRAY_SAMPLING_ENDPOINT": "aws"},
            "X-Ray",
        ),
        (
            {
                "SVCREADY_XRAY_SAMPLING": "1",
                "SVCREADY_XRAY_SAMPLING_ENDPOINT": "AWS",
                "SVCREADY_XRAY_REGION": "eu-west-1",
            },
            "X-Ray in eu-west-1",
        ),
        (
            {
                DAEMON: "d:7",
                "SVCREADY_XRAY_SAMPLING_ENDPOINT": "https://p/x",
            },
            "https://p/x",
        ),
    ],
)
def test_who_is_asked(environ: dict[str, str], asked: str) -> None:
    """Rules are asked for where it is said, or where a daemon and nothing else is."""
    read = load(environ=environ)
    assert not read.problems
    clock = make_clock()

    planned = plan_central(
        read.tracing,
        read.xray,
        Service("orders"),
        clock,
        Masker,  # type: ignore[arg-type]
    )

    assert ("" if planned is None else planned._api.name) == asked


def test_on_lambda_nobody_is_asked_unless_it_is_said() -> None:
    """The address is always set there, and Lambda's own service has decided."""
    function = Service("orders", "AWS::Lambda::Function")
    for environ, wanted in (
        ({DAEMON: "169.254.100.1:2000"}, False),
        ({DAEMON: "169.254.100.1:2000", "SVCREADY_XRAY_SAMPLING": "true"}, True),
    ):
        read = load(environ=environ)
        planned = plan_central(
            read.tracing,
            read.xray,
            function,
            make_clock(),
            Masker,  # type: ignore[arg-type]
        )
        assert (planned is not None) is wanted
