"""What a runtime does beside requests: asks the platform, watches the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._core.metadata import look_up
from svcready._core.redaction import Cleared
from svcready._runtime._problems import in_force
from svcready._transport.stdout import STDOUT
from svcready.config import reload, watch_file

if TYPE_CHECKING:
    from svcready._core.worker import Job, Worker
    from svcready._runtime._runtime import Runtime

__all__ = ["meet", "schedule"]

_LOOK_UP_DEADLINE_S = 2.0
_JITTER = 0.1
_LOOK_AROUND_S = 1.0
_AUDIT_SWEEP_S = 10.0
_meeting = guard("group")
_sharing = guard("resilience.sharing")


def meet(runtime: Runtime) -> None:
    """Join the other processes of the service, and do as they were told."""
    with _meeting:
        runtime.group.join()
        if runtime.group.is_cut_off:
            runtime.notice(
                "there is no directory in which the service's processes can meet, so "
                "each stands alone: set SVCREADY_CORE_RUN_DIR to one that only this "
                "user can write to"
            )

    with _sharing:
        if runtime.resilience is not None:
            runtime.resilience.wake()


def schedule(runtime: Runtime, worker: Worker) -> None:
    """
    Give *worker* the jobs that *runtime*'s settings ask for.

    The platform's metadata service is asked once, because it can take seconds and no
    start must wait for it; the configuration file is looked at as often as
    SVCREADY_CORE_CONFIG_RELOAD_S says.
    """
    core = runtime.settings.core
    once: list[Job] = []

    def ask_platform() -> None:
        once[0].cancel()
        _ask_platform(runtime)

    def look_around() -> None:
        runtime.stalls.look()
        runtime.group.poll()
        runtime.drain_orders.tick()
        runtime.ops.look()
        if runtime.metrics is not None:
            runtime.metrics.meet()

        runtime.tracing.meet(_serving(runtime))
        STDOUT.look_again()
        if runtime.levels is not None:
            runtime.levels.tick()

        if runtime.breakers is not None:
            runtime.breakers.tick()

        if runtime.refusals is not None:
            runtime.refusals.tick()

        if runtime.logging is not None:
            runtime.logging.sweep()

    around = worker.every(_LOOK_AROUND_S, look_around, name="group")
    # A drain is told to whoever answers for all without waiting for the next second.
    runtime.ops.hurry = lambda: worker.soon(around)
    worker.every(_AUDIT_SWEEP_S, runtime.audit.sweep, name="audit")
    once.append(worker.every(3600.0, ask_platform, name="identity", first_s=0.0))
    if core.config_file and core.config_reload_s:
        changed = watch_file(core.config_file)

        def look_at_file() -> None:
            if changed():
                _reload(runtime)

        worker.every(core.config_reload_s, look_at_file, name="config", jitter=_JITTER)


def _serving(runtime: Runtime) -> int:
    """
    Return how many processes of the group serve, this one included.

    Whoever forked this one is counted out: a supervisor that loaded the application
    belongs to the group too, and serves nothing.
    """
    parent = os.getppid()
    return sum(pid != parent for pid, _ in runtime.group.members())


def _ask_platform(runtime: Runtime) -> None:
    inputs = runtime.settings.inputs
    if inputs is None:
        return

    found = look_up(inputs.environ, deadline_s=_LOOK_UP_DEADLINE_S)
    if found.attributes or found.service or found.host_instance:
        runtime.identify(
            runtime.identity.with_found(
                found.attributes, found.service, found.host_instance
            )
        )


def _reload(runtime: Runtime) -> None:
    before, known = runtime.settings, set(runtime.problems())
    after = reload(before)
    changed = after.changed_from(before)
    runtime.settings = after
    if changed:
        runtime.apply_reloaded()

    told = runtime.problems()
    problems = Cleared(each for each in told if each not in known)
    if runtime.logging is not None and (changed or problems):
        unreadable = any(p.kind == "unreadable" for p in after.problems)
        runtime.logging.event(
            "configuration file cannot be read; what is in force stays"
            if unreadable
            else "configuration file read again",
            "WARNING" if problems else "INFO",
            event="svcready.reloaded",
            changed=in_force(changed, (before, known), (after, told)),
            overridden=[  # a colon behind a secret's name has a secret behind it
                f"{key} is overridden by {said}" for key, said in after.pinned.items()
            ],
            problems=problems,
        )
