"""Which errors say that the dependency is overloaded: 429, 503 and their kin."""

from __future__ import annotations

from collections.abc import Mapping

from svcready.errors import SvcreadyError

__all__ = ["is_overload"]

_STATUSES = {429, 503}
_GRPC = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}


def is_overload(error: Exception) -> bool:
    """
    Return whether *error* is a dependency's word that it has too much to do.

    An HTTP answer 429 or 503, as the clients' errors carry it (`response.status_code`
    of httpx and requests, `status` of aiohttp and urllib3, `code` of urllib), gRPC's
    RESOURCE_EXHAUSTED and UNAVAILABLE, and the throttling codes of AWS. svcready's
    own refusals never are.
    """
    if isinstance(error, SvcreadyError):
        return False

    response: object = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return _is_aws_overload(error)

    for holder in (response, error):
        for attribute in ("status_code", "status", "code"):
            status: object = getattr(holder, attribute, None)
            if isinstance(status, int) and status in _STATUSES:
                return True

    ask: object = getattr(error, "code", None)
    return callable(ask) and getattr(ask(), "name", None) in _GRPC


def _is_aws_overload(error: Exception) -> bool:
    from svcready.resilience._aws._errors import answer_of, is_throttled

    answer = answer_of(error)
    return answer is not None and (is_throttled(answer) or answer.status in _STATUSES)
