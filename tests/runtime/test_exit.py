"""SIGTERM: what runs before the handler that was there, which may end the process."""

from __future__ import annotations

import signal
import threading

import pytest

from svcready._runtime._ending._signals import TermHandler
from svcready.testing import running
from tests.servers.harness import eventually


def test_what_is_pending_is_flushed_before_the_handler_before_acts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A handler of another library may end the process: nothing is lost to it."""
    order: list[str] = []
    with running() as harness:
        runtime = harness.runtime
        monkeypatch.setattr(runtime, "flush", lambda _: order.append("flushed"))
        handler = TermHandler(
            lambda *_: order.append("theirs"), lambda: (runtime,), lambda: None
        )

        handler(signal.SIGTERM, None)

    assert order == ["flushed", "theirs"]
    assert runtime.draining


def test_a_lock_that_the_interrupted_thread_holds_blocks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever was interrupted goes on, and is told again when all is flushed."""
    lock = threading.Lock()
    order: list[str] = []
    again, flushed = threading.Event(), threading.Event()

    def flush(_: float) -> bool:
        with lock:  # as a gauge's function may have one of the application's
            order.append("flushed")
            flushed.set()

        return True

    with running() as harness:
        monkeypatch.setattr(harness.runtime, "flush", flush)
        handler = TermHandler(
            lambda *_: order.append("theirs"),
            lambda: (harness.runtime,),
            lambda: None,
            lambda _: again.set(),
            patience_s=0.05,
        )

        with lock:
            handler(signal.SIGTERM, None)
            assert order == []

        assert again.wait(10)
        handler(signal.SIGTERM, None)

    assert flushed.is_set()
    assert order.index("theirs") == len(order) - 1


@pytest.mark.parametrize("is_told_twice", [False, True])
def test_what_never_comes_back_keeps_no_process_from_its_end(
    monkeypatch: pytest.MonkeyPatch,
    is_told_twice: bool,
) -> None:
    """
    Where a flush waits for ever, the first signal is obeyed when its time is over, and
    a second one at once.
    """
    never, again = threading.Event(), threading.Event()
    order: list[str] = []
    with running(environ={"SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S": "0.05"}) as harness:
        monkeypatch.setattr(harness.runtime, "flush", lambda _: never.wait(60))
        handler = TermHandler(
            lambda *_: order.append("theirs"),
            lambda: (harness.runtime,),
            lambda: None,
            lambda _: again.set(),
            patience_s=0.05,
        )

        handler(signal.SIGTERM, None)
        assert order == []
        if not is_told_twice:
            assert again.wait(10)

        handler(signal.SIGTERM, None)
        assert order == ["theirs"]
        never.set()


def test_a_handler_that_came_later_and_calls_ours_is_called_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was held back while the service drains is not lost to who chained us."""
    reached: list[str] = []
    ended: list[int] = []  # no event, whose lock the interrupted thread may hold

    def run(_: str) -> bool:
        reached.append("held")
        return True

    with running() as harness:
        drain = harness.runtime.drain
        monkeypatch.setattr(drain, "holds", lambda: not reached.count("held"))
        monkeypatch.setattr(drain, "run", run)
        ours = TermHandler(
            lambda number, _: ended.append(number),
            lambda: (harness.runtime,),
            lambda: None,
        )
        before = signal.signal(signal.SIGTERM, lambda n, f: ours(n, f))
        try:
            signal.raise_signal(signal.SIGTERM)
            eventually(lambda: ended, "the handler before acts", 10)
        finally:
            signal.signal(signal.SIGTERM, before)
