"""The path `/admin/policies`: the numbers in force, and how policies stand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from svcready.admin._exchange import NO_STORE, TEXT, OpsResponse, answer_json
from svcready.admin._surface import Route

if TYPE_CHECKING:
    from svcready.admin._exchange import OpsRequest
    from svcready.resilience._pillar import ResiliencePillar

__all__ = ["policies_route"]

_APART = {"calls", "sources", "declared_at"}


def policies_route(resilience: ResiliencePillar) -> Route:
    """
    Make the path that lists policies by name with their parts, as JSON or as text.

    Args:
        resilience: Whose policies they are.
    """

    def answer(request: OpsRequest) -> OpsResponse:
        asked = parse_qs(request.query)
        policies, left_out = resilience.show(asked.get("name", [""])[0])
        if "text/plain" in (request.header("Accept") or ""):
            body = _as_text(policies, left_out).encode("utf-8", "backslashreplace")
            return OpsResponse(200, (TEXT, NO_STORE), body)

        said = {"pid": os.getpid(), "policies": policies, "left_out": left_out}
        return answer_json(200, said)

    # Slow: hundreds of policies, and every route is looked at for its limits.
    return Route("/admin/policies", answer, guarded=True, slow=True)


def _as_text(policies: list[dict[str, Any]], left_out: int) -> str:
    count = len(policies) + left_out
    lines = [f"process {os.getpid()}, policies and limits: {count}"]
    for policy in policies:
        made_from = policy.get("made_from")
        order = " > ".join(policy["order"]) or "limit of callers"
        lines += ["", f"{policy['name']}: {order}"]
        lines += [f"  made from {made_from}"] if made_from else []
        for kind, part in policy["parts"].items():
            lines.append(f"  {kind}  {part.get('declared_at', '')}".rstrip())
            said = part["sources"]
            lines += [
                f"    {key} {_shown(value)}"
                + (f"  ({said[key]})" if key in said else "")
                for key, value in part.items()
                if key not in _APART
            ]
            lines += [f"    {n} {what}" for what, n in part["calls"].items()]

    if left_out:
        lines += ["", f"{left_out} more are left out; ask with ?name= and a beginning"]

    return "\n".join((*lines, ""))


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())

    if isinstance(value, list):
        return "; ".join(map(str, value)) or "-"

    return "-" if value is None else str(value)
