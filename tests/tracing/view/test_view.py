"""The trace view: trees, figures and drawings of recent spans."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import svcready
from svcready._core.styled import plain
from svcready.testing import running
from svcready.tracing.view._drawing import draw, trace_lines
from svcready.tracing.view._figures import edges, errors_by_route, slowest
from svcready.tracing.view._records import EventRecord, SpanRecord
from svcready.tracing.view._tree import summaries, walk

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MS = 1_000_000
BAR = 28


def record(
    span_id: str,
    parent_id: str | None = None,
    at: tuple[int, int] = (0, 10),
    *,
    name: str = "",
    kind: str = "internal",
    service: str = "orders",
    failed: bool = False,
    attributes: dict[str, object] | None = None,
    error: str = "",
    trace_id: str = TRACE,
) -> SpanRecord:
    """Make a span that is open from and to so many milliseconds."""
    said = {"exception.type": "ValueError", "exception.message": error}
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        remote_parent=False,
        name=name or span_id,
        kind=kind,
        scope="svcready",
        start_ns=at[0] * MS,
        end_ns=at[1] * MS,
        status="error" if failed else "unset",
        description="",
        attributes=attributes or {},
        events=(EventRecord("exception", 0, said),) if error else (),
        links=(),
        service=service,
    )


def places(*spans: SpanRecord) -> list[tuple[int, str]]:
    """Return depth and id of each span on the way through the tree."""
    return [(depth, span.span_id) for depth, span in walk(spans)]


def test_a_trace_is_walked_from_its_top() -> None:
    """Siblings come in the order of their starts, whatever order they ended in."""
    spans = [
        record("late", "top", (5, 9)),
        record("inner", "early", (2, 3)),
        record("early", "top", (1, 4)),
        record("top", None, (0, 10)),
    ]

    assert places(*spans) == [(0, "top"), (1, "early"), (2, "inner"), (1, "late")]


def test_a_span_whose_parent_is_elsewhere_is_a_top() -> None:
    """Nothing is left out for being another process's child, or its own."""
    spans = [record("b", "gone", (1, 2)), record("a", None), record("c", "c", (3, 4))]

    assert places(*spans) == [(0, "a"), (0, "b"), (0, "c")]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 12), st.integers(0, 50)),
        max_size=12,
    )
)
def test_every_span_is_walked_once(made: list[tuple[int, int, int]]) -> None:
    """Also of nonsense: parents in circles, ids twice, ends before starts."""
    spans = [record(str(own), str(parent), (at, 5)) for own, parent, at in made]
    walked = [placed.span for placed in walk(spans)]

    assert sorted(map(id, walked)) == sorted(map(id, spans))


def test_a_deep_trace_is_walked() -> None:
    """A chain of thousands needs no recursion."""
    chain = [record(str(n), str(n - 1), (n, 9999)) for n in range(5000)]
    random.Random(0).shuffle(chain)

    assert places(*chain)[-1] == (4999, "4999")
    assert len(draw(chain).splitlines()) == 202


def test_traces_are_summed_up() -> None:
    """The newest first, from the first start to the last end."""
    found = summaries(
        [
            record("a", None, (0, 10), name="GET /", failed=True),
            record("b", "a", (5, 30), service="payments"),
            record("c", None, (100, 101), trace_id="f" * 32),
        ]
    )

    assert [it.trace_id for it in found] == ["f" * 32, TRACE]
    first = found[1]
    assert (first.name, first.duration_ms, first.spans) == ("GET /", 30.0, 2)
    assert (first.failed, first.services) == (1, ("orders", "payments"))


def test_bars_stand_where_the_time_was_spent() -> None:
    """A span over the second half fills the second half; the shortest has a mark."""
    top, half, nothing = (
        plain(line)
        for line in trace_lines(
            [
                record("top", None, (0, 100)),
                record("half", "top", (50, 100)),
                record("nothing", "half", (100, 100), failed=True),
            ]
        )
    )

    assert top.split("|")[1] == "=" * BAR
    assert half.split("|")[1] == " " * (BAR // 2) + "=" * (BAR // 2)
    assert nothing.split("|")[1] == " " * (BAR - 1) + "x"
    assert half.startswith("    half ")
    assert half.endswith("50.0 ms")


@pytest.mark.parametrize("width", [60, 78, 120])
def test_lines_fit(width: int) -> None:
    """Whatever names hold: long, deep, of several lines, of several services."""
    spans = [
        record(
            str(n),
            str(n - 1),
            (n, 10_000_000),
            name="x" * 200 + "\n\tand more",
            service=f"service-{n % 3}-with-a-name",
        )
        for n in range(20)
    ]
    lines = draw(spans, width).splitlines()

    assert len(lines) == 21
    assert max(map(len, lines)) <= width


def test_several_traces_are_drawn_apart() -> None:
    """Each below its id, the oldest first."""
    text = draw([record("b", trace_id="b" * 32, at=(9, 10)), record("a")])

    first, second = text.split("\n\n")
    assert first.startswith(f"{TRACE}  10.0 ms, 1 span\n")
    assert second.startswith("b" * 32)
    assert draw([]) == ""


def test_a_service_is_named_where_there_are_several() -> None:
    """A trace of one service has the room for names."""
    one = draw([record("a"), record("b", "a")])
    two = draw([record("a"), record("b", "a", service="payments")])

    assert "orders" not in one
    assert "payments" in two


def test_edges_are_calls_between_services() -> None:
    """One counts once if both sides are known, and not if it is to the caller."""
    spans = [
        record("a", None, kind="server"),
        record("b", "a", (0, 20), kind="client", failed=True),
        record("c", "b", (5, 15), kind="server", service="payments"),
        record("d", "a", (0, 40), kind="client"),
        record("e", "d", (5, 15), kind="server", service="payments"),
        record("f", "c", kind="client", attributes={"db.system.name": "postgresql"}),
        record("g", "a", kind="producer", attributes={"server.address": "mq"}),
        record("h", "a", kind="client"),
        record("i", "a", kind="client", attributes={"peer.service": "orders"}),
    ]
    spans[5] = spans[5]._replace(service="payments")
    found = {(it.caller, it.callee): it for it in edges(spans)}

    assert set(found) == {
        ("orders", "payments"),
        ("payments", "postgresql"),
        ("orders", "mq"),
    }
    paid = found["orders", "payments"]
    assert (paid.calls, paid.failed) == (2, 1)
    assert (paid.mean_ms, paid.longest_ms) == (30.0, 40.0)
    assert edges(spans)[0] == paid


def test_a_call_by_a_client_that_is_not_traced_is_an_edge() -> None:
    """A server span right inside another service's own span tells of the call."""
    spans = [
        record("a", None, kind="server"),
        record("b", "a"),
        record("c", "b", kind="server", service="payments"),
    ]

    assert [(it.caller, it.callee) for it in edges(spans)] == [("orders", "payments")]


def test_errors_are_told_by_route() -> None:
    """How many of how many, and what the last said; routes without any are not."""
    http: dict[str, object] = {"http.response.status_code": 503}
    spans = [
        record("1", kind="server", name="GET /a", at=(0, 1)),
        record("2", kind="server", name="GET /a", at=(2, 3), failed=True, error="old"),
        record("3", kind="server", name="GET /a", at=(4, 5), failed=True, error="new"),
        record("4", kind="server", name="GET /b", failed=True, attributes=http),
        record("5", kind="server", name="GET /c"),
        record("6", name="GET /a", failed=True),
    ]
    first, second = errors_by_route(spans)

    assert (first.route, first.requests, first.failed) == ("GET /a", 3, 2)
    assert first.last_error == "ValueError: new"
    assert (second.route, second.last_error) == ("GET /b", "status 503")


def test_the_slowest_come_first() -> None:
    """As many as were asked for."""
    spans = [record(str(n), at=(0, n)) for n in range(10)]

    assert [span.span_id for span in slowest(spans, 3)] == ["9", "8", "7"]


def test_a_tests_traces_are_drawn() -> None:
    """`harness.draw_traces()` shows what a test has done."""
    with running(service="orders") as harness:
        with svcready.span("outer"), svcready.span("inner"):
            pass

        with svcready.span("another"):
            pass

        text = harness.draw_traces()
        only = harness.draw_traces(harness.spans[0].trace_id)

    assert [line.split()[0] for line in text.splitlines() if "|" in line] == [
        "outer",
        "inner",
        "another",
    ]
    assert "another" not in only
    assert harness.spans[0].service == "orders"
