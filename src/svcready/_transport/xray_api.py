"""X-Ray's sampling API: asked through a local proxy, or signed for the service."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from svcready._core.clock import SYSTEM_CLOCK
from svcready._transport.aws import CONNECT_S, error_code, error_text, make_client

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from http.client import HTTPConnection

    from botocore.client import BaseClient

    from svcready._core.clock import Clock

    Body = Mapping[str, object]

__all__ = [
    "MOST_DOCUMENTS",
    "Answer",
    "ProxyApi",
    "SamplingApi",
    "SignedApi",
    "XrayApiError",
]

MOST_DOCUMENTS = 25
"""Of statistics in one call, of either kind."""
_TIMEOUT_S = 5.0
_MOST_BYTES = 4 * 1024**2
_PIECE_BYTES = 65536
_OK = 200


class XrayApiError(Exception):
    """
    A call had no answer that can be used; the text says why in a few words.

    Args:
        reason: Why.
        answered: Somebody was there, so that another call may fare better.
    """

    def __init__(self, reason: str, *, answered: bool = True) -> None:
        self.answered = answered
        super().__init__(reason)


class Answer(NamedTuple):
    """What the service said."""

    body: Body
    """The answer's fields by the API's names, as they came."""
    date_s: float | None = None
    """The time of whoever answered, in seconds since the epoch, if it said so."""


class SamplingApi(Protocol):
    """Asks for sampling rules and targets; used by one thread at a time."""

    name: str
    """Who is asked, for people."""

    def rules(self, next_token: str) -> Answer:
        """
        Ask for one page of rules.

        Args:
            next_token: What the page before gave; empty for the first.

        Raises:
            XrayApiError: There was no answer.
        """
        ...

    def targets(self, statistics: Sequence[Body], boosts: Sequence[Body]) -> Answer:
        """
        Report what was sampled, and ask for what is to be.

        Args:
            statistics: `SamplingStatisticsDocuments`, at most 25.
            boosts: `SamplingBoostStatisticsDocuments`, at most 25.

        Raises:
            XrayApiError: There was no answer.
        """
        ...

    def forget(self) -> None:
        """Drop what belongs to the process that we were forked from."""
        ...


class ProxyApi:
    """
    Asks through the X-Ray daemon, the CloudWatch agent or a collector, unsigned.

    Each call has a connection of its own, and no proxy of the environment's comes
    between. A call ends in time also if the answer trickles.

    Args:
        url: `http://host:port`, with or without a path.
        timeout_s: For one call as a whole.
        clock: Its monotonic time bounds a call.
    """

    def __init__(
        self, url: str, *, timeout_s: float = _TIMEOUT_S, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._clock = clock
        self.name = f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{self._path}"

    def rules(self, next_token: str) -> Answer:
        """Ask for one page of rules."""
        body = {"NextToken": next_token} if next_token else {}
        return self._post("/GetSamplingRules", body)

    def targets(self, statistics: Sequence[Body], boosts: Sequence[Body]) -> Answer:
        """Report what was sampled, and ask for what is to be."""
        return self._post("/SamplingTargets", _targets_body(statistics, boosts))

    def forget(self) -> None:
        """Nothing is kept between calls."""

    def _post(self, path: str, body: Body) -> Answer:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        made = HTTPSConnection if self._secure else HTTPConnection
        deadline_s = self._clock.monotonic() + self._timeout_s
        connection = made(self._host, self._port, timeout=CONNECT_S)
        try:
            connection.connect()
            with cast("socket.socket", connection.sock) as real:
                timed = _TimedSocket(real, lambda: deadline_s - self._clock.monotonic())
                connection.sock = timed
                return self._exchange(connection, path, json.dumps(body))
        except (OSError, HTTPException) as error:
            raise XrayApiError(type(error).__name__, answered=False) from error

    def _exchange(self, connection: HTTPConnection, path: str, body: str) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": "svcready"}
        connection.request("POST", self._path + path, body.encode(), headers)
        response = connection.getresponse()
        content = response.read(_MOST_BYTES + 1)
        if response.status != _OK:
            raise XrayApiError(f"HTTP {response.status}")

        if len(content) > _MOST_BYTES:
            raise XrayApiError(f"an answer of more than {_MOST_BYTES} bytes")

        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise XrayApiError("an answer that is not JSON") from error

        return Answer(_object(parsed), _seconds(response.getheader("Date")))


class SignedApi:
    """
    Asks the service itself, signed by boto3 with the credentials that it finds.

    Args:
        region: Empty takes AWS_REGION, then what boto3 finds.
        endpoint: Overrides the URL that boto3 finds.
        client: Makes the client, when it is first needed.
    """

    def __init__(
        self,
        region: str = "",
        *,
        endpoint: str = "",
        client: Callable[..., BaseClient] = make_client,
    ) -> None:
        self._region = region
        self._endpoint = endpoint
        self._make = client
        self._client: BaseClient | None = None
        self.name = f"X-Ray in {region}" if region else "X-Ray"

    def rules(self, next_token: str) -> Answer:
        """Ask for one page of rules."""
        given = {"NextToken": next_token} if next_token else {}
        return self._call("get_sampling_rules", given)

    def targets(self, statistics: Sequence[Body], boosts: Sequence[Body]) -> Answer:
        """Report what was sampled, and ask for what is to be."""
        return self._call("get_sampling_targets", _targets_body(statistics, boosts))

    def forget(self) -> None:
        """Leave the connections to the process that we were forked from."""
        self._client = None

    def _call(self, method: str, given: Body) -> Answer:
        try:
            if self._client is None:
                self._client = self._make(
                    "xray",
                    region=self._region,
                    endpoint=self._endpoint,
                    timeout_s=_TIMEOUT_S,
                )

            called: Callable[..., Body] = getattr(self._client, method)
            answer = called(**given)
        except ImportError as error:  # the message is the pip command
            raise XrayApiError(str(error), answered=False) from error
        except Exception as error:
            answered = bool(error_code(error))
            raise XrayApiError(error_text(error), answered=answered) from error

        about = answer.get("ResponseMetadata")
        headers = about.get("HTTPHeaders", {}) if isinstance(about, dict) else {}
        return Answer(answer, _seconds(headers.get("date")))


class _TimedSocket:
    """
    What an HTTP connection needs of a socket; each wait ends with the call's time.

    Closing it does nothing: the connection does so before the answer is read.
    """

    def __init__(self, real: socket.socket, left_s: Callable[[], float]) -> None:
        self._real = real
        self._left_s = left_s

    def sendall(self, content: bytes) -> None:
        self._limit()
        self._real.sendall(content)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - only `rb`
        return io.BufferedReader(_Raw(self), _PIECE_BYTES)

    def recv_into(self, room: bytearray | memoryview) -> int:
        self._limit()
        return self._real.recv_into(room)

    def close(self) -> None:
        pass

    def _limit(self) -> None:
        left_s = self._left_s()
        if left_s <= 0:
            raise TimeoutError

        self._real.settimeout(left_s)


class _Raw(io.RawIOBase):
    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, room: bytearray | memoryview) -> int:  # type: ignore[override]
        return self._timed.recv_into(room)


def _targets_body(statistics: Sequence[Body], boosts: Sequence[Body]) -> Body:
    body: dict[str, object] = {"SamplingStatisticsDocuments": list(statistics)}
    if boosts:
        body["SamplingBoostStatisticsDocuments"] = list(boosts)

    return body


def _object(parsed: object) -> Body:
    if not isinstance(parsed, dict):
        raise XrayApiError("an answer that is no JSON object")

    return parsed


def _seconds(date: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
