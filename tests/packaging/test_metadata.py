"""What pyproject.toml promises to those who install svcready."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from scripts.check_extras import EXTRAS, PROJECT, ROOT, opentelemetry_ranges

OWN_LINE = {"opentelemetry-propagator-aws-xray"}
"""OpenTelemetry packages that are released apart from the others."""


def required() -> list[Requirement]:
    """Read every requirement, the extras' included."""
    extras = [PROJECT["optional-dependencies"][extra] for extra in EXTRAS]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def test_opentelemetry_has_one_range() -> None:
    """
    All OpenTelemetry requirements allow the same releases.

    1.N.P of the stable packages is released together with 0.(N+21)bP of the others.
    """
    ranges = opentelemetry_ranges()
    names = {r.name for r in required() if r.name.startswith("opentelemetry-")}

    assert ranges.keys() == names - OWN_LINE
    assert len({tuple(map(stable_twin, bounds)) for bounds in ranges.values()}) == 1


def stable_twin(version: str) -> str:
    """Spell the release of an unstable package as the stable one beside it."""
    if match := re.fullmatch(r"0\.(\d+)b(\d+)", version):
        return f"1.{int(match[1]) - 21}.{match[2]}"

    return version


def test_all_is_every_extra() -> None:
    """`svcready[all]` is every other extra together."""
    [text] = PROJECT["optional-dependencies"]["all"]

    assert Requirement(text).extras == set(EXTRAS)


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_a_requirement_has_a_lower_bound(requirement: Requirement) -> None:
    """Each requirement says the oldest version that is tested."""
    assert ">=" in {specifier.operator for specifier in requirement.specifier}


def test_the_changelog_knows_the_version() -> None:
    """The changelog has a section for the version, or one for what is not released."""
    headings = re.findall(
        r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )

    assert headings[0] in {"Unreleased", PROJECT["version"]}
