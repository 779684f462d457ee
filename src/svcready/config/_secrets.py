"""References to secrets: values that say where the secret is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._problems import nearest
from svcready.config._regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SCHEMES", "SecretError", "resolve_file_secret", "resolve_references"]

SCHEMES = ("file:", "ssm:", "secretsmanager:")
_MOST_BYTES = 64 * 1024
_WORDS = tuple(scheme.removesuffix(":") for scheme in SCHEMES)
_NEAR = 0.66


class SecretError(ValueError):
    """A reference cannot be resolved; the message says why and holds no secret."""


def resolve_file_secret(reference: str) -> str:
    """
    Read the secret that `file:/run/secrets/name` names.

    One line break at the end is dropped: editors and `kubectl` leave one.

    Raises:
        SecretError: The file is missing, too large, no text, or the reference is of
            another scheme, which needs a resolver that can ask AWS.
    """
    if not reference.startswith("file:/"):
        scheme = reference.partition(":")[0]
        if scheme == "file":
            raise SecretError("the path must be absolute: file:/run/secrets/name")

        raise SecretError(f"nothing here resolves {scheme}: references")

    try:
        text = read_regular_file(reference[len("file:") :], _MOST_BYTES).decode()
    except UnicodeDecodeError as error:
        raise SecretError("the file is not UTF-8 text") from error
    except OSError as error:
        raise SecretError(error.strerror or type(error).__name__) from error
    except ValueError as error:
        raise SecretError(str(error)) from error

    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretError("the file is empty")

    return text


def resolve_references(
    raw: object, *, is_list: bool, resolve: Callable[[str], str]
) -> object:
    """
    Return *raw* with every reference in it replaced by the secret.

    Args:
        raw: A variable's text, or a file's or an argument's value.
        is_list: Each entry of the list can be a reference of its own.
        resolve: Resolves one reference; whatever it raises passes through.

    Raises:
        SecretError: Something begins with a misspelt word of references.
    """
    if isinstance(raw, str):
        parts = raw.split(",") if is_list else [raw]
        _refuse_misspelt(parts)
        if not any(_is_reference(part) for part in parts):
            return raw

        return ",".join(_resolved(part, resolve) for part in parts)

    if isinstance(raw, list | tuple) and is_list:
        _refuse_misspelt(raw)
        return [_resolved(part, resolve) for part in raw]

    return raw


def _refuse_misspelt(parts: Iterable[object]) -> None:
    """Raise if one of *parts* begins with nearly the word of a reference."""
    for part in parts:
        text = part.strip() if isinstance(part, str) else ""
        word, colon, _ = text.partition(":")
        meant = nearest(word.lower(), _WORDS, _NEAR) if colon else ""
        if meant and word != meant:
            # What was given may be the secret itself, so it is not in the message.
            raise SecretError(f"it begins like a reference; did you mean {meant}:?")


def _is_reference(part: object) -> bool:
    return isinstance(part, str) and part.strip().startswith(SCHEMES)


def _resolved(part: str, resolve: Callable[[str], str]) -> str:
    return resolve(part.strip()) if _is_reference(part) else part
