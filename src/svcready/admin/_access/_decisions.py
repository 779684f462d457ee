"""What the gate decides about requests for `/admin`, for the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access._gate import Admission
from svcready.admin._exchange import operator_of

if TYPE_CHECKING:
    from svcready.admin._access._gate import Verdict
    from svcready.admin._exchange import OpsRequest
    from svcready.logging._audit._log import AuditLog
    from svcready.logging._audit._off import AuditOff

__all__ = ["Decisions"]

_ACTION = "authorisation.admin"
_LONGEST_METHOD = 16


class Decisions:
    """
    Records who was let in and who was not.

    Who is let in has an entry each time. The same refusal of the same peer has one,
    and then one a minute that says how many there were, so that a scanner can't fill
    a disk. No entry has a credential: who bears a token is called by its place in the
    list.

    Args:
        audit: Takes the entries.
    """

    def __init__(self, audit: AuditLog | AuditOff) -> None:
        self._audit = audit

    def __call__(self, request: OpsRequest, verdict: Verdict) -> None:
        """Record what was decided about *request*."""
        resource = {"type": "endpoint", "id": request.path}
        details = {"method": request.method[:_LONGEST_METHOD]}
        if verdict.admission is Admission.ADMITTED:
            actor = operator_of(request._replace(who=verdict.who))
            self._audit.record(_ACTION, resource, actor, "success", details)
            return

        peer = request.peer or "unknown"
        actor = {"type": "peer", "id": peer, "ip": peer}
        if verdict.who:
            actor |= {"type": "operator", "id": verdict.who}

        details["reason"] = verdict.reason
        self._audit.repeat(_ACTION, resource, actor, "denied", details)
