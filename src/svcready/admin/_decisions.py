"""What the gate decides about requests for `/admin`, for the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._access import Admission
from svcready.admin._exchange import operator_of

if TYPE_CHECKING:
    from svcready.admin._access import TokenGate
    from svcready.admin._exchange import OpsRequest
    from svcready.logging._audit._log import AuditLog
    from svcready.logging._audit._off import AuditOff

__all__ = ["Decisions"]

_ACTION = "authorisation.admin"


class Decisions:
    """
    Records who was let in and who was not.

    Who is let in has an entry each time. The same refusal of the same peer has one,
    and then one a minute that says how many there were, so that a scanner can't fill
    a disk. No entry has a token: who bears one is called by its place in the list.

    Args:
        gate: Knows who bears which token.
        audit: Takes the entries.
    """

    def __init__(self, gate: TokenGate, audit: AuditLog | AuditOff) -> None:
        self._gate = gate
        self._audit = audit

    def __call__(self, request: OpsRequest, admission: Admission) -> None:
        """Record what was decided about *request*."""
        resource = {"type": "endpoint", "id": request.path}
        details = {"method": request.method}
        if admission is Admission.ADMITTED:
            actor = operator_of(request, self._gate.who(request.header))
            self._audit.record(_ACTION, resource, actor, "success", details)
            return

        reason = "nothing_configured"
        if admission is Admission.REFUSED:
            offered = request.header("Authorization")
            reason = "wrong_credentials" if offered else "no_credentials"

        peer = request.peer or "unknown"
        actor = {"type": "peer", "id": peer, "ip": peer}
        details["reason"] = reason
        self._audit.repeat(_ACTION, resource, actor, "denied", details)
