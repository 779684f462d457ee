"""The ready-made check of this machine's clock against a server's."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from svcready.health._result import CheckResult, warn
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import durations
from svcready.health.checks._deadline import Deadline
from svcready.health.checks._network._exchange import Request, exchange, read_url
from svcready.health.checks._network._peer import in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from ssl import SSLContext
    from typing import Unpack

    from svcready.health.checks._adding import Options
    from svcready.health.checks._bounds import Bounds
    from svcready.health.checks._network._exchange import Answer, Url

__all__ = ["Skew", "add_clock_skew", "skew_of"]

_INTERVAL = "5m"
_REQUEST = Request("HEAD", {"Cache-Control": "no-cache"})


def add_clock_skew(
    url: str | None = None,
    *,
    warn_above: float | timedelta | str | None = "1s",
    fail_above: float | timedelta | str | None = "60s",
    ssl_context: SSLContext | None = None,
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a check of this machine's clock against the `Date` of an HTTP server.

    A clock that is minutes wrong has signatures and tokens refused. The header is in
    whole seconds and some time on its way, so what is judged is the least error that
    explains it. A server that cannot be asked says nothing of the clock, and warns.

    Args:
        url: Whom to ask. By default it is AWS's token service in the region of
            `AWS_REGION`, which refuses requests that are five minutes off.
        warn_above: Seconds, timedelta or `"500ms"`; None never warns.
        fail_above: The same; None never fails for it.
        ssl_context: The rules of TLS; by default the system's authorities are trusted.
        name: By default `clock`.
        options: What every check takes; it runs every 5 minutes by default.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    to = None if url is None else read_url(url)
    check = _SkewCheck(to, durations(warn_above, fail_above), ssl_context)
    target = "AWS" if to is None else to.shown
    ready = ReadyMade(check.run, kind="system", target=target, measurement="skew")
    add(name or "clock", ready, {"interval": _INTERVAL, **options})


class Skew(NamedTuple):
    """How far this clock is from a server's."""

    estimate_s: float
    """Above 0 if ours is ahead."""
    uncertain_s: float
    """How far the estimate may be wrong either way."""

    @property
    def least_s(self) -> float:
        """The least error that explains what was seen."""
        return max(0.0, abs(self.estimate_s) - self.uncertain_s)


def skew_of(date_s: float, received_s: float, took_s: float) -> Skew:
    """
    Compare two clocks.

    Args:
        date_s: The server's time in whole seconds, cut off: it was up to 1 s later.
        received_s: Our time when its answer came.
        took_s: How long it was under way, there and back.
    """
    middle_s = received_s - took_s / 2
    return Skew(middle_s - (date_s + 0.5), 0.5 + took_s / 2)


class _SkewCheck:
    def __init__(
        self,
        url: Url | None,
        bounds: Bounds,
        context: SSLContext | None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._bounds = bounds
        self._context = context
        self._wall = wall

    def run(self) -> CheckResult:
        """Compare once."""
        url = self._url or _token_service(os.environ.get("AWS_REGION", ""))
        if url is None:
            return warn("nothing to compare with: give url=, or set AWS_REGION")

        if url.is_secure and self._context is None:
            import ssl

            self._context = ssl.create_default_context()

        deadline = Deadline(allowed_s())
        try:
            answer = exchange(url, _REQUEST, deadline, self._context)
        except OSError as error:
            said = in_words(error, deadline.allowed_s)
            return warn(f"nothing to compare with: {url.shown}: {said}")

        return self._judge(url, answer, self._wall())

    def _judge(self, url: Url, answer: Answer, received_s: float) -> CheckResult:
        date_s = _date(answer.headers.get("date", ""))
        if date_s is None:
            return warn(f"nothing to compare with: {url.shown} answers without a date")

        if answer.headers.get("age", "0").strip() != "0":
            return warn(
                f"nothing to compare with: {url.shown} is answered by a cache, "
                f"{answer.headers['age']} s old"
            )

        skew = skew_of(date_s, received_s, answer.took_s)
        status = self._bounds.judge(skew.least_s)
        way = "ahead of" if skew.estimate_s > 0 else "behind"
        said = f"this clock is at least {skew.least_s:.1f} s {way} that of {url.shown}"
        said = "" if status == "pass" else said
        return CheckResult(status, said, round(skew.estimate_s, 1), "s")


def _date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _token_service(region: str) -> Url | None:
    if not region:
        return None

    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    try:
        return read_url(f"https://sts.{region}.{suffix}/")
    except ValueError:
        return None
