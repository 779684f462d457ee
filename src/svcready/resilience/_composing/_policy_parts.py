"""What a policy is made of: its arguments' parts, and their short spellings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from svcready.errors import DeclarationError
from svcready.resilience._layering import _layers
from svcready.resilience._layering._primitive import Primitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.resilience._layering._layers import Layer

__all__ = ["ARGUMENTS", "Argument", "taken"]


class Argument(NamedTuple):
    """One argument of `policy` that names a part."""

    rank: int
    """The part's place among the layers."""
    module: str
    """The module that has it; its `shorthand` makes a part of a short spelling."""


ARGUMENTS: Mapping[str, Argument] = {
    "deadline": Argument(_layers.DEADLINE, "_timing._deadline_part"),
    "fallback": Argument(_layers.FALLBACK, "_standing_in._fallback"),
    "hedge": Argument(_layers.HEDGE, "_hedging._hedge"),
    "retry": Argument(_layers.RETRY, "_retrying._retry"),
    "throttle": Argument(_layers.THROTTLE, "_admitting._throttle"),
    "bulkhead": Argument(_layers.BULKHEAD, "_admitting._bulkhead"),
    "breaker": Argument(_layers.BREAKER, "_breaking._circuit"),
    "timeout": Argument(_layers.TIMEOUT, "_timing._timeout"),
    "rate_limit": Argument(_layers.RATE, "_admitting._rate_limit"),
}
"""By argument; a part's module is loaded when a policy first has the part."""


def taken(
    policy: str, arguments: Mapping[str, object], *, renamed: bool = False
) -> dict[int, Layer]:
    """
    Return the layers by rank that a policy's arguments ask for, declared by its name.

    Args:
        policy: The policy's name.
        arguments: Parts or their short spellings, by argument; None and False: no
            such part.
        renamed: Parts that have another name are declared by this one too.

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
            try:
                part = loaded.shorthand(value)
            except DeclarationError as error:
                text = f"policy {policy!r} takes no {name}={value!r}: {error}"
                raise DeclarationError(text) from None

        if not isinstance(part, Primitive) or rank != part.RANK:
            raise DeclarationError(f"policy {policy!r} takes no {name}={value!r}")

        core = part.declare(policy) if renamed else part.part_of(policy)
        layers[rank] = cast("Layer", core)

    return dict(sorted(layers.items()))
