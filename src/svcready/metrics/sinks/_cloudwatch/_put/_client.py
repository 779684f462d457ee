"""The client of PutMetricData, made late, and what its errors mean for the data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, cast

from svcready._transport.aws import CONNECT_S, error_code, error_text, make_client
from svcready.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics.sinks._cloudwatch._put._members import Member

__all__ = ["PutClient", "is_refused", "is_uncertain", "may_differ", "said"]

_SHORTEST_S = 0.05
# The same request would be refused again: it holds something that is bad, or too much.
_REFUSALS = {
    *("InvalidParameterValue", "InvalidParameterValueException"),
    *("InvalidParameterCombination", "InvalidParameterCombinationException"),
    *("MissingParameter", "MissingRequiredParameterException"),
    *("ValidationError", "ValidationException", "SerializationException"),
    *("InvalidFormat", "RequestEntityTooLarge", "RequestEntityTooLargeException"),
    *("RequestTooLarge", "413"),
}
# Nothing shows whether the service took it.
_UNCERTAIN = {
    *("ReadTimeoutError", "ConnectionClosedError", "ResponseStreamingError"),
    *("IncompleteReadError", "ResponseParserError", "HTTPClientError"),
}
_PLAIN = {
    "NoRegionError": "no region is known; SVCREADY_CLOUDWATCH_REGION or AWS_REGION "
    "gives it",
    "NoCredentialsError": "no AWS credentials are found",
    "PartialCredentialsError": "the AWS credentials are incomplete",
}


# Of requests that are throttled, or signed by who may not.
_KNOWN = {
    *("Throttl", "Limit", "SlowDown", "AccessDenied", "Auth", "Expired", "Token"),
    *("Signature", "UnrecognizedClient", "OptInRequired", "TooSkewed"),
}
_EVERYBODYS = {401, 403, 408, 429}
_ON_THE_WAY = {"HTTPClientError", "ConnectionError"}


class _CloudWatch(Protocol):
    """What is used of botocore's client of the service `cloudwatch`."""

    def put_metric_data(self, **arguments: object) -> object: ...
    def close(self) -> None: ...


class PutClient:
    """
    Calls PutMetricData.

    The client is made by the first call, on the thread that calls, and again after a
    call that failed for what a new one may find: credentials, a region.

    Args:
        region: Overrides the region that botocore finds.
        endpoint: Overrides the URL that botocore finds.
        timeout_s: For one call, in seconds.
        make: Makes a client.
    """

    def __init__(
        self,
        *,
        region: str,
        endpoint: str,
        timeout_s: float,
        make: Callable[..., object] = make_client,
    ) -> None:
        self._region = region
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._make = make
        self._client: _CloudWatch | None = None
        self._patience_s = timeout_s

    def put(self, namespace: str, members: list[Member], ends_s: float) -> None:
        """
        Send *members* in one call, which is tried once: the flush tries again.

        Args:
            namespace: Of all of them.
            members: All that the service allows in one call, or fewer.
            ends_s: When to give up, on the monotonic clock.

        Raises:
            Exception: Of any kind, as botocore and the system have them.
        """
        client = self._client_until(ends_s)
        try:
            client.put_metric_data(Namespace=namespace, MetricData=members)
        except Exception as error:
            if _may_pass_with_another(error):
                self.close()

            raise

    def forget(self) -> None:
        """Leave the connections to the process that we were forked from."""
        self._client = None

    def close(self) -> None:
        """Close the connections; the next call makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _client_until(self, ends_s: float) -> _CloudWatch:
        """Return a client that neither takes too long nor gives up too soon."""
        left_s = ends_s - time.monotonic()
        patient = self._patience_s >= min(self._timeout_s, left_s / 4)
        # A call may wait to connect, and then to read.
        in_time = self._patience_s + min(self._patience_s, CONNECT_S) <= left_s
        if self._client is None or not patient or not in_time:
            self.close()
            self._patience_s = max(_SHORTEST_S, min(self._timeout_s, left_s / 2))
            self._client = self._new_client(self._patience_s)

        return self._client

    def _new_client(self, timeout_s: float) -> _CloudWatch:
        made = self._make(
            "cloudwatch",
            region=self._region,
            endpoint=self._endpoint,
            timeout_s=timeout_s,
            # An attempt of botocore's own after a lost answer would add the counts
            # twice unseen; and checking a thousand datums costs more than sending.
            attempts=1,
            checks=False,
        )
        return cast("_CloudWatch", made)


def is_refused(error: Exception) -> bool:
    """Tell whether the same request would be refused for ever."""
    return error_code(error) in _REFUSALS


def is_uncertain(error: Exception) -> bool:
    """Tell whether the service may have taken the request all the same."""
    return type(error).__name__ in _UNCERTAIN


def may_differ(error: Exception) -> bool:
    """
    Tell whether another request may fare better just now.

    It may if the service answered with something that we don't know: then it can be
    about this request alone. Not if it is throttled, down or lets nobody in.
    """
    status = _status(error)
    return 400 <= status < 500 and status not in _EVERYBODYS and not _is_known(error)


def said(error: Exception) -> str:
    """Say what went wrong, and what helps if that is known."""
    if isinstance(error, MissingExtraError):
        return str(error)

    text = error_text(error)
    if error_code(error).startswith("AccessDenied"):
        return f"{text}; its role needs cloudwatch:PutMetricData"

    return _PLAIN.get(text, text)


def _status(error: Exception) -> int:
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, dict) else None
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
    return status if isinstance(status, int) else 0


def _is_known(error: Exception) -> bool:
    code = error_code(error)
    return any(word in code for word in _KNOWN)


def _may_pass_with_another(error: Exception) -> bool:
    """Tell whether a new client may find what this one lacks, such as credentials."""
    if error_code(error):
        return 400 <= _status(error) < 500 and not is_refused(error)

    return all(kind.__name__ not in _ON_THE_WAY for kind in type(error).__mro__)
