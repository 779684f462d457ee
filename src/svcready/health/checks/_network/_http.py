"""The ready-made check of an HTTP or HTTPS address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready.errors import DeclarationError
from svcready.health._result import CheckResult, fail
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._deadline import Deadline
from svcready.health.checks._named import name_for
from svcready.health.checks._network._exchange import Request, exchange, read_url
from svcready.health.checks._network._peer import in_words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from ssl import SSLContext
    from typing import Unpack

    from svcready.health.checks._adding import Options
    from svcready.health.checks._network._exchange import Url

__all__ = ["add_http"]

_MOST_BYTES = 256 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def add_http(
    url: str,
    *,
    status: int | Collection[int] = range(200, 400),
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    contains: str | None = None,
    ssl_context: SSLContext | None = None,
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check that sends a request and passes if the answer is as expected.

    Redirects are answers, not followed; proxies of the environment are not used. The
    check's time-out ends everything together, so that a peer that drips bytes holds
    nothing.

    Args:
        url: Begins with `http://` or `https://`. Credentials in it are sent as Basic
            authentication; neither they nor the query are shown anywhere.
        status: Which status passes: one, or several.
        method: `GET`, `HEAD`, ...; no body is sent.
        headers: Sent as well; never shown.
        contains: What the first 256 KiB of the body must contain; without it the body
            is not read.
        ssl_context: The rules of TLS, for a private authority or a client certificate;
            by default the system's authorities are trusted.
        name: By default `http-` and the host.
        options: What every check takes: `critical`, `groups`, `timeout`, ...

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    to = read_url(url)
    check = _HttpCheck(
        to,
        Request(
            _method(method, contains),
            _headers(headers or {}),
            _MOST_BYTES if contains else 0,
        ),
        _accepted(status),
        contains or "",
        ssl_context,
    )
    ready = ReadyMade(check.run, kind="component", target=to.shown)
    add(name or name_for("http", *to.place), ready, options)


class _HttpCheck:
    def __init__(
        self,
        url: Url,
        request: Request,
        accepted: frozenset[int],
        contains: str,
        context: SSLContext | None,
    ) -> None:
        self._url = url
        self._request = request
        self._accepted = accepted
        self._contains = contains
        self._context = context

    def run(self) -> CheckResult:
        """Ask once."""
        url = self._url
        if url.is_secure and self._context is None:
            import ssl

            self._context = ssl.create_default_context()  # reads files: only once

        deadline = Deadline(allowed_s())
        try:
            answer = exchange(url, self._request, deadline, self._context)
        except OSError as error:
            return fail(f"{url.shown}: {in_words(error, deadline.allowed_s)}")

        if answer.status not in self._accepted:
            return fail(f"{url.shown} answers {answer.status}")

        if self._contains.encode() not in answer.body:
            return fail(
                f"{url.shown} answers {answer.status} without the text that is expected"
            )

        return CheckResult("pass")


def _accepted(status: object) -> frozenset[int]:
    given = (status,) if isinstance(status, int) else status
    if isinstance(given, list | tuple | set | frozenset | range) and given:
        accepted = frozenset(given)
        if all(type(one) is int and 200 <= one <= 599 for one in accepted):
            return accepted

    msg = f"status={status!r} is not allowed: use numbers from 200 to 599"
    raise DeclarationError(msg)


def _method(method: object, contains: object) -> str:
    if not isinstance(method, str) or not re.fullmatch(r"[A-Z]{1,16}", method):
        msg = f"method={method!r} is not allowed: use one in capitals, such as GET"
        raise DeclarationError(msg)

    if contains is not None and (not isinstance(contains, str) or method == "HEAD"):
        msg = "contains= is a text, which an answer to HEAD cannot have"
        raise DeclarationError(msg)

    return method


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
            msg = f"header name {name!r} is not allowed: use letters, digits and '-'"
            raise DeclarationError(msg)

        if not (isinstance(value, str) and _VALUE.fullmatch(value)):
            # Its value may be a credential.
            msg = f"the value of header {name!r} is not allowed: use one line of text"
            raise DeclarationError(msg)

    return dict(headers)
