"""Heartbeats: loops that have to go on, or the process is broken."""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready.errors import DeclarationError
from svcready.health import LifecycleChanged
from svcready.health._running._pool import spawn_daemon
from tests.health.rig import Rig
from tests.health.subject import check

if TYPE_CHECKING:
    from collections.abc import Callable


def life(rig: Rig) -> dict[str, object]:
    """Return what the report says of the lifecycle."""
    found = rig.pillar.report()["lifecycle"]
    assert isinstance(found, dict)
    return found


class TestBeats:
    """What counts, and what is missed."""

    def test_missed_and_back(self, make_rig: Callable[..., Rig]) -> None:
        """Without a beat in time the process is broken; the next beat mends it."""
        beat = health.heartbeat("consumer", within="30s")
        rig = make_rig().start()
        began_ns = rig.clock.time_ns()
        beat()
        rig.advance(29.9)
        assert rig.answers() == (200, 200, 200)
        assert life(rig)["state"] == "ready"

        rig.advance(0.1)
        reason = "heartbeat consumer: no beat for 30 s, expected within 30 s"
        assert rig.answers() == (503, 503, 200)
        assert rig.pillar.report()["status"] == "fail"
        assert life(rig) == {
            "state": "broken",
            "since": "2027-01-15T08:00:30.000Z",
            "reason": reason,
            "heartbeats": [
                {"name": "consumer", "withinS": 30.0, "status": "fail", "ageS": 30.0}
            ],
        }
        for _ in range(5):
            rig.advance(10)

        beat()
        rig.step()
        assert rig.answers() == (200, 200, 200)
        assert life(rig)["state"] == "ready"
        assert rig.pillar.lifecycle.since_ns == began_ns
        assert rig.moves == [
            LifecycleChanged("starting", "ready"),
            LifecycleChanged("ready", "broken", reason),
            LifecycleChanged("broken", "ready"),
        ]

    def test_nothing_is_missed_before_the_first(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """A process that imports the declaration and has no such loop stays alive."""
        health.heartbeat("consumer", within=30)
        rig = make_rig().start()
        rig.advance(3600)

        assert rig.answers() == (200, 200, 200)
        assert rig.pillar.watch.ages() == []
        assert life(rig)["heartbeats"] == [
            {"name": "consumer", "withinS": 30.0, "status": "waiting"}
        ]

    def test_stop(self, make_rig: Callable[..., Rig]) -> None:
        """A loop that ends on purpose is not missed, and can begin again."""
        beat = health.heartbeat("consumer", within=30)
        rig = make_rig().start()
        beat()
        beat.stop()
        rig.advance(60)
        assert rig.answers() == (200, 200, 200)
        beat()
        rig.advance(60)
        assert rig.answers() == (503, 503, 200)
        beat.stop()
        rig.step()
        assert rig.answers() == (200, 200, 200)
        assert len(rig.moves) == 3

    def test_block(self, make_rig: Callable[..., Rig]) -> None:
        """The end of a block stops it, also a cancelled one; an error does not."""
        rig = make_rig().start()
        with health.heartbeat("a", within=30) as beat:
            assert rig.pillar.watch.ages() == [("a", 0.0)]
            beat()

        rig.advance(60)
        assert rig.answers() == (200, 200, 200)
        with pytest.raises(asyncio.CancelledError), health.heartbeat("a", within=30):
            raise asyncio.CancelledError

        rig.advance(60)
        assert rig.answers() == (200, 200, 200)
        with pytest.raises(OSError, match="down"), health.heartbeat("a", within=30):
            raise OSError("down")

        rig.advance(29)
        assert rig.answers() == (200, 200, 200)
        rig.advance(1)
        assert rig.answers() == (503, 503, 200)

    def test_before_there_is_a_runtime(self, make_rig: Callable[..., Rig]) -> None:
        """Beats before `init()` cost nothing; what is missed counts from there."""
        beat = health.heartbeat("early", within=30)
        beat()
        rig = make_rig().start()
        rig.advance(29)
        assert rig.answers() == (200, 200, 200)
        rig.advance(1)
        assert rig.answers() == (503, 503, 200)

    def test_draining_loops_may_end(self, make_rig: Callable[..., Rig]) -> None:
        """While the service drains no beat is missed, and one that was is forgiven."""
        beats = [health.heartbeat(name, within=30) for name in ("a", "b")]
        rig = make_rig().start()
        beats[0]()
        rig.advance(20)
        beats[1]()
        rig.advance(10)
        assert rig.answers()[0] == 503
        rig.pillar.lifecycle.drain()
        rig.advance(60)

        assert rig.pillar.runner.step() is None  # there is nothing to look out for
        assert rig.answers() == (200, 503, 200)
        assert life(rig)["state"] == "draining"

    def test_broken_start(self, make_rig: Callable[..., Rig]) -> None:
        """A process that breaks before it is ready has not started by that."""
        beat = health.heartbeat("a", within=30)
        rig = make_rig().start(ready=False)
        beat()
        rig.advance(30)
        assert rig.answers() == (503, 503, 503)
        beat()
        rig.pillar.lifecycle.ready()
        assert rig.answers() == (200, 200, 200)

    def test_several_reasons(self, make_rig: Callable[..., Rig]) -> None:
        """A second fault is no second transition, and is named."""
        beats = [health.heartbeat(name, within=30) for name in ("a", "b")]
        rig = make_rig().start()
        for beat in beats:
            beat()
            rig.advance(1)

        rig.advance(40)
        assert str(life(rig)["reason"]).count("no beat") == 2
        beats[0]()
        rig.step()
        assert str(life(rig)["reason"]).count("no beat") == 1
        assert len(rig.moves) == 2


class TestWatching:
    """Who notices, and what it costs."""

    def test_probes_notice_by_themselves(self, make_rig: Callable[..., Rig]) -> None:
        """If the runner is dead, probes still see that beats are missed."""
        beat = health.heartbeat("a", within=30)
        rig = make_rig().start()
        beat()
        rig.clock.advance(30)

        assert rig.pillar.probe("readiness").status == 503
        assert rig.pillar.probe("liveness").status == 503
        beat()
        assert rig.answers() == (200, 200, 200)

    def test_the_runner_sleeps_until_a_beat_can_be_missed(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """Watching needs no polling: the runner comes when one is due."""
        beat = health.heartbeat("a", within=30)
        rig = make_rig().start()
        assert rig.pillar.runner.step() is None
        beat()
        assert rig.pillar.runner.step() == 30
        rig.clock.advance(20)
        beat()
        assert rig.pillar.runner.step() == 30
        rig.clock.advance(29)
        assert rig.pillar.runner.step() == 1

    @pytest.mark.parametrize("mode", ["background", "on_demand"])
    def test_it_is_told_without_a_probe(
        self, make_rig: Callable[..., Rig], mode: str
    ) -> None:
        """The line is written when it breaks, though nobody asks, in either mode."""
        from svcready._core import events
        from svcready.config._sections.health import HealthSettings

        told = threading.Semaphore(0)
        end = events.subscribe(LifecycleChanged, lambda _: told.release())
        rig = make_rig(settings=HealthSettings(mode=mode), spawn=spawn_daemon)
        rig.pillar.start()
        rig.pillar.wake()
        beat = health.heartbeat("a", within=0.1)
        beat()
        rig.clock.advance(1)
        assert told.acquire(timeout=10)
        beat()
        assert told.acquire(timeout=10)
        end()
        assert rig.pillar.close(10)

    def test_a_beat_is_cheap(self, make_rig: Callable[..., Rig]) -> None:
        """A beat makes one call besides itself: of the clock."""
        beat = health.heartbeat("a", within=30)
        check(critical=True)
        make_rig().start()
        beat()
        calls: list[str] = []
        sys.setprofile(
            lambda _frame, event, _: calls.append(event) if "call" in event else None
        )
        try:
            beat()
        finally:
            sys.setprofile(None)

        assert len(calls) - 1 <= 2  # the end of profiling is a call

    def test_threads(self, make_rig: Callable[..., Rig]) -> None:
        """Beats from many threads leave it whole."""
        beat = health.heartbeat("a", within=30)
        rig = make_rig().start()

        def loop() -> None:
            for _ in range(1000):
                beat()

        threads = [threading.Thread(target=loop) for _ in range(8)]
        for thread in threads:
            thread.start()

        for thread in threads:
            thread.join()

        rig.advance(29)
        assert rig.answers() == (200, 200, 200)

    def test_fork(self, make_rig: Callable[..., Rig]) -> None:
        """A child has none of its parent's loops, and misses nothing of them."""
        beat = health.heartbeat("a", within=30)
        rig = make_rig().start()
        beat()
        rig.advance(40)
        assert rig.answers()[0] == 503
        rig.pillar._after_fork()

        assert rig.pillar.lifecycle.shown == "ready"
        assert rig.answers()[0] == 200
        beat()
        rig.step()
        rig.advance(30)
        assert rig.answers()[0] == 503


class TestDeclaration:
    """What can be declared."""

    def test_same_name(self) -> None:
        """The same declaration, of a factory, is the same heartbeat."""
        beat = health.heartbeat("a", within="30s")

        assert health.heartbeat("a", within=timedelta(seconds=30)) is beat
        assert isinstance(beat, health.Heartbeat)
        assert "30 s" in repr(beat)
        with pytest.raises(
            DeclarationError, match=r"(?s)test_heartbeat.*test_heartbeat"
        ):
            health.heartbeat("a", within=31)

    @pytest.mark.parametrize(
        ("name", "within"),
        [
            ("A b", 30),
            ("", 30),
            (None, 30),
            ("a", None),
            ("a", 0),
            ("a", -1),
            ("a", 0.01),
            ("a", "soon"),
            ("a", float("nan")),
        ],
    )
    def test_wrong_arguments(self, name: object, within: object) -> None:
        """A wrong argument raises and is named."""
        wrong = name if within == 30 else within
        with pytest.raises(DeclarationError) as caught:
            health.heartbeat(name, within=within)  # type: ignore[arg-type]

        assert repr(wrong) in str(caught.value)
