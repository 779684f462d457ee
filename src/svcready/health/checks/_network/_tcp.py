"""The ready-made check of a TCP port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._result import CheckResult, fail
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._bounds import whole
from svcready.health.checks._deadline import Deadline
from svcready.health.checks._named import name_for
from svcready.health.checks._network._hosts import read_host, shown
from svcready.health.checks._network._peer import connect, in_words

if TYPE_CHECKING:
    from typing import Unpack

    from svcready.health.checks._adding import Options

__all__ = ["add_tcp"]


def add_tcp(
    host: str, port: int, *, name: str | None = None, **options: Unpack[Options]
) -> None:
    """
    Declare a check that passes if a TCP connection is accepted.

    It says that the peer's host takes connections, not that the peer answers: where
    there is a check of its protocol, take that.

    Args:
        host: A name or an address.
        port: From 1 to 65535.
        name: By default `tcp-`, the host and the port.
        options: What every check takes: `critical`, `groups`, `timeout`, ...

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    to, at = read_host(host), whole("port", port, 1, 65535)
    target = shown(to, at)

    def run() -> CheckResult:
        deadline = Deadline(allowed_s())
        try:
            connect(to, at, deadline).close()
        except OSError as error:
            return fail(f"{target}: {in_words(error, deadline.allowed_s)}")

        return CheckResult("pass")

    ready = ReadyMade(run, kind="component", target=target)
    add(name or name_for("tcp", to, at), ready, options)
