"""What checks of AWS resources share: a client of their own, and errors understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from svcready._core.optional import installed, require
from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade
from svcready.health.checks._deadline import share_of
from svcready.health.checks._kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient

    from svcready.health.checks._adding import Options

__all__ = ["INTERVAL_S", "TIMEOUT_S", "Call", "aws_check", "unhurried"]

INTERVAL_S = 60.0
"""How often AWS is asked, unless something is said: calls are billed and limited."""
TIMEOUT_S = 5.0
"""How long a run may take; the first loads boto3, which takes a small task seconds."""

_REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "UnauthorizedOperation",
        "403",  # the answer to a HEAD has no body that could say more
    }
)

_OTHER_ACTIONS = {"GetMetricStatistics": "cloudwatch:GetMetricStatistics"}


class Call(Protocol):
    """
    Makes a call: `call("describe_table", TableName="orders")`.

    Args:
        operation: Which, as boto3 calls it.
        of: Of which other service than the check's.
        arguments: The call's own.
    """

    def __call__(
        self, operation: str, *, of: str = "", **arguments: object
    ) -> Mapping[str, object]: ...


def aws_check(
    service: str,
    look: Callable[[Call], CheckResult],
    *,
    action: str,
    target: str,
    kind: str = "datastore",
    measurement: str = "responseTime",
    region: str = "",
    like: BaseClient | None = None,
    known: Mapping[str, str] | None = None,
) -> ReadyMade:
    """
    Make the check of a resource of AWS.

    Args:
        service: Which one, as boto3 calls it.
        look: Looks at the resource, by one call or a few.
        action: What the role must be allowed to do, as IAM has it.
        target: What it looks at, for people.
        kind: As of `ReadyMade`.
        measurement: As of `ReadyMade`.
        region: Overrides that of the environment.
        like: A client of the application's, for account, region and endpoint.
        known: What else codes of errors mean, which then fail.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    if not installed("boto3"):  # it is loaded when the check runs, not here
        require("boto3", extra="aws", needed_for=f"a health check of AWS {service}")

    probe = _Probe(service, look, action, region, like, known or {})
    return ReadyMade(
        probe.run,
        kind=kind,
        target=target,
        measurement=measurement,
        close=probe.close,
    )


def unhurried(options: Options) -> Options:
    """Return *options* with the interval and time-out of checks of AWS."""
    return {"interval": INTERVAL_S, "timeout": TIMEOUT_S, **options}


class _Probe:
    """
    Looks by a client of its own, so that the application's waits for nothing of it.

    Args:
        service: Of which service.
        look: Looks.
        action: What must be allowed.
        region: Where; empty for the environment's.
        like: The application's client, or none.
        known: What codes of errors mean.
    """

    def __init__(
        self,
        service: str,
        look: Callable[[Call], CheckResult],
        action: str,
        region: str,
        like: BaseClient | None,
        known: Mapping[str, str],
    ) -> None:
        self._service = service
        self._look = look
        self._action = action
        self._region = region
        self._like = like
        self._known = known
        self._last: CheckResult | None = None
        self._kept: Kept[_Clients] = Kept(_Clients.close)
        self.close = self._kept.close

    def run(self) -> CheckResult:
        """Look, and understand what goes wrong."""
        limit_s = share_of(allowed_s())
        clients = self._kept.take()
        if clients is not None and clients.limit_s != limit_s:
            clients.close()
            clients = None

        clients = clients or _Clients(self._region, self._like, limit_s)
        try:
            return self._judged(clients)
        finally:
            self._kept.keep(clients)

    def _judged(self, clients: _Clients) -> CheckResult:
        from svcready._transport.aws import THROTTLED, error_code, error_text

        def call(
            operation: str, *, of: str = "", **arguments: object
        ) -> Mapping[str, object]:
            client = clients.of(of or self._service)
            answer: Mapping[str, object] = getattr(client, operation)(**arguments)
            return answer

        try:
            result = self._look(call)
        except Exception as error:  # noqa: BLE001 - botocore has many, and they quote
            code = error_code(error)
            if code in THROTTLED:
                return self._throttled(code)

            if code in self._known:
                result = CheckResult("fail", self._known[code])
            elif code in _REFUSED:
                asked = getattr(error, "operation_name", "")
                action = _OTHER_ACTIONS.get(asked, self._action)
                reason = f"not allowed: the role needs {action} ({code})"
                result = CheckResult("warn", reason)
            else:
                result = CheckResult("fail", error_text(error))

        self._last = result
        return result

    def _throttled(self, code: str) -> CheckResult:
        # It says nothing of the resource, so a failure is neither made nor ended.
        if self._last is not None and self._last.status == "fail":
            return self._last

        return CheckResult("warn", f"AWS asks to call less often ({code})")


class _Clients:
    """
    The clients of one check, by service.

    Args:
        region: Where; empty for the environment's.
        like: The application's client, or none.
        limit_s: How long they wait, in seconds.
    """

    def __init__(self, region: str, like: BaseClient | None, limit_s: float) -> None:
        self.limit_s = limit_s
        self._region = region
        self._like = like
        self._made: dict[str, BaseClient] = {}

    def of(self, service: str) -> BaseClient:
        """Return the client of *service*."""
        if service not in self._made:
            from svcready._transport.aws import make_client

            self._made[service] = make_client(
                service,
                region=self._region,
                timeout_s=self.limit_s,
                attempts=1,  # the next run is the next attempt
                like=self._like,
            )

        return self._made[service]

    def close(self) -> None:
        """Close their connections."""
        for client in self._made.values():
            client.close()
