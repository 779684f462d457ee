from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, exposition
from prometheus_client import Counter as TheirCounter
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client import Info as TheirInfo
from prometheus_client import Summary as TheirSummary
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from svcready._core.events import subscribe
from svcready._core.identity import Identity
from svcready.config._sections.prometheus import PrometheusSettings
from svcready.metrics import counter, gauge, histogram, timer, up_down_counter
from svcready.metrics._events import FamilyShadowed
from svcready.metrics._instruments._register import forget_all
from svcready.metrics.sinks._prometheus._accept import accepts_gzip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults

    Make = Callable[..., MetricsPillar]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SERVER = (  # what Prometheus 3 sends
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
    "*/*;q=0.2"
)


def parse(
    pillar: MetricsPillar, accept: str = "", **asked: object
) -> dict[str, Metric]:
    """Return the page's families by name, read by prometheus_client's own parsers."""
    page = pillar.prometheus.render(accept, None, **asked)  # type: ignore[arg-type]
    text = page.body.decode()
    if "openmetrics" in page.content_type:
        found = list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    else:
        read: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
        found = list(read(text))

    names = [family.name for family in found]
    assert len(names) == len(set(names))
    return {family.name: family for family in found}


def samples(family: Metric) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return a family's values by sample name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS, SERVER])
def test_every_kind_of_metric_is_on_the_page(make_pillar: Make, accept: str) -> None:
    """Names, units, buckets and values, as Prometheus reads them."""
    pillar = make_pillar()
    counter("sent", "Bytes sent", labels=("to",), unit="By").labels("a").inc(2)
    gauge("level", "A level").set(-1.5)
    up_down_counter("flying", "In flight", unit="By").dec(3)
    sizes = histogram("sizes", "Sizes", buckets=(1, 2))
    sizes.observe(1)
    sizes.observe(5)
    timer("checkout", "Time to check out", buckets=(0.5,)).observe(0.25)

    found = parse(pillar, accept)
    assert samples(found["sent_bytes"]) == {("sent_bytes_total", (("to", "a"),)): 2}
    assert samples(found["level"]) == {("level", ()): -1.5}
    assert samples(found["flying_bytes"]) == {("flying_bytes", ()): -3}
    assert found["flying_bytes"].type == "gauge"
    assert samples(found["sizes"]) == {
        ("sizes_bucket", (("le", "1.0"),)): 1,
        ("sizes_bucket", (("le", "2.0"),)): 1,
        ("sizes_bucket", (("le", "+Inf"),)): 2,
        ("sizes_count", ()): 2,
        ("sizes_sum", ()): 6,
    }
    assert found["checkout_seconds"].type == "histogram"
    assert found["sent_bytes"].documentation == "Bytes sent"
    if accept:
        assert found["checkout_seconds"].unit == "seconds"


def test_the_target_is_described(make_pillar: Make) -> None:
    """OpenTelemetry's resource is one info family."""
    found = parse(make_pillar(), OPENMETRICS)

    assert found["target"].samples[0].labels == {
        "service_name": "orders",
        "service_version": "1.4.2",
        "deployment_environment_name": "test",
        "service_instance_id": "i-1",
    }


def test_the_target_follows_the_identity(make_pillar: Make) -> None:
    """A look-up may find more, and names that meet on Prometheus are joined."""
    pillar = make_pillar()
    found: dict[str, str | int | tuple[str, ...]] = {
        "cloud.region": "eu-west-1",
        "a.b": "1",
        "a_b": 2,
        "aws.log": ("x", "y"),
    }
    pillar.identify(
        Identity(service="x", instance="", host_instance="", attributes=found)
    )

    assert parse(pillar, OPENMETRICS)["target"].samples[0].labels == {
        "service_name": "x",
        "deployment_environment_name": "production",
        "cloud_region": "eu-west-1",
        "a_b": "1;2",
        "aws_log": "x,y",
    }


def test_our_own_state_is_on_the_page(make_pillar: Make, faults: Faults) -> None:
    """Wrong settings, what was dropped, and faults of ours can be alerted on."""
    pillar = make_pillar(config_errors=3)
    pillar.dropped("logging", "queue_full").inc(5)
    counter("orders", "help").inc(-1)
    faults.claim("metrics")

    found = parse(pillar)
    assert samples(found["svcready_config_errors"]) == {
        ("svcready_config_errors", ()): 3
    }
    assert samples(found["svcready_dropped"]) == {
        (
            "svcready_dropped_total",
            (("component", "logging"), ("reason", "queue_full")),
        ): 5
    }
    internal = found["svcready_internal_errors"].samples
    assert [s.value >= 1 for s in internal if s.labels["component"] == "metrics"]


text = st.text(st.characters(), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(values=st.lists(text, min_size=1, max_size=5), help_text=text)
@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_any_text_survives_the_page(
    make_pillar: Make, accept: str, values: list[str], help_text: str
) -> None:
    """Whatever a label or help holds is read back, with `?` where UTF-8 has nothing."""

    def clean(value: str) -> str:
        return value.encode("utf-8", "replace").decode()

    forget_all()
    pillar = make_pillar()
    orders = counter("orders", clean(help_text), labels=("kind",))
    expected: dict[str, int] = {}
    for number, value in enumerate(values, 1):
        orders.labels(value).inc(number)
        expected[clean(value)] = expected.get(clean(value), 0) + number

    found = parse(pillar, accept)["orders"]
    assert {s.labels["kind"]: s.value for s in found.samples} == expected


def make_theirs() -> CollectorRegistry:
    """Return a registry with something of every kind."""
    registry = CollectorRegistry(target_info={"a": "b"})
    requests = TheirCounter("requests", "a\\b\nc", ["kind"], registry=registry)
    requests.labels('x"y\\z\n').inc(exemplar={"trace_id": "abc"})
    TheirGauge("load", "help", registry=registry).set(3)
    TheirHistogram("took", "help", ["kind"], unit="seconds", registry=registry).labels(
        "a"
    ).observe(0.3, exemplar={"trace_id": "def"})
    TheirSummary("size", "help", registry=registry).observe(4)
    TheirInfo("build", "help", registry=registry).info({"v": "1"})
    return registry


@pytest.mark.parametrize(
    ("accept", "oracle"),
    [
        ("", exposition.generate_latest),
        (OPENMETRICS, openmetrics_exposition.generate_latest),
    ],
)
def test_an_applications_registry_is_shown_as_its_library_shows_it(
    make_pillar: Make,
    accept: str,
    oracle: Callable[[CollectorRegistry], bytes],
) -> None:
    """Byte for byte, exemplars and creation times included."""
    pillar = make_pillar()
    registry = make_theirs()
    pillar.include(registry)
    pillar.include(registry)
    expected = oracle(registry).removesuffix(b"# EOF\n")

    body = pillar.prometheus.render(accept, None).body
    assert body.startswith(expected)
    assert body.count(b"took_seconds_sum") == 1


def test_the_applications_family_wins_over_ours(make_pillar: Make) -> None:
    """One family on the page, theirs, and one notice."""
    told: list[FamilyShadowed] = []
    unsubscribe = subscribe(FamilyShadowed, told.append)
    pillar = make_pillar()
    registry = CollectorRegistry()
    TheirCounter("orders", "theirs", registry=registry).inc(7)
    TheirGauge("took_seconds_count", "theirs", registry=registry)
    pillar.include(registry)
    counter("orders", "ours").inc()
    timer("took", "ours")  # its `took_seconds_count` would meet theirs

    try:
        for _ in range(2):
            found = parse(pillar)
    finally:
        unsubscribe()

    assert samples(found["orders"])["orders_total", ()] == 7
    assert "took_seconds" not in found
    assert told == [
        FamilyShadowed("orders", "orders"),
        FamilyShadowed("took", "took_seconds"),
    ]
    assert pillar.describe()["shadowed"] == ["orders", "took"]


def test_the_default_registry_of_the_application_is_included(make_pillar: Make) -> None:
    """An application that uses prometheus_client need not say so; it can refuse."""
    load = TheirGauge("their_load", "help")
    load.set(4)
    try:
        from prometheus_client import REGISTRY

        shown = parse(make_pillar(application_registry=True, process=True))
        hidden = parse(make_pillar(application_registry=False))
    finally:
        REGISTRY.unregister(load)

    assert samples(shown["their_load"]) == {("their_load", ()): 4}
    # Its standard collectors and ours give the same families: once, without a notice.
    assert {"process_open_fds", "process_threads"} <= shown.keys()
    assert "their_load" not in hidden


def test_a_collector_that_fails_spoils_only_itself(
    make_pillar: Make, faults: Faults
) -> None:
    """
    The page goes on with what it gave before it raised, and with every collector
    after it.
    """

    class Broken:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield GaugeMetricFamily("before", "help", value=1)
            raise RuntimeError("no metrics")

    pillar = make_pillar()
    registry = CollectorRegistry()
    registry.register(Broken())
    TheirGauge("after", "help", registry=registry).set(2)
    pillar.include(registry)
    counter("orders", "help").inc()

    found = parse(pillar)
    assert {"before", "after", "orders"} <= found.keys()
    assert str(faults.claim("metrics.application")) == "no metrics"


def test_a_registrys_own_way_of_collecting_is_kept(
    make_pillar: Make, faults: Faults
) -> None:
    """What overrides `collect` is asked by it, and what only has `collect` too."""

    class Chosen(CollectorRegistry):
        def collect(self) -> Iterator[Metric]:
            return (m for m in super().collect() if m.name != "hidden")

    class Bare:
        def collect(self) -> Iterator[Metric]:
            yield GaugeMetricFamily("bare", "help", value=1)
            raise RuntimeError("no metrics")

    registry = Chosen()
    TheirGauge("hidden", "help", registry=registry).set(1)
    TheirGauge("shown", "help", registry=registry).set(1)
    pillar = make_pillar()
    pillar.include(registry)
    pillar.include(Bare())

    found = parse(pillar)
    assert {"shown", "bare"} <= found.keys()
    assert "hidden" not in found
    assert str(faults.claim("metrics.application")) == "no metrics"


def test_the_target_that_a_registry_was_given_is_shown(make_pillar: Make) -> None:
    """As its library shows it, though it is no collector; it wins over ours."""
    registry = CollectorRegistry(target_info={"team": "shop"})
    TheirGauge("load", "help", registry=registry).set(1)
    pillar = make_pillar()
    pillar.include(registry)

    body = pillar.prometheus.render("", None).body
    assert body.startswith(exposition.generate_latest(registry))
    assert body.count(b"\ntarget_info{") == 1


def test_a_family_that_cannot_be_written_is_left_out(
    make_pillar: Make, faults: Faults
) -> None:
    """A lone surrogate in an application's label would break the whole page."""
    pillar = make_pillar()
    registry = CollectorRegistry()
    TheirGauge("broken", "help", ["kind"], registry=registry).labels("\ud800").set(1)
    pillar.include(registry)
    counter("orders", "help").inc()

    found = parse(pillar)
    assert "orders" in found
    assert "broken" not in found
    assert "broken" in str(faults.claim("metrics.prometheus"))


def test_the_renderer_can_be_loaded_early() -> None:
    """So that the first scrape does not wait for an import."""
    script = """
import sys
from svcready.metrics._model import Snapshot
from svcready.metrics.sinks._prometheus._sink import PrometheusSink
sink = PrometheusSink(lambda: Snapshot(0, ()))
assert "prometheus_client" not in sys.modules
sink.prepare()
assert "prometheus_client" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_a_family_may_be_named_past_its_unit(make_pillar: Make) -> None:
    """A collector that changes its family's name afterwards keeps it."""

    class Renaming:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            family = GaugeMetricFamily("size", "help", unit="bytes", value=1)
            family.name = "renamed"
            yield family

    pillar = make_pillar()
    registry = CollectorRegistry()
    registry.register(Renaming())
    pillar.include(registry)

    assert b"# TYPE renamed gauge" in pillar.prometheus.render(None, None).body


def test_negative_buckets_have_no_sum(make_pillar: Make) -> None:
    """OpenMetrics forbids it, for it would not be a counter."""
    pillar = make_pillar()
    histogram("delta", "help", buckets=(-1, 1)).observe(-5)

    names = {sample.name for sample in parse(pillar, OPENMETRICS)["delta"].samples}
    assert names == {"delta_bucket"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=0.0.1", "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (SERVER, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("text/plain; version=1.0.0", "text/plain; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.é", "text/plain; version=0.0.4"),
        (";;;,,,=", "text/plain; version=0.0.4"),
    ],
)
def test_the_format_is_negotiated(
    make_pillar: Make, accept: str | None, expected: str
) -> None:
    """As prometheus_client does, and nonsense means plain text."""
    page = make_pillar().prometheus.render(accept, None)

    assert page.content_type.startswith(expected)
    assert page.body.endswith(b"# EOF\n") == ("openmetrics" in page.content_type)


@pytest.mark.parametrize("scheme", ["dots", "values", "underscores", "allow-utf-8"])
def test_names_are_never_escaped(make_pillar: Make, scheme: str) -> None:
    """Two schemes spell samples and families apart; ours need none of them."""
    pillar = make_pillar()
    timer("checkout", "help").observe(1)

    found = parse(pillar, f"{OPENMETRICS}; escaping={scheme}")
    assert len(found["checkout_seconds"].samples) > 3


@given(st.text(max_size=60), st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_headers_never_break_the_page(
    make_pillar: Make, accept: str, encoding: str
) -> None:
    """Whatever a scraper sends, it gets a page."""
    forget_all()
    media = "application/openmetrics-text;version="
    assert make_pillar().prometheus.render(accept, encoding).body
    assert make_pillar().prometheus.render(media + accept, encoding).body


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.00", False),
        ("identity;q=1, *;q=0", False),
        ("x-gzip", False),
    ],
)
def test_gzip_is_for_those_who_accept_it(header: str | None, accepted: bool) -> None:
    """A weight of nought refuses it."""
    assert accepts_gzip(header) == accepted


def test_a_compressed_page_is_the_same_page(make_pillar: Make) -> None:
    """It can be switched off."""
    pillar = make_pillar()
    counter("orders", "help").inc()
    plain = pillar.prometheus.render(None, None)
    packed = pillar.prometheus.render(None, "gzip")

    assert packed.encoding == "gzip"
    assert plain.encoding is None
    assert gzip.decompress(packed.body) == plain.body
    off = make_pillar(prometheus=PrometheusSettings(compression=False))
    assert off.prometheus.render(None, "gzip").encoding is None


def test_a_scraper_can_ask_for_names(make_pillar: Make) -> None:
    """`?name[]=` takes samples, as prometheus_client does, and whole families."""
    pillar = make_pillar()
    counter("orders", "help").inc()
    histogram("sizes", "help").observe(1)
    timer("checkout", "help").observe(1)

    found = parse(pillar, names=("sizes_sum", "checkout_seconds", "nothing"))
    assert {sample.name for sample in found["sizes"].samples} == {"sizes_sum"}
    assert len(found["checkout_seconds"].samples) == 17
    assert set(found) == {"sizes", "checkout_seconds"}


def test_scraping_and_recording_do_not_disturb_each_other(make_pillar: Make) -> None:
    """Every page parses and never goes back while threads record and add series."""
    pillar = make_pillar()
    orders = counter("orders", "help", labels=("kind",))
    took = timer("took", "help", labels=("kind",))
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            orders.labels(f"kind-{number % 50}").inc()
            with took.labels(f"kind-{number % 50}"):
                pass

    def scrape() -> None:
        last = 0.0
        try:
            for _ in range(5):
                found = parse(pillar, OPENMETRICS)
                total = sum(sample.value for sample in found["orders"].samples)
                assert total >= last
                last = total
        except BaseException as error:
            failed.append(error)
            raise

    recorders = [threading.Thread(target=work) for _ in range(4)]
    scrapers = [threading.Thread(target=scrape) for _ in range(2)]
    for thread in (*recorders, *scrapers):
        thread.start()

    for thread in scrapers:
        thread.join()

    stop.set()
    for thread in recorders:
        thread.join()

    assert failed == []
