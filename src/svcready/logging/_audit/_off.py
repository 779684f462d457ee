"""What stands for the audit log where it is switched off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from svcready.logging._audit import _state as _audit_state

if TYPE_CHECKING:
    from svcready.logging._audit._entry import Entry

__all__ = ["AuditOff"]


class AuditOff:
    """Takes entries, which have been judged, and forgets them."""

    strict = False
    time_ns = staticmethod(time.time_ns)

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}

    @staticmethod
    def span_ids() -> None:
        """Return no ids."""

    def start(self) -> None:
        """Take what is recorded from now on, and what was before."""
        _audit_state.use(self)

    def take(self, _entry: Entry) -> bool:
        """Forget the entry."""
        return True

    def ignore(self, *_: object) -> None:
        """Do nothing."""

    identify = lose = end_chain = record = repeat = sweep = ignore

    def flush(self, _timeout_s: float) -> bool:
        """Do nothing, for nothing waits."""
        return True

    def close(self, _timeout_s: float) -> None:
        """Have entries kept from now on."""
        _audit_state.leave(self)

    def describe(self) -> dict[str, object]:
        """Return what the start line tells."""
        return {"enabled": False}

    report = describe
