"""The path `/admin`: which others there are for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._exchange import answer_json
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

    from svcready.admin._exchange import OpsRequest, OpsResponse

__all__ = ["index_route"]


def index_route(routes: Iterable[Route], prefix: str) -> Route:
    """
    Make the path that lists those of *routes* that are behind the gate.

    Args:
        routes: What there is.
        prefix: Stands before every path.
    """
    paths = [
        {"path": f"{prefix}{route.path}", "methods": list(route.methods)}
        for route in sorted(routes, key=lambda route: route.path)
        if route.guarded
    ]

    def answer(_: OpsRequest) -> OpsResponse:
        return answer_json(200, {"paths": paths})

    return Route("/admin", answer, guarded=True)
