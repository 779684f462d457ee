"""What the sinks that metrics are sent to are made with."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config import Settings
    from svcready.metrics._instruments._instrument import Spec
    from svcready.metrics._instruments._register import Declarer
    from svcready.metrics._model import Snapshot

__all__ = ["Means"]


class Means(NamedTuple):
    """What sinks are made with."""

    settings: Settings
    snapshot: Callable[[], Snapshot]
    """Reads everything that this process has recorded."""
    declare: Declarer
    """Declares what sinks say of themselves."""
    keep_sketches: Callable[[Callable[[Spec], bool]], None]
    """Has the histograms that it is told keep distributions."""
    identity: Identity
    clock: Clock
    note: Callable[[str], None]
    """Reports a problem with a setting."""
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes a context in which a sink's own calls are not traced."""
    write: Callable[[bytes, int], None] | None = None
    """Takes lines and their levels in place of standard output; a test's."""
