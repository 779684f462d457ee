"""The operations and responses of an OpenAPI document, as routes declare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEALTH", "PROBLEM", "Operation", "Response", "no_body"]

HEALTH: Mapping[str, object] = {"$ref": "#/components/schemas/SvcreadyHealthReport"}
"""The schema of a health report."""
PROBLEM: Mapping[str, object] = {"$ref": "#/components/schemas/SvcreadyProblem"}
"""The schema of what says that something is wrong."""


class Response(NamedTuple):
    """One response that really occurs."""

    description: str
    """What it means, in one sentence."""
    media: Mapping[str, Mapping[str, object]] = {}
    """The schema of its body by media type; without one it has no body."""
    headers: Mapping[str, str] = {}
    """What each of its headers means."""


class Operation(NamedTuple):
    """What a path does by one method."""

    summary: str
    """What it does, in a few words."""
    responses: Mapping[int, Response]
    """By status; those of the gate join by themselves."""
    query: Mapping[str, str] = {}
    """What each parameter of the query means."""
    body: Mapping[str, object] = {}
    """The schema of the JSON that a request brings."""


def no_body(response: Response) -> Response:
    """Return *response* as HEAD has it."""
    return response._replace(media={})
