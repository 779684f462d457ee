"""The seam between inbound requests and what admits them: limits, load shedding."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from svcready._core.guard import report_fault
from svcready.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

__all__ = [
    "INBOUND",
    "Admission",
    "Admissions",
    "Admitted",
    "Inbound",
    "Owed",
    "Refusal",
    "RequestRefused",
    "Verdict",
    "ask_at_route",
    "ask_at_route_async",
    "asks_at_route",
    "leave_all",
    "stream_all",
]


class Inbound(Protocol):
    """A request that an adapter has begun, as admissions see it."""

    method: str
    """Its method; `_OTHER` if HTTP defines none such."""
    client: str | None
    """The caller's address, as far as proxies are trusted to tell it."""
    admitted: list[Admitted]
    """What admitted it so far, from the outside in."""
    streamed: bool
    """Whether the response's body came in pieces, as far as it did."""
    refused: bool
    """Whether it was refused before the framework took its route."""
    rejected: int
    """The status of its refusal, of which its line is one of many; 0 without."""
    owing: Owed | None
    """What it pays if it is answered before anything asks at its route."""

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in any case; None without it."""
        ...

    def template(self) -> str | None:
        """Return the template of the route that it will take; None: of none."""
        ...

    def bare_path(self) -> str | None:
        """Return its raw path, never a label, where nothing declares routes."""
        ...

    def native(self) -> object:
        """Return the framework's own object for it: what resolvers are called with."""
        ...

    def endpoint(self) -> object:
        """Return the function or class that will serve it; None: not known."""
        ...

    def wait_for(self, told: Awaitable[object]) -> object:
        """
        Return the outcome of an awaitable, in a thread that is not its event loop's.

        Raises:
            DeclarationError: There is no such loop.
        """
        ...

    def refusing(self) -> None:
        """Hear that a limit on a function will refuse it by `RequestRefused`."""
        ...


class Owed(Protocol):
    """What a request pays when its response starts."""

    def passed(self) -> None:
        """Hear that it has got to its route, and pays nothing."""
        ...

    def pay(self, status: int) -> None:
        """Take it, if *status* is one that is paid for."""
        ...

    async def pay_async(self, status: int) -> None:
        """Do as `pay`, on an event loop."""
        ...


class Refusal(NamedTuple):
    """The answer, 429 or 503, to a request that is not admitted."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Its headers, names in lower case; `content-length` is the adapter's."""
    body: bytes


class RequestRefused(RateLimited):
    """
    A limit on a function has no room for the request in which it was called.

    Args:
        name: The limit's name.
        retry_after: Seconds after which a new try can succeed.
        answer: What adapters answer the request with.
    """

    def __init__(self, name: str, retry_after: float, answer: Refusal) -> None:
        super().__init__(name, "rate", retry_after)
        self.answer = answer


class Admitted(Protocol):
    """One admission's part in a request that it let through."""

    late: bool
    """Whether it asks again at the route."""

    def headers(self) -> Sequence[tuple[str, str]]:
        """Return what the response carries of it, read when the response starts."""
        ...

    def left(
        self,
        status: int,
        error: BaseException | None,
        duration_s: float,
        *,
        streamed: bool,
    ) -> None:
        """
        Hear once that the response has left, from whichever thread or task.

        Args:
            status: What the client saw; 499 if it left before.
            error: What the application raised, if it did.
            duration_s: Since the request began, in seconds.
            streamed: The body came in pieces.
        """
        ...

    def at_route(self) -> Refusal | None:
        """Return the answer if it refuses the request after all, its route known."""
        ...

    async def at_route_async(self) -> Refusal | None:
        """Do as `at_route`, on an event loop."""
        ...

    def pause(self) -> None:
        """Hear that the client is waited for: the rest of its body, or its reading."""
        ...

    def resume(self) -> None:
        """Hear that the application goes on."""
        ...

    def readmit(self) -> Refusal | None:
        """Hear that it goes on with what came; return the answer if it may not."""
        ...

    def streams(self) -> None:
        """Hear that the response comes in pieces, and may take as long as it likes."""
        ...

    def dropped(self) -> None:
        """Hear instead that another admission refused it: nothing was done."""
        ...


Verdict: TypeAlias = "Admitted | Refusal | None"
"""What an admission says: let through, refused, or none of its business."""


class Admission(Protocol):
    """
    What inbound requests are asked of before the application is called.

    Probes, metrics, operators' paths and websockets never come here.
    """

    @property
    def waits(self) -> bool:
        """Whether `enter` may wait; if not, it is asked on event loops as well."""
        ...

    def enter(self, request: Inbound) -> Verdict:
        """Decide, in a thread that may wait a little."""
        ...

    async def enter_async(self, request: Inbound) -> Verdict:
        """Decide, on an event loop."""
        ...


INBOUND: ContextVar[Inbound | None] = ContextVar("svcready.inbound", default=None)
"""The request in whose context code runs; known only where something is limited."""


class Admissions:
    """
    A chain of admissions, asked from the outside in until one refuses.

    What one of them raises is reported, and counts as if it had said nothing.

    Args:
        chain: What is asked; load shedding first, which costs nothing to take back.
    """

    __slots__ = ("_chain", "waits")

    def __init__(self, chain: Sequence[Admission]) -> None:
        self._chain = tuple(chain)
        self.waits = any(admission.waits for admission in chain)
        """Whether event loops have to use `ask_async`."""

    def ask(self, request: Inbound) -> Refusal | None:
        """Return the answer if one of them refuses; keep what the others said."""
        try:
            for admission in self._chain:
                try:
                    verdict = admission.enter(request)
                except Exception as error:  # noqa: BLE001 - the application serves on
                    report_fault("http.admission", error)
                    continue

                if isinstance(verdict, Refusal):
                    request.rejected = verdict.status
                    _drop(request)
                    return verdict

                if verdict is not None:
                    request.admitted.append(verdict)
        except BaseException:
            _drop(request)  # ended while it waited for a store
            raise

        return None

    async def ask_async(self, request: Inbound) -> Refusal | None:
        """Do as `ask`, on an event loop."""
        try:
            for admission in self._chain:
                try:
                    if admission.waits:
                        verdict = await admission.enter_async(request)
                    else:
                        verdict = admission.enter(request)
                except Exception as error:  # noqa: BLE001 - the application serves on
                    report_fault("http.admission", error)
                    continue

                if isinstance(verdict, Refusal):
                    request.rejected = verdict.status
                    _drop(request)
                    return verdict

                if verdict is not None:
                    request.admitted.append(verdict)
        except BaseException:
            _drop(request)  # cancelled while it waited for a store
            raise

        return None


def asks_at_route(request: Inbound) -> bool:
    """Tell whether something asks of *request* again at its route."""
    for one in request.admitted:  # noqa: SIM110 - on every request's path
        if one.late:
            return True

    return False


def ask_at_route(request: Inbound) -> Refusal | None:
    """Return the answer if something refuses *request* now that its route is known."""
    for one in request.admitted:
        try:
            answer = one.at_route()
        except Exception as error:  # noqa: BLE001 - the application serves on
            report_fault("http.admission", error)
            continue

        if answer is not None:
            request.rejected = answer.status
            return answer

    return None


async def ask_at_route_async(request: Inbound) -> Refusal | None:
    """Do as `ask_at_route`, on an event loop."""
    for one in request.admitted:
        try:
            answer = await one.at_route_async()
        except Exception as error:  # noqa: BLE001 - the application serves on
            report_fault("http.admission", error)
            continue

        if answer is not None:
            request.rejected = answer.status
            return answer

    return None


def leave_all(
    request: Inbound, status: int, error: BaseException | None, duration_s: float
) -> None:
    """Tell everything that admitted *request* how it ended, the inner ones first."""
    if status == request.rejected == 429:
        _drop(request)  # its latency is that of refusing, and no service's
        return

    admitted, request.admitted = request.admitted, []
    for one in reversed(admitted):
        try:
            one.left(status, error, duration_s, streamed=request.streamed)
        except Exception as fault:  # noqa: BLE001 - the others still hear of it
            report_fault("http.admission", fault)


def stream_all(request: Inbound) -> None:
    """Tell everything that admitted *request* that the response comes in pieces."""
    for one in request.admitted:
        try:
            one.streams()
        except Exception as fault:  # noqa: BLE001 - the others still hear of it
            report_fault("http.admission", fault)


def _drop(request: Inbound) -> None:
    admitted, request.admitted = request.admitted, []
    for one in reversed(admitted):
        try:
            one.dropped()
        except Exception as fault:  # noqa: BLE001 - the others still hear of it
            report_fault("http.admission", fault)
