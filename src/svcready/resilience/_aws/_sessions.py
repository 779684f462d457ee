"""Policies around every client that a session of boto3's or botocore's makes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from svcready.resilience._aws._calls import Calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._aws._calls import Named, Original

__all__ = ["guard_client", "guard_session"]

_CALL = "_make_api_call"
"""What every method of a client goes through; OpenTelemetry wraps it as well."""
_EVENT = "creating-client-class"


def guard_client(client: Any, policies: Named) -> None:
    """Put policies around a client's calls; once."""
    if not isinstance(client.__dict__.get(_CALL), Calls):
        setattr(client, _CALL, Calls(client, getattr(client, _CALL), policies))


def guard_session(session: Any, policies_of: Callable[[Any], Named]) -> None:
    """
    Put policies around the calls of every client that a session makes from now on.

    Args:
        session: Of boto3 or botocore.
        policies_of: Tells the policies of a client.
    """
    made: weakref.WeakKeyDictionary[object, Calls] = weakref.WeakKeyDictionary()

    def calls_of(client: Any, original: Original) -> Calls:
        calls = made.get(client)
        if calls is None:
            # One that another thread makes meanwhile is as good.
            calls = made[client] = Calls(client, original, policies_of(client))

        return calls

    class Guarded:
        """What such a client descends from."""

        def _make_api_call(self, operation_name: str, api_params: Any) -> object:
            original = super()._make_api_call  # type: ignore[misc]
            return calls_of(self, original)(operation_name, api_params)

    def add(base_classes: list[type], **_: object) -> None:
        base_classes.insert(0, Guarded)

    register = getattr(session, "register", None) or session.events.register
    register(_EVENT, add, unique_id="svcready-guard")
