"""The declaration of one setting: kind, default, help, and what it yields to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from svcready.config._kinds import Kind

__all__ = ["Setting", "Standard", "setting", "settings_of", "standard"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standard(Generic[T]):
    """A variable of a wider standard that is honoured beneath ours."""

    name: str
    """Its full name, `OTEL_SERVICE_NAME`."""
    kind: Kind[T]
    """How its text is read, where that differs from ours (milliseconds, negation)."""
    key: str = ""
    """The one key that counts, where the variable is a list of `key=value` pairs."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """What is known of a setting besides its name and type."""

    kind: Kind[T]
    default: T
    help: str
    """One line for the reference table, without a full stop."""
    relaxed: T | None
    """The default in the environments development, dev, local and test, if another."""
    standards: tuple[Standard[T], ...]
    """Honoured beneath ours, the first that is set wins."""
    secret: bool
    """Never printed; may be a reference (`ssm:`, `secretsmanager:`, `file:`)."""
    closed: T | None
    """What a malformed value of a security setting means; None: the default."""
    follows: str
    """What follows from that, for whoever reads the problem; may be empty."""
    reloadable: bool
    """A changed configuration file takes effect without a restart."""
    in_file: bool
    """May stand in the configuration file."""
    inert: bool
    """Read and checked, and without effect in this version."""


def standard(name: str, kind: Kind[T], *, key: str = "") -> Standard[T]:
    """
    Name a standard variable that a setting honours beneath its own.

    Args:
        name: Its full name, `OTEL_SERVICE_NAME`.
        kind: How its text, or the text at *key*, is read.
        key: The one key that counts in a list of pairs: `service.name` in
            `OTEL_RESOURCE_ATTRIBUTES`.
    """
    return Standard(name, kind, key)


def setting(
    default: T,
    kind: Kind[T],
    help: str,  # noqa: A002 - the field's own word
    *,
    relaxed: T | None = None,
    standards: tuple[Standard[T], ...] = (),
    secret: bool = False,
    closed: T | None = None,
    follows: str = "",
    reloadable: bool = False,
    in_file: bool = True,
    inert: bool = False,
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
        follows: What follows from that, where "it fails closed" leaves it open.
        reloadable: A changed file takes effect at once.
        in_file: False for what must be known before the file is read.
        inert: It has no effect in this version, which is reported where it is set.
    """
    declared = Setting(
        kind=kind,
        default=default,
        help=help,
        relaxed=relaxed,
        standards=standards,
        secret=secret,
        closed=closed,
        follows=follows,
        reloadable=reloadable,
        in_file=in_file,
        inert=inert,
    )
    made: T = field(default=default, repr=not secret, metadata={"setting": declared})
    return made


def settings_of(section: type) -> dict[str, Setting[object]]:
    """Return the settings that the section class *section* declares, by field."""
    declared: dict[str, Setting[object]] = {}
    for name, each in section.__dataclass_fields__.items():  # type: ignore[attr-defined]
        if "setting" in each.metadata:
            declared[name] = cast("Setting[object]", each.metadata["setting"])

    return declared
