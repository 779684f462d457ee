"""Documents that are too large: what is cut, that it is counted, and what stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from svcready.tracing.xray._cut import MAX_BYTES, fit
from svcready.tracing.xray._document import Documents, Options
from tests.tracing.xray.schema import check
from tests.tracing.xray.support import (
    LOCAL,
    REMOTE,
    context,
    exception,
    make_span,
    part,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import AttributeValue

    from svcready.tracing.xray._document import Document


def fitted(span: ReadableSpan, most: int = MAX_BYTES) -> tuple[Document, Counter[str]]:
    """Return the document of *span* as it is sent, and what was cut."""
    (made,) = Documents(Options(annotations=("note",))).of(span)
    encoded, cuts = fit(made, most)
    assert len(encoded) <= most
    document = json.loads(encoded)
    check(document)
    return document, cuts


def test_a_document_and_its_header_are_one_datagram() -> None:
    """UDP carries 65 507 bytes, of which the header takes 30."""
    from svcready.tracing.xray._exporter import HEADER

    assert len(HEADER) + MAX_BYTES == 65_507
    assert MAX_BYTES < 64 * 1024


def test_what_fits_is_not_cut() -> None:
    """Up to the last byte."""
    (made,) = Documents().of(make_span(attributes={"k": "x" * 60_000}))
    size = len(fit(made)[0])
    exact = make_span(attributes={"k": "x" * (60_000 + MAX_BYTES - size)})
    over = make_span(attributes={"k": "x" * (60_001 + MAX_BYTES - size)})

    document, cuts = fitted(exact)
    assert not cuts
    assert len(str(part(document, "metadata", "default")["k"])) > 65_000
    assert fitted(over)[1] == {"cut_metadata": 1}


def test_the_largest_metadata_is_cut_first() -> None:
    """Its beginning stays, with a mark that tells its size; smaller values stay."""
    attributes = {"small": "s" * 20_000, "large": "l" * 50_000, "tiny": "t"}
    document, cuts = fitted(make_span(attributes=attributes))
    kept = part(document, "metadata", "default")

    assert kept["small"] == attributes["small"]
    assert kept["tiny"] == "t"
    assert kept["large"] == "l" * 256 + " … (50002 bytes, cut)"
    assert cuts == {"cut_metadata": 1}


def test_objects_of_metadata_are_cut_to_text() -> None:
    """A namespace's list is what JSON says of it."""
    rows = json.dumps({"rows": ["row"] * 20_000})
    document, cuts = fitted(make_span(attributes={"aws.xray.metadata.shop": rows}))

    assert str(part(document, "metadata", "shop")["rows"]).startswith('["row","row"')
    assert cuts == {"cut_metadata": 1}


@pytest.mark.parametrize("levels", [300, 900])
def test_what_is_nested_too_deeply_ends_somewhere(levels: int) -> None:
    """Beyond what encoders take, the rest of the depth is left out; not the span."""
    deep = '{"a":' * levels + "1" + "}" * levels
    document, _ = fitted(make_span(attributes={"aws.xray.metadata.shop": deep}))

    inner: object = part(document, "metadata", "shop")
    depth = 0
    while isinstance(inner, dict):
        inner, depth = inner["a"], depth + 1

    assert inner == "…"
    assert 50 < depth <= 64


def test_thousands_of_small_values_are_left_out_one_by_one() -> None:
    """As many as have to be."""
    rows = json.dumps({f"k{number}": number for number in range(10_000)})
    document, cuts = fitted(make_span(attributes={"aws.xray.metadata.shop": rows}))
    kept = part(document, "metadata", "shop")

    assert len(kept) + cuts["cut_metadata"] == 10_000
    assert len(kept) > 4_000


FRAMES = "".join(
    f'  File "/app/{"d" * 100}/f{number}.py", line {number}, in call{number}\n'
    for number in range(800)
)


def test_frames_in_the_middle_of_a_stack_are_left_out() -> None:
    """The newest and the oldest stay; X-Ray is told how many are missing."""
    stack = f"Traceback (most recent call last):\n{FRAMES}ValueError: bad\n"
    document, cuts = fitted(make_span(events=[exception("ValueError", "bad", stack)]))
    (made,) = cast("list[Document]", part(document, "cause")["exceptions"])
    labels = [frame["label"] for frame in cast("list[Document]", made["stack"])]

    assert labels == [f"call{n}" for n in (*range(799, 789, -1), *range(9, -1, -1))]
    assert made["truncated"] == 780 == cuts["cut_frames"]
    assert cuts.keys() == {"cut_frames"}


def test_exceptions_far_down_a_chain_are_skipped() -> None:
    """Four stay, and the last says how many came before it."""
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    block = f'  File "/{"d" * 240}", line 1, in {"f" * 240}\n'
    text = link.join(
        f"Traceback (most recent call last):\n{block}E{number}: {'m' * 240}\n"
        for number in range(120)
    )
    document, cuts = fitted(make_span(events=[exception("E119", "m", text)]))
    made = cast("list[Document]", part(document, "cause")["exceptions"])

    assert [entry["type"] for entry in made] == ["E119", "E118", "E117", "E116"]
    assert made[-1]["skipped"] == 116 == cuts["cut_exceptions"]
    assert "cause" not in made[-1]
    assert made[0]["cause"] == made[1]["id"]


def test_the_attributes_of_links_go_before_links() -> None:
    """The links themselves stay."""
    links = [Link(context(n), {"k": "x" * 6_000}) for n in range(1, 16)]
    document, cuts = fitted(make_span(links=links))

    assert len(cast("list[object]", document["links"])) == 15
    assert cuts == {"cut_links": 15}


def test_annotations_are_shortened_last() -> None:
    """Their keys stay, so that the trace is still found by them."""
    made: Document = {
        **Documents().of(make_span())[0],
        "annotations": {f"k{n}": "\x00" * 1_000 for n in range(50)},
    }
    encoded, cuts = fit(made)
    document = json.loads(encoded)

    check(document)
    assert len(encoded) <= MAX_BYTES
    assert len(document["annotations"]) == 50
    assert cuts.keys() == {"cut_annotations"}


@pytest.mark.parametrize("most", [1024, 1500, 9_000])
def test_small_datagrams_keep_what_identifies(most: int) -> None:
    """Ids, times and flags are there at any size."""
    span = make_span(
        SpanKind.SERVER,
        {f"k{n}": "v" * 100 for n in range(100)},
        name="n" * 200,
        parent=REMOTE,
        status=Status(StatusCode.ERROR, "m" * 250),
        events=[exception(f"E{n}", "m" * 250) for n in range(30)],
        links=[Link(context(n)) for n in range(1, 21)],
    )
    document, cuts = fitted(span, most)

    assert document["fault"] is True
    assert document["parent_id"] == f"{LOCAL.span_id:016x}"
    assert cuts


TEXTS = st.text(max_size=40) | st.integers(0, 40_000).map(lambda size: "ä\x01" * size)
VALUES = TEXTS | st.booleans() | st.integers() | st.floats() | st.lists(st.text())
KEYS = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["note", "http.request.method", "url.full", "db.system", "db.query.text", "user"]
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=12)
EVENTS = st.lists(
    st.builds(
        lambda kind, message, depth: exception(
            kind, message, f"Traceback:\n{FRAMES[: depth * 130]}\n{kind}: {message}\n"
        ),
        st.sampled_from([f"E{n}" for n in range(30)]),
        TEXTS,
        st.integers(0, 700),
    )
    | st.builds(lambda values: Event("other", values, 1), ATTRIBUTES),
    max_size=8,
)
SPANS = st.lists(
    st.tuples(
        st.sampled_from(list(SpanKind)), ATTRIBUTES, EVENTS, st.text(), st.booleans()
    ),
    min_size=1,
    max_size=8,
)
Made = tuple[SpanKind, "Mapping[str, AttributeValue]", list[Event], str, bool]


@given(SPANS, st.data())
def test_any_trace_comes_together_again(
    shapes: list[Made], data: st.DataObject
) -> None:
    """
    Documents of at most 64 KB, from which the whole tree is read back.

    Every span, its parent, its annotation and its exceptions are there, or are
    counted as cut.
    """
    spans: list[ReadableSpan] = []
    for number, (kind, attributes, events, name, failed) in enumerate(shapes):
        above = data.draw(st.integers(-1, number - 1))
        spans.append(
            make_span(
                kind,
                attributes,
                name=name,
                parent=None if above < 0 else context(above + 1),
                events=events,
                status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
                span_id=number + 1,
            )
        )

    made = Documents(Options(annotations=("note",)))
    parents: dict[str, object] = {}
    for span in spans:
        shown, cuts, chains = [], 0, 0
        for document in made.of(span):
            encoded, counted = fit(document)
            assert len(encoded) <= MAX_BYTES
            read = json.loads(encoded)
            check(read)
            parents[read["id"]] = read.get("parent_id")
            shown.append(read.get("annotations", {}))
            cause = read.get("cause", {})
            chains += (
                len(cause["exceptions"]) if isinstance(cause, dict) and cause else 0
            )
            cuts += counted["cut_exceptions"] + counted["cut_fields"]

        note = (span.attributes or {}).get("note")
        if isinstance(note, str | bool | int | float):
            assert cuts or all("note" in annotations for annotations in shown)

        told = {
            e.attributes["exception.type"]
            for e in span.events
            if e.attributes and e.name == "exception"
        }
        assert chains + cuts >= len(told)

    for number, span in enumerate(spans):
        own = f"{number + 1:016x}"
        parent = parents[own]
        if span.parent is None and parent is not None:  # the call of two documents
            parent = parents[str(parent)]

        assert parent == (span.parent and f"{span.parent.span_id:016x}")
