"""The operators' own port: had by one process of the group, for all of them."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from svcready._core.events import subscribe
from svcready._core.guard import guard
from svcready._runtime._ops._apps_port import is_apps_port
from svcready._runtime._ops._whole_health import WholeHealth
from svcready._transport.workers import is_alive
from svcready.config._sections.admin import NOTHING
from svcready.health._events import LifecycleChanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from svcready._runtime._runtime import Runtime

__all__ = ["OpsPorts", "Port"]

_PATIENCE = 3
"""Tries in a row, a second apart, in which nobody of ours says that it has the port."""
_opening = guard("runtime.ops_port")


class Port(Protocol):
    """A port of our own."""

    @property
    def serves(self) -> bool:
        """Whether it still listens."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...

    def forget(self) -> None:
        """Let go of it in a forked child."""
        ...


class OpsPorts:
    """
    Has the port and the socket for operators, or waits until they can be had.

    Whoever of the group binds first has it, and says so in the group's room; the
    others try again each second, without a word, so that one of them has it soon after
    the owner is gone. Only a process that works takes part: a server's master, which
    forks its workers, never does.

    Args:
        runtime: What is served.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        admin = runtime.settings.admin
        self._places: list[_Place] = []
        if admin.port > 0:
            name = f"port {admin.port} for operators"
            self._places.append(_Place(runtime, name, f"port-{admin.port}", admin.port))

        if admin.socket not in {"", NOTHING}:
            name = f"socket {admin.socket} for operators"
            self._places.append(_Place(runtime, name, "socket", path=admin.socket))

        self.wanted = bool(admin.port or admin.socket)
        """Whether operators are to have a port or socket, though it was misspelt."""
        self._begun = False
        self.hurry: Callable[[], object] = lambda: None
        """Has `look` called soon."""
        self._unsubscribe: Callable[[], None] = lambda: None
        self.health: WholeHealth | None = None
        """The health of all workers, which the port tells."""
        if self._places and runtime.health is not None:
            silent_s = runtime.settings.health.loop_stall_s
            self.health = WholeHealth(
                runtime.health, runtime.group, runtime.clock, silent_s
            )

    def begin(self) -> None:
        """Take part from now on."""
        if self._places and not self._begun:
            self._begun = True
            self._unsubscribe()
            self._unsubscribe = subscribe(LifecycleChanged, self._changed)
            self.look()

    def look(self) -> None:
        """Try to have what nobody has, and publish; about once a second."""
        if not self._begun:
            return

        if self.health is not None:
            self.health.publish()

        for place in self._places:
            with _opening:
                place.look()

    def _changed(self, _: LifecycleChanged) -> None:
        self.hurry()

    def close(self) -> None:
        """Let another process have it."""
        self._unsubscribe()
        if self._begun:
            self._begun = False
            for place in self._places:
                with _opening:
                    place.close()

            if self.health is not None:
                self.health.leave()

    def forget(self) -> None:
        """Leave it to the parent, in a forked child."""
        self._begun = False
        for place in self._places:
            place.forget()


class _Place:
    """One address, and what is known of who has it."""

    def __init__(
        self, runtime: Runtime, name: str, key: str, port: int = 0, path: str = ""
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._key = key
        self._port = port
        self._path = path
        self._opened: Port | None = None
        self._tries = 0
        self._told = self._given_up = False

    def look(self) -> None:
        """Open it if it is not open, and can be had."""
        opened = self._opened
        if opened is not None and not opened.serves:
            self._opened = None
            opened.close()

        if self._opened is None and not self._given_up:
            self._open()

    def close(self) -> None:
        """Listen no more."""
        opened, self._opened = self._opened, None
        if opened is not None:
            claim = self._claim()
            if claim is not None:
                with suppress(OSError):
                    claim.unlink()

            opened.close()

    def forget(self) -> None:
        """Leave it to the parent."""
        opened, self._opened = self._opened, None
        self._tries, self._told, self._given_up = 0, False, False
        if opened is not None:
            opened.forget()

    def _open(self) -> None:
        if self._port and not self._tries and is_apps_port(self._port, listens=False):
            self._give_up_for_app()
            return

        # By name, because the surface lies above the runtime, as adapters do.
        opening: Callable[..., Port] = import_module("svcready.admin").open_port
        try:
            self._opened = opening(self._runtime, path=self._path)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                self._in_use()
            else:
                self._fail(f"{self._name} cannot be had: {error.strerror or error}")
        except ValueError as error:  # a host's name that cannot be encoded
            host = self._runtime.settings.admin.host
            self._fail(f"{self._name} cannot be had on {host!r}: {error}")
        else:
            self._have()

    def _have(self) -> None:
        claim = self._claim()
        if claim is not None:
            with suppress(OSError):
                claim.parent.mkdir(mode=0o700, exist_ok=True)
                draft = claim.with_name(f".{self._key}-{os.getpid()}")
                pid, start = self._runtime.group.identify()
                draft.write_text(f"{pid}-{start}")
                draft.replace(claim)

            with suppress(OSError):
                self._told_mark(claim).unlink()

        if self._told:
            self._told = False
            self._say(f"{self._name} could be had at last", "INFO")

        self._tries = 0

    def _in_use(self) -> None:
        self._tries += 1
        if self._told:
            return

        claim = self._claim()
        if claim is not None and _lives(claim):
            self._tries = 0
        elif self._port and is_apps_port(self._port, listens=True):
            self._give_up_for_app()
        elif claim is None:
            self._told = True
            self._runtime.notice(
                f"{self._name} is in use, by another worker or by a stranger; it is "
                "tried again each second"
            )
        elif self._tries >= _PATIENCE:
            self._told = True
            if self._is_first_to_tell(claim):
                self._say(
                    f"{self._name} is in use by a stranger; it is tried again each "
                    "second",
                    "WARNING",
                )

    def _give_up_for_app(self) -> None:
        self._given_up = True
        self._runtime.notice(
            f"{self._name} is in use by this very service: SVCREADY_ADMIN_PORT must be "
            "another than the application's own; until then /metrics and /admin are "
            "nowhere"
        )

    def _fail(self, problem: str) -> None:
        self._given_up = True
        self._runtime.note(problem)

    def _claim(self) -> Path | None:
        room = self._runtime.group.room()
        return None if room is None else room / f"{self._key}.owner"

    def _is_first_to_tell(self, claim: Path) -> bool:
        """Tell whether nobody of the group has told of it yet."""
        mark = self._told_mark(claim)
        try:
            mark.parent.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        except OSError:
            return True

        return True

    def _told_mark(self, claim: Path) -> Path:
        return claim.with_suffix(".told")

    def _say(self, message: str, level: str) -> None:
        if self._runtime.logging is not None:
            event = "svcready.ops_port"
            self._runtime.logging.event(message, level, event=event)


def _lives(claim: Path) -> bool:
    """Tell whether the process that says that it has the port lives."""
    try:
        pid, _, start = claim.read_text("utf-8", "replace").partition("-")
    except OSError:
        return False

    return pid.isdecimal() and bool(start) and is_alive(int(pid), start)
