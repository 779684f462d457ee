"""Whether what runs on a thread is a sink's own delivery."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["delivering", "delivers"]

_here = threading.local()


@contextmanager
def delivering() -> Iterator[None]:
    """Mark what is done inside."""
    _here.on = True
    try:
        yield
    finally:
        _here.on = False


def delivers() -> bool:
    """Tell whether this thread delivers lines just now."""
    return getattr(_here, "on", False)
