from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._transport.sinks._destination import Entry
from svcready._transport.sinks._log_events import (
    EVENT_BYTES,
    calls_for,
    count_rejected,
    group_name,
    stream_name,
)
from tests.transport.logs_server import DAY_MS, GROUP, STREAM, check_events

NOW_MS = 1_800_000_000_000


def entry(line: bytes, time_ms: int = NOW_MS) -> Entry:
    """Make a line that waits."""
    return Entry(20, time_ms, line)


TIMES = st.integers(NOW_MS - 3 * DAY_MS, NOW_MS) | st.just(NOW_MS)
LINES = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=20),
    st.integers(1, 6).map(lambda part: b"x" * (EVENT_BYTES // part)),
    st.integers(EVENT_BYTES - 40, EVENT_BYTES + 40).map(lambda size: b"x" * size),
).map(lambda line: line.replace(b"\n", b" ") + b"\n")


@given(st.lists(st.builds(Entry, st.just(20), TIMES, LINES), max_size=12))
def test_every_call_is_one_that_the_service_accepts(batch: list[Entry]) -> None:
    """By its own rules; and each line is in one call, in order of time, or counted."""
    calls, too_large = calls_for(batch)
    for call in calls:
        check_events(call.events)
        assert len(call.entries) == len(call.events)

    sent = [line for call in calls for line in call.entries]
    texts = {line: line.line[:-1].decode(errors="replace") for line in batch}
    fit = [line for line in batch if 0 < len(texts[line].encode()) <= EVENT_BYTES]
    assert sent == sorted(fit, key=lambda line: line.time_ms)
    large = [line for line in batch if len(texts[line].encode()) > EVENT_BYTES]
    assert too_large == len(large)
    messages = [event["message"] for call in calls for event in call.events]
    assert messages == [texts[line] for line in sent]


def test_many_small_lines_are_few_calls() -> None:
    """Ten thousand events each, as long as their bytes allow it."""
    calls, _ = calls_for([entry(b"x\n")] * 25_000)
    assert [len(call.events) for call in calls] == [10_000, 10_000, 5_000]
    calls, _ = calls_for([entry(b"x" * 1000 + b"\n")] * 3000)
    assert [len(call.events) for call in calls] == [1022, 1022, 956]  # 1026 B each


def test_the_largest_line_is_sent() -> None:
    """1 MiB less 26 bytes; one more is counted."""
    calls, too_large = calls_for([entry(b"x" * EVENT_BYTES + b"\n")])
    assert (len(calls), too_large) == (1, 0)
    calls, too_large = calls_for([entry(b"x" * (EVENT_BYTES + 1) + b"\n")])
    assert (calls, too_large) == ([], 1)


@given(st.text(max_size=600))
def test_any_text_makes_names(text: str) -> None:
    """Of a group and of a stream, of the length and characters that are allowed."""
    assert GROUP.fullmatch(group_name(text))
    assert STREAM.fullmatch(stream_name(text))


@pytest.mark.parametrize(
    ("text", "group", "stream"),
    [
        ("/svcready/orders", "/svcready/orders", "/svcready/orders"),
        (
            "/svcready/unknown_service:python",
            "/svcready/unknown_service-python",
            "/svcready/unknown_service-python",
        ),
        ("aws/x", "-aws/x", "aws/x"),
        ("", "-", "-"),
        ("i*1", "i-1", "i-1"),
    ],
)
def test_names_stay_readable(text: str, group: str, stream: str) -> None:
    """Only what is not allowed is replaced."""
    assert (group_name(text), stream_name(text)) == (group, stream)


@pytest.mark.parametrize(
    ("info", "counts"),
    [
        (None, {}),
        ({}, {}),
        ({"tooOldLogEventEndIndex": 3}, {"too_old": 3}),
        ({"tooNewLogEventStartIndex": 7}, {"too_new": 3}),
        ({"tooNewLogEventStartIndex": 0}, {"too_new": 10}),
        (
            {"tooOldLogEventEndIndex": 2, "expiredLogEventEndIndex": 5},
            {"too_old": 2, "expired": 3},
        ),
        ({"tooOldLogEventEndIndex": 99}, {"too_old": 10}),
        ({"tooOldLogEventEndIndex": "x"}, {}),
    ],
)
def test_rejected_events_are_counted(info: object, counts: dict[str, int]) -> None:
    """By the indexes of an answer to a call of ten: start inclusive, end exclusive."""
    found = {reason: events for reason, events in count_rejected(info, 10) if events}
    assert found == counts


def test_control_characters_are_kept_out_of_streams() -> None:
    """Because nobody could type such a name."""
    assert re.fullmatch(r"[^\x00-\x1f]+", stream_name("a\x00b\nc"))
