"""One HTTP request of a check and the answer to it, bounded in time and size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from svcready.errors import DeclarationError
from svcready.health.checks._network._peer import Stream, connect, secure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from svcready.health.checks._deadline import Deadline

__all__ = ["Answer", "Request", "Url", "exchange", "read_url"]

_UNFIT = frozenset(map(chr, range(33))) | {"\x7f"}


class Url(NamedTuple):
    """Where a request goes; `shown` is all of it that people may see."""

    is_secure: bool
    host: str
    port: int
    target: str
    authorization: str
    """The value of the header, of the URL's own credentials; empty without."""
    shown: str

    @property
    def place(self) -> tuple[str | int, ...]:
        """The host, and its port if that is not the usual one."""
        usual = 443 if self.is_secure else 80
        return (self.host,) if self.port == usual else (self.host, self.port)


class Request(NamedTuple):
    """What is asked of a URL."""

    method: str
    headers: Mapping[str, str]
    most_bytes: int = 0
    """How much of the body is read."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case; the last of several."""
    body: bytes
    took_s: float
    """From the request's end to the headers', without connecting."""


def read_url(raw: object) -> Url:
    """
    Read the URL of a check.

    Credentials, query and fragment are not shown; neither are they in the error.

    Raises:
        DeclarationError: It is none that begins with http:// or https://.
    """
    try:
        return _read_url(raw)
    except ValueError:
        msg = "url is not allowed: use a URL that begins with http:// or https://"
        raise DeclarationError(msg) from None


def exchange(
    url: Url, request: Request, deadline: Deadline, context: SSLContext | None
) -> Answer:
    """
    Send *request* and read the answer; a redirect is an answer like any other.

    Args:
        url: Where to.
        request: What.
        deadline: When all of it must be over.
        context: The rules of TLS, for https.

    Raises:
        OSError: There was no answer, or it was not HTTP.
    """
    with connect(url.host, url.port, deadline) as sock:
        if context is None:
            return _talk(url, request, Stream(sock, deadline))

        with secure(sock, context, url.host, deadline) as secured:
            return _talk(url, request, Stream(secured, deadline))


def _talk(url: Url, request: Request, stream: Stream) -> Answer:
    import http.client

    connection = http.client.HTTPConnection(url.host, url.port)
    connection.default_port = 443 if url.is_secure else 80  # not told in Host
    connection.sock = stream
    headers = {"connection": "close", "user-agent": "svcready-health"}
    if url.authorization:
        headers["authorization"] = url.authorization

    headers |= {name.lower(): value for name, value in request.headers.items()}
    try:
        connection.request(request.method, url.target, headers=headers)
        sent_s = time.monotonic()
        response = connection.getresponse()
        took_s = time.monotonic() - sent_s
        body = response.read(request.most_bytes) if request.most_bytes else b""
    except ConnectionError:
        raise
    except http.client.HTTPException as error:
        msg = f"it answers something that is not HTTP ({type(error).__name__})"
        raise OSError(msg) from error

    answered = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, answered, body, took_s)


def _read_url(raw: object) -> Url:
    if not isinstance(raw, str) or _UNFIT & {*raw}:
        raise ValueError

    parts = urlsplit(raw)
    port = parts.port
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError

    is_secure = parts.scheme == "https"
    path = parts.path or "/"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None else f"{host}:{port}"
    return Url(
        is_secure,
        parts.hostname,
        port or (443 if is_secure else 80),
        f"{path}?{parts.query}" if parts.query else path,
        _basic(parts.username, parts.password),
        f"{parts.scheme}://{where}{path}",
    )


def _basic(user: str | None, password: str | None) -> str:
    if user is None:
        return ""

    from base64 import b64encode

    pair = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
