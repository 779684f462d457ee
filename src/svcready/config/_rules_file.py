"""The file of sampling rules: X-Ray's own shapes, in JSON or TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from svcready.config._kinds import Kind
from svcready.config._masking import one_line, shown
from svcready.config._parsers import parse_text
from svcready.config._problems import Problem
from svcready.config._rules_document import RulesDocument

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.config._sampling_rules import SamplingRule

__all__ = ["RULES_FILE", "RulesFile", "read_rules"]


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A file of sampling rules; files are equal whose path is."""

    path: str
    """Empty for none."""
    rules: tuple[SamplingRule, ...] = field(default=(), compare=False)
    """What it held when it was read."""

    def __str__(self) -> str:
        """Write the path."""
        return self.path


def read_rules(
    path: str, read_file: Callable[[str], bytes]
) -> tuple[RulesFile, list[Problem]]:
    """
    Read the rules of the file *path*; whatever is wrong becomes a problem.

    A rule that cannot be told for what it is is left out; one whose rate is wrong
    takes `1/s+5%`, so that its requests are not some later rule's.

    Args:
        path: Its name ends in `.toml` if it is TOML; any other is JSON.
        read_file: Reads it.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
        document = _parse(text, is_toml=path.lower().endswith(".toml"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except ValueError as error:
        reason = one_line(str(error))
    except Exception as error:  # noqa: BLE001 - nested too deeply, and the like
        reason = type(error).__name__
    else:
        read = RulesDocument(path, document)
        return RulesFile(path, tuple(read.rules)), read.problems

    value, used = shown(path, secret=False), "no rules are taken from it"
    problem = Problem(
        "unusable", "tracing.rules_file", value, allowed=reason, used=used
    )
    return RulesFile(path), [problem]


def _parse(text: str, *, is_toml: bool) -> object:
    if is_toml:
        import tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"it is not TOML: {error}") from error

    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error


def _parse_path(raw: object) -> RulesFile:
    return raw if isinstance(raw, RulesFile) else RulesFile(parse_text(raw))


RULES_FILE: Kind[RulesFile] = Kind("text", _parse_path, "the path of a file")
