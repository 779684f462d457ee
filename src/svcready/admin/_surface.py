"""The operator's surface: which path is answered by what, and to whom."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready.admin._access._gate import Admission
from svcready.admin._exchange import (
    CHANGING,
    NO_STORE,
    READING,
    TEXT,
    OpsRequest,
    OpsResponse,
    problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from svcready.admin._access._gate import Gate, Verdict
    from svcready.admin._openapi._operation import Operation

__all__ = ["OpsRequest", "OpsResponse", "OpsSurface", "Route"]

_BUSY = OpsResponse(
    503, (("retry-after", "1"), TEXT, NO_STORE), b"too many at the same time\n"
)


class Route(NamedTuple):
    """One path and what answers it."""

    path: str
    """The path, without the prefix."""
    answer: Callable[[OpsRequest], OpsResponse]
    """Answers a request whose method is one of `methods`."""
    methods: tuple[str, ...] = READING
    """The methods that it takes."""
    guarded: bool = False
    """Whether only operators may ask, whom the gate admits."""
    slow: bool = False
    """Whether an answer takes long enough to keep it off an event loop."""
    bare: Callable[[], OpsResponse] | None = None
    """Answers as `answer`, if that says the same to everybody who reads."""
    begin: Callable[[Callable[[], None]], float] | None = None
    """
    Begins what makes `answer` slow, but not `bare`: calls back once it is over, and
    returns how many seconds to wait for that at most.
    """
    detailed: Callable[[OpsRequest], OpsResponse] | None = None
    """Answers instead those with credentials whom the gate admits; None: nobody."""
    alias: bool = False
    """Whether it is another name of a path, given up to the application in silence."""
    all_change: bool = False
    """Whether every method changes something, a GET as well."""
    operations: Mapping[str, Operation] = MappingProxyType({})
    """What the OpenAPI document says of it, by method; HEAD is as GET."""

    def changes(self, method: str) -> bool:
        """Tell whether *method* needs credentials that allow changes."""
        return self.all_change or method not in READING


class OpsSurface:
    """
    Answers the paths that belong to operators.

    Args:
        routes: What is answered; the last of a path counts.
        gate: Says who may ask what is guarded.
        decided: Told what the gate said of each request for what is guarded.
        prefix: Put before every path.
        added: Headers that every answer has besides its own, in lower case.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        gate: Gate,
        decided: Callable[[OpsRequest, Verdict], None] = lambda *_: None,
        prefix: str = "",
        added: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._added = added
        self._gate = gate
        self._decided = decided
        self.asks = gate.asks
        """Whether who may ask for what is guarded is told to show credentials."""
        self.admits_some = gate.admits_some
        """Whether there is anybody who may ask for it."""
        self.routes: Mapping[str, Route] = MappingProxyType(
            {f"{prefix}{route.path}": route for route in routes}
        )
        """Path to what answers it, matched exactly."""
        self.public = frozenset(
            p for p, r in self.routes.items() if not (r.guarded or r.alias)
        )
        """Paths that anybody may ask, aliases left out."""
        self.known: Mapping[str, Callable[[], OpsResponse]] = {
            path: self._adding(route.bare) if added else route.bare
            for path, route in self.routes.items()
            if route.bare is not None
        }
        """What says the same to everybody who reads, at once, from what is known."""
        self.begin = {p: r.begin for p, r in self.routes.items() if r.begin is not None}
        """Of those, what has something begun first that takes long."""
        self.bare: Mapping[str, Callable[[], OpsResponse]] = {
            p: answer for p, answer in self.known.items() if not self.routes[p].slow
        }
        """
        What answers paths that say the same to everybody who reads, so that an adapter
        needs to hand over no request; but for the paths in `gated`, where one that
        shows credentials is looked at.
        """
        self.gated = frozenset(
            p for p, r in self.routes.items() if r.detailed is not None
        )
        """Paths that say more to those who show credentials."""
        self.slow_if_shown = self.gated if gate.slow else frozenset()
        """Those of them whose answer then takes long."""
        self.slow = frozenset(
            p for p, r in self.routes.items() if r.slow or (r.guarded and gate.slow)
        )
        """Paths whose answer takes long enough to keep off an event loop."""

    def answer(self, request: OpsRequest) -> OpsResponse:
        """Answer a request whose path is one of `routes`."""
        response = self._answer(request)
        return self._add(response) if self._added else response

    def _answer(self, request: OpsRequest) -> OpsResponse:
        route = self.routes[request.path]
        try:
            # First of all: a stranger is not told which methods there are.
            if route.guarded:
                verdict = self._gate.judge(
                    request, changes=route.changes(request.method)
                )
                self._decided(request, verdict)
                if verdict.admission is not Admission.ADMITTED:
                    return _refusal(verdict)

                request = request._replace(who=verdict.who)

            if request.method not in route.methods:
                allowed = ("allow", ", ".join(route.methods))
                return OpsResponse(405, (allowed, TEXT, NO_STORE), b"")

            # Who shows no credentials asks for no details, and is never told to.
            if route.detailed is not None and request.header("Authorization"):
                verdict = self._gate.judge(request)
                self._decided(request, verdict)
                if verdict.admission is Admission.ADMITTED:
                    return route.detailed(request)

            refused = _refuse_change(request) if route.guarded else None
            return refused or route.answer(request)
        except Exception as error:  # noqa: BLE001 - a probe gets an answer
            report_fault("admin", error)
            return OpsResponse(500, (TEXT, NO_STORE), b"internal error\n")

    def refuse_busy(self) -> OpsResponse:
        """Return the answer where too many are asked for at the same time."""
        return self._add(_BUSY)

    def takes_body(self, method: str, path: str) -> bool:
        """Tell whether the adapter is to read the body of such a request."""
        if method != "POST":
            return False

        route = self.routes.get(path)
        return route is not None and method in route.methods

    def _add(self, response: OpsResponse) -> OpsResponse:
        own = {name for name, _ in response.headers}
        added = tuple(pair for pair in self._added if pair[0] not in own)
        return response._replace(headers=response.headers + added)

    def _adding(self, bare: Callable[[], OpsResponse]) -> Callable[[], OpsResponse]:
        return lambda: self._add(bare())


def _refusal(verdict: Verdict) -> OpsResponse:
    """Return the answer to who may not ask, which tells nothing of why."""
    if verdict.admission is Admission.HIDDEN:
        return OpsResponse(404, (TEXT, NO_STORE), b"not found\n")

    if verdict.admission is Admission.FORBIDDEN:
        return problem(403, "Not allowed", "These credentials allow to look only")

    if verdict.admission is Admission.SLOWED:
        wait = ("retry-after", str(verdict.wait_s))
        return OpsResponse(429, (wait, TEXT, NO_STORE), b"too many refusals\n")

    challenge = ("www-authenticate", 'Bearer realm="admin"')
    return OpsResponse(401, (challenge, TEXT, NO_STORE), b"unauthorised\n")


def _refuse_change(request: OpsRequest) -> OpsResponse | None:
    """Refuse what a page in an operator's browser could send without asking."""
    if request.method not in CHANGING:
        return None

    # What a form can send is no JSON, and anything else needs a preflight request,
    # which nobody answers; the origin is looked at for browsers with a hole in that.
    origin = request.header("Origin")
    if origin is not None and origin.partition("://")[2] != request.header("Host"):
        return problem(403, "Another origin", "Send it from no browser")

    if request.method != "POST":
        return None

    kind = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return problem(415, "Not JSON", "Send Content-Type: application/json")

    if request.body is None:
        return problem(413, "Too long", "A change is no longer than 64 KiB")

    return None
