"""Headers of traces: W3C, baggage and X-Ray, valid and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.tracing.propagation._baggage import Entry, format_baggage, parse_baggage
from svcready.tracing.propagation._w3c import (
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)
from svcready.tracing.propagation._xray_header import (
    XRayHeader,
    format_xray,
    parse_xray,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
ROOT = "1-5759e988-bd862e3fe1be46a994272793"
ROOT_HEX = "5759e988bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"

hexes = st.text("0123456789abcdef")


def test_traceparent_is_read() -> None:
    """The specification's example gives ids and flags."""
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-01") == (TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-0\N{FULLWIDTH DIGIT ONE}",
        f"01-{TRACE}-{SPAN}-01-" + "x" * 600,
    ],
)
def test_invalid_traceparent_is_no_caller(header: str) -> None:
    """What level 2 of the specification forbids counts as absent."""
    assert parse_traceparent(header) is None


@pytest.mark.parametrize(
    "header",
    [
        f" 00-{TRACE}-{SPAN}-03\t",
        f"01-{TRACE}-{SPAN}-03",
        f"fe-{TRACE}-{SPAN}-03-later-fields",
    ],
)
def test_spaces_and_future_versions_are_read(header: str) -> None:
    """Space around is cut, and a later version is read by the fields we know."""
    assert parse_traceparent(header) == (TRACE, SPAN, 3)


@pytest.mark.parametrize(("flags", "sent"), [(0, "00"), (3, "03"), (0xFF, "03")])
def test_only_known_flags_are_sent(flags: int, sent: str) -> None:
    """Flags are bits; unknown ones are sent as zero."""
    assert format_traceparent(TRACE, SPAN, flags) == f"00-{TRACE}-{SPAN}-{sent}"


@given(st.text(), st.text())
def test_nothing_makes_the_parsers_raise(text: str, other: str) -> None:
    """Any text is read as something or as nothing."""
    header = f"{text},{other}"
    parse_traceparent(text)
    parse_tracestate(header)
    parse_xray(f"{text};{other}")
    format_baggage({text: other}, parse_baggage(header))


@given(
    st.from_regex("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True)
)
def test_traceparent_against_a_plain_reading(header: str) -> None:
    """Well-formed headers are read exactly when version and ids are allowed."""
    version, trace_id, span_id, flags = header.split("-")
    allowed = version != "ff" and int(trace_id, 16) and int(span_id, 16)

    expected = (trace_id, span_id, int(flags, 16)) if allowed else None
    assert parse_traceparent(header) == expected


def test_tracestate_keeps_order_and_level_2_keys() -> None:
    """Members keep their order; keys may begin with a digit; empty ones are skipped."""
    members = parse_tracestate("2fa@x=1, ,b=t61rcWkgMzE ,\tc= y")

    assert list(members.items()) == [("2fa@x", "1"), ("b", "t61rcWkgMzE"), ("c", " y")]


@pytest.mark.parametrize(
    "header", ["a=1,B=2", "a", "a=1,b=", "a=ü", "a=1,a=1", "x" * 9000 + "=1"]
)
def test_invalid_tracestate_is_dropped_whole(header: str) -> None:
    """One member that is not valid spoils the header."""
    assert parse_tracestate(header) == {}


def test_long_tracestate_loses_long_members_first() -> None:
    """Beyond 512 characters those over 128 go first, then those on the right."""
    header = "a=" + "1" * 100 + ",long=" + "2" * 200
    header += "".join(f",k{number:02}=" + "3" * 50 for number in range(10))

    members = parse_tracestate(header)

    assert list(members) == ["a", *(f"k{number:02}" for number in range(7))]
    assert len(",".join(f"{key}={value}" for key, value in members.items())) <= 512


@pytest.mark.parametrize("count", [32, 33])
def test_tracestate_has_at_most_32_members(count: int) -> None:
    """One member more spoils the header."""
    header = ",".join(f"k{number}=1" for number in range(count))

    expected = [f"k{number}" for number in range(32)] if count == 32 else []
    assert list(parse_tracestate(header)) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            f"Root={ROOT};Parent={PARENT};Sampled=1",
            XRayHeader(ROOT_HEX, PARENT, True, False, ""),
        ),
        (f"Root={ROOT}", XRayHeader(ROOT_HEX, None, None, False, "")),
        (f"Root={ROOT};Sampled=0", XRayHeader(ROOT_HEX, None, False, False, "")),
        (f"Root={ROOT};Sampled=?;", XRayHeader(ROOT_HEX, None, None, True, "")),
        (
            f" Sampled=1 ;; Parent={PARENT.upper()}; Root={ROOT} ;",
            XRayHeader(ROOT_HEX, PARENT, True, False, ""),
        ),
        (
            f"Self=1-67891234-12456789abcdef012345678;Root={ROOT};Lineage=a8:1|68:5",
            XRayHeader(ROOT_HEX, None, None, False, ";Lineage=a8:1|68:5"),
        ),
        (
            f"Root={ROOT};user=a=b;bad key=x;k=\x01",
            XRayHeader(ROOT_HEX, None, None, False, ";user=a=b"),
        ),
        (
            f"Root={ROOT};Parent=xyz;Sampled=yes",
            XRayHeader(ROOT_HEX, None, None, False, ""),
        ),
        (
            f"Root={ROOT};Parent={'0' * 16}",
            XRayHeader(ROOT_HEX, None, None, False, ""),
        ),
    ],
)
def test_xray_header_in_every_tolerated_form(header: str, expected: XRayHeader) -> None:
    """Order, spaces, gaps, a missing parent, `?`, Self, Lineage and user data."""
    assert parse_xray(header) == expected


@pytest.mark.parametrize(
    "header",
    ["", "Root=", f"root={ROOT}", f"Root={ROOT}0", "Root=1-00000000-" + "0" * 24],
)
def test_xray_header_without_a_root_is_none(header: str) -> None:
    """Keys are case-sensitive, and an id of zeros is no id."""
    assert parse_xray(header) is None


@given(
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.booleans(),
)
def test_xray_header_round_trip(trace_id: str, span_id: str, sampled: bool) -> None:
    """What is written is read back."""
    read = parse_xray(format_xray(trace_id, span_id, sampled, ";Lineage=a:1"))

    if int(trace_id, 16) == 0:
        assert read is None
    else:
        parent = span_id if int(span_id, 16) else None
        assert read == XRayHeader(trace_id, parent, sampled, False, ";Lineage=a:1")


def test_baggage_is_decoded_and_goes_on_as_it_came() -> None:
    """Values are decoded without touching `+`; properties survive the passage."""
    header = "user=J%C3%BCrgen+1;ttl=5;secret, plain = a=b ,bad key=1,x"

    entries = parse_baggage(header)

    assert entries == {
        "user": Entry("Jürgen+1", "user=J%C3%BCrgen+1;ttl=5;secret"),
        "plain": Entry("a=b", "plain = a=b"),
    }
    values = {"user": "Jürgen+1", "plain": "changed, now", "new": "ö%"}
    assert format_baggage(values, entries) == (
        "user=J%C3%BCrgen+1;ttl=5;secret,plain=changed%2C%20now,new=%C3%B6%25"
    )


def test_baggage_is_limited_both_ways() -> None:
    """No more than 64 members and 8 192 bytes come in or go out."""
    many = ",".join(f"k{number}=v" for number in range(100))
    long = ",".join(f"k{number}={'v' * 1000}" for number in range(20))

    assert len(parse_baggage(many)) == 64
    assert len(parse_baggage(long)) == 8
    sent = format_baggage({f"k{number}": "v" * 1000 for number in range(20)})
    assert len(sent) <= 8192
    assert sent.count(",") == 7


@given(st.dictionaries(st.from_regex("[a-z]{1,9}", fullmatch=True), st.text()))
def test_baggage_round_trip(values: dict[str, str]) -> None:
    """Any text survives as a value, unless it has no UTF-8."""
    fit = {
        key: value.encode("utf-8", "replace").decode() for key, value in values.items()
    }

    read = parse_baggage(format_baggage(fit))

    assert {key: entry.value for key, entry in read.items()} == dict(
        list(fit.items())[:64]
    )
