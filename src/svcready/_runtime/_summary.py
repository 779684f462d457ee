"""The start line: what is on, what is off and why, and everything that is wrong."""

from __future__ import annotations

import os
import platform
from functools import partial
from typing import TYPE_CHECKING

from svcready._core.redaction import Cleared
from svcready._core.release import own_version
from svcready._transport import stdout
from svcready._transport.workers import find_run_dir, is_first_of_group
from svcready.config._sections.admin import NOTHING
from svcready.health.checks._found import names as found_names
from svcready.health.checks._found import notices as found_notices
from svcready.resilience._modes import not_enforced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready._runtime._runtime import Runtime

__all__ = ["announce", "collect", "configuration", "inform"]

_PROBLEMS_BYTES = 2000
_MOST_PROBLEMS = 50
_PILLARS = ("logging", "audit", "metrics", "tracing", "health")


def collect(runtime: Runtime) -> dict[str, object]:
    """
    Return what is on, as one structured value.

    It holds the versions, the frameworks, what each pillar says of itself, the paths
    that anybody can reach, and every problem of the configuration.
    """
    settings = runtime.settings
    facts: dict[str, object] = {
        "svcready": own_version(),
        "python": platform.python_version(),
        "service": runtime.identity.service,
        "version": runtime.identity.version,
        "environment": runtime.identity.environment,
        "frameworks": runtime.apps.frameworks,
    }
    for name in _PILLARS:
        pillar = getattr(runtime, name)
        facts[name] = {"enabled": False} if pillar is None else pillar.describe()

    if runtime.health is not None:
        facts["health"] = {**runtime.health.describe(), "found": found_names()}

    on = runtime.breakers is not None
    facts["resilience"] = _policies(runtime) if on else {"enabled": False}

    if runtime.apps and settings.http.enabled:
        facts["public"] = sorted(runtime.public)

    if settings.admin.port > 0:
        facts["ops_port"] = settings.admin.port

    if settings.admin.socket not in {"", NOTHING}:
        facts["ops_socket"] = settings.admin.socket

    if runtime.notices:
        facts["notices"] = Cleared(runtime.notices)

    problems = runtime.problems()
    if problems:
        facts["problems"] = Cleared(problems)

    return facts


def _policies(runtime: Runtime) -> dict[str, object]:
    told: dict[str, object] = {"policies": list(runtime.resilience.names())}
    modes = not_enforced(runtime.resilience)
    return {**told, "not_enforced": modes} if modes else told


def configuration(runtime: Runtime) -> dict[str, object]:
    """Return what the deep health report says of the configuration."""
    problems = runtime.problems()
    if not problems:
        return {"status": "pass"}

    return {"status": "warn", "problems": Cleared(problems)}


def inform(runtime: Runtime) -> None:
    """Have the deep health report tell of the configuration and the audit log."""
    if runtime.health is not None:
        runtime.health.add_info("configuration", partial(configuration, runtime))
        runtime.health.add_info("audit", runtime.audit.report)


def announce(runtime: Runtime) -> None:
    """Say once what is on: a few lines on a terminal, one structured line elsewhere."""
    style = runtime.settings.core.start_summary
    logs = runtime.logging
    if logs is None:
        return

    if runtime.speaks is None:
        run_dir = find_run_dir(runtime.settings.core.run_dir, os.environ)
        runtime.speaks = is_first_of_group(run_dir)

    if not runtime.speaks:
        return

    for word in () if runtime.levels is None else runtime.levels.misspelt():
        runtime.notice(word)

    for word in (*found_notices(), *runtime.resilience.notices()):
        runtime.notice(word)

    facts = collect(runtime)
    problems = runtime.problems()
    if style == "off":
        # What is wrong is never silent, whatever was asked for.
        facts = {"problems": Cleared(problems)}
        if not problems:
            return

    terminal = stdout.is_terminal()
    if style == "full" or (style == "auto" and terminal):
        redact = runtime.redactor.text
        text = "".join(f"{redact(line)}\n" for line in _lines(runtime, problems))
        stdout.write(text.encode("utf-8", "backslashreplace"))
        return

    first, *further = _portions(problems) or [Cleared()]
    if first:
        facts["problems"] = Cleared(first)

    logs.event(
        "svcready is on" if not problems else "svcready is on, with problems",
        "WARNING" if problems else "INFO",
        event="svcready.started",
        **facts,
    )
    for portion in further:
        logs.event(
            "further problems", "WARNING", event="svcready.problems", problems=portion
        )


def _portions(problems: tuple[str, ...]) -> list[Cleared]:
    """Divide what is wrong into portions that no line has to cut."""
    portions: list[Cleared] = []
    room = 0
    for problem in problems:
        if len(problem) > room or len(portions[-1]) >= _MOST_PROBLEMS:
            portions.append(Cleared())
            room = _PROBLEMS_BYTES

        portions[-1].append(problem)
        room -= len(problem)

    return portions


def _lines(runtime: Runtime, problems: tuple[str, ...]) -> Iterator[str]:
    """Write the start summary for people: at most eight lines and the problems."""
    identity = runtime.identity
    who = " ".join(part for part in (identity.service, identity.version) if part)
    frameworks = ", ".join(runtime.apps.frameworks) or "no web framework"
    yield (f"svcready {own_version()} | {who} | {identity.environment} | {frameworks}")
    public = sorted(runtime.public)
    if runtime.apps and public:
        yield f"  answers    {' '.join(public)}"

    health = runtime.health
    if health is not None:
        checks = health.results()
        names = ", ".join(
            f"{check.name} (critical)" if check.critical else check.name
            for check in checks
        )
        yield f"  checks     {names or 'none declared'}"

    tracing = runtime.tracing.describe()
    logs = runtime.logging
    parts = []
    if logs is not None and logs.destinations is not None:
        parts.append(f"logs to {', '.join(logs.destinations.names)}")

    if runtime.metrics is not None and runtime.settings.prometheus.enabled:
        parts.append(f"metrics on {_where_metrics_are(runtime)}")

    parts.append(_where_traces_go(tracing))
    yield f"  sends to   {'; '.join(parts)}"
    yield f"  sampling   {tracing.get('sampling', '')}"
    modes = not_enforced(runtime.resilience) if runtime.breakers is not None else {}
    if modes:
        told = (f"{mode}: {', '.join(names)}" for mode, names in modes.items())
        yield f"  policies   {'; '.join(told)}"

    for notice in runtime.notices:
        yield f"  {notice}"

    for problem in problems:
        yield f"  ! {problem}"

    yield "  quiet this: SVCREADY_CORE_START_SUMMARY=line"


def _where_metrics_are(runtime: Runtime) -> str:
    admin = runtime.settings.admin
    path = f"{runtime.settings.http.path_prefix}/metrics"
    if admin.port > 0:
        return f":{admin.port}{path}"

    if admin.socket not in {"", NOTHING}:
        return f"the ops socket's {path}"

    return "no port" if runtime.ops.wanted else path


def _where_traces_go(tracing: dict[str, object]) -> str:
    state, _, reason = str(tracing["export"]).partition(": ")
    if state != "off":
        return f"traces to {reason}"

    kept = "kept in memory" if tracing["view"] != "off" else "not kept"
    return f"traces {kept} ({reason})"
