from __future__ import annotations

import pytest

from svcready._core.redaction import Redactor
from svcready.config import _sections
from svcready.config._sections.log import LogSettings
from svcready.config._setting import Setting


def declared(field: str) -> Setting[object]:
    """Return the declaration of a field of the section."""
    found: Setting[object] = LogSettings.__dataclass_fields__[field].metadata["setting"]
    return found


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("info", "INFO"),
        ("Warning", "WARN"),
        ("CRITICAL", "FATAL"),
        (" debug ", "DEBUG"),
        ("AUTO", "auto"),
    ],
)
def test_levels_are_read_as_people_write_them(text: str, level: str) -> None:
    """Python's names and any case mean the schema's levels."""
    assert declared("level").kind.parse(text) == level


@pytest.mark.parametrize("text", ["", "LOUD", "10", 10, None])
def test_other_levels_are_refused(text: object) -> None:
    """What is no level is a problem to report, not a level."""
    with pytest.raises(ValueError, match=r"^(LOUD|10|None|)$"):
        declared("level").kind.parse(text)


def test_standard_variables_stand_beneath() -> None:
    """`LOG_LEVEL` is honoured, and any text in `NO_COLOR` means no colour."""
    assert [other.name for other in declared("level").standards] == ["LOG_LEVEL"]
    (no_color,) = declared("color").standards
    assert no_color.name == "NO_COLOR"
    assert no_color.kind.parse("1") is False
    assert no_color.kind.parse("") is True


def test_a_bad_redaction_pattern_fails_closed() -> None:
    """It is refused, and what stands in its place hides every value."""
    setting = declared("redact_patterns")
    assert setting.kind.parse("a+,b") == ("a+", "b")
    with pytest.raises(ValueError, match=r"\("):
        setting.kind.parse("(")

    closed = setting.closed
    assert isinstance(closed, tuple)
    assert Redactor(patterns=closed).masks_all
    assert LogSettings in _sections.SECTIONS


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("C-[0-9]{4,8}", ("C-[0-9]{4,8}",)),
        ("a,b", ("a", "b")),
        (r"x\,y,(a,b|[,)]),z", (r"x\,y", "(a,b|[,)])", "z")),
        (r"[\],a],b", (r"[\],a]", "b")),
    ],
)
def test_a_comma_within_a_pattern_divides_nothing(
    text: str, patterns: tuple[str, ...]
) -> None:
    """Only those between patterns do, so that each is what its writer meant."""
    assert declared("redact_patterns").kind.parse(text) == patterns
