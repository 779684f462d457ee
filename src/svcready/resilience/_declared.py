"""A declared policy: what the code said of it, and what the operator says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready._core.clock import Clock
    from svcready._core.places import Place

__all__ = ["Core", "Declared"]

Config = TypeVar("Config")
Config_contra = TypeVar("Config_contra", contravariant=True)


class Core(Protocol[Config_contra]):
    """A policy's state, which numbers and clock are handed to."""

    name: str

    @property
    def clock(self) -> Clock:
        """The clock in use."""
        ...

    def use(self, config: Config_contra, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping the state."""
        ...


C = TypeVar("C", bound=Core)  # type: ignore[type-arg]  # a bound can't be generic


class Declared(Generic[C, Config]):
    """
    One policy as the register keeps it.

    Args:
        core: Its state.
        config: The numbers that the code gave.
        arguments: All that the code gave; None: nothing, so what another declaration
            of the name gives is taken.
        place: Where.
        override: Puts an operator's values into the numbers, and says what is wrong.
    """

    __slots__ = ("_arguments", "_override", "_place", "_values", "config", "core")

    def __init__(
        self,
        core: C,
        config: Config,
        arguments: object,
        place: Place,
        override: Callable[
            [Config, Mapping[str, object]], tuple[Config, tuple[str, ...]]
        ],
    ) -> None:
        self.core = core
        self.config = config
        self._arguments = arguments
        self._place = place
        self._override = override
        self._values: Mapping[str, object] = {}

    @property
    def is_explicit(self) -> bool:
        """Whether the code said anything of it but its name."""
        return self._arguments is not None

    @property
    def values(self) -> Mapping[str, object]:
        """The operator's values, by field, as they were put over the code's."""
        return self._values

    @property
    def place(self) -> Place:
        """Where the code declares it."""
        return self._place

    def overridden(self, values: Mapping[str, object]) -> Config:
        """Return its numbers with an operator's values in them."""
        return self._override(self.config, values)[0]

    def adopt(self, config: Config, arguments: object, place: Place) -> bool:
        """
        Take the arguments of a later declaration, if there were none before.

        Returns:
            Whether they are new.

        Raises:
            DeclarationError: There were others.
        """
        if arguments is None or arguments == self._arguments:
            return False

        if self._arguments is not None:
            raise DeclarationError(
                f"{self.core.name!r} is declared at {place} with other arguments than "
                f"at {self._place}"
            )

        self.config, self._arguments, self._place = config, arguments, place
        self.tune(self._values, self.core.clock)
        return True

    def tune(self, values: Mapping[str, object], clock: Clock) -> tuple[str, ...]:
        """
        Put an operator's values in force over the code's numbers.

        Args:
            values: By field, in lower case; fields of other policies are left alone.
            clock: Monotonic time, and who waits.

        Returns:
            What is wrong with them; such a value is not in force.
        """
        self._values = values
        config, problems = self._override(self.config, values)
        self.core.use(config, clock)
        return problems
