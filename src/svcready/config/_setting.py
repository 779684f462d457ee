"""The declaration of one setting: kind, default, help, and what it yields to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from svcready.config._kinds import Kind

__all__ = ["Setting", "Standard", "setting", "standard"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standard(Generic[T]):
    """A variable of a wider standard that is honoured beneath ours."""

    name: str
    """Its full name, `OTEL_SERVICE_NAME`."""
    kind: Kind[T]
    """How its text is read, where that differs from ours (milliseconds, negation)."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """What is known of a setting besides its name and type."""

    kind: Kind[T]
    default: T
    help: str
    """One line for the reference table, without a full stop's neighbour."""
    relaxed: T | None
    """The default in the environments development, dev, local and test, if another."""
    standards: tuple[Standard[T], ...]
    """Honoured beneath ours, the first that is set wins."""
    secret: bool
    """Never printed; may be a reference (`ssm:`, `secretsmanager:`, `file:`)."""
    closed: T | None
    """What a malformed value of a security setting means; None: the default."""
    reloadable: bool
    """A changed configuration file takes effect without a restart."""


def standard(name: str, kind: Kind[T]) -> Standard[T]:
    """Name a standard variable that a setting honours beneath its own."""
    return Standard(name, kind)


def setting(
    default: T,
    kind: Kind[T],
    help: str,  # noqa: A002 - the field's own word
    *,
    relaxed: T | None = None,
    standards: tuple[Standard[T], ...] = (),
    secret: bool = False,
    closed: T | None = None,
    reloadable: bool = False,
) -> T:
    """
    Declare a field of a section; sections are frozen keyword-only dataclasses.

    The field `level` of the section `LOG` is the variable `SVCREADY_LOG_LEVEL`, the
    argument `{"log.level": ...}` and the key `level` of the file's table `log`.

    Args:
        default: The value in production when nothing else is said.
        kind: How text becomes a value; durations' fields end in `_s`, sizes' in
            `_bytes`.
        help: One line for people who never read the code.
        relaxed: The default in development, if another.
        standards: Standard variables honoured beneath ours, most specific first.
        secret: Mask it everywhere, and let it be a reference to a secret.
        closed: For security settings, what a malformed value means (admit nobody).
        reloadable: A changed file takes effect at once.
    """
    declared = Setting(
        kind, default, help, relaxed, standards, secret, closed, reloadable
    )
    made: T = field(default=default, metadata={"setting": declared})
    return made
