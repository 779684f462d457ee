"""Every header is read as its grammar says, well formed or not."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from svcready.tracing.propagation._b3 import B3, format_b3, parse_b3, parse_b3_headers
from svcready.tracing.propagation._baggage import format_baggage, parse_baggage
from svcready.tracing.propagation._w3c import (
    fit_tracestate,
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)
from svcready.tracing.propagation._xray_header import format_xray, parse_xray
from tests.tracing.propagation import oracles

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"

digits = st.sampled_from([oracles.LOWER_HEX, oracles.LOWER_HEX, "0", "0aF", "fF"])


def hexes(*lengths: int) -> st.SearchStrategy[str]:
    """Hex digits, mostly of one of *lengths*, sometimes all zeros or upper case."""
    sizes = st.sampled_from([*lengths, *lengths, *lengths, lengths[0] + 1])
    return st.tuples(digits, sizes).flatmap(
        lambda of: st.text(of[0], min_size=of[1], max_size=of[1])
    )


def mangled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Mostly as they are; else with one character put in, or cut short."""
    odd = st.sampled_from(["", "", "", " ", "\t", "-", ";", ",", "=", "é", "\n", "0"])
    return st.tuples(texts, odd, st.integers(0, 80), st.booleans()).map(
        lambda of: (of[0][: of[2]] + of[1] + of[0][of[2] :]) if of[3] else of[0]
    )


def joined(mark: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Join one of each of *parts*."""
    return st.tuples(*parts).map(mark.join)


versions = st.sampled_from(["00", "00", "00", "01", "fe", "ff", "0A", "0"])
tails = st.sampled_from(["", "", "", "-x", "-", "x", "-" + "x" * 300])
traceparents = mangled(
    joined(
        "",
        st.sampled_from(["", "", " ", "\t "]),
        joined("-", versions, hexes(32), hexes(16), hexes(2)),
        tails,
        st.sampled_from(["", "", " "]),
    )
)


@given(traceparents | st.text())
@example(f"00-{TRACE}-{SPAN}-ff")
@example(f"00-{TRACE}-{SPAN}-01\n")
def test_traceparent_follows_its_grammar(header: str) -> None:
    """Versions, lengths, case, zeros, what follows; and only known flags are sent."""
    expected = oracles.traceparent(header)

    assert parse_traceparent(header) == expected
    if expected is not None:
        trace_id, span_id, flags = expected
        sent = oracles.traceparent(format_traceparent(trace_id, span_id, flags))
        assert sent == (trace_id, span_id, flags & 0b11)


keys = st.text("ab1_-*/@", min_size=1, max_size=6) | st.sampled_from(
    ["k" * 256, "k" * 257, "A", "", "k k"]
)
values = st.text("xy z~!", max_size=6) | st.sampled_from(["v" * 256, "v" * 257, "é"])
members = st.tuples(keys, values).map("=".join)
blanks = st.sampled_from(["", "", " ", "\t"])
states = st.lists(joined("", blanks, members, blanks) | blanks, max_size=40).map(
    ",".join
)


LONG_KEPT = ",".join(["long=" + "1" * 123, *(f"k{n}=" + "2" * 60 for n in range(7))])
LONG_LEFT = ",".join(["long=" + "1" * 124, *(f"k{n}=" + "2" * 60 for n in range(7))])


@given(mangled(states) | st.text())
@example(LONG_KEPT)
@example(LONG_LEFT)
@example("k=" + "v" * 256)
@example("k" * 257 + "=1")
@example(",".join(f"k{number}=1" for number in range(33)))
def test_tracestate_follows_its_grammar(header: str) -> None:
    """What is read is the grammar's, or what of it fits into 512 characters."""
    expected = oracles.tracestate(header)
    read = parse_tracestate(header)

    if len(header) <= 512:
        assert read == expected
        assert list(read) == list(expected)
        return

    assert read.items() <= expected.items()
    assert list(read) == [key for key in expected if key in read]
    written = fit_tracestate(header)
    assert len(written) <= 512
    assert oracles.tracestate(written) == read
    # Long ones go first, then those on the right, and no more than has to.
    texts = {key: f"{key}={value}" for key, value in expected.items()}
    short = [key for key in expected if len(texts[key]) <= 128]
    kept = [key for key in short if key in read]
    assert kept == short[: len(kept)]
    if len(kept) < len(short):
        assert list(read) == kept
        assert len(written) + 1 + len(texts[short[len(kept)]]) > 512


tokens = st.text(oracles.TOKEN, min_size=1, max_size=5) | st.sampled_from(["", "a b"])
bag_values = st.text("ab+=%2F!~\\ é;", max_size=9) | st.sampled_from(
    ["J%C3%BCrgen", "%ff", "%2", "a+b%2Bc", '"q"']
)
properties = st.sampled_from(["", "", ";ttl=5", "; secret ;p = 1", ';x="y"', ";"])
bags = st.lists(
    st.tuples(blanks, tokens, blanks, st.just("="), blanks, bag_values, properties).map(
        "".join
    )
    | st.text(max_size=4),
    max_size=12,
).map(",".join)


@given(bags)
def test_baggage_follows_its_grammar(header: str) -> None:
    """Keys, values, properties; a member that breaks the rules is left out alone."""
    expected = oracles.baggage(header)
    read = parse_baggage(header)

    assert {key: (it.value, it.member) for key, it in read.items()} == expected
    # What nobody changed goes on as it was written.
    unchanged = format_baggage({key: it.value for key, it in read.items()}, read)
    assert unchanged == ",".join(member for _, member in expected.values())


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 3000)), max_size=90))
@example([(number, 1) for number in range(64)])
@example([(number, 1) for number in range(65)])
@example([(0, 8189)])
@example([(0, 8190), (1, 1)])
def test_baggage_keeps_whole_members_within_its_limits(
    shapes: list[tuple[int, int]],
) -> None:
    """Both ways: at most 64 members and 8 192 bytes, none of them cut."""
    given_values = {f"k{number}": "v" * size for number, size in shapes}
    whole = ",".join(f"{key}={value}" for key, value in given_values.items())
    sent = format_baggage(given_values)
    read = parse_baggage(whole)

    for header in (sent, ",".join(entry.member for entry in read.values())):
        kept = [part for part in header.split(",") if part]
        assert len(kept) <= 64
        assert len(header.encode()) <= 8192
        assert set(kept) <= set(whole.split(","))

    if len(given_values) <= 64 and len(whole) <= 8192:
        assert sent == whole
        assert {key: entry.value for key, entry in read.items()} == given_values


@given(st.dictionaries(st.from_regex("[a-z]{1,9}", fullmatch=True), st.text()))
def test_baggage_that_is_sent_decodes_to_what_was_set(values: dict[str, str]) -> None:
    """By the grammar, also for spaces, quotes, plus signs and other alphabets."""
    fit = {
        key: text.encode("utf-8", "replace").decode() for key, text in values.items()
    }
    read = oracles.baggage(format_baggage(fit))

    expected = dict(list(fit.items())[:64])
    assert {key: value for key, (value, _) in read.items()} == expected


roots = joined("-", st.sampled_from(["1", "1", "1", "2", ""]), hexes(8), hexes(24))
pairs = st.one_of(
    roots.map("Root={}".format),
    roots.map("Self={}".format),
    hexes(16).map("Parent={}".format),
    st.sampled_from(["0", "1", "?", "", "yes"]).map("Sampled={}".format),
    st.sampled_from(["Lineage=a87bd80c:1|68fd508a:5", "user=a=b", "", " ", "root=1"]),
)
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
some = st.lists(joined("", blanks, pairs, blanks), max_size=4).map(";".join)
xrays = some | joined(";", some, st.just(ROOT), some)


@given(xrays | mangled(joined(";", roots.map("Root={}".format), pairs)))
@example(f"{ROOT};Sampled=?")
@example(f"{ROOT};Parent={SPAN};Sampled=1;")
def test_the_xray_header_follows_its_grammar(header: str) -> None:
    """Order, spaces, gaps, repeats, case of digits, and what is passed on."""
    expected = oracles.xray(header)
    read = parse_xray(header)

    if expected is None:
        assert read is None
        return

    assert read is not None
    *decided, passed = expected
    assert list(read[:4]) == decided
    # Only what can be sent again without harm goes on.
    kept = [pair for pair in read.passed.split(";") if pair]
    assert kept == [pair for pair in passed if pair in kept]
    assert all(
        not pair.isascii()
        or not pair.isprintable()
        or " " in pair
        or pair.endswith("=")
        or pair.count("=") != 1
        or "," in pair
        for pair in passed
        if pair not in kept
    )


@given(hexes(32), hexes(16), st.sampled_from([None, True, False]))
def test_the_xray_header_that_is_sent_says_what_was_meant(
    trace_id: str, span_id: str, sampled: bool | None
) -> None:
    """By the grammar, an open decision included."""
    expected = oracles.xray(f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={span_id}")
    read = oracles.xray(format_xray(trace_id, span_id, sampled, ";Lineage=a:1"))

    if expected is None:
        assert read is None
    else:
        assert read == (*expected[:2], sampled, False, ["Lineage=a:1"])


state_words = st.sampled_from(["0", "1", "d", "D", "", "true", "x"])
singles = st.one_of(
    state_words,
    joined("-", hexes(32, 16), hexes(16)),
    joined("-", hexes(32, 16), hexes(16), state_words),
    joined("-", hexes(32, 16), hexes(16), state_words, hexes(16)),
    joined("-", hexes(32, 16), hexes(16), state_words, hexes(16), hexes(2)),
)


def plain(read: B3 | None) -> oracles.B3Seen | None:
    """Return what was read without its type."""
    return read and (read.trace_id, read.span_id, read.sampled, read.debug)


@given(mangled(singles) | st.text())
@example(f"{TRACE}-{SPAN}-d-{SPAN}")
@example("0")
def test_b3_in_one_header_follows_its_grammar(header: str) -> None:
    """Ids of both lengths, each state, a parent, and decisions alone."""
    assert plain(parse_b3(header)) == oracles.b3_single(header)


maybe = st.none() | mangled(singles)


@given(
    maybe,
    st.none() | mangled(hexes(32, 16)),
    st.none() | mangled(hexes(16)),
    st.none() | state_words | st.sampled_from(["TRUE", " 1 ", "false"]),
    st.sampled_from([None, "1", "0", " 1", "", "2"]),
)
def test_b3_in_many_headers_follows_its_grammar(
    single: str | None,
    trace_id: str | None,
    span_id: str | None,
    sampled: str | None,
    flags: str | None,
) -> None:
    """The single header wins if it is valid; else the others count."""
    expected = None if single is None else oracles.b3_single(single)
    if expected is None:
        expected = oracles.b3_multi(trace_id, span_id, sampled, flags)

    read = parse_b3_headers(single, trace_id, span_id, sampled, flags)
    assert plain(read) == expected


@given(hexes(32), hexes(16), st.sampled_from(["", "0", "1", "d"]))
def test_b3_that_is_sent_says_what_was_meant(
    trace_id: str, span_id: str, state: str
) -> None:
    """By the grammar, an open decision included."""
    ids = oracles.b3_ids(trace_id, span_id)
    meant = {
        "": (None, False),
        "0": (False, False),
        "1": (True, False),
        "d": (True, True),
    }
    expected = None if ids is None else (*ids, *meant[state])

    assert oracles.b3_single(format_b3(trace_id, span_id, state)) == expected
