"""What settings contradict or lack, as far as they alone show it, before a start."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from svcready._runtime._extras import lacks_jwt
from svcready._runtime._sharing import lacks_redis
from svcready.config._table import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.config import Settings

__all__ = ["beforehand", "harmless", "judged", "said_as"]

_REDACTION_OFF = (
    "SVCREADY_LOG_REDACT_ENABLED is false: passwords, tokens and card numbers leave "
    "the process as they are, in logs, traces, metrics and health reports"
)


def judged(settings: Settings) -> tuple[str, ...]:
    """
    Return what the values of several settings together make wrong, one line each.

    The start tells of it and `svcready config` does: what is added here is known to
    both.

    Args:
        settings: All sections; nothing is opened, made or looked up for them.
    """
    told = [] if settings.log.redact_enabled else [_REDACTION_OFF]
    return (*told, *lacks_jwt(settings), *_of_requests(settings))


def harmless(settings: Settings) -> set[str]:
    """Return the problems that strict mode lets pass."""
    return {
        _REDACTION_OFF,
        *(str(problem) for problem in settings.problems if problem.kind == "inert"),
    }


def beforehand(settings: Settings) -> tuple[str, ...]:
    """
    Return all that a start with these settings would say is wrong, beside `load`.

    What the pillars find when they are made is found here without making them; what
    only the code can tell, such as names that nothing has, is not.

    Args:
        settings: All sections. Nothing is opened or switched on for them.
    """
    told = [*judged(settings)]
    if settings.core.enabled:
        told += _of_pillars(settings)
        told += _of_policies(settings)

    return tuple(dict.fromkeys(told))


def said_as(settings: Settings, name: str, field: str, *, base: str = "") -> str:
    """
    Return what an operator calls a field of a policy.

    Args:
        settings: Where it may be said.
        name: The policy's name.
        field: A field of `POLICY_FIELDS`.
        base: The policy that it was made from; empty: none.
    """
    said = settings.named.explained("POLICY", name, base=base).get(field)
    if said is not None:
        return said.origin.where

    from svcready.resilience._described import whose

    return whose(name, field)


def _of_requests(settings: Settings) -> Iterator[str]:
    yield from lacks_redis(settings)
    yield from _of_shedding(settings)


def _of_shedding(settings: Settings) -> Iterator[str]:
    """Find bounds of load shedding that hold others back; name both, with values."""
    http = settings.http
    least, most = http.shedding_min_limit, http.shedding_max_limit
    if least > most:
        yield (
            f"{_said(settings, 'min', least)}, above {_said(settings, 'max', most)}: "
            f"the limit is {least} throughout"
        )

    first = http.shedding_initial_limit
    if settings.origin("http.shedding_initial_limit").kind == "default":
        return

    begins = max(least, min(most, first))
    if begins != first:
        side = "above" if first > begins else "below"
        bound = "min" if begins == least else "max"
        yield (
            f"{_said(settings, 'initial', first)}, {side} "
            f"{_said(settings, bound, begins)}: the limit begins at {begins}"
        )


def _said(settings: Settings, bound: str, value: int) -> str:
    key = f"shedding_{bound}_limit"
    said = settings.origin(f"http.{key}")
    if said.kind == "default":
        return f"{PREFIX}HTTP_{key.upper()}={value} (the default)"

    return f"{said.where}={value}"


def _of_pillars(settings: Settings) -> Iterator[str]:
    from svcready._transport.otlp import target_problem, traces_target
    from svcready._transport.sinks.rotating_file import file_problem
    from svcready.metrics._checking import metrics_problems
    from svcready.tracing.instrumentation._switch import client_problems

    yield from metrics_problems(settings)
    yield from client_problems(settings.tracing)
    exporter = settings.tracing.exporter
    if settings.tracing.enabled and {"auto", "otlp"} & set(exporter):
        target = traces_target(settings.otlp, wanted="otlp" in exporter)
        problem = "" if target is None else target_problem(target)
        if problem:
            yield f"tracing: {problem}"

    for key, wanted, path in (
        ("LOG_FILE", settings.log.enabled, settings.log.file),
        (
            "AUDIT_FILE",
            settings.audit.enabled and settings.audit.destination == "file",
            settings.audit.file,
        ),
    ):
        problem = file_problem(path) if wanted and path else ""
        if problem:
            yield f"{PREFIX}{key}={path}: {problem}"


def _of_policies(settings: Settings) -> Iterator[str]:
    """Find numbers of one policy that contradict each other, all of them said."""
    from svcready.resilience._composing._said import contradictions
    from svcready.resilience._overrides import naming

    for name in settings.named.names("POLICY"):
        said = settings.named.explained("POLICY", name)
        values = {field: value.value for field, value in said.items()}
        for problem in contradictions(values):
            yield naming(problem, partial(said_as, settings, name))
