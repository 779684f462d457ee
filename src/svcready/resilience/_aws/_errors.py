"""What an error of botocore's says: throttled, broken, refused, or never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._transport.aws import THROTTLED
from svcready.resilience._lineage import lineage
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "answer_of", "is_broken", "is_throttled", "may_pass", "outcome_of"]

# botocore/retries/standard.py, TransientRetryableChecker and ThrottledRetryableChecker.
_TRANSIENT = frozenset(
    ("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete")
)
_TRANSIENT_STATUS = frozenset((500, 502, 503, 504))
_THROTTLED = THROTTLED | {"TransactionInProgressException"}
_TOO_MANY = 429
_SERVER_ERROR = 500
# Of TransactionCanceledException, which says for each item why.
_ITEMS_PASS = frozenset(
    (
        "None",
        "TransactionConflict",
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "RequestLimitExceeded",
    )
)
_BROKEN = (
    "botocore.ConnectionError",
    "botocore.HTTPClientError",
    "botocore.IncompleteReadError",
    "builtins.ConnectionError",
)


class Answer(NamedTuple):
    """What a service answered."""

    code: str
    """The error's code."""
    status: int
    """HTTP's status; 0 if unknown."""
    headers: Mapping[str, str]
    """The answer's headers, in lower case."""
    retried: bool
    """botocore has made all its own attempts."""
    items: tuple[str, ...]
    """Why a transaction was cancelled, by item."""


def answer_of(error: Exception) -> Answer | None:
    """Return what a service answered; None: the error is no answer."""
    if "botocore.ClientError" not in lineage(type(error)):
        return None

    response = _mapping(getattr(error, "response", None))
    told = _mapping(response.get("Error"))
    metadata = _mapping(response.get("ResponseMetadata"))
    status = metadata.get("HTTPStatusCode")
    again = metadata.get("RetryAttempts")
    retried = isinstance(again, int) and again > 0
    reasons = response.get("CancellationReasons")
    return Answer(
        str(told.get("Code", "")),
        status if isinstance(status, int) else 0,
        {
            str(name).lower(): str(value)
            for name, value in _mapping(metadata.get("HTTPHeaders")).items()
        },
        retried and bool(metadata.get("MaxAttemptsReached")),
        tuple(
            str(_mapping(reason).get("Code", "None"))
            for reason in (reasons if isinstance(reasons, list) else ())
        ),
    )


def is_throttled(answer: Answer) -> bool:
    """Tell whether the service says that it is asked too fast."""
    return answer.code in _THROTTLED or answer.status == _TOO_MANY


def may_pass(answer: Answer) -> bool:
    """Tell whether the same request may be answered otherwise soon."""
    if answer.items and answer.code == "TransactionCanceledException":
        return _ITEMS_PASS.issuperset(answer.items)

    return (
        is_throttled(answer)
        or answer.code in _TRANSIENT
        or answer.code == "TransactionConflictException"
        or answer.status in _TRANSIENT_STATUS
    )


def is_broken(error: Exception) -> bool:
    """Tell whether the connection to the service failed."""
    return not lineage(type(error)).isdisjoint(_BROKEN)


def outcome_of(error: Exception) -> str:
    """Return what an error is to a circuit breaker."""
    answer = answer_of(error)
    if answer is not None:
        failed = answer.status >= _SERVER_ERROR or is_throttled(answer)
        return "failure" if failed else "success"

    kinds = lineage(type(error))
    if "botocore.ReadTimeoutError" in kinds and _deadline.remaining() <= 0.0:
        return "ignored"

    if is_broken(error) or "builtins.TimeoutError" in kinds:
        return "failure"

    return "inconclusive" if "botocore.BotoCoreError" in kinds else "ignored"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
