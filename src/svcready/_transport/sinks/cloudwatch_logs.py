"""CloudWatch Logs as a destination of lines, by PutLogEvents."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol, cast

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.optional import installed
from svcready._transport.aws import error_code, error_text, make_client
from svcready._transport.sinks._destination import Outcome, Quota
from svcready._transport.sinks._log_events import (
    calls_for,
    count_rejected,
    group_name,
    stream_name,
)
from svcready._transport.sinks._sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from botocore.client import BaseClient

    from svcready._core.clock import Clock
    from svcready._transport.sinks._destination import Entry
    from svcready._transport.sinks._log_events import Call

__all__ = ["CloudWatchLogs", "available", "cloudwatch_sink"]

_TIMEOUT_S = 5.0
_SHORTEST_S = 0.05
# The same lines would be refused again.
_REFUSALS = {"InvalidParameterException", "SerializationException"}
_REFUSALS |= {"ValidationException", "RequestEntityTooLargeException", "413"}
_MISSING = "ResourceNotFoundException"
# Another process of the service was faster.
_THERE = {"ResourceAlreadyExistsException", "OperationAbortedException"}
_TWICE = "DataAlreadyAcceptedException"
_RETENTION_TRIES = 5


class _Logs(Protocol):
    """What is used of botocore's client of the service `logs`."""

    def put_log_events(self, **arguments: object) -> Mapping[str, object]: ...
    def create_log_stream(self, **arguments: object) -> object: ...
    def create_log_group(self, **arguments: object) -> object: ...
    def put_retention_policy(self, **arguments: object) -> object: ...
    def close(self) -> None: ...


def available() -> bool:
    """Tell whether the package of the extra `aws` is there, without loading it."""
    return installed("boto3")


def cloudwatch_sink(
    component: str,
    names: Callable[[], tuple[str, str]],
    *,
    retention_days: int = 0,
    region: str = "",
    quota: Quota = Quota(),  # noqa: B008 - a frozen value
    keep: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Sink:
    """
    Make a sink that sends to a log group; boto3 is loaded by its thread.

    Args:
        component: Whose lines they are: `logging.cloudwatch`.
        names: Returns the log group and the log stream, asked before every batch,
            because a fork or a look-up may change what the service is called. What
            the service does not allow in them is replaced.
        retention_days: Set on the log group where that is permitted; 0 leaves it.
        region: Overrides the region that botocore finds.
        quota: How much may wait while the service does not take it.
        keep: When that is full, refuse the newest line.
        clock: Stamps the lines.
        quiet: Makes a context in which the calls are not traced.
    """
    # boto3 needs it, and Python refuses to load it once the main thread has ended,
    # when the lines of a short process are still to be sent.
    import concurrent.futures.thread  # noqa: F401

    destination = CloudWatchLogs(names, retention_days=retention_days, region=region)
    return Sink(
        component, destination, quota=quota, keep=keep, clock=clock, quiet=quiet
    )


class CloudWatchLogs:
    """
    Sends lines by PutLogEvents, and creates group and stream when they are missing.

    What the service refuses for good is counted (`too_large`, `too_old`, `too_new`,
    `expired`, `rejected`); on everything else (throttling, no credentials, no
    permission, no network) the lines are kept.

    Args:
        names: Returns the log group and the log stream.
        retention_days: Set on the log group; 0 leaves it.
        region: Overrides the region that botocore finds.
        client: Makes a client.
        timeout_s: For each piece of an answer, in seconds.
    """

    name = "CloudWatch Logs"
    batch_bytes = 900_000  # with 26 for each event mostly one call
    batch_lines = 10_000
    linger_s = 1.0

    def __init__(
        self,
        names: Callable[[], tuple[str, str]],
        *,
        retention_days: int = 0,
        region: str = "",
        client: Callable[..., BaseClient] = make_client,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._names = names
        self._retention_days = retention_days
        self._region = region
        self._make_client = client
        self._timeout_s = timeout_s
        self._client: _Logs | None = None
        self._retained = ""
        self._retention_tries = _RETENTION_TRIES

    def deliver(self, batch: list[Entry], deadline_s: float) -> Outcome:
        """Send *batch*, in as many calls as its size and times take."""
        calls, too_large = calls_for(batch)
        lost = Counter(too_large=too_large)
        notice = ""
        try:
            client = self._client_until(deadline_s)
            group, stream = self.where()
            while calls:
                try:
                    self._send(client, group, stream, calls[0], lost)
                except Exception as error:
                    if not _is_refused(error):
                        raise

                    lost["rejected"] += len(calls[0].entries)
                    notice = f"{error_text(error)}; such lines are given up"

                del calls[0]

            notice = self._retain(client, group) or notice
        except Exception as error:  # noqa: BLE001 - a client's may be of any kind
            left = [entry for call in calls for entry in call.entries]
            fault = error_text(error)
        else:
            left, fault = [], ""

        return Outcome(left, tuple(lost.items()), fault if left else "", notice)

    def where(self) -> tuple[str, str]:
        """Return the log group and the log stream, as the service calls them."""
        group, stream = self._names()
        return group_name(group), stream_name(stream)

    def forget(self) -> None:
        """Leave the connections to the process that we were forked from."""
        self._client = None
        self._retained = ""

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _client_until(self, deadline_s: float) -> _Logs:
        left_s = deadline_s - time.monotonic()
        if left_s < self._timeout_s:
            # Somebody waits. Two attempts, each may wait to connect and to read.
            return self._new_client(max(_SHORTEST_S, left_s / 4))

        if self._client is None:
            self._client = self._new_client(self._timeout_s)

        return self._client

    def _new_client(self, timeout_s: float) -> _Logs:
        made = self._make_client("logs", region=self._region, timeout_s=timeout_s)
        return cast("_Logs", made)

    def _send(
        self, client: _Logs, group: str, stream: str, call: Call, lost: Counter[str]
    ) -> None:
        names = {"logGroupName": group, "logStreamName": stream}
        try:
            answer = client.put_log_events(**names, logEvents=call.events)
        except Exception as error:
            if error_code(error) == _TWICE:
                return

            if error_code(error) != _MISSING:
                raise

            self._create(client, group, stream)
            answer = client.put_log_events(**names, logEvents=call.events)

        info = answer.get("rejectedLogEventsInfo")
        for reason, events in count_rejected(info, len(call.events)):
            lost[reason] += events

    @staticmethod
    def _create(client: _Logs, group: str, stream: str) -> None:
        names = {"logGroupName": group, "logStreamName": stream}
        if _missing(client.create_log_stream, **names):
            _missing(client.create_log_group, logGroupName=group)
            _missing(client.create_log_stream, **names)

    def _retain(self, client: _Logs, group: str) -> str:
        """Set the retention once; returns what stands against it."""
        days = self._retention_days
        if not days or self._retained == group or not self._retention_tries:
            return ""

        try:
            client.put_retention_policy(logGroupName=group, retentionInDays=days)
        except Exception as error:  # noqa: BLE001 - lines are delivered all the same
            self._retention_tries -= 1
            if error_code(error).startswith("AccessDenied"):
                self._retention_tries = 0

            if self._retention_tries:  # throttled, as when many processes start
                return ""

            return f"the retention of {group} is not set: {error_text(error)}"

        self._retained = group
        return ""


def _missing(create: Callable[..., object], **names: object) -> bool:
    """Create something; True if what it is to be in is missing."""
    try:
        create(**names)
    except Exception as error:
        code = error_code(error)
        if code == _MISSING:
            return True

        if code not in _THERE:
            raise

    return False


def _is_refused(error: Exception) -> bool:
    return (
        error_code(error) in _REFUSALS or type(error).__name__ == "ParamValidationError"
    )
