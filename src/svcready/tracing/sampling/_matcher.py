"""Finds the first sampling rule that a request matches."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Generic, TypeVar

from svcready._core.http import METHODS
from svcready.tracing.sampling._glob import alternation, fold, glob, host_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from svcready.config._sampling_rules import SamplingRule
    from svcready.tracing.sampling._service import Service

    Describe = Callable[[], Mapping[str, object]]

__all__ = ["Matcher"]

T = TypeVar("T")

_ANY = "*"


class Matcher(Generic[T]):
    """
    Rules in the order in which they are tried, compiled for each method.

    X-Ray's patterns match whole values. Methods, hosts, names and types of services
    are compared without regard to the case of A to Z, as the X-Ray SDK does; paths,
    ARNs and attributes with it. A value that a request has not is an empty text, which
    `*` matches and hardly anything else, and an attribute that is not there matches
    nothing: no rule is taken for the lack of what it asks for.

    Args:
        rules: Each with what is returned for it; in any order. Of the same priority
            and name the earlier is tried first.
        service: Rules for others are left out from the start.
    """

    def __init__(
        self, rules: Iterable[tuple[SamplingRule, T]], service: Service
    ) -> None:
        # Python compares texts by code points, which is the order of UTF-8's bytes.
        ordered = sorted(rules, key=lambda it: (it[0].priority, it[0].name))
        tests: list[_Test[T]] = [
            _Test(rule, found) for rule, found in ordered if _is_for(rule, service)
        ]
        named = {fold(test.rule.method) for test in tests} - {_ANY}
        exact = {method for method in named if not _is_wild(method)}
        made: dict[tuple[int, ...], Callable[[str, Describe], T | None]] = {}

        def plan(method: str | None) -> Callable[[str, Describe], T | None]:
            numbers = tuple(_taken(tests, method))
            if numbers not in made:
                compiled = _compiled([tests[number] for number in numbers])
                made[numbers] = compiled

            return made[numbers]

        usual = {*METHODS, *(fold(method) for method in METHODS), ""}
        self._plans = {method: plan(method) for method in usual | exact}
        # A client can make methods up, so they get no plans of their own.
        self._for_others = plan(None)
        self._tests = tests if len(exact) < len(named) else None

    def match(self, method: str, path: str, describe: Describe) -> T | None:
        """
        Return what belongs to the first rule that matches; None if none does.

        Args:
            method: The request's; empty for what is no request.
            path: As received, before any routing.
            describe: Gives `server.address` and the other first attributes of the
                span; called only if a rule that may match looks at them.
        """
        plan = self._plans.get(method) or self._plans.get(fold(method))
        if plan is None:
            plan = self._for_others
            if self._tests is not None:  # patterns of methods, for an unusual one
                return _walk(self._tests, method, path, describe)

        return plan(path, describe)


class _Test(Generic[T]):
    """One rule, looked at by itself."""

    __slots__ = ("attributes", "found", "host", "is_judged", "method", "path", "rule")

    def __init__(self, rule: SamplingRule, found: T) -> None:
        self.rule = rule
        self.found = found
        self.is_judged = rule.host != _ANY or bool(rule.attributes)
        self.method = glob(rule.method, ignore_case=True)
        self.host = glob(rule.host, ignore_case=True)
        self.path = glob(rule.path)
        self.attributes = [(key, glob(pattern)) for key, pattern in rule.attributes]

    def has(self, given: Mapping[str, object]) -> bool:
        """Tell whether *given* has all attributes that the rule asks for."""
        return all(
            key in given and fits(_text(given[key])) for key, fits in self.attributes
        )


def _taken(tests: Sequence[_Test[T]], method: str | None) -> Iterable[int]:
    """Yield the numbers of those for *method*, up to one that takes everything."""
    for number, test in enumerate(tests):
        if test.rule.method == _ANY or (method is not None and test.method(method)):
            yield number
            if test.rule.path == _ANY and not test.is_judged:
                return


def _compiled(tests: Sequence[_Test[T]]) -> Callable[[str, Describe], T | None]:
    """Return what finds the first of *tests* for a path, their methods aside."""
    if not tests:
        return lambda _path, _describe: None

    paths = alternation(test.rule.path for test in tests)
    by_path = re.compile(paths, re.DOTALL).match
    found_by = (None, *(test.found for test in tests))
    judged = frozenset(number for number, test in enumerate(tests, 1) if test.is_judged)

    def match(path: str, describe: Describe) -> T | None:  # noqa: ARG001
        matched = by_path(path)
        return None if matched is None else found_by[matched.lastindex or 0]

    if not judged:
        return match

    by_host = re.compile(_hosts(tests), re.DOTALL).match

    def judge(path: str, describe: Describe) -> T | None:
        matched = by_path(path)
        number = 0 if matched is None else matched.lastindex or 0
        if number not in judged:
            return found_by[number]

        given = describe()
        host = _host(given)
        matched = by_host(f"{host}\n{path}")
        number = 0 if matched is None else matched.lastindex or 0
        if not number or tests[number - 1].has(given):
            return found_by[number]

        return _first(tests[number:], host, path, given)

    return judge


def _hosts(tests: Sequence[_Test[T]]) -> str:
    """Return the expression of a host, a line break and a path."""
    return "|".join(
        f"{host_expression(host)}(?:{alternation(test.rule.path for test in group)})"
        for host, group in groupby(tests, lambda test: fold(test.rule.host))
    )


def _walk(
    tests: Sequence[_Test[T]], method: str, path: str, describe: Describe
) -> T | None:
    fitting = [test for test in tests if test.method(method) and test.path(path)]
    if not any(test.is_judged for test in fitting[:1]):
        return fitting[0].found if fitting else None

    given = describe()
    return _first(fitting, _host(given), path, given)


def _first(
    tests: Sequence[_Test[T]], host: str, path: str, given: Mapping[str, object]
) -> T | None:
    for test in tests:
        if test.has(given) and test.host(host) and test.path(path):
            return test.found

    return None


def _host(given: Mapping[str, object]) -> str:
    # The line break stands between host and path; no host has one.
    return fold(_text(given.get("server.address", ""))).replace("\n", "\r")


def _text(value: object) -> str:
    """Return an attribute as a pattern of text is to see it."""
    if isinstance(value, bool):
        return "true" if value else "false"

    return str(value)


def _is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _is_for(rule: SamplingRule, service: Service) -> bool:
    return (
        glob(rule.service_name, ignore_case=True)(service.name)
        and glob(rule.service_type, ignore_case=True)(service.kind)
        and glob(rule.resource_arn)(service.resource_arn)
    )
