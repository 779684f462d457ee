"""What policies for the usual kinds of dependencies are made of."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from svcready.errors import DeclarationError
from svcready.resilience._parts import PRESET_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PRESETS", "preset_parts"]

PRESETS: Mapping[str, str] = {
    "aws": "_aws._preset",
    "database": "_database._preset",
    "http": "_http._preset",
    "message": "_message._preset",
    "redis": "_redis._preset",
}
"""
By preset, the module that has it, loaded when a policy first asks for it. Its function
`preset` returns the parts by argument of `policy`, made anew at each call.
"""

_ALTERNATIVES = {"retry": "hedge", "hedge": "retry"}


def preset_parts(
    policy: str, preset: str, given: Mapping[str, object]
) -> dict[str, object]:
    """
    Return a preset's parts with those that the code gave in their places.

    Args:
        policy: The policy's name.
        preset: The preset's.
        given: By argument of `policy`, None where nothing was given; a retry takes
            the place of a hedge, and the other way round.

    Raises:
        DeclarationError: There is no such preset.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise DeclarationError(
            f"policy {policy!r} takes no preset={preset!r}: use one of "
            f"{', '.join(PRESETS)}"
        )

    module = import_module(f"svcready.resilience.{PRESETS[preset]}")
    make = cast("Callable[[], Mapping[str, object]]", module.preset)
    parts = {**dict.fromkeys(given), **make()}
    own = frozenset(each for each, value in given.items() if value is not None)
    PRESET_OF[policy] = (preset, own)
    for argument, value in given.items():
        if value is not None:
            parts[argument] = value
            if value is not False and argument in _ALTERNATIVES:
                parts[_ALTERNATIVES[argument]] = given[_ALTERNATIVES[argument]]

    return parts
