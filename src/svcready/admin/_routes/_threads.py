"""The path `/admin/threads`: what every thread of this process does at the moment."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from svcready.admin._exchange import NO_STORE, TEXT, OpsResponse, answer_json
from svcready.admin._routes._frames import Served, stack_of
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest

__all__ = ["threads_route"]

_MOST_THREADS = 256


def threads_route(runtime: Runtime) -> Route:
    """Make the path that lists threads with their stacks, as JSON or as text."""

    def answer(request: OpsRequest) -> OpsResponse:
        listed = _threads(runtime)
        if "text/plain" in (request.header("Accept") or ""):
            body = _as_text(listed).encode("utf-8", "backslashreplace")
            return OpsResponse(200, (TEXT, NO_STORE), body)

        shown = listed[:_MOST_THREADS]
        left_out = len(listed) - len(shown)
        return answer_json(
            200, {"pid": os.getpid(), "threads": shown, "left_out": left_out}
        )

    return Route("/admin/threads", answer, guarded=True, slow=True)


def _threads(runtime: Runtime) -> list[dict[str, object]]:
    known = {thread.ident: thread for thread in threading.enumerate()}
    served, redact = Served(runtime), runtime.redactor.text
    frames = sys._current_frames()  # noqa: SLF001 - the way to ask, for debuggers
    listed: list[dict[str, object]] = []
    try:
        for ident, frame in frames.items():
            thread = known.get(ident)
            described: dict[str, object] = {
                "name": redact(thread.name) if thread else "unknown",
                "id": ident,
                "native_id": thread.native_id if thread else None,
                "daemon": thread.daemon if thread else None,
                "asks": ident == threading.get_ident(),
                "serves": served.by_frame(frame),
                "stack": stack_of(frame),
            }
            listed.append(described)
    finally:
        frames.clear()  # or each would keep what it works on

    return sorted(listed, key=lambda each: str(each["name"]))


def _as_text(listed: list[dict[str, object]]) -> str:
    lines = [f"process {os.getpid()}, {len(listed)} threads", ""]
    for each in listed[:_MOST_THREADS]:
        daemon = ", daemon" if each["daemon"] else ""
        lines.append(f"{each['name']} (id {each['native_id']}{daemon})")
        serves = each["serves"]
        if isinstance(serves, dict):
            lines.append(
                f"  serves {serves['method']} {serves['request_id']} "
                f"for {serves['seconds']} s"
            )

        stack = each["stack"]
        lines += [f"  {line}" for line in stack] if isinstance(stack, list) else []
        lines.append("")

    return "\n".join(lines)
