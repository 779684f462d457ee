"""Events between parts that don't know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, publish, subscribe

if TYPE_CHECKING:
    from tests.conftest import Faults

DROPPED = ItemsDropped("logging", "queue_full", 3)


class Special(ItemsDropped):
    """An event whose base somebody subscribed to."""


def test_a_hook_gets_its_own_events_until_it_unsubscribes() -> None:
    """Exactly its type, in order; ending twice does nothing."""
    seen: list[ItemsDropped] = []
    end = subscribe(ItemsDropped, seen.append)
    publish(DROPPED)
    publish(Special("x", "y", 1))
    publish("another type")
    end()
    end()
    publish(DROPPED)

    assert seen == [DROPPED]


def test_a_failing_hook_hurts_neither_its_caller_nor_the_others(
    faults: Faults,
) -> None:
    """It is reported, and the next hook still hears of the event."""
    seen: list[ItemsDropped] = []

    def broken(event: ItemsDropped) -> None:
        raise LookupError(event.reason)

    ends = [subscribe(ItemsDropped, broken), subscribe(ItemsDropped, seen.append)]
    publish(DROPPED)
    for end in ends:
        end()

    assert seen == [DROPPED]
    assert isinstance(faults.claim("events"), LookupError)


def test_the_same_hook_twice_is_told_once_per_subscription_left() -> None:
    """Ending one subscription of a hook object ends that hook."""
    seen: list[ItemsDropped] = []
    hook = seen.append
    end = subscribe(ItemsDropped, hook)
    publish(DROPPED)
    end()
    publish(DROPPED)

    assert seen == [DROPPED]


def test_a_hook_may_end_itself_while_it_runs() -> None:
    """Nobody is skipped or called twice by it."""
    seen: list[str] = []

    def once(event: ItemsDropped) -> None:
        seen.append("once")
        ends[0]()

    def always(event: ItemsDropped) -> None:
        seen.append("always")

    ends = [subscribe(ItemsDropped, once), subscribe(ItemsDropped, always)]
    publish(DROPPED)
    publish(DROPPED)
    ends[1]()

    assert seen == ["once", "always", "always"]
