"""The path `/admin/breakers`: how circuit breakers stand, and holding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._runtime._breakers import STATES, BreakerUnknownError
from svcready.admin._exchange import answer_json, operator_of, problem
from svcready.admin._routes._times import read_ttl, wall_time
from svcready.admin._surface import Route
from svcready.config._problems import suggestion

if TYPE_CHECKING:
    from svcready._runtime._breakers import Forced, ForcedBreakers
    from svcready.admin._exchange import Audit, OpsRequest, OpsResponse
    from svcready.resilience._pillar_model import PolicyState

__all__ = ["breakers_route"]

_ACTION = "breaker.force"
_METHODS = ("GET", "HEAD", "POST")
_MEMBERS = ("name", "state", "ttl")
_LONGEST_NAME = 64


def breakers_route(breakers: ForcedBreakers, audit: Audit) -> Route:
    """
    Make the path that lists breakers and takes `{"name", "state", "ttl"}`.

    Args:
        breakers: What is listed and forced.
        audit: Takes down every change, and every one that failed.
    """

    def answer(request: OpsRequest) -> OpsResponse:
        if request.method == "POST":
            return _post(request, breakers, audit)

        shown = [_shown(state, forced) for state, forced in breakers.states()]
        return answer_json(200, {"breakers": shown})

    # Slow: a change waits for the other workers.
    return Route("/admin/breakers", answer, _METHODS, guarded=True, slow=True)


def _post(request: OpsRequest, breakers: ForcedBreakers, audit: Audit) -> OpsResponse:
    import orjson

    try:
        said = orjson.loads(request.body or b"")
    except ValueError:
        said = None

    if not isinstance(said, dict) or not said.keys() <= set(_MEMBERS):
        return problem(
            400, "Not a change", 'Send {"name": "payments", "state": "open"}'
        )

    name, state = said.get("name"), said.get("state")
    if not isinstance(name, str) or not isinstance(state, str) or state not in STATES:
        return problem(400, "No such state", f"Use {', '.join(STATES)}")

    ttl_s: float | None = None
    if said.get("ttl") is not None:
        try:
            ttl_s = read_ttl(said["ttl"])
        except ValueError as error:
            return problem(400, "No such ttl", str(error))

    actor = operator_of(request)
    resource = {"type": "breaker", "id": name[:_LONGEST_NAME]}
    before = {each.name: each.state for each, _ in breakers.states()}
    try:
        reach = breakers.force(name, state, ttl_s)
    except BreakerUnknownError as near:
        audit(_ACTION, resource, actor, "failure", state=state, reason="unknown")
        said_of = f"None is called so{suggestion(str(near))}"
        return problem(404, "No such breaker", said_of)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        audit(_ACTION, resource, actor, "failure", state=state, reason=reason)
        return problem(503, "The workers cannot be told", reason)

    after = {each.name: (each, forced) for each, forced in breakers.states()}[name]
    audit(
        _ACTION,
        resource,
        actor,
        "success",
        changes={"state": {"from": before[name], "to": after[0].state}},
        ttl_s=ttl_s,
        workers=reach._asdict(),
    )
    return answer_json(200, {**_shown(*after), "workers": reach._asdict()})


def _shown(state: PolicyState, forced: Forced | None) -> dict[str, object]:
    return {
        "name": state.name,
        "state": state.state,
        "mode": state.mode,
        "reason": state.reason,
        "last_failure": state.last_failure,
        "forced": None
        if forced is None
        else {"state": forced.state, "until": wall_time(forced.until_ns or None)},
    }
