"""Stacks of threads and coroutines: where they are, and for which request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svcready._core.context import record_in

if TYPE_CHECKING:
    from contextvars import Context
    from types import FrameType

    from svcready._runtime import Runtime
    from svcready._runtime._open_requests import OpenRequest

__all__ = ["Served", "line_of", "stack_of"]

_MOST_FRAMES = 64
_MOST_SEARCHED = 64
_OURS = str(Path(__file__).parents[2])


def stack_of(frame: FrameType | None) -> list[str]:
    """Return where *frame* is, the innermost call first; never a value."""
    lines: list[str] = []
    while frame is not None and len(lines) < _MOST_FRAMES:
        lines.append(line_of(frame))
        frame = frame.f_back

    if frame is not None:
        lines.append("...")

    return lines


def line_of(frame: FrameType) -> str:
    """Return where *frame* is."""
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"


class Served:
    """
    Finds out which request in flight a thread or a task works for.

    Args:
        runtime: Knows what is in flight.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._now_s = runtime.clock.monotonic()
        requests = runtime.open_requests.all()
        self._by_identity = {id(request): request for request in requests}
        self._by_id = {request.request_id: request for request in requests}
        self._kept = requests  # so that no identity is another object's meanwhile

    def by_frame(self, frame: FrameType | None) -> dict[str, object] | None:
        """Return the request of a thread that is at *frame*, if it can be told."""
        searched = 0
        while frame is not None and searched < _MOST_SEARCHED:
            # The wrapper that serves a request has it as a local. No other frame is
            # looked into: until Python 3.13 that keeps what its locals were alive.
            if frame.f_code.co_filename.startswith(_OURS):
                for value in frame.f_locals.values():
                    request = self._by_identity.get(id(value))
                    if request is not None:
                        return self._shown(request)

            frame, searched = frame.f_back, searched + 1

        return None

    def by_context(self, context: Context | None) -> dict[str, object] | None:
        """Return the request in whose context something runs."""
        record = None if context is None else record_in(context)
        if record is None or record.request_id is None:
            return None

        request = self._by_id.get(record.request_id)
        return None if request is None else self._shown(request)

    def _shown(self, request: OpenRequest) -> dict[str, object]:
        return {
            "request_id": request.request_id,
            "method": request.method,
            "seconds": round(self._now_s - request.started_s, 3),
        }
