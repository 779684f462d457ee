"""OpenTelemetry's metrics API as we implement it, and where it leads."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING

import httpx
import prometheus_client
import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.metrics import _internal as otel_internal
from opentelemetry.sdk.metrics import MeterProvider as SdkProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from svcready._core.events import subscribe
from svcready.metrics._events import FamilyShadowed, SeriesCapped
from svcready.metrics._instruments._names import default_buckets
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sources._otel._provider import PROVIDER, Provider, install
from svcready.metrics.sources._otel._streams import Limits
from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from svcready.metrics._model import Family
    from svcready.metrics._pillar import MetricsPillar
    from tests.conftest import Faults


@pytest.fixture
def provider() -> Provider:
    """Give a provider of the test's own."""
    return Provider()


def read(provider: Provider, name: str) -> Family:
    """Return the one family that is called *name*."""
    (family,) = [each for each in provider.families() if each.name == name]
    return family


def numbers(family: Family) -> dict[frozenset[tuple[str, str]], float]:
    """Return a family's numbers by the labels that have a value, without the scope."""
    found = {}
    for point in family.points:
        assert isinstance(point, Number)
        pairs = zip(family.labels, point.labels, strict=True)
        kept = [pair for pair in pairs if pair[1] and pair[0] != "otel_scope_name"]
        found[frozenset(kept)] = point.value

    return found


def labels(**given: str) -> frozenset[tuple[str, str]]:
    """Return labels as `numbers` has them."""
    return frozenset(given.items())


def test_every_way_to_create_an_instrument_is_the_apis() -> None:
    """No create method is left abstract or a no-op, and all signatures agree."""
    ours = type(Provider().get_meter("m"))
    names = [name for name in dir(metrics.Meter) if name.startswith("create_")]
    assert len(names) == 7
    for name in names:
        assert name in vars(ours)
        assert _parameters(getattr(ours, name)) == _parameters(
            getattr(metrics.Meter, name)
        )


def _parameters(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


def test_instruments_are_those_of_the_api(provider: Provider) -> None:
    """Whoever asks what kind an instrument is gets the API's answer."""
    meter = provider.get_meter("shop", "1.0", "https://schema", {"a": "b"})
    assert (meter.name, meter.version, meter.schema_url) == (
        "shop",
        "1.0",
        "https://schema",
    )
    assert isinstance(meter.create_counter("a"), metrics.Counter)
    assert isinstance(meter.create_up_down_counter("b"), metrics.UpDownCounter)
    assert isinstance(meter.create_histogram("c"), metrics.Histogram)
    assert isinstance(meter.create_gauge("d"), metrics._Gauge)
    assert isinstance(meter.create_observable_counter("e"), metrics.ObservableCounter)
    assert isinstance(
        meter.create_observable_up_down_counter("f"), metrics.ObservableUpDownCounter
    )
    assert isinstance(meter.create_observable_gauge("g"), metrics.ObservableGauge)


def test_what_is_recorded_is_read(provider: Provider) -> None:
    """Each kind has name, unit, description, values, and who recorded it."""
    meter = provider.get_meter("shop")
    orders = meter.create_counter("orders.created", "{order}", "Orders\naccepted")
    orders.add(2, {"order.kind": "retail", "big": True})
    orders.add(1.5, {"big": True, "order.kind": "retail"})
    orders.add(1)
    level = meter.create_up_down_counter("jobs", description="Jobs")
    level.add(5)
    level.add(-2)
    heat = meter.create_gauge("heat", "Cel")
    heat.set(3)
    heat.set(-7.5, {"room": 2})
    size = meter.create_histogram("size", "By")
    size.record(7)
    size.record(7.5, {"codes": ["a", "b"]})

    found = read(provider, "orders.created")
    assert found[1:5] == ("orders_created", "counter", "Orders accepted", "{order}")
    assert found.origin == "otel"
    assert found.labels == ("big", "order_kind", "otel_scope_name")
    assert found.attributes == ("big", "order.kind", "otel_scope_name")
    assert numbers(found) == {labels(big="true", order_kind="retail"): 3.5, labels(): 1}
    assert {p.labels[2] for p in found.points} == {"shop"}
    assert (read(provider, "jobs").kind, numbers(read(provider, "jobs"))) == (
        "updowncounter",
        {labels(): 3},
    )
    found = read(provider, "heat")
    assert (found.kind, found.exposition) == ("gauge", "heat_celsius")
    assert numbers(found) == {labels(): 3, labels(room="2"): -7.5}
    found = read(provider, "size")
    assert found.exposition == "size_bytes"
    spread = {p.labels[0]: p for p in found.points if isinstance(p, Distribution)}
    assert spread[""].sum == 7
    assert spread['["a", "b"]'].sum == 7.5
    assert spread[""].bounds == default_buckets("By")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"a.b": "2", "a_b": "1"}, {"a_b": "2;1"}),
        ({"1st": 1, "le": "x", "__x": "y"}, {"key_1st": "1", "key__x": "y"}),
        ({"none": None, "empty": "", "zero": 0}, {"zero": "0"}),
        ({"weird-name/é": 1.5}, {"weird_name__": "1.5"}),
    ],
)
def test_attributes_are_spelt_as_labels(
    provider: Provider, attributes: dict[str, object], expected: dict[str, str]
) -> None:
    """OpenTelemetry's rules for Prometheus: `_` for the rest, `;` where two meet."""
    counter = provider.get_meter("m").create_counter("c")
    counter.add(1, attributes)  # type: ignore[arg-type]
    ((found, value),) = numbers(read(provider, "c")).items()
    assert value == 1
    assert expected.items() <= dict(found).items()
    assert "le" not in dict(found)


def test_values_are_redacted_then_cut(provider: Provider, clock: object) -> None:
    """What leaves the process has passed redaction, and no value is endless."""
    provider.bind(
        Limits(max_label=16, redact=lambda text: text.replace("secret", "***"))
    )
    counter = provider.get_meter("m").create_counter("c")
    counter.add(1, {"k": "secret" + "x" * 50})
    assert numbers(read(provider, "c")) == {labels(k="***" + "x" * 13): 1}


def test_beyond_the_cap_one_series_takes_the_rest(provider: Provider) -> None:
    """50 000 attribute sets are a bounded number of series, one event, and no loss."""
    told: list[SeriesCapped] = []
    end = subscribe(SeriesCapped, told.append)
    provider.bind(Limits(max_series=100))
    counter = provider.get_meter("m").create_counter("c")
    for n in range(50_000):
        counter.add(1, {"user": f"u{n}"})

    end()
    found = numbers(read(provider, "c"))
    assert len(found) == 101
    assert sum(found.values()) == 50_000
    assert found[labels(user="__other__")] == 49_900
    (event,) = told
    assert (event.metric, event.limit, event.label) == ("c", 100, "user")
    assert len(counter._known) <= 400  # type: ignore[attr-defined]


def test_the_first_fold_of_an_unlabelled_metric_is_a_series_of_its_own(
    provider: Provider,
) -> None:
    """Two series never have the same labels, however small the cap."""
    provider.bind(Limits(max_series=1))
    counter = provider.get_meter("").create_counter("c")
    counter.add(1)
    counter.add(2, {"k": "v"})
    family = read(provider, "c")
    assert numbers(family) == {labels(): 1, labels(k="__other__"): 2}


def test_attribute_names_without_end_make_no_table_without_end(
    provider: Provider,
) -> None:
    """A library that puts values into names gets the one series for the rest."""
    counter = provider.get_meter("m").create_counter("c")
    for n in range(500):
        counter.add(1, {f"user_{n}": "x"})

    family = read(provider, "c")
    assert len(family.labels) <= 64
    assert sum(p.value for p in family.points if isinstance(p, Number)) == 500


def test_equal_instruments_are_one_and_others_warn_once(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """As the specification says: the same twice is the same; a conflict is told."""
    meter = provider.get_meter("m")
    one = meter.create_counter("Orders", "1", "d")
    assert provider.get_meter("m").create_counter("orders", "1", "d") is one
    assert caplog.text == ""
    for _ in range(3):
        meter.create_histogram("orders", "ms", "d").record(5)

    meter.create_counter("orders", "1", "other words").add(2)
    one.add(1)
    assert caplog.text.count("in two ways") == 1
    counted, spread = provider.families()
    assert numbers(counted) == {labels(): 3}
    assert spread.exposition == "orders_milliseconds"


def test_one_metric_of_two_libraries_is_one_family(provider: Provider) -> None:
    """Httpx's and requests' durations are told apart by their scope alone."""
    for scope in ("lib.a", "lib.b"):
        meter = provider.get_meter(scope)
        meter.create_counter("http.calls").add(1, {"host": "x"})

    (family,) = provider.families()
    at = family.labels.index("otel_scope_name")
    assert {point.labels[at] for point in family.points} == {"lib.a", "lib.b"}


@pytest.mark.parametrize("name", ["", "1st", "no spaces", "é", "x" * 256])
def test_a_name_that_is_none_makes_an_instrument_that_does_nothing(
    provider: Provider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the library that asked goes on."""
    meter = provider.get_meter("m")
    meter.create_counter(name).add(1)
    meter.create_up_down_counter(name).add(1)
    meter.create_histogram(name).record(1)
    meter.create_gauge(name).set(1)
    meter.create_observable_counter(name)
    meter.create_observable_gauge(name)
    meter.create_observable_up_down_counter(name)
    assert list(provider.families()) == []
    assert caplog.text.count("is no name") == 7


@pytest.mark.parametrize(
    ("advice", "expected"),
    [
        ([1, 2, 5], (1.0, 2.0, 5.0)),
        (None, default_buckets("s")),
        ([], default_buckets("s")),
    ],
)
def test_advice_about_buckets_is_taken(
    provider: Provider, advice: list[float] | None, expected: tuple[float, ...]
) -> None:
    """A library's own boundaries beat the unit's default."""
    meter = provider.get_meter("m")
    spread = meter.create_histogram(
        "h", "s", explicit_bucket_boundaries_advisory=advice
    )
    spread.record(1.5)
    (point,) = read(provider, "h").points
    assert isinstance(point, Distribution)
    assert point.bounds == expected


def test_wrong_advice_is_reported_and_an_operators_buckets_win(
    provider: Provider, faults: Faults
) -> None:
    """`SVCREADY_BUCKETS__<NAME>` beats the library; nonsense costs nothing."""
    meter = provider.get_meter("m")
    wrong = [2.0, 1.0]
    spread = meter.create_histogram("h", explicit_bucket_boundaries_advisory=wrong)
    faults.claim("metrics.otel")
    spread.record(1.5)
    provider.bind(Limits(buckets_for={"h": (7.0,), "later": (8.0,)}.get))
    spread.record(1.5)
    meter.create_histogram("later").record(1)
    for name, bound, count in (("h", 7.0, 2), ("later", 8.0, 1)):
        (point,) = read(provider, name).points
        assert isinstance(point, Distribution)
        assert (point.bounds, sum(point.counts)) == ((bound,), count)


def test_what_is_no_number_is_reported_and_never_raised(
    provider: Provider, faults: Faults
) -> None:
    """Recording never hurts whoever records."""
    meter = provider.get_meter("m")
    counter = meter.create_counter("c")
    counter.add(-1)
    counter.add("x")  # type: ignore[arg-type]
    counter.add(1, 5)  # type: ignore[arg-type]
    meter.create_histogram("h").record(float("nan"))
    for component in ("metrics", "metrics", "metrics.otel", "metrics"):
        faults.claim(component)

    assert numbers(read(provider, "c")) == {labels(): 0}


def test_threads_lose_nothing(provider: Provider) -> None:
    """8 threads, each kind, the same and different attributes: exact."""
    meter = provider.get_meter("m")
    counter, spread = meter.create_counter("c"), meter.create_histogram("h")
    level = meter.create_up_down_counter("u")

    def work(n: int) -> None:
        for i in range(3000):
            counter.add(1, {"n": n % 2, "i": i % 50})
            level.add(1 if i % 2 else -1)
            spread.record(1.0, {"n": n})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    assert sum(numbers(read(provider, "c")).values()) == 24_000
    assert numbers(read(provider, "u")) == {labels(): 0}
    points = read(provider, "h").points
    assert [p.observations for p in points if isinstance(p, Distribution)] == [3000] * 8


def test_callbacks_are_asked_at_each_reading(provider: Provider) -> None:
    """Functions and generators give values; what is not said is not there."""
    said: list[list[Observation]] = [
        [Observation(1, {"k": "a"}), Observation(5, {"k": "b"})],
        [Observation(2, {"k": "a"})],
        [],
    ]
    given: list[CallbackOptions] = []

    def ask(options: CallbackOptions) -> Iterable[Observation]:
        given.append(options)
        return said[len(given) - 1]

    def generate() -> Generator[Iterable[Observation], CallbackOptions, None]:
        options = yield ()
        for value in (10, 20):
            assert isinstance(options, CallbackOptions)
            options = yield [Observation(value)]

    meter = provider.get_meter("m")
    meter.create_observable_counter("c", [ask])
    meter.create_observable_counter("c", [ask])  # asked once all the same
    meter.create_observable_gauge("g", [generate()])
    meter.create_observable_up_down_counter("u", [lambda _: [Observation(-3)]])

    first = {family.name: family for family in provider.families()}
    assert numbers(first["c"]) == {labels(k="a"): 1, labels(k="b"): 5}
    assert numbers(first["g"]) == {labels(): 10}
    assert (first["u"].kind, numbers(first["u"])) == ("updowncounter", {labels(): -3})
    second = {family.name: family for family in provider.families()}
    assert numbers(second["c"]) == {labels(k="a"): 2}
    assert numbers(second["g"]) == {labels(): 20}
    third = read(provider, "g")
    assert third.points == ()  # the generator has ended


def test_a_callback_that_fails_is_reported_and_the_others_are_asked(
    provider: Provider, faults: Faults
) -> None:
    """One broken library takes nothing from the page."""

    def broken(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, {"k": "before"})
        raise RuntimeError

    meter = provider.get_meter("m")
    meter.create_observable_gauge("g", [broken, lambda _: [Observation(2)]])
    found = numbers(read(provider, "g"))
    faults.claim("metrics.otel")
    assert found == {labels(k="before"): 1, labels(): 2}


def test_a_callable_that_is_no_key_is_asked(provider: Provider) -> None:
    """An object that compares by value can be called all the same."""

    class Asked(list[Observation]):
        def __call__(self, _: CallbackOptions) -> list[Observation]:
            return self

    provider.get_meter("m").create_observable_gauge("g", [Asked([Observation(2)])])

    (family,) = provider.families()
    assert [point.value for point in family.points] == [2]  # type: ignore[union-attr]


def test_two_readers_never_ask_a_callback_at_once(provider: Provider) -> None:
    """The second one gets what was said last, and does not wait for the first."""
    asked = 0
    inner: list[dict[frozenset[tuple[str, str]], float]] = []

    def ask(_: CallbackOptions) -> Iterable[Observation]:
        nonlocal asked
        asked += 1
        if asked == 2:
            inner.append(numbers(read(provider, "g")))

        return [Observation(asked)]

    provider.get_meter("m").create_observable_gauge("g", [ask])
    assert numbers(read(provider, "g")) == {labels(): 1}
    assert numbers(read(provider, "g")) == {labels(): 2}
    assert inner == [{labels(): 1}]


def test_observed_series_are_capped_as_well(provider: Provider) -> None:
    """Of a counter the rest is summed up, of a gauge the last one stays."""
    provider.bind(Limits(max_series=2))
    rows = [Observation(n, {"n": n}) for n in range(5)]
    meter = provider.get_meter("m")
    meter.create_observable_counter("c", [lambda _: rows])
    meter.create_observable_gauge("g", [lambda _: rows])
    for _ in range(2):
        for name, rest in (("c", 9), ("g", 4)):
            assert numbers(read(provider, name)) == {
                labels(n="0"): 0,
                labels(n="1"): 1,
                labels(n="__other__"): rest,
            }


def test_it_counts_as_the_sdk_does(provider: Provider) -> None:
    """The same calls, the same sums as OpenTelemetry's own implementation."""
    reader = InMemoryMetricReader()
    sdk = SdkProvider([reader], shutdown_on_exit=False)
    for each in (provider, sdk):
        meter = each.get_meter("m")
        counter, spread = meter.create_counter("c"), meter.create_histogram("h")
        for n in range(200):
            counter.add(n, {"k": n % 3, "l": "x" * (n % 2)})
            spread.record(n / 7, {"k": n % 3})

    data = reader.get_metrics_data()
    assert data is not None
    theirs = {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}
    wanted = {
        frozenset((k, str(v)) for k, v in p.attributes.items() if str(v)): p.value  # type: ignore[union-attr]
        for p in theirs["c"].data.data_points
    }
    assert numbers(read(provider, "c")) == wanted
    sums = sorted(p.sum for p in theirs["h"].data.data_points)  # type: ignore[union-attr]
    ours = sorted(
        p.sum for p in read(provider, "h").points if isinstance(p, Distribution)
    )
    assert ours == pytest.approx(sums)
    sdk.shutdown()


def test_a_real_instrumentation_feeds_it(provider: Provider) -> None:
    """OpenTelemetry's package for httpx, unchanged, gives its client metrics."""
    module = pytest.importorskip("opentelemetry.instrumentation.httpx")
    answers = httpx.MockTransport(lambda _: httpx.Response(204))
    client = httpx.Client(transport=answers)
    module.HTTPXClientInstrumentor().instrument_client(client, meter_provider=provider)
    client.get("http://orders.test/x")
    (family,) = list(provider.families())
    assert family.name.startswith("http.client.")
    assert family.kind == "histogram"
    (point,) = family.points
    assert isinstance(point, Distribution)
    assert point.observations == 1
    assert "opentelemetry.instrumentation.httpx" in point.labels


def test_a_forked_child_counts_from_zero(provider: Provider) -> None:
    """What the parent counted is the parent's to tell."""
    meter = provider.get_meter("m")
    counter = meter.create_counter("c")
    counter.add(5, {"k": "v"})
    provider._reset()
    counter.add(1, {"k": "v"})
    assert numbers(read(provider, "c")) == {labels(k="v"): 1}


BEFORE_INIT = """
from opentelemetry import metrics
meter = metrics.get_meter("early")
counter = meter.create_counter("early.calls")
meter.create_observable_gauge("early.level", [lambda _: [metrics.Observation(4)]])
import svcready
from svcready._runtime import current
def page():
    return current().metrics.prometheus.render(None).body.decode()
one = svcready.init(service="orders", settings={"log.level": "ERROR"})
counter.add(2, {"a.b": "x"})
def text():
    found = one.metrics.snapshot()
    return [(f.name, [p.value for p in f.points]) for f in found.families
            if f.origin == "otel"]
print(text(), one.metrics.describe()["otel_meters"])
one = svcready.init(service="orders", settings={"log.level": "FATAL"}, reconfigure=True)
counter.add(3, {"a.b": "x"})
print(text(), one.metrics.describe()["otel_meters"])
svcready.shutdown()
"""


def test_instruments_from_before_init_and_across_restarts_stay_right() -> None:
    """Made before there was a runtime, they record into each one that comes."""
    lines = run_clean(BEFORE_INIT).splitlines()
    assert lines == [
        "[('early.calls', [2]), ('early.level', [4])] on",
        "[('early.calls', [5]), ('early.level', [4])] on",
    ]


OWN_PROVIDER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
own = MeterProvider(shutdown_on_exit=False)
metrics.set_meter_provider(own)
import svcready
runtime = svcready.init(service="orders", settings={"log.level": "ERROR"})
assert metrics.get_meter_provider() is own
print(runtime.metrics.describe()["otel_meters"])
svcready.shutdown()
"""


def test_an_applications_own_provider_stays() -> None:
    """What the application set first is left in force, and the start line says so."""
    assert "of its own" in run_clean(OWN_PROVIDER)


def test_a_provider_named_by_the_environment_breaks_nothing() -> None:
    """OpenTelemetry's getter would raise for a name that is none; ours is set."""
    env = {"OTEL_PYTHON_METER_PROVIDER": "bogus"}
    lines = run_clean(
        BEFORE_INIT.split("import svcready", 1)[1]
        .join(["from opentelemetry import metrics\nimport svcready", ""])
        .replace(
            "counter.add", "metrics.get_meter('m').create_counter('early.calls').add"
        ),
        env=env,
    ).splitlines()
    assert lines[0].startswith("[('early.calls', [2])]")


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Have a pillar follow a provider of the test's own."""
    made = Provider()
    monkeypatch.setattr("svcready.metrics.sources._otel._provider.PROVIDER", made)
    monkeypatch.setattr(
        "svcready.metrics.sources._otel._provider.install", lambda: None
    )
    return made


def test_a_family_of_ours_wins_and_no_name_comes_twice(
    make_pillar: Callable[..., MetricsPillar], ours: Provider
) -> None:
    """The requests are counted twice where both measure them, and shown once."""
    told: list[FamilyShadowed] = []
    end = subscribe(FamilyShadowed, told.append)
    pillar = make_pillar()
    spread = ours.get_meter("fastapi").create_histogram(
        "http.server.request.duration", "s"
    )
    spread.record(0.5, {"http.request.method": "GET"})

    def found() -> list[str]:
        name = "http.server.request.duration"
        families = pillar.snapshot().families
        return [family.origin for family in families if family.name == name]

    assert found() == ["otel"]  # ours recorded nothing: the requests are theirs
    pillar.http.children("GET", "/x", 200).observe(0.1)
    assert found() == ["svcready"]
    pillar.snapshot()
    end()
    assert told == [
        FamilyShadowed(
            "http.server.request.duration",
            "http_server_request_duration_seconds",
            "otel",
        )
    ]


def test_the_applications_registry_wins_over_meters(
    make_pillar: Callable[..., MetricsPillar], ours: Provider
) -> None:
    """prometheus_client's family stays even where it recorded nothing yet."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("orders", "Orders", registry=registry)
    pillar = make_pillar()
    pillar.include(registry)
    ours.get_meter("m").create_counter("orders").add(1)
    origins = [f.origin for f in pillar.snapshot().families if f.name == "orders"]
    assert origins == ["prometheus_client"]


def test_switched_off_it_reads_nothing(
    make_pillar: Callable[..., MetricsPillar], ours: Provider
) -> None:
    """`SVCREADY_METRICS_OTEL_METERS=false` leaves OpenTelemetry alone."""
    pillar = make_pillar(otel_meters=False)
    ours.get_meter("m").create_counter("orders").add(1)
    assert all(family.origin != "otel" for family in pillar.snapshot().families)
    assert pillar.describe()["otel_meters"] == "off"


def test_the_page_has_it_by_prometheus_names(
    make_pillar: Callable[..., MetricsPillar], ours: Provider
) -> None:
    """A counter's `_total` comes once, the unit's word too."""
    pillar = make_pillar()
    meter = ours.get_meter("m")
    meter.create_counter("jobs.done_total").add(1, {"a.b": "x"})
    meter.create_counter("sent.bytes", "By").add(2)
    meter.create_counter("odd", "furlongs/fortnight").add(3)
    names = {f.exposition for f in pillar.snapshot().families if f.origin == "otel"}
    assert names == {"jobs_done", "sent_bytes", "odd"}


def test_installing_twice_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was there first stays; we are there once."""
    monkeypatch.setattr(otel_internal, "_METER_PROVIDER", PROVIDER)
    assert install() is None
    other = metrics.NoOpMeterProvider()
    monkeypatch.setattr(otel_internal, "_METER_PROVIDER", other)
    assert install() is other


def test_attributes_that_cannot_be_a_key_are_counted(provider: Provider) -> None:
    """A mapping among the values, which the API forbids, loses no measurement."""
    counter = provider.get_meter("lib").create_counter("calls")
    for _ in range(3):
        counter.add(2, {"about": {"a": 1}, "these": ["b"]})

    assert list(numbers(read(provider, "calls")).values()) == [6]
