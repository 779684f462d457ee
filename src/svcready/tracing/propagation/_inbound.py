"""Who calls, as a request's headers say it, and how far that is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.tracing.propagation._b3 import parse_b3_headers
from svcready.tracing.propagation._reading import DEBUG_KEY, XRAY_KEY
from svcready.tracing.propagation._w3c import RANDOM, SAMPLED, parse_traceparent
from svcready.tracing.propagation._xray_header import parse_xray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready.tracing.propagation._b3 import B3
    from svcready.tracing.propagation._xray_header import XRayHeader

    B3Headers = tuple[str | None, str | None, str | None, str | None, str | None]

__all__ = ["NOBODY", "Caller", "CallerReader"]


class Caller(NamedTuple):
    """What a request's headers say about where it comes from."""

    trace_id: str | None = None
    """The trace to continue; None to begin one."""
    parent_id: str | None = None
    """The caller's span; None if it made none, as load balancers do."""
    flag: bool | None = None
    """The caller's decision; None if it made none."""
    flags: int = RANDOM
    """The trace flags as bits."""
    tracestate: str | None = None
    """As it came."""
    asked: XRayHeader | None = None
    """The X-Amzn-Trace-Id that came, whichever format is followed."""
    extra: dict[str, object] | None = None
    """What else goes into the request's context."""
    left: Caller | None = None
    """The caller whose trace is not continued, because it is not trusted."""


NOBODY = Caller()
"""Who calls if no header says so."""


class CallerReader:
    """
    Reads who calls.

    Of several trace headers the format that is named last wins. A decision without a
    trace, which only B3 has, counts where no header names a trace.

    Args:
        propagators: The formats that are read.
        trust: `always`, `never` (nothing is taken over, the caller is only remembered)
            or `sampled-flag-ignored`.
    """

    __slots__ = ("_b3", "_debug", "_trust", "_w3c", "_xray")

    def __init__(self, propagators: Sequence[str], trust: str) -> None:
        ranks = {_FORMATS.get(name, name): at for at, name in enumerate(propagators)}
        self._w3c = ranks.get("tracecontext", _OFF)
        self._xray = ranks.get("xray", _OFF)
        self._b3 = ranks.get("b3", _OFF)
        self._trust = trust != "never"
        self._debug = trust == "always"

    def read(
        self,
        traceparent: str | None,
        tracestate: str | None,
        xray: str | None,
        b3: B3Headers | None,
    ) -> Caller:
        """Return who calls; a header that is not valid counts as absent."""
        caller, rank = NOBODY, _OFF
        if traceparent is not None and self._w3c > rank:
            parsed = parse_traceparent(traceparent)
            if parsed is not None:
                trace_id, span_id, flags = parsed
                flag = flags & SAMPLED != 0
                caller = Caller(trace_id, span_id, flag, flags, tracestate)
                rank = self._w3c

        decided = None
        if b3 is not None and self._b3 > rank:
            said = parse_b3_headers(*b3)
            if said is not None and said.trace_id is None:
                decided = said
            elif said is not None:
                flag_bit = SAMPLED if said.sampled else 0
                caller = Caller(said.trace_id, said.span_id, said.sampled, flag_bit)
                caller = self._debugged(caller, said)
                rank = self._b3

        if xray is not None and self._xray > _OFF:
            asked = parse_xray(xray)
            if asked is not None:
                if self._xray > rank:
                    caller = Caller(*asked[:3], RANDOM | (asked.sampled or 0))

                caller = _with_xray(caller, asked)

        if decided is not None and caller is NOBODY:
            flags = RANDOM | (decided.sampled or 0)
            caller = self._debugged(Caller(flag=decided.sampled, flags=flags), decided)

        if self._trust:
            return caller

        if caller.trace_id is None:
            return NOBODY

        return NOBODY._replace(asked=caller.asked, left=caller)

    def _debugged(self, caller: Caller, said: B3) -> Caller:
        if not said.debug or not self._debug:
            return caller

        return caller._replace(extra={DEBUG_KEY: True})


_OFF = -1
_FORMATS = {"b3multi": "b3", "xray-lambda": "xray"}


def _with_xray(caller: Caller, asked: XRayHeader) -> Caller:
    if not asked.passed:
        return caller._replace(asked=asked)

    return caller._replace(
        asked=asked, extra={**(caller.extra or {}), XRAY_KEY: asked.passed}
    )
