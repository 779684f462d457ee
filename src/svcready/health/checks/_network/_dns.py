"""The ready-made check of a name's resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._result import CheckResult, fail
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import name_for
from svcready.health.checks._network._hosts import read_host
from svcready.health.checks._network._peer import in_words

if TYPE_CHECKING:
    from typing import Unpack

    from svcready.health.checks._adding import Options

__all__ = ["add_dns"]


def add_dns(host: str, *, name: str | None = None, **options: Unpack[Options]) -> None:
    """
    Declare a check that passes if a name has an address.

    The system's resolver is asked, as every client in the process asks it, caches and
    `/etc/hosts` included. It cannot be told to give up: behind a name server that
    never answers it waits as long as `resolv.conf` says (5 s, twice, for each server).
    The check has failed long before; until the resolver is back it is `stuck` and
    holds one thread, never a second one.

    Args:
        host: The name.
        name: By default `dns-` and the host.
        options: What every check takes: `critical`, `groups`, `timeout`, ...

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    asked = read_host(host)

    def run() -> CheckResult:
        import socket

        try:
            found = socket.getaddrinfo(asked, None, type=socket.SOCK_STREAM)
        except OSError as error:
            return fail(f"{asked}: {in_words(error, allowed_s())}")
        except UnicodeError:
            return fail(f"{asked}: its name is none that can be resolved")

        return CheckResult("pass") if found else fail(f"{asked} has no address")

    ready = ReadyMade(run, kind="component", target=asked)
    add(name or name_for("dns", asked), ready, options)
