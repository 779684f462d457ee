"""
The audit log: who did what to which thing, and that nobody took it away since.

```python
svcready.audit.record("order.cancel", "order/7", "alice", "success")
```

Entries are numbered and tied to each other by hashes, so that `svcready audit verify`
finds what is missing, altered or out of order. They are never sampled or suppressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.logging._audit import _state as _audit_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Outcome = Literal["success", "failure", "denied", "error"]

__all__ = ["authentication", "authorisation", "record", "schema"]


def record(
    action: str,
    resource: str | Mapping[str, object],
    actor: str | Mapping[str, object],
    outcome: Outcome,
    *,
    changes: Mapping[str, object] | None = None,
    **details: object,
) -> None:
    """
    Write one entry of the audit log.

    It is out when this returns, or has waited SVCREADY_AUDIT_BLOCK_MAX_S for that; on
    an event loop it never waits. What can't be taken is counted and said on the log as
    ERROR. Entries from before `init()` are kept for it.

    Args:
        action: What was done, as a fixed name: `order.cancel`.
        resource: To what: an id, or a mapping with `type`, `id` and what else names
            it.
        actor: By whom: an id, or a mapping with `type`, `id`, `ip` and the like.
        outcome: `success`; `failure`: it was tried in vain; `denied`: it was not
            allowed; `error`: something broke.
        changes: Fields and what became of them: `(before, after)`, or a mapping with
            `from` and `to`, or with one of them.
        details: Anything else; secrets are masked, here as everywhere.

    Raises:
        DeclarationError: An argument is of the wrong kind; the message names what is
            allowed.
        AuditError: The entry could not be taken, and SVCREADY_AUDIT_STRICT is on.
    """
    _audit_state.record(action, resource, actor, outcome, changes, details)


def authentication(
    event: str,
    actor: str | Mapping[str, object],
    outcome: Outcome,
    *,
    method: str = "",
    reason: str = "",
    **details: object,
) -> None:
    """
    Record that someone proved who they are, or did not.

    Args:
        event: What they did: `login`, `logout`, `token.refresh`; the entry's action is
            `authentication.` and this.
        actor: Who they are, or say they are; also the entry's resource, as an account.
        outcome: As `record` takes it; `failure` for a wrong password.
        method: How: `password`, `totp`, `oidc`.
        reason: Why not, as a fixed word: `wrong_password`.
        details: Anything else.

    Raises:
        DeclarationError: As `record` does.
        AuditError: As `record` does.
    """
    who = actor.get("id", "unknown") if hasattr(actor, "get") else actor
    account = {"type": "account", "id": who}
    more = {"method": method, "reason": reason}
    more = {name: text for name, text in more.items() if text}
    _audit_state.record(
        *(f"authentication.{event}", account, actor, outcome, None),
        {**more, **details},
    )


def authorisation(
    permission: str,
    resource: str | Mapping[str, object],
    actor: str | Mapping[str, object],
    *,
    granted: bool,
    reason: str = "",
    **details: object,
) -> None:
    """
    Record that someone was let do something, or was not.

    Args:
        permission: What they wanted to do: `order.refund`; the entry's action is
            `authorisation.` and this.
        resource: To what, as `record` takes it.
        actor: Who, as `record` takes it.
        granted: True: the outcome is `success`. False: it is `denied`.
        reason: The rule that decided, as a fixed word: `not_owner`.
        details: Anything else.

    Raises:
        DeclarationError: As `record` does.
        AuditError: As `record` does.
    """
    more = {"reason": reason} if reason else {}
    _audit_state.record(
        *(f"authorisation.{permission}", resource, actor),
        *("success" if granted else "denied", None),
        {**more, **details},
    )


def schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) that every entry obeys, version 1."""
    from pathlib import Path

    import orjson

    text = Path(__file__).with_name("audit_v1.json").read_bytes()
    found: dict[str, object] = orjson.loads(text)
    return found
