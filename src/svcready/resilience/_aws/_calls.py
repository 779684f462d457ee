"""The calls of one AWS client under policies, each attempt complete in itself."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from svcready.resilience._aws._timeouts import keep_to_deadline
from svcready.resilience._composing._policy import POLICIES, Policy, policy
from svcready.resilience._layering._kinds import Kind, kind_of
from svcready.resilience._layering._layers import HEDGE, RETRY, TIMEOUT, compiled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from botocore.client import BaseClient

    Original: TypeAlias = Callable[[str, dict[str, Any]], Any]
    Named: TypeAlias = Policy | str | Callable[[str], Policy | str]

__all__ = ["Calls", "named"]

_PRESET = "aws"
"""What a policy is made of that nobody declared."""

_WHOLE, _FILE, _ONCE = "whole", "file", "once"
"""A body in memory, one that can be read again, and one that can't."""


class Calls:
    """
    Makes a client's calls under policies.

    Args:
        client: The client.
        original: Its own way to make a call.
        policies: The policy, its name, or what tells either of `service.Operation`.
    """

    __slots__ = ("_guarded", "_is_async", "_meta", "_original", "_policies", "_quiet")

    def __init__(self, client: BaseClient, original: Original, policies: Named) -> None:
        self._meta = client.meta
        self._original = original
        self._policies = policies
        self._is_async = kind_of(original) is Kind.COROUTINE
        self._guarded: dict[tuple[str, str], Callable[[_Call], object]] = {}
        self._quiet = False
        keep_to_deadline(client)

    def __call__(self, operation_name: str, api_params: dict[str, Any]) -> object:
        """Make a call; an async client's is to be awaited."""
        call = _Call(self._original, self._meta, operation_name, api_params)
        key = (operation_name, call.body)
        guarded = self._guarded.get(key)
        if guarded is None:
            guarded = self._guarded[key] = self._compile(*key)

        return guarded(call)

    def _compile(self, operation: str, body: str) -> Callable[[_Call], object]:
        service = self._meta.service_model.service_name
        guard = named(self._policies, f"{service}.{operation}")
        plan = POLICIES.get(guard.name)
        if plan is None or not plan.is_declared:
            policy(guard.name, preset=_PRESET)
            plan = POLICIES.get(guard.name)

        layers = {} if plan is None else dict(plan.layers)
        if not self._quiet and not layers.keys().isdisjoint((RETRY, HEDGE)):
            self._hush()

        # Two attempts can't read one file at once, as where one is left to its thread.
        apart = getattr(layers.get(TIMEOUT), "pool", None) is not None
        if body == _ONCE or (body == _FILE and apart):
            layers.pop(RETRY, None)

        if body != _WHOLE:
            layers.pop(HEDGE, None)

        return compiled(_attempt_async if self._is_async else _attempt, layers)

    def _hush(self) -> None:
        """Leave retries to the policy: attempts of both would multiply."""
        service = self._meta.service_model.service_id.hyphenize()
        self._meta.events.unregister(
            f"needs-retry.{service}", unique_id=f"retry-config-{service}"
        )
        self._quiet = True


class _Call:
    """
    One call, whose attempts are alike: body, parameters and idempotency token.

    Args:
        original: Makes an attempt.
        meta: The client's.
        operation: What is asked.
        params: As the application gave them.
    """

    __slots__ = (
        *("_again", "_file", "_original", "_params", "_start"),
        *("body", "operation"),
    )

    def __init__(
        self, original: Original, meta: Any, operation: str, params: dict[str, Any]
    ) -> None:
        self.operation = operation
        self._original = original
        self._again = False
        self._start: int | None = None
        model = meta.service_model.operation_model(operation)
        tokens = {
            name: str(uuid.uuid4())
            for name in model.idempotent_members
            if name not in params
        }
        self._params = {**params, **tokens}
        body = params.get(_streamed(model) or "")
        self._file = None if isinstance(body, bytes | bytearray | str) else body
        self.body = _WHOLE
        if self._file is not None:
            self._start = _position(self._file)
            self.body = _ONCE if self._start is None else _FILE

    def __call__(self) -> Any:
        """Make an attempt."""
        if self._again and self._file is not None:
            self._file.seek(self._start)

        self._again = True
        # Handlers of botocore's change what they are given.
        return self._original(self.operation, dict(self._params))


def named(policies: Named, operation: str) -> Policy:
    """Return the policy for `service.Operation`."""
    found = policies
    if callable(policies) and not isinstance(policies, Policy):
        found = policies(operation)

    guard = found if isinstance(found, Policy) else policy(cast("str", found))
    guard._plan.otherwise = _PRESET  # noqa: SLF001 - the policy's other half
    return guard


def _attempt(call: _Call) -> object:
    return call()


async def _attempt_async(call: _Call) -> object:
    return await cast("Awaitable[object]", call())


def _streamed(model: Any) -> str | None:
    """Return the parameter that an operation sends as a stream."""
    if not model.has_streaming_input:
        return None

    return cast("str | None", model.input_shape.serialization.get("payload"))


def _position(body: Any) -> int | None:
    try:
        return cast("int", body.tell()) if body.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None
