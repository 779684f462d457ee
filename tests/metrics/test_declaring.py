from __future__ import annotations

import importlib
import re
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.errors import DeclarationError
from svcready.metrics import counter, gauge, histogram, timer, up_down_counter
from svcready.metrics._instruments._register import forget_all
from svcready.metrics._instruments._units import prometheus_name

if TYPE_CHECKING:
    from pathlib import Path

    from svcready.metrics._instruments._names import Workers


@pytest.mark.parametrize(
    ("name", "unit", "base", "page"),
    [
        ("orders_created", "", "orders_created", "orders_created"),
        ("orders_created_total", "", "orders_created", "orders_created"),
        ("orders.created", "", "orders.created", "orders_created"),
        ("sent", "By", "sent", "sent_bytes"),
        ("sent_bytes_total", "By", "sent", "sent_bytes"),
        ("bytes.sent", "By", "bytes.sent", "bytes_sent_bytes"),
        ("busy", "s", "busy", "busy_seconds"),
        ("seconds", "s", "seconds", "seconds"),
        ("share", "1", "share", "share"),
        ("requests", "{request}", "requests", "requests"),
        ("flow", "By/s", "flow", "flow_bytes_per_second"),
        ("rate", "{request}/min", "rate", "rate_per_minute"),
        ("a..b__c", "", "a..b__c", "a_b_c"),
    ],
)
def test_a_name_is_kept_in_base_form_and_spelt_for_prometheus(
    name: str, unit: str, base: str, page: str
) -> None:
    """`_total` and the unit's word are dropped, and added again for Prometheus."""
    spec = counter(name, "help", unit=unit).spec

    assert (base, page) == (spec.name, spec.exposition)


@pytest.mark.parametrize(
    "unit", ["seconds", "S", "bytes", "B", "{a b", "s/By", "1/", 5]
)
def test_a_unit_that_is_no_ucum_code_raises(unit: str) -> None:
    """A word in place of a code is an error, which every sink would spell wrong."""
    with pytest.raises(DeclarationError, match=re.escape(repr(unit))):
        counter("orders", "help", unit=unit)


@pytest.mark.parametrize(
    ("unit", "meant"), [("seconds", "'s'"), ("byte", "'By'"), ("Bytes", "'By'")]
)
def test_the_error_names_the_code_that_was_meant(unit: str, meant: str) -> None:
    """The message tells what to write instead."""
    with pytest.raises(DeclarationError, match=f"did you mean {meant}"):
        gauge("level", "help", unit=unit)


@pytest.mark.parametrize(
    "name",
    ["", "9lives", "a-b", "a b", "_x", "a:b", "ä", "x" * 201, "default", "a\n", 5],
)
def test_a_name_that_some_sink_could_not_take_raises(name: str) -> None:
    """OpenTelemetry, Prometheus and CloudWatch differ; their intersection is taken."""
    with pytest.raises(DeclarationError, match=re.escape(repr(name))):
        counter(name, "help")


@pytest.mark.parametrize("name", ["svcready_orders", "svcready.dropped", "Svcready_x"])
def test_names_of_ours_are_reserved(name: str) -> None:
    """What svcready adds in a later version can't meet an application's metric."""
    with pytest.raises(DeclarationError, match="ours"):
        counter(name, "help")


def test_only_a_counter_may_be_called_total() -> None:
    """A gauge that ends with `_total` would read as a counter on Prometheus."""
    with pytest.raises(DeclarationError, match="only a counter"):
        gauge("orders_total", "help")


@pytest.mark.parametrize(
    "labels", ["kind", ("a", "a"), ("__a",), ("a.b",), ("1a",), (5,), ("",), {"a"}]
)
def test_labels_that_some_sink_could_not_take_raise(labels: tuple[str, ...]) -> None:
    """A bare string is no sequence of names, and names are Prometheus'."""
    with pytest.raises(DeclarationError, match="label"):
        counter("orders", "help", labels=labels)


def test_le_is_reserved_on_histograms_only() -> None:
    """Prometheus' own label of a bucket can't be an application's."""
    counter("orders", "help", labels=("le",))
    with pytest.raises(DeclarationError, match="reserved"):
        histogram("sizes", "help", labels=("le",))


@pytest.mark.parametrize(
    "buckets", [(), (1, 1), (2, 1), (float("nan"),), ("x",), (float("inf"),), 5]
)
def test_buckets_that_do_not_rise_raise(buckets: tuple[float, ...]) -> None:
    """Bounds are finite and rise strictly."""
    with pytest.raises(DeclarationError, match="buckets"):
        histogram("sizes", "help", buckets=buckets)


def test_the_last_bucket_may_be_spelt_out() -> None:
    """Bounds as prometheus_client takes them, +Inf included, mean the same."""
    sizes = histogram("sizes", "help", buckets=(1, 2, float("inf")))

    assert sizes.bounds == (1.0, 2.0)


def test_help_is_text() -> None:
    """What UTF-8 cannot write would break the whole page later."""
    with pytest.raises(DeclarationError, match="help"):
        counter("orders", "\ud800")


def test_an_identical_declaration_is_the_same_object() -> None:
    """Two modules may declare the metric they share, in either spelling."""
    first = counter("sent_bytes_total", "help", labels=("a",), unit="By")
    second = counter("sent", "help", labels=["a"], unit="By")

    assert first is second


def test_a_module_that_is_loaded_again_declares_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reloaded, or imported by a second name, it records on the same instruments."""
    source = """
from svcready.metrics import counter, gauge, histogram, timer, up_down_counter

made = [
    counter("orders", "help", labels=["kind"]),
    up_down_counter("flying", "help"),
    gauge("depth", "help", workers="max"),
    histogram("sizes", "help", buckets=(1, 2)),
    timer("took", "help"),
]
made[0].labels("retail").inc()
"""
    for name in ("shop_metrics", "other_metrics"):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop_metrics")
    first = module.made
    again = importlib.reload(module).made
    other = importlib.import_module("other_metrics").made

    assert [id(a) for a in first] == [id(a) for a in again] == [id(a) for a in other]
    assert first[0].labels("retail").read() == 3


@pytest.mark.parametrize(
    "other",
    [
        lambda: counter("orders", "another help"),
        lambda: counter("orders", "help", labels=("kind",)),
        lambda: counter("orders", "help", unit="{order}"),
        lambda: gauge("orders", "help"),
        lambda: up_down_counter("orders", "help"),
        lambda: counter("Orders", "help"),
        lambda: counter("orders.", "help"),
    ],
)
def test_a_different_declaration_shows_both_places(other: object) -> None:
    """A name has one meaning; the error says where it has the others."""
    counter("orders", "help")
    here = re.escape(__file__)

    with pytest.raises(DeclarationError, match=rf"{here}:\d+.*{here}:\d+|.*{here}:\d+"):
        other()  # type: ignore[operator]


def test_a_histogram_with_other_buckets_is_a_different_one() -> None:
    """Buckets belong to the declaration."""
    histogram("sizes", "help", buckets=(1, 2))

    with pytest.raises(DeclarationError, match="other arguments"):
        histogram("sizes", "help", buckets=(1, 3))


@pytest.mark.parametrize("mode", ["sum", "max", "min", "latest", "pid"])
def test_a_gauge_says_what_several_processes_are_together(mode: Workers) -> None:
    """The mode is part of the declaration and reaches the snapshot."""
    level = gauge("level", "help", workers=mode)

    assert level.read().workers == mode
    assert gauge("level", "help", workers=mode) is level


def test_processes_are_added_up_unless_said_otherwise() -> None:
    """What each process has of its own is the commonest of levels."""
    assert gauge("level", "help").read().workers == "sum"
    assert up_down_counter("flying", "help").read().workers == "sum"


def test_a_gauge_with_another_mode_is_a_different_one() -> None:
    """Two parts that mean different totals by one name find out."""
    gauge("depth", "help", workers="latest")
    here = re.escape(__file__)

    with pytest.raises(DeclarationError, match=rf"{here}:\d+.*{here}:\d+"):
        gauge("depth", "help")


@pytest.mark.parametrize("mode", ["avg", "", None, "SUM", ["sum"]])
def test_a_mode_that_nothing_can_do_raises(mode: Workers) -> None:
    """The message lists those that there are."""
    with pytest.raises(DeclarationError, match="sum, max, min, latest, pid"):
        gauge("level", "help", workers=mode)


def test_the_label_of_processes_is_reserved_where_they_are_shown() -> None:
    """Two labels of one name could not both be written."""
    gauge("level", "help", labels=("pid",))
    with pytest.raises(DeclarationError, match="pid"):
        gauge("other", "help", labels=("pid",), workers="pid")


@pytest.mark.parametrize("name", ["flying_total", "svcready_flying", "a-b"])
def test_an_up_down_counter_is_named_as_a_gauge_is(name: str) -> None:
    """It may fall, so it ends with no `_total`; on Prometheus it is a gauge."""
    with pytest.raises(DeclarationError, match=re.escape(repr(name))):
        up_down_counter(name, "help")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: timer("latency", "h"), lambda: gauge("latency_seconds", "h")),
        (lambda: histogram("size", "h"), lambda: gauge("size_count", "h")),
        (lambda: gauge("size_sum", "h"), lambda: histogram("size", "h")),
    ],
)
def test_two_metrics_may_not_be_one_on_prometheus(
    first: object, second: object
) -> None:
    """Names that differ as declared and meet on the page are refused."""
    first()  # type: ignore[operator]

    with pytest.raises(DeclarationError, match=r"would both be 'latency|size_"):
        second()  # type: ignore[operator]


def test_a_refused_declaration_leaves_nothing_behind() -> None:
    """What raised is not there, and its name is free."""
    with pytest.raises(DeclarationError):
        counter("orders", "help", labels=("__x",))

    assert counter("orders", "help", labels=("x",)).spec.labels == ("x",)


@given(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_.]{0,30}", fullmatch=True))
def test_every_name_that_is_taken_is_legal_on_prometheus(name: str) -> None:
    """Whatever passes the declaration is a legal family name with a legal suffix."""
    forget_all()
    try:
        spec = counter(name, "help", unit="By").spec
    except DeclarationError:
        return

    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", spec.exposition)
    assert re.search(r"(^|_)bytes$", spec.exposition)
    assert "__" not in spec.exposition
    assert prometheus_name(spec.exposition, "By") == spec.exposition


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
)
def test_buckets_are_taken_exactly_if_they_rise(buckets: list[float]) -> None:
    """The check accepts all that rises strictly and nothing else."""
    forget_all()
    rises = all(low < high for low, high in pairwise(buckets))
    try:
        bounds = histogram("sizes", "help", buckets=buckets).bounds
    except DeclarationError:
        assert not rises
    else:
        assert rises
        assert bounds == tuple(buckets)
