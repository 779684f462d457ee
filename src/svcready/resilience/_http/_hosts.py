"""A policy of its own for each host that a client calls, up to a number of them."""

from __future__ import annotations

import re

from svcready.errors import DeclarationError
from svcready.resilience._composing._policy import POLICIES, Plan, Policy, policy
from svcready.resilience._parts import DERIVED

__all__ = ["MOST_HOSTS", "plan_for_host", "plan_of"]

MOST_HOSTS = 32
"""So many hosts of one policy have a policy of their own; further ones share its."""

_UNFIT = re.compile(r"[^a-z0-9]+")
_MOST_NAME = 64
_LEAST_ROOM = 16
_DIGEST = 9
_DEFAULT_PORTS = {"http": 80, "https": 443}


def plan_of(given: Policy | str) -> Plan:
    """
    Return what a policy, or its name, stands for.

    Raises:
        DeclarationError: It is neither.
    """
    if isinstance(given, str):
        given = policy(given)

    if not isinstance(given, Policy):
        raise DeclarationError(
            f"policy={given!r}: use what svcready.policy() returned, or its name"
        )

    return given._plan  # noqa: SLF001 - the policy's other half


def plan_for_host(base: Plan, scheme: str, host: str, port: int | None) -> Plan:
    """
    Return the policy of one host: made of the same parts, with a state of its own.

    It is called `payments.api-example-com`, or `payments.api-example-com-8443` if the
    port is not the scheme's. A policy that the application declared by that name is
    taken as it is. The operator's values for `payments` hold for all its hosts.

    Args:
        base: The policy.
        scheme: `http` or `https`.
        host: The host's name or address.
        port: Its port; None: the scheme's.
    """
    name = _name(base.name, scheme, host, port)
    plan = POLICIES.get(name) if name else None
    if plan is not None and plan.is_declared:
        return plan

    # In one step: other threads meet hosts of theirs meanwhile.
    hosts = tuple(DERIVED.values()).count(base.name)
    if not name or hosts >= MOST_HOSTS:
        return base

    DERIVED[name] = base.name
    try:
        made = POLICIES.declare(name, None, lambda: Plan(name))
        made.derive(base)
    except DeclarationError:  # another name is spelt the same in variables
        DERIVED.pop(name, None)
        if plan is None:  # nobody has written this name
            POLICIES.remove(name)

        return base

    return made


def _name(base: str, scheme: str, host: str, port: int | None) -> str:
    """Return the name; empty if the policy's own leaves no room for a host."""
    spelt = _UNFIT.sub("-", host.lower()).strip("-")
    if port is not None and port != _DEFAULT_PORTS.get(scheme):
        spelt = f"{spelt}-{port}"

    room = _MOST_NAME - len(base) - 1
    if not spelt or room < _LEAST_ROOM:
        return ""

    if len(spelt) > room:
        from hashlib import blake2s  # for long names only

        digest = blake2s(spelt.encode(), digest_size=4).hexdigest()
        spelt = f"{spelt[: room - _DIGEST].rstrip('-')}-{digest}"

    return f"{base}.{spelt}"
