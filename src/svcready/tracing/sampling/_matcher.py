"""Finds the first sampling rule that a request matches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from svcready.config._sampling_rules import SamplingRule

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["Matcher", "Service", "Taker"]


class Taker(Protocol):
    """What a rule does to the requests that match it."""

    name: str
    """The rule's."""

    def take(self) -> bool:
        """Count one request, and tell whether it is sampled."""
        ...


T = TypeVar("T")


class Service:
    """
    What rules ask of the service itself.

    Args:
        name: The service's.
        kind: Its type as X-Ray has it, such as `AWS::ECS::Container`; else empty.
        resource_arn: The ARN of what it runs in; else empty.
    """

    def __init__(self, name: str, kind: str = "", resource_arn: str = "") -> None:
        self.name = name
        self.kind = kind
        self.resource_arn = resource_arn


class Matcher(Generic[T]):
    """
    Rules in the order in which they are tried.

    Args:
        rules: Each with what is returned for it; in any order.
        service: Rules for others are left out from the start.
    """

    def __init__(
        self, rules: Sequence[tuple[SamplingRule, T]], service: Service
    ) -> None:
        ordered = sorted(rules, key=lambda it: (it[0].priority, it[0].name))
        self._rules = [it for it in ordered if _is_for(it[0], service)]

    def match(self, method: str, path: str, describe: Describe) -> T | None:
        """
        Return what belongs to the first rule that matches; None if none does.

        Args:
            method: The request's; empty for what is no request.
            path: As received, before any routing.
            describe: Gives `server.address` and the other first attributes of the
                span; called only if a rule that may match looks at them.
        """
        for rule, taker in self._rules:
            if _fits(rule.method, method) and _fits(rule.path, path, exact=True):
                given = describe() if rule.host != "*" or rule.attributes else {}
                host = str(given.get("server.address", ""))
                if _fits(rule.host, host) and all(
                    key in given and _fits(pattern, str(given[key]), exact=True)
                    for key, pattern in rule.attributes
                ):
                    return taker

        return None


def _is_for(rule: SamplingRule, service: Service) -> bool:
    return (
        _fits(rule.service_name, service.name)
        and _fits(rule.service_type, service.kind)
        and _fits(rule.resource_arn, service.resource_arn, exact=True)
    )


def _fits(pattern: str, value: str, *, exact: bool = False) -> bool:
    if pattern == "*":
        return True

    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    flags = re.DOTALL if exact else re.DOTALL | re.IGNORECASE
    return re.fullmatch(text, value, flags) is not None
