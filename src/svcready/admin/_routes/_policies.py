"""The path `/admin/policies`: the numbers in force, and what became of calls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from svcready.admin._exchange import answer_json
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.admin._exchange import OpsRequest, OpsResponse
    from svcready.resilience._pillar import ResiliencePillar

__all__ = ["policies_route"]


def policies_route(resilience: ResiliencePillar) -> Route:
    """
    Make the path that lists policies by name, with their parts.

    Args:
        resilience: Whose policies they are.
    """

    def answer(_request: OpsRequest) -> OpsResponse:
        calls: dict[tuple[str, str], dict[str, int]] = {}
        for count in resilience.calls():
            if count.total:
                calls.setdefault((count.name, count.kind), {})[count.what] = count.total

        shown = [
            {
                "name": name,
                "parts": {
                    kind: {**_plain(numbers), "calls": calls.get((name, kind), {})}
                    for kind, numbers in parts.items()
                },
            }
            for name, parts in sorted(resilience.describe().items())
        ]
        return answer_json(200, {"policies": shown})

    return Route("/admin/policies", answer, guarded=True)


def _plain(numbers: Mapping[str, object]) -> dict[str, object]:
    """Return what JSON can say of *numbers*."""
    return {key: _plain_value(value) for key, value in numbers.items()}


def _plain_value(value: object) -> object:
    fields = getattr(value, "_asdict", None)
    if fields is not None:
        return _plain(fields())

    if isinstance(value, float) and not math.isfinite(value):
        return None  # no bound

    known = value is None or isinstance(value, bool | int | float | str)
    return value if known else str(value)
