"""What a policy is made of: its arguments' parts, and their short spellings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from svcready.errors import DeclarationError
from svcready.resilience import _layers
from svcready.resilience._primitive import Primitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.resilience._layers import Layer

__all__ = ["ARGUMENTS", "Argument", "taken"]


class Argument(NamedTuple):
    """One argument of `policy` that names a part."""

    rank: int
    """The part's place among the layers."""
    module: str
    """The module that has it; its `shorthand` makes a part of a short spelling."""


ARGUMENTS: Mapping[str, Argument] = {
    "deadline": Argument(_layers.DEADLINE, "_deadline_part"),
    "fallback": Argument(_layers.FALLBACK, "_fallback"),
    "retry": Argument(_layers.RETRY, "_retry"),
    "throttle": Argument(_layers.THROTTLE, "_throttle"),
    "bulkhead": Argument(_layers.BULKHEAD, "_bulkhead"),
    "breaker": Argument(_layers.BREAKER, "_circuit"),
    "timeout": Argument(_layers.TIMEOUT, "_timeout"),
    "rate_limit": Argument(_layers.RATE, "_rate_limit"),
}
"""By argument; a part's module is loaded when a policy first has the part."""


def taken(policy: str, arguments: Mapping[str, object]) -> dict[int, Layer]:
    """
    Return the layers by rank that a policy's arguments ask for, declared by its name.

    Args:
        policy: The policy's name.
        arguments: Parts or their short spellings, by argument; None and False: no
            such part.

    Raises:
        DeclarationError: One is neither, or has another policy's name.
    """
    layers: dict[int, Layer] = {}
    for name, value in arguments.items():
        if value is None or value is False:
            continue

        rank, module = ARGUMENTS[name]
        part = value
        if not isinstance(part, Primitive):
            loaded = import_module(f"svcready.resilience.{module}")
            part = loaded.shorthand(value)

        if not isinstance(part, Primitive) or rank != part.RANK:
            raise DeclarationError(f"policy {policy!r} takes no {name}={value!r}")

        layers[rank] = cast("Layer", part.part_of(policy))

    return dict(sorted(layers.items()))
