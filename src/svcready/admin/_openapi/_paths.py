"""The operations of the paths below `/admin`, for the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._breakers import STATES
from svcready.admin._openapi._operation import PROBLEM, Operation, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PATHS"]

_JSON: Mapping[str, Mapping[str, object]] = {"application/json": {"type": "object"}}
_WRONG: Mapping[str, Mapping[str, object]] = {"application/problem+json": PROBLEM}
_TEXT: Mapping[str, object] = {"type": "string"}
# Spelt as OpenAPI 3.0 can read it as well, which knows no type null.
_NULL: Mapping[str, object] = {"enum": [None]}
_SECONDS = ({"type": "number"}, _TEXT)
_DURATION: Mapping[str, object] = {
    "description": "Seconds, or a number with ms, s, m, h or d",
    "anyOf": [*_SECONDS],
}


def _read(summary: str, says: str) -> Mapping[str, Operation]:
    return {"GET": Operation(summary, {200: Response(says, _JSON)})}


def _change(
    summary: str, says: str, properties: Mapping[str, object], *required: str
) -> Operation:
    """Return the operation of a POST, with what all of them may answer."""
    body: dict[str, object] = {"type": "object", "properties": properties}
    if required:  # OpenAPI 3.0 takes no empty list
        body["required"] = [*required]

    responses = {
        200: Response(says, _JSON),
        400: Response("The body says no such change", _WRONG),
        413: Response("The body is longer than 64 KiB", _WRONG),
        415: Response("The body is not sent as application/json", _WRONG),
    }
    return Operation(summary, responses, body={**body, "additionalProperties": False})


def _and(operation: Operation, answers: Mapping[int, str]) -> Operation:
    further = {status: Response(says, _WRONG) for status, says in answers.items()}
    return operation._replace(responses={**operation.responses, **further})


_UNTOLD = {503: "The other workers cannot be told"}
_STATE = "How the drain stands, once its delay is over"

PATHS: Mapping[str, Mapping[str, Operation]] = {
    "/admin": _read("What operators can ask", "The paths and their methods"),
    "/admin/info": _read(
        "Who the service is", "Identity, versions, process and workers"
    ),
    "/admin/config": _read(
        "What is set, and where", "Every setting in force with its origin, masked"
    ),
    "/admin/tasks": _read("What asyncio works on", "The tasks of each event loop"),
    "/admin/threads": {
        "GET": Operation(
            "What each thread does",
            {200: Response("Their stacks", {**_JSON, "text/plain": _TEXT})},
        )
    },
    "/admin/policies": {
        "GET": Operation(
            "How calls to dependencies are guarded",
            {
                200: Response(
                    "The parts of each policy from the outside in: the numbers in "
                    "force and who said them, how they stand, what became of calls",
                    {**_JSON, "text/plain": _TEXT},
                )
            },
            query={"name": "Those whose name begins so"},
        )
    },
    "/admin/breakers": {
        **_read("How circuit breakers stand", "The state of each"),
        "POST": _and(
            _change(
                "Hold a circuit breaker, or let it go",
                "How it stands now",
                {
                    "name": _TEXT,
                    "state": {"enum": [*STATES]},
                    "ttl": {**_DURATION, "anyOf": [*_SECONDS, _NULL]},
                },
                "name",
                "state",
            ),
            {404: "No breaker is called so", **_UNTOLD},
        ),
    },
    "/admin/loggers": {
        "GET": Operation(
            "From which level each logger writes",
            {200: Response("The loggers that are known", _JSON)},
            query={"name": "Those whose name begins so"},
        ),
        "POST": _and(
            _change(
                "Give a logger another level for some time",
                "What holds now",
                {
                    "logger": _TEXT,
                    "level": {"anyOf": [_TEXT, _NULL]},
                    "ttl": _DURATION,
                },
                "logger",
            ),
            {409: "The service is configured so that it can't be", **_UNTOLD},
        ),
        "DELETE": _and(
            Operation(
                "Let a logger fall back to its own level",
                {200: Response("What holds now", _JSON)},
                query={"name": "The logger"},
            ),
            {400: "No logger is named", **_UNTOLD},
        ),
    },
    "/admin/drain": {
        "GET": Operation(
            "Drain, for hooks that can send nothing else",
            {200: Response(_STATE, _JSON)},
        ),
        "POST": _change("Drain", _STATE, {"delay": _DURATION}),
        "DELETE": _and(
            Operation(
                "Take requests again", {200: Response("How it stands now", _JSON)}
            ),
            {409: "It does not drain, or its server ends"},
        ),
    },
}
"""By path and method; what is missing here says so itself."""
