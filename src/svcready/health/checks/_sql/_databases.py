"""How every database is asked: a free connection of the pool first, else a new one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import guard
from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._sql._cutting import Cutter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Findings",
    "Held",
    "Levels",
    "NoAnswerError",
    "NoFileYetError",
    "Origin",
    "Source",
    "UnfitError",
    "ask",
    "check_database",
    "ends_s",
    "fill",
    "least_s",
    "left_s",
    "quiet",
    "require_file",
    "target_of",
    "told_silence",
]

_SHARE = 0.9  # of the time-out, so that a run ends before it is given up
_LEAST = 0.05
_TOO_MANY_STATES = frozenset({"53300", "08004"})
_TOO_MANY_CODES = frozenset({1040, 1203, 12516, 12519, 12520, 18})
_FEWEST_SECRET = 4

_now_s = SYSTEM_CLOCK.monotonic
quiet = guard("health.checks")
"""Around a look into a pool: a release whose inside is another costs that look only."""


class NoAnswerError(TimeoutError):
    """The database said nothing in the time that it had."""


class NoFileYetError(Exception):
    """The database is one that the application makes when it needs it."""


class UnfitError(Exception):
    """A library is of a release in which the check does not know its way."""


class Levels(NamedTuple):
    """How full a pool is."""

    lent: int
    """Connections that somebody has, or that are being made."""
    most: int
    """How many there can be."""


class Held(Protocol):
    """A connection that the check has."""

    @property
    def driver(self) -> object:
        """The driver's connection."""
        ...

    def ping(self) -> object:
        """Have the server answer."""
        ...

    def keep(self) -> object:
        """Be done with a good connection: give it back, or close it."""
        ...

    def drop(self) -> object:
        """Be done with a bad one, which nobody must get again."""
        ...


class Origin(Protocol):
    """What is known of a database and of the pool that the application has for it."""

    @property
    def secrets(self) -> Iterable[str]:
        """What must not be in anything that is told."""
        ...

    def levels(self) -> Levels | None:
        """Return how full the application's pool is; None if it has no bound."""
        ...


class Source(Origin, Protocol):
    """Where the connections to one database come from."""

    def borrow(self) -> Held | None:
        """Return a connection that lies ready in the pool, without waiting for any."""
        ...

    def connect(self, seconds: float) -> Held:
        """Make a connection of the check's own, outside the pool, in this time."""
        ...


def ends_s(seconds: float | None = None) -> float:
    """
    Return when something is to be over, on the monotonic clock.

    Args:
        seconds: From now; as long as the running check may take if None.
    """
    return _now_s() + (_SHARE * allowed_s() if seconds is None else seconds)


def least_s() -> float:
    """Return how long a connection is given to answer, however slow making it was."""
    return _LEAST * allowed_s()


def left_s(end_s: float) -> float:
    """Return the seconds until *end_s*."""
    return max(0.0, end_s - _now_s())


def ask(held: Held, seconds: float) -> None:
    """
    Have a connection answer within *seconds*, and be done with it.

    Raises:
        NoAnswerError: It did not; the connection is dropped, as after any error.
    """
    cutter = Cutter(held.driver, seconds)
    try:
        with cutter:
            held.ping()
    except BaseException:
        held.drop()
        if cutter.fired:
            raise NoAnswerError(told_silence(seconds)) from None

        raise

    if cutter.fired:  # in the moment in which the answer came
        held.drop()
        raise NoAnswerError(told_silence(seconds))

    held.keep()


def told_silence(seconds: float) -> str:
    """Say that nothing came."""
    return f"no answer within {seconds:.2g} s"


def check_database(source: Source) -> CheckResult:
    """
    Ask a database whether it answers.

    A connection that lies ready in the application's pool is asked first. A pool keeps
    connections that died since, so the database is only called down when a new
    connection of the check's own gets no answer either; it never enters the pool.
    """
    end_s = ends_s()
    findings = Findings(source)
    lent = None
    with quiet:
        lent = source.borrow()

    if lent is not None:
        try:
            ask(lent, left_s(end_s) / 2)
        except Exception as error:  # noqa: BLE001 - a new connection says whether it matters
            findings.pooled = error
        else:
            return CheckResult("pass")
    else:
        findings.look_at_pool()

    try:
        made = source.connect(left_s(end_s))
        ask(made, max(left_s(end_s), least_s()))
    except Exception as error:  # noqa: BLE001 - the result
        return findings.failed(error)

    return findings.passed()


class Findings:
    """
    What one run found, and the result that follows from it.

    Args:
        source: Where the connections came from.
    """

    def __init__(self, source: Origin) -> None:
        self._source = source
        self._full: Levels | None = None
        self.pooled: Exception | None = None
        """How a pooled connection failed."""

    def look_at_pool(self) -> None:
        """Take note of whether the pool has nothing left to lend."""
        levels = None
        with quiet:
            levels = self._source.levels()

        if levels is not None and levels.lent >= levels.most > 0:
            self._full = levels

    def passed(self) -> CheckResult:
        """Return the result if a new connection answered."""
        if self._full is not None:
            return CheckResult("warn", f"{self._exhausted()}; the database answers")

        if isinstance(self.pooled, NoAnswerError):
            return CheckResult(
                "warn",
                f"a pooled connection gave {self.pooled} and was discarded; the "
                "database answers on a new one",
            )

        return CheckResult("pass")

    def failed(self, error: Exception) -> CheckResult:
        """Return the result if a new connection failed with *error*."""
        if isinstance(error, NoFileYetError | UnfitError):
            return CheckResult("warn", str(error))

        text = self.tell(error)
        if self._full is not None and _is_refused_for_number(error):
            return CheckResult(
                "warn",
                f"{self._exhausted()}, and the server takes no more, so that this says "
                f"nothing of the database: {text}",
            )

        if isinstance(self.pooled, NoAnswerError):
            text = f"a pooled connection gave {self.pooled}; a new one: {text}"

        return CheckResult("fail", text)

    def tell(self, error: Exception) -> str:
        """Return *error* in words, without the passwords that the source knows."""
        text = str(error).strip()
        for secret in self._source.secrets:
            if len(secret) >= _FEWEST_SECRET:
                text = text.replace(secret, "***")

        kind = type(error).__name__
        return f"{kind}: {text}" if text else kind

    def _exhausted(self) -> str:
        full = self._full
        assert full is not None
        return f"pool exhausted: {full.lent} of {full.most} connections are in use"


def _is_refused_for_number(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is None and "too many clients" in str(error):
        return True  # libpq gives no code for what is refused while connecting

    code = next(iter(error.args), None)
    return state in _TOO_MANY_STATES or code in _TOO_MANY_CODES


def target_of(system: str, host: object, port: object, database: object) -> str:
    """Return where a database is, for people: never a user or a password."""
    place = f"{host or ''}:{port}" if port else f"{host or ''}"
    return f"{system}://{place}/{database or ''}"


def require_file(database: object) -> None:
    """
    Refuse to connect to a file of SQLite's that is yet to be made.

    SQLite would make it, and an application that makes its tables when there is no
    file would find one.

    Raises:
        NoFileYetError: It is, in a directory where it can be.
    """
    path = str(database or "").removeprefix("file:").partition("?")[0]
    if not path or ":memory:" in path or "mode=memory" in str(database):
        return

    directory = os.path.dirname(path) or "."  # noqa: PTH120 - a check runs often
    if not os.path.exists(path) and os.access(directory, os.W_OK):  # noqa: PTH110
        raise NoFileYetError(f"there is no file {path} yet")


def fill(values: dict[str, object], names: Iterable[str], seconds: float) -> None:
    """
    Put a time-out into a driver's arguments, unless a shorter one is there.

    Args:
        values: The arguments, changed in place.
        names: What the driver calls its time-outs, which all take whole seconds.
        seconds: How long.
    """
    whole_s = max(1, int(seconds))  # too short rather than past the check's own
    for name in names:
        known = values.get(name)
        if not isinstance(known, int | float) or not 0 < known <= whole_s:
            values[name] = whole_s
