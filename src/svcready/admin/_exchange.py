"""A request to the operator's surface and its answer, as any framework gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CHANGING",
    "JSON",
    "MOST_BODY_BYTES",
    "MOST_TAKEN_BYTES",
    "NO_STORE",
    "READING",
    "TEXT",
    "Audit",
    "OpsRequest",
    "OpsResponse",
    "answer_json",
    "operator_of",
    "problem",
]

READING = ("GET", "HEAD")
CHANGING = ("POST", "DELETE")
MOST_BODY_BYTES = 64 * 1024
"""The longest body of a request for an operator's path."""

MOST_TAKEN_BYTES = 1024**2
"""How much of a longer one is taken off the connection, which then goes on."""

TEXT = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
NO_STORE = ("cache-control", "no-store")
_PROBLEM = ("content-type", "application/problem+json")


class OpsRequest(NamedTuple):
    """A request to the operator's surface, as any framework can give it."""

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    """Returns a request header's value, by its name in any case."""
    peer: str | None
    """The address of the connection's other end."""
    body: bytes | None = b""
    """Read where `OpsSurface.takes_body` says so; None if it is longer than 64 KiB."""
    who: str = ""
    """The operator, once the gate has admitted them; as the audit log calls them."""


def operator_of(request: OpsRequest) -> dict[str, str]:
    """Return the actor of an entry: the operator who sent *request*."""
    return {"type": "operator", "id": request.who, "ip": request.peer or "unknown"}


class OpsResponse(NamedTuple):
    """An answer of the operator's surface."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; without `content-length`, which the adapter adds."""
    body: bytes


class Audit(Protocol):
    """What is told of every change that an operator makes, `svcready.audit.record`."""

    def __call__(
        self,
        action: str,
        resource: Mapping[str, str],
        actor: Mapping[str, str],
        outcome: str,
        /,
        *,
        changes: Mapping[str, object] | None = None,
        **details: object,
    ) -> None:
        """
        Take down who did what to which thing, and what came of it.

        Args:
            action: What was done.
            resource: To what: `type` and `id`.
            actor: By whom: `type`, `id` and `ip`.
            outcome: `success`, `denied` or `failure`.
            changes: `from` and `to` of each field that is different now.
            details: Anything else.
        """
        ...


def answer_json(status: int, value: object) -> OpsResponse:
    """Answer with *value*, never to be stored."""
    import orjson

    return OpsResponse(status, (JSON, NO_STORE), orjson.dumps(value) + b"\n")


def problem(
    status: int, title: str, detail: str = "", *headers: tuple[str, str]
) -> OpsResponse:
    """Answer what is wrong, as RFC 9457 has it."""
    import orjson

    said = {"title": title, "status": status}
    if detail:
        said["detail"] = detail

    body = orjson.dumps(said) + b"\n"
    return OpsResponse(status, (*headers, _PROBLEM, NO_STORE), body)
