"""AWS: clients that keep a deadline, and the secrets that settings refer to."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.optional import require
from svcready.config import SecretError, resolve_file_secret
from svcready.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient
    from botocore.session import Session

    from svcready._core.clock import Clock

__all__ = [
    "CONNECT_S",
    "THROTTLED",
    "SecretResolver",
    "error_code",
    "error_text",
    "make_client",
]

T = TypeVar("T")

CONNECT_S = 1.0
"""The longest that a client waits for a connection."""
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "429",  # where an answer has no body that could say more
    }
)
"""What AWS answers who asks too fast; the codes differ by service."""
_SHORTEST_S = 0.01


def make_client(
    service: str,
    *,
    region: str = "",
    endpoint: str = "",
    timeout_s: float,
    attempts: int = 2,
    checks: bool = True,
    like: BaseClient | None = None,
) -> BaseClient:
    """
    Make a client of an AWS service, from a session of its own.

    Retries are botocore's own; credentials, endpoints and, unless it is given, the
    region come from where botocore always looks for them, and the region from
    AWS_REGION, which all other SDKs read and it does not.

    Args:
        service: `ssm`, `secretsmanager`, `cloudwatch`, `logs`, ...
        region: Overrides the region of the environment and the profile.
        endpoint: Overrides the URL that botocore finds.
        timeout_s: For each piece that is read of an answer, in seconds; who must not
            wait longer than that for the whole asks on a thread of its own.
        attempts: How often one call is tried in all.
        checks: Whether botocore checks what a call is given, which costs time.
        like: A client of the application's, whose account, region, endpoint and
            configuration the new one has as far as nothing else is said here.

    Raises:
        MissingExtraError: boto3 is not installed.
    """
    boto3 = require("boto3.session", extra="aws", needed_for=f"AWS {service}")
    config = require("botocore.config", extra="aws", needed_for=f"AWS {service}")
    own = config.Config(
        connect_timeout=min(timeout_s, CONNECT_S),
        read_timeout=timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        parameter_validation=checks,
        # Also tells our calls from the application's, which alone are measured.
        user_agent_extra="svcready",
    )
    region = region or os.environ.get("AWS_REGION", "")
    if like is None:
        session = boto3.Session(region_name=region or None)
    else:
        core = require("botocore.session", extra="aws", needed_for=f"AWS {service}")
        session = boto3.Session(
            botocore_session=_session_like(like, core.Session()),
            region_name=like.meta.region_name,
        )
        own = like.meta.config.merge(own)
        if like.meta.service_model.service_name == service:
            endpoint = endpoint or _own_endpoint(like.meta.endpoint_url)

    made: BaseClient = session.client(
        service, endpoint_url=endpoint or None, config=own
    )
    return made


def _session_like(like: BaseClient, session: Session) -> Session:
    # botocore has no other way to give refreshable credentials to a session.
    signer = like._request_signer  # type: ignore[attr-defined] # noqa: SLF001
    session._credentials = signer._credentials  # type: ignore[attr-defined] # noqa: SLF001
    return session


def _own_endpoint(url: str) -> str:
    """Return *url* unless botocore finds it by itself, with all its variants."""
    host = urlsplit(url).hostname or ""
    usual = host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
    return "" if usual and ".vpce." not in host else url


def error_code(error: Exception) -> str:
    """Return the code of an error that a service answered with; empty if none did."""
    response = getattr(error, "response", None)
    found = response.get("Error", {}).get("Code") if isinstance(response, dict) else ""
    return str(found or "")


def error_text(error: Exception) -> str:
    """Say what went wrong with a call; botocore's own messages quote requests."""
    code, call = error_code(error), getattr(error, "operation_name", "")
    return f"AWS answers {code} to {call}" if code else type(error).__name__


class SecretResolver:
    """
    Resolves references to secrets in files, SSM parameters and Secrets Manager.

    All calls together take no longer than the deadline, which starts with the first:
    an answer that is late is not waited for.

    Args:
        deadline_s: For all references together, in seconds.
        region: Overrides the region that botocore finds.
        clock: Measures the deadline.
        client: Makes a service's client.
    """

    def __init__(
        self,
        deadline_s: float,
        *,
        region: str = "",
        clock: Clock = SYSTEM_CLOCK,
        client: Callable[..., BaseClient] = make_client,
    ) -> None:
        self._deadline_s = deadline_s
        self._region = region
        self._clock = clock
        self._client = client
        self._end_s: float | None = None
        self._known: dict[str, str] = {}

    def __call__(self, reference: str) -> str:
        """
        Resolve `file:/path`, `ssm:/path` or `secretsmanager:name#key`.

        Raises:
            SecretError: It cannot be resolved, or not in time.
        """
        if reference.startswith("file:"):
            return resolve_file_secret(reference)

        if reference not in self._known:
            self._known[reference] = self._ask(reference)

        return self._known[reference]

    def _ask(self, reference: str) -> str:
        now_s = self._clock.monotonic()
        if self._end_s is None:
            self._end_s = now_s + self._deadline_s

        left_s = self._end_s - now_s
        if left_s < _SHORTEST_S:
            raise SecretError("no time is left before the start's deadline")

        scheme, _, name = reference.partition(":")
        fetch = _fetch_parameter if scheme == "ssm" else _fetch_secret
        try:
            return _within(
                lambda: fetch(name, self._region, left_s, self._client), left_s
            )
        except (SecretError, MissingExtraError) as error:
            raise SecretError(str(error)) from error
        except TimeoutError as error:
            raise SecretError(f"no answer within {left_s:.3g} s") from error
        except Exception as error:
            # botocore's own messages quote requests: the code or the kind says enough.
            raise SecretError(_reason(error)) from error


def _fetch_parameter(
    name: str, region: str, timeout_s: float, client: Callable[..., BaseClient]
) -> str:
    ssm = client("ssm", region=region, timeout_s=timeout_s)
    answer: Mapping[str, object] = _call(ssm, "get_parameter")(
        Name=name, WithDecryption=True
    )
    parameter = answer.get("Parameter")
    value = parameter.get("Value") if isinstance(parameter, dict) else None
    return _text(value, "the parameter")


def _fetch_secret(
    name: str, region: str, timeout_s: float, client: Callable[..., BaseClient]
) -> str:
    secret_id, _, key = name.partition("#")
    if secret_id.startswith("arn:") and secret_id.count(":") >= 6:
        region = secret_id.split(":")[3]

    manager = client("secretsmanager", region=region, timeout_s=timeout_s)
    answer: Mapping[str, object] = _call(manager, "get_secret_value")(
        SecretId=secret_id
    )
    text = _text(answer.get("SecretString"), "the secret")
    if not key:
        return text

    try:
        fields = json.loads(text)
    except ValueError as error:
        raise SecretError("the secret is not a JSON object") from error

    if not isinstance(fields, dict) or key not in fields:
        raise SecretError("the secret has no such key")

    return _text(fields[key], "the secret's key")


def _call(client: BaseClient, method: str) -> Callable[..., Mapping[str, object]]:
    called: Callable[..., Mapping[str, object]] = getattr(client, method)
    return called


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise SecretError(f"{what} holds no text")

    return value


def _reason(error: Exception) -> str:
    code = error_code(error)
    return f"AWS answers {code}" if code else type(error).__name__


def _within(function: Callable[[], T], timeout_s: float) -> T:
    """Run *function* on a thread that nobody waits for longer than *timeout_s*."""
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(function())
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            errors.append(error)

    # Credentials alone can take botocore seconds, whatever its timeouts say.
    thread = threading.Thread(target=run, name="svcready-secret", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]

    if not results:
        raise TimeoutError

    return results[0]
