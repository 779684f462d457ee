from __future__ import annotations

import logging
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from svcready._transport._backlog import Backlog

LEVELS = (logging.DEBUG, logging.INFO, logging.ERROR)


def empty(backlog: Backlog) -> list[bytes]:
    """Take everything."""
    return [backlog.pop()[1] for _ in range(len(backlog))]


def test_lines_leave_in_the_order_in_which_they_came() -> None:
    """Whatever their levels, as long as nothing is given up."""
    backlog = Backlog(1000, 100)
    lines = [b"%d\n" % i for i in range(30)]
    for i, line in enumerate(lines):
        assert backlog.push(line, LEVELS[i % 3]) == 0

    assert empty(backlog) == lines


def test_an_error_outlives_any_number_of_debug_lines() -> None:
    """The lowest level goes first, the oldest of it before the newer."""
    backlog = Backlog(10**6, 4)
    lost: dict[int, int] = {}
    backlog.push(b"error 1\n", logging.ERROR, lost)
    backlog.push(b"info 1\n", logging.INFO, lost)
    for i in range(1000):
        backlog.push(b"debug %d\n" % i, logging.DEBUG, lost)

    backlog.push(b"error 2\n", logging.ERROR, lost)

    assert lost == {logging.DEBUG: 999}
    assert empty(backlog) == [b"error 1\n", b"info 1\n", b"debug 999\n", b"error 2\n"]


def test_giving_up_stays_cheap_however_many_wait() -> None:
    """Debug lines before and behind 10 000 errors go without a look at the errors."""
    backlog = Backlog(10**9, 10_000)
    for _ in range(10_000):
        backlog.push(b"error\n", logging.ERROR)

    lost = sum(backlog.push(b"debug\n", logging.DEBUG) for _ in range(100_000))

    assert lost == 100_000
    assert backlog.levels() == {logging.ERROR: 10_000}


def test_several_share_one_order() -> None:
    """The numbers of backlogs that draw from one source tell which line came first."""
    number = count().__next__
    one, two = Backlog(100, 10, number), Backlog(100, 10, number)
    one.push(b"a", logging.INFO)
    two.push(b"bb", logging.DEBUG)
    one.push(b"ccc", logging.DEBUG)

    assert (one.first(), two.first()) == ((0, 1), (1, 2))
    one.pop()
    assert one.first() == (2, 3)


def test_it_tells_what_fits() -> None:
    """Both bounds count; alone, a line may be as long as it is."""
    backlog = Backlog(10, 2)
    assert backlog.fits(1000)
    backlog.push(b"12345", logging.INFO)
    assert backlog.fits(5)
    assert not backlog.fits(6)
    backlog.push(b"1", logging.INFO)
    assert not backlog.fits(1)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(LEVELS)) | st.none()),
    st.integers(1, 40),
    st.integers(1, 8),
)
def test_it_is_what_its_rule_says(
    steps: list[tuple[int, int] | None], max_bytes: int, max_lines: int
) -> None:
    """Beside a list that is searched from its start each time."""
    backlog = Backlog(max_bytes, max_lines)
    model: list[tuple[int, bytes]] = []
    for i, step in enumerate(steps):
        if step is None:
            if model:
                assert backlog.pop() == model.pop(0)

            continue

        line = b"%d" % (i % 10) * step[0]
        lost = backlog.push(line, step[1])
        model.append((step[1], line))
        expected = 0
        while len(model) > 1 and (
            len(model) > max_lines or sum(len(line) for _, line in model) > max_bytes
        ):
            lowest = min(level for level, _ in model)
            del model[[level for level, _ in model].index(lowest)]
            expected += 1

        assert lost == expected
        assert backlog.bytes == sum(len(line) for _, line in model)
        assert len(backlog) == len(model)

    assert backlog.clear() == len(model)
    assert (backlog.bytes, len(backlog), backlog.levels()) == (0, 0, {})


def test_a_handler_that_takes_all_while_a_line_comes_breaks_nothing() -> None:
    """A signal handler or finaliser may log and write what waits between two steps."""
    numbers = count()
    backlog = Backlog(1000, 10, lambda: next(numbers))
    backlog.push(b"first", logging.INFO)
    taken: list[bytes] = []

    def interrupted() -> int:
        if not taken:
            taken.append(backlog.pop()[1])

        return next(numbers)

    backlog._number = interrupted
    backlog.push(b"second", logging.INFO)

    assert taken == [b"first"]
    assert empty(backlog) == [b"second"]
    assert (backlog.bytes, backlog.levels()) == (0, {})


def test_a_handler_that_logs_while_the_first_line_of_a_level_comes() -> None:
    """Its own line, of another level, is kept and can be taken within."""
    numbers = count()
    taken: list[bytes] = []

    def interrupted() -> int:
        number = next(numbers)
        if not number:
            backlog.push(b"inner", logging.DEBUG)
            taken.append(backlog.pop()[1])

        return number

    backlog = Backlog(1000, 10, interrupted)
    backlog.push(b"outer", logging.ERROR)

    assert taken == [b"inner"]
    assert empty(backlog) == [b"outer"]


def test_giving_up_all_within_a_push_leaves_that_line() -> None:
    """As a shutdown does that a signal handler runs."""
    backlog = Backlog(1000, 10)
    backlog.push(b"first", logging.INFO)

    def interrupted() -> int:
        backlog.clear()
        return 1

    backlog._number = interrupted
    backlog.push(b"second", logging.INFO)

    assert empty(backlog) == [b"second"]
