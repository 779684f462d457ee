"""Startup tasks: what has to be done before the service is ready."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready._core import events
from svcready._core.redaction import Redactor
from svcready.errors import DeclarationError
from svcready.health import StartupTaskEnded, StartupTaskLate
from tests.health.rig import Rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@pytest.fixture
def told() -> Iterator[list[object]]:
    """What was published of tasks."""
    seen: list[object] = []
    ends = [
        events.subscribe(kind, seen.append)
        for kind in (StartupTaskEnded, StartupTaskLate)
    ]
    yield seen
    for end in ends:
        end()


def tasks(rig: Rig) -> list[dict[str, object]]:
    """Return what the report says of the tasks."""
    lifecycle = rig.pillar.report()["lifecycle"]
    assert isinstance(lifecycle, dict)
    found = lifecycle.get("startupTasks", [])
    assert isinstance(found, list)
    return found


class TestHolding:
    """What is not done holds the start."""

    def test_decorated(self, make_rig: Callable[..., Rig], told: list[object]) -> None:
        """A function holds the service from its declaration to its first success."""
        rig: Rig = make_rig()

        @health.startup_task
        def warm_cache(size: int) -> int:
            """Warm it."""
            rig.clock.advance(1.5)
            return size * 2

        rig.start()
        assert rig.pillar.lifecycle.state == "starting"
        assert rig.answers() == (200, 503, 503)
        assert [task["status"] for task in tasks(rig)] == ["waiting"]

        assert warm_cache(21) == 42
        assert warm_cache.__doc__ == "Warm it."
        assert rig.answers() == (200, 200, 200)
        (entry,) = tasks(rig)
        assert "warm_cache" in str(entry["name"])
        assert (entry["status"], entry["durationMs"]) == ("done", 1500.0)
        assert [type(event) for event in told] == [StartupTaskEnded]
        assert told[0][1:] == (1.5, "")  # type: ignore[index]

    def test_block(self, make_rig: Callable[..., Rig]) -> None:
        """A block holds the service until its end."""
        rig = make_rig().start(ready=False)
        with health.startup_task("warm cache"):
            rig.pillar.lifecycle.ready()
            assert rig.answers() == (200, 503, 503)
            assert tasks(rig) == [{"name": "warm cache", "status": "running"}]
            rig.clock.advance(0.25)

        assert rig.answers() == (200, 200, 200)
        assert tasks(rig) == [
            {"name": "warm cache", "status": "done", "durationMs": 250.0}
        ]

    def test_not_ready_before_it_is_asked(self, make_rig: Callable[..., Rig]) -> None:
        """The end of the last task does not make a service ready that is not."""
        rig = make_rig().start(ready=False)
        with health.startup_task("a"):
            pass

        assert rig.answers() == (200, 503, 503)
        rig.pillar.lifecycle.ready()
        assert rig.answers() == (200, 200, 200)

    def test_async(self, make_rig: Callable[..., Rig]) -> None:
        """Async functions, async blocks, and functions that return coroutines."""
        rig: Rig = make_rig()

        @health.startup_task
        async def one() -> str:
            rig.clock.advance(1)
            return "one"

        two = health.startup_task("two")(lambda: one())

        async def main() -> None:
            rig.start()
            async with health.startup_task("three"):
                rig.clock.advance(2)

            assert rig.answers() == (200, 503, 503)
            assert inspect.iscoroutinefunction(one)
            assert await one() == "one"
            assert rig.answers() == (200, 503, 503)
            assert await two() == "one"

        asyncio.run(main())
        assert rig.answers() == (200, 200, 200)
        assert [(t["status"], t["durationMs"]) for t in tasks(rig)] == [
            *(("done", 1000.0), ("done", 1000.0), ("done", 2000.0)),
        ]

    def test_before_there_is_a_runtime(self, make_rig: Callable[..., Rig]) -> None:
        """What is done before `init()` holds nothing, what is not, does."""
        with health.startup_task("early"):
            pass

        later = health.startup_task("later")
        rig = make_rig().start()
        assert rig.answers() == (200, 503, 503)
        assert [task["status"] for task in tasks(rig)] == ["done", "waiting"]
        with later:
            pass

        assert rig.answers() == (200, 200, 200)

    def test_a_drain_does_not_wait(self, make_rig: Callable[..., Rig]) -> None:
        """A service that is told to end while it starts does not become ready."""
        task = health.startup_task("a")
        rig = make_rig().start()
        rig.pillar.lifecycle.drain()
        with task:
            pass

        assert rig.pillar.lifecycle.state == "draining"


class TestFailure:
    """A task that does not succeed."""

    def test_holds_until_a_try_succeeds(
        self, make_rig: Callable[..., Rig], told: list[object]
    ) -> None:
        """A failure goes on to the caller, is told without secrets, and holds."""
        answers: list[Exception | None] = [OSError("no password=hunter2"), None]

        @health.startup_task
        def migrate() -> None:
            answer = answers.pop(0)
            if answer is not None:
                raise answer

        rig = make_rig(redactor=Redactor()).start()
        with pytest.raises(OSError, match="hunter2"):
            migrate()

        assert rig.answers() == (200, 503, 503)
        (entry,) = tasks(rig)
        assert entry["status"] == "failed"
        assert entry["output"] == "OSError: no password=[redacted:key]"
        assert "hunter" not in str(told)
        migrate()
        assert rig.answers() == (200, 200, 200)
        assert "output" not in tasks(rig)[0]
        assert [event.reason[:7] for event in told] == ["OSError", ""]  # type: ignore[attr-defined]

    def test_of_a_block(self, make_rig: Callable[..., Rig]) -> None:
        """A block that raises has failed, async and cancelled as well."""
        rig = make_rig().start(ready=False)
        with pytest.raises(KeyError), health.startup_task("a"):
            raise KeyError("x")

        async def main() -> None:
            async with health.startup_task("b"):
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

        rig.pillar.lifecycle.ready()
        assert rig.answers() == (200, 503, 503)
        assert [t["output"] for t in tasks(rig)] == ["KeyError: 'x'", "CancelledError"]

    def test_of_an_async_function(self, make_rig: Callable[..., Rig]) -> None:
        """What an async one raises goes on to whoever awaits it."""

        @health.startup_task
        async def migrate() -> None:
            raise OSError("down")

        rig = make_rig().start()
        with pytest.raises(OSError, match="down"):
            asyncio.run(migrate())

        assert tasks(rig)[0]["output"] == "OSError: down"

    def test_a_later_failure_takes_nobody_back(
        self, make_rig: Callable[..., Rig]
    ) -> None:
        """A task that failed when it was done again leaves a ready service ready."""
        rig = make_rig().start(ready=False)
        task = health.startup_task("a")
        with task:
            pass

        rig.pillar.lifecycle.ready()
        with pytest.raises(KeyError), task:
            raise KeyError

        assert rig.answers() == (200, 200, 200)
        assert tasks(rig)[0]["status"] == "failed"


class TestLate:
    """A task that nobody waited for."""

    def test_does_not_take_the_service_back(
        self, make_rig: Callable[..., Rig], told: list[object]
    ) -> None:
        """It is reported and told of, and the service stays ready."""
        rig = make_rig().start()
        with health.startup_task("late"):
            assert rig.answers() == (200, 200, 200)
            assert tasks(rig) == [{"name": "late", "status": "running", "late": True}]

        assert [type(event) for event in told] == [StartupTaskLate, StartupTaskEnded]
        assert tasks(rig)[0]["status"] == "done"

    def test_a_runtime_that_has_stopped_calls_nothing_late(
        self, make_rig: Callable[..., Rig], told: list[object]
    ) -> None:
        """What is declared after a shutdown waits for the next runtime, untold."""
        make_rig().start().pillar.close(0.0)

        task = health.startup_task("migrate")

        assert told == []
        assert not task.late
        assert task.holds

    def test_a_new_runtime_waits_again(self, make_rig: Callable[..., Rig]) -> None:
        """A runtime that begins anew waits for what is not done yet."""
        make_rig().start()
        late = health.startup_task("late")
        again = make_rig().start()
        assert again.answers() == (200, 503, 503)
        with late:
            pass

        assert again.answers() == (200, 200, 200)


class TestFork:
    """A task under way when the process forks."""

    def test_of_another_thread(self, make_rig: Callable[..., Rig]) -> None:
        """A child waits for no block of its parent's, but for its own functions."""
        block = health.startup_task("block")
        ran: list[str] = []

        @health.startup_task("call")
        def call() -> None:
            ran.append("call")
            if len(ran) == 1:
                in_child()

        rig: Rig = make_rig()

        def in_child() -> None:
            for task in (block, health.startup_task("call")):
                task._attempts = [a._replace(thread=-1) for a in task._attempts]

            rig.pillar._after_fork()
            rig.pillar.wake()
            assert [task["status"] for task in tasks(rig)] == ["waiting", "waiting"]
            assert rig.answers() == (200, 503, 503)
            call()
            assert rig.answers() == (200, 200, 200)

        rig.start()
        with block:
            call()

    def test_of_this_thread(self, make_rig: Callable[..., Rig]) -> None:
        """Where the block itself forks, the child is in it as well."""
        rig = make_rig().start(ready=False)
        with health.startup_task("block"):
            rig.pillar._after_fork()
            rig.pillar.lifecycle.ready()
            assert rig.answers() == (200, 503, 503)

        assert rig.answers() == (200, 200, 200)


class TestDeclaration:
    """What can be declared."""

    def test_by_a_factory(self, make_rig: Callable[..., Rig]) -> None:
        """A function that a factory makes again is the same task, done or not."""

        def factory() -> Callable[[], None]:
            @health.startup_task
            def warm() -> None:
                """Warm."""

            return warm

        factory()()
        factory()
        rig = make_rig().start()
        assert [task["status"] for task in tasks(rig)] == ["done"]
        assert rig.answers() == (200, 200, 200)

    def test_another_function_of_the_name(self) -> None:
        """Two functions under one name raise, and the first one's place is named."""
        health.startup_task("warm")(lambda: None)

        with pytest.raises(DeclarationError, match="test_startup_task"):
            health.startup_task("warm")(other)

    @pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", None, 5, "---"])
    def test_wrong_names(self, name: object) -> None:
        """A name can be shown, and is short."""
        with pytest.raises(DeclarationError, match="startup task"):
            health.startup_task(name)  # type: ignore[call-overload]

    def test_generators(self) -> None:
        """A generator is refused, because a call of it does nothing."""
        for function in (generator, async_generator):
            with pytest.raises(DeclarationError, match="generator"):
                health.startup_task(function)

    def test_shown(self) -> None:
        """It says what it is."""
        assert repr(health.startup_task("warm")) == "<StartupTask 'warm' waiting>"


def other() -> None:
    """Do something else."""


def generator() -> Iterator[None]:
    """Yield."""
    yield


async def async_generator() -> AsyncIterator[None]:
    """Yield."""
    yield
