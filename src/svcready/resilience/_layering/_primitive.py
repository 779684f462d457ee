"""What all parts of policies have in common: a name, a core, ways to be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from svcready._core.declarations import name_of
from svcready.errors import DeclarationError
from svcready.resilience._layering._layers import apply_layer, once

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, Self

    from svcready.resilience._layering._layers import Layer

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["Primitive"]

C = TypeVar("C")


class Primitive(Generic[C]):
    """
    One declared part of a policy: decorates functions, or makes one call.

    Args:
        declare: Declares it under a name, and returns its core.
        name: The name; None: derived from the function decorated, or the policy's.
    """

    __slots__ = ("_core", "_declare")

    KIND: ClassVar[str]
    """What it is called in messages, with its article: `a retry`."""
    RANK: ClassVar[int]
    """Its place among the layers."""

    def __init__(self, declare: Callable[[str], C], name: str | None) -> None:
        self._declare = declare
        self._core = None if name is None else declare(name)

    @property
    def core(self) -> C:
        """The state behind it."""
        if self._core is None:
            raise DeclarationError(
                f"{self.KIND} without a name can only decorate: name it"
            )

        return self._core

    @property
    def name(self) -> str:
        """Its name."""
        return cast("Layer", self.core).name

    def declare(self, name: str) -> C:
        """Return the core of the same under another name."""
        return self._declare(name)

    def part_of(self, policy: str) -> C:
        """
        Return the core that a policy has of it.

        Args:
            policy: The policy's name, which it takes if it has none.

        Raises:
            DeclarationError: It has another name.
        """
        if self._core is None:
            return self._declare(policy)

        if self.name != policy:
            raise DeclarationError(
                f"policy {policy!r} takes {self.KIND} called {self.name!r}: leave the "
                "name out, or give the policy's"
            )

        return self._core

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """
        Return *function* with this around it.

        Raises:
            DeclarationError: It is no function, or its name means something else.
        """
        core = cast("Layer", self._core or self._declare(name_of(function)))
        return cast("Callable[P, R]", apply_layer(function, self.RANK, core))

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call *function* with this around it; a coroutine function's is to be awaited.

        Raises:
            DeclarationError: It has no name.
            Rejected: It refused; nothing was called.
        """
        layers = {self.RANK: cast("Layer", self.core)}
        return cast("Callable[P, R]", once(function, layers))(*args, **kwargs)

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself, as its state is there once: what has it may be copied."""
        return self

    def __repr__(self) -> str:
        name = None if self._core is None else self.name
        return f"<{self.KIND.partition(' ')[2]} {name!r}>"
