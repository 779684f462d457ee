"""Decisions: whether a request is sampled, and by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from svcready._core.guard import report_fault
from svcready.tracing.sampling._layers import UNMATCHED
from svcready.tracing.sampling._reservoir import Reservoir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready._core.clock import Clock
    from svcready.tracing.sampling._layers import Layer, Unmatched
    from svcready.tracing.sampling._rate import Rate
    from svcready.tracing.sampling._service import Service

    Describe = Callable[[], Mapping[str, object]]
    Decide = Callable[[str, str, Describe], str | None]
    Inbound = Callable[[bool | None, str, str, Describe], str | None]
    Ask = Callable[[str, str, Describe], str | Literal[Unmatched.UNMATCHED] | None]

__all__ = ["NAMELESS", "SAMPLING_RULE", "Decider"]

NAMELESS = ""
"""What stands for a rule's name where no rule of X-Ray's decided."""
SAMPLING_RULE = "aws.xray.sampling_rule"
"""The attribute of a root span for the name of the X-Ray rule that sampled it."""


class Decider:
    """
    Decides about a request, given what its caller decided.

    What there is to decide is settled at construction: a service without rules has a
    decision of two calls.

    Args:
        rate: Decides where the caller did not, or may not, and no rule matches.
        trust: `always`: the caller's flag counts; `never` and
            `sampled-flag-ignored`: it does not.
        inbound_max_per_s: So many a second can be sampled by the caller's flag.
        clock: Drives that limit.
        layers: Asked one after the other before *rate* is; the first that has a rule
            for the request decides.
    """

    __slots__ = ("_layers", "_rate", "decide", "inbound", "workers")

    decide: Decide
    """
    Decide about a trace that begins here.

    Takes the request's method, empty for what is no request; its path as received,
    before any routing, `/` for what is no request; and what gives the span's first
    attributes by the names of OpenTelemetry's conventions, called only if a rule looks
    at host or attributes.

    Returns the name of the X-Ray rule by which it is sampled, empty if it is sampled
    by what has no name on X-Ray; None if it is not sampled.
    """

    inbound: Inbound
    """Decide the same, given first the caller's sampled flag; None if it sent none."""

    def __init__(
        self,
        rate: Rate,
        trust: str,
        inbound_max_per_s: float,
        clock: Clock,
        layers: Sequence[Layer] = (),
    ) -> None:
        self._rate = rate
        self._layers = tuple(layers)
        self.workers = 1
        self.decide = _by_rate(rate.decide)
        for layer in reversed(self._layers):
            self.decide = _by_layer(layer.decide, self.decide)

        admitted = Reservoir(inbound_max_per_s, clock).take
        self.inbound = _by_caller(self.decide, admitted, honoured=trust == "always")

    def share(self, workers: int) -> None:
        """
        Share the reservoirs with the service's other processes.

        Args:
            workers: How many sample, this one included.
        """
        if workers != self.workers:
            self.workers = workers
            self._rate.share(workers)
            for layer in self._layers:
                layer.share(workers)

    def serve(self, service: Service) -> None:
        """Try the rules for *service*, of which something was found out."""
        for layer in self._layers:
            layer.serve(service)

    def __str__(self) -> str:
        """Say in one line what is sampled."""
        has_reservoir = bool(self._rate.per_second or self._layers)
        shared = (
            "in each process"
            if self.workers == 1
            else f"shared by {self.workers} processes"
        )
        parts = [layer.describe() for layer in self._layers]
        parts.append(f"{self._rate} of the others" if parts else str(self._rate))
        join = ", " if self._layers else " "
        return ", then ".join(parts) + (f"{join}{shared}" if has_reservoir else "")


def _by_rate(samples: Callable[[], bool]) -> Decide:
    def decide(method: str, path: str, describe: Describe) -> str | None:  # noqa: ARG001
        return NAMELESS if samples() else None

    return decide


def _by_layer(ask: Ask, others: Decide) -> Decide:
    def decide(method: str, path: str, describe: Describe) -> str | None:
        try:
            answer = ask(method, path, describe)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("tracing.sampling", error)
        else:
            if answer is not UNMATCHED:
                return answer

        return others(method, path, describe)

    return decide


def _by_caller(
    decide: Decide, admitted: Callable[[], bool], *, honoured: bool
) -> Inbound:
    def heed(
        flag: bool | None,  # noqa: FBT001 - three values
        method: str,
        path: str,
        describe: Describe,
    ) -> str | None:
        if flag is None:
            return decide(method, path, describe)

        if not flag:
            return None

        return NAMELESS if admitted() else decide(method, path, describe)

    def ignore(
        flag: bool | None,  # noqa: ARG001, FBT001
        method: str,
        path: str,
        describe: Describe,
    ) -> str | None:
        return decide(method, path, describe)

    return heed if honoured else ignore
