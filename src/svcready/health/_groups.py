"""The groups whose members the configuration names, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import variable
from svcready.config._problems import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Groups"]


class Groups:
    """
    What environment and file say of groups; it wins over code.

    Args:
        said: The names of the checks of each group.
    """

    def __init__(self, said: Mapping[str, tuple[str, ...]]) -> None:
        self.members = {name: said[name] for name in said if name != "liveness"}
        """The names of the checks of each group."""
        self._refused = "liveness" in said

    def problems(self, declared: Sequence[str]) -> Iterator[str]:
        """Return what is wrong, now that every check is *declared*."""
        if self._refused:
            yield (
                "health group 'liveness' cannot be configured: a check in it has the "
                "process killed, so only code can ask for it"
            )

        known = {variable(name): name for name in declared}
        for group, names in self.members.items():
            for name in names:
                if variable(name) not in known:
                    near = nearest(name.lower(), declared)
                    hint = f"; the nearest is {near!r}" if near else ""
                    yield (
                        f"health group {group!r} names the check {name!r}, which is not"
                        f" declared{hint}"
                    )
