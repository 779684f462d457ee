"""Metrics of Celery's tasks, where they are published and where they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.metrics.clients._messaging import Messaging
from svcready.metrics.clients._shared import DECLARE, Installed, error_type, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["instrument_celery"]

_UID = "svcready.metrics"
_OUTCOMES = {
    "SUCCESS": "success",
    "FAILURE": "failure",
    "RETRY": "retry",
    "IGNORED": "ignored",
    "REJECTED": "rejected",
}

_installed: Installed[type] = Installed()


def instrument_celery() -> Callable[[], None]:
    """
    Measure the tasks that this process publishes and those that it runs.

    In a worker call it (or `init()` with the setting) where its processes come by:
    in the module of the application.

    Returns:
        What takes the instrumentation back.
    """
    from celery.app.task import Task

    return _installed.once(Task, _install)


def _install(_: type) -> Callable[[type], None]:
    from celery import signals

    watch = _Watch()
    hooks = (
        (signals.after_task_publish, watch.published),
        (signals.task_prerun, watch.begun),
        (signals.task_failure, watch.failed),
        (signals.task_retry, watch.retried),
        (signals.task_postrun, watch.ended),
        (signals.task_revoked, watch.revoked),
        (signals.task_rejected, watch.rejected),
        (signals.task_unknown, watch.unknown),
    )
    for signal, hook in hooks:
        # Not weakly: nobody else holds the hooks.
        signal.connect(hook, weak=False, dispatch_uid=_UID)

    def remove(_: type) -> None:
        for signal, _hook in hooks:
            signal.disconnect(dispatch_uid=_UID)

        watch.under_way.clear()

    return remove


class _Run:
    """A task that runs."""

    __slots__ = ("error", "queue", "started_s")

    def __init__(self, queue: str, started_s: float) -> None:
        self.queue = queue
        self.started_s = started_s
        self.error = ""


class _Watch:
    """What Celery's signals are connected to."""

    def __init__(self) -> None:
        self._messaging = Messaging("celery")
        self._duration = DECLARE.timer(
            "celery.task.duration",
            "Time that tasks took, by how they ended.",
            labels=("task", "queue", "outcome", "error_type"),
        )
        self._refused = DECLARE.counter(
            "celery.task.refused",
            "Tasks that came and were not run: revoked, rejected or unknown.",
            unit="{task}",
            labels=("reason",),
        )
        self.under_way: dict[str, _Run] = {}
        active = DECLARE.gauge(
            "celery.task.active", "Tasks that run now.", unit="{task}"
        )
        active.set_function(lambda: len(self.under_way))
        self._clock = self._duration.stopwatch

    def published(
        self, routing_key: object = None, exchange: object = None, **_: object
    ) -> None:
        """Count a task that was handed to the broker."""
        with quiet:
            self._messaging.sent(str(routing_key or exchange or ""), "publish")

    def begun(self, task_id: str = "", task: object = None, **_: object) -> None:
        """Note that a task begins."""
        with quiet:
            queue = _queue_of(task)
            self.under_way[task_id] = _Run(queue, self._clock.now())
            self._messaging.consumed(queue, "process")

    def failed(
        self, task_id: str = "", exception: BaseException | None = None, **_: object
    ) -> None:
        """Note the error in which a task ends."""
        self._note_error(task_id, exception)

    def retried(
        self, request: object = None, reason: object = None, **_: object
    ) -> None:
        """Note why a task is to be tried again."""
        with quiet:
            # A `Retry`, whose `exc` is the error if there was one.
            cause = getattr(reason, "exc", None) or reason
            if isinstance(cause, BaseException):
                self._note_error(getattr(request, "id", ""), cause)

    def ended(
        self, task_id: str = "", task: object = None, state: object = None, **_: object
    ) -> None:
        """Record a task that ended, one way or the other."""
        with quiet:
            run = self.under_way.pop(task_id, None)
            if run is None:
                return  # it began before it was measured

            outcome = _OUTCOMES.get(str(state), "other")
            error = "" if outcome == "success" else run.error
            name = str(getattr(task, "name", ""))
            seconds = self._clock.now() - run.started_s
            self._duration.labels(name, run.queue, outcome, error).observe(seconds)
            failed = error if outcome == "failure" else ""
            self._messaging.processed(run.queue, seconds, failed)

    def revoked(self, **_: object) -> None:
        """Count a task that was taken back before it ran."""
        self._refused.labels("revoked").inc()

    def rejected(self, **_: object) -> None:
        """Count a message that is no task."""
        self._refused.labels("rejected").inc()

    def unknown(self, **_: object) -> None:
        """Count a task that this worker does not have."""
        self._refused.labels("unknown").inc()

    def _note_error(self, task_id: str, error: BaseException | None) -> None:
        with quiet:
            run = self.under_way.get(task_id)
            if run is not None and error is not None:
                run.error = error_type(error)


def _queue_of(task: object) -> str:
    request = getattr(task, "request", None)
    delivery = getattr(request, "delivery_info", None)
    info = cast("Mapping[str, object]", delivery) if isinstance(delivery, dict) else {}
    return str(info.get("routing_key") or info.get("exchange") or "")
