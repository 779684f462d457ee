"""Circuit breakers that an operator forces, in every process of the group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.config._problems import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._core.clock import Clock
    from svcready._transport.group import Group, Reach
    from svcready.resilience._pillar import ResiliencePillar
    from svcready.resilience._pillar_model import PolicyState

__all__ = ["STATES", "BreakerUnknownError", "Forced", "ForcedBreakers"]

STATES = ("open", "closed", "auto")
_TOPIC = "resilience.breakers"
_MOST = 256
_LONGEST_NS = 86_400 * 10**9
_WAIT_S = 2.0
_AUTO_S = 60.0


class BreakerUnknownError(Exception):
    """No breaker is called so; the text is the name that was probably meant."""


class Forced(NamedTuple):
    """What an operator said of a breaker."""

    state: str
    """`open`, `closed` or `auto`."""
    until_ns: int = 0
    """Until when, as wall time; 0: until somebody says otherwise."""


class ForcedBreakers:
    """
    The operators' word on breakers, the same in every process of the group.

    It is put in force when it is said, and on breakers that are declared later within
    a second; what the application's own code does to a breaker after that stands.

    Args:
        resilience: The pillar whose breakers they are.
        group: The processes that are told.
        clock: Wall time, by which a word ends.
    """

    def __init__(
        self, resilience: ResiliencePillar, group: Group, clock: Clock
    ) -> None:
        self._resilience = resilience
        self._group = group
        self._clock = clock
        self._said: Mapping[str, Forced] = {}
        self._done: dict[str, Forced] = {}
        group.follow(_TOPIC, self._take)

    def states(self) -> list[tuple[PolicyState, Forced | None]]:
        """Return how every breaker stands in this process, and what was said of it."""
        held = {name: word for name, word in self._said.items() if word.state != "auto"}
        return [(state, held.get(state.name)) for state in self._resilience.states()]

    def force(self, name: str, state: str, ttl_s: float | None) -> Reach:
        """
        Hold the breaker *name* in *state*, in all processes of the group.

        Args:
            name: The breaker's name.
            state: `open`, `closed`, or `auto`, which lets it decide by outcomes again,
                closed and with an empty window.
            ttl_s: After how many seconds it decides by outcomes again; None: never.

        Returns:
            How many processes have done so, of how many.

        Raises:
            BreakerUnknownError: None is called so in this process.
            OSError: The group cannot be told.
        """
        known = [each.name for each in self._resilience.states()]
        if name not in known:
            raise BreakerUnknownError(nearest(name, known))

        now_ns = self._clock.time_ns()
        if state == "auto":
            ttl_s = _AUTO_S  # as long as a process may take to hear of it

        until_ns = 0 if ttl_s is None else now_ns + round(ttl_s * 1e9)

        def changed(value: object) -> object:
            said = {**_read(value, now_ns)}
            said.pop(name, None)  # so that it becomes the latest
            said[name] = Forced(state, until_ns)
            return {name: list(word) for name, word in list(said.items())[-_MOST:]}

        edition = self._group.update(_TOPIC, changed)
        return self._group.wait(_TOPIC, edition, _WAIT_S)

    def tick(self) -> None:
        """Let go of what is over, and hold what was declared since."""
        now_ns = self._clock.time_ns()
        if any(0 < word.until_ns <= now_ns for word in self._said.values()):
            self._said = _in_force(self._said, now_ns)

        if self._said or self._done:
            self._apply()

    def _take(self, value: object) -> None:
        self._said = _read(value, self._clock.time_ns())
        self._apply()

    def _apply(self) -> None:
        said = self._said
        for name in tuple(self._done):
            if name not in said and self._done.pop(name).state != "auto":
                self._resilience.force(name, "auto")

        for name, word in said.items():
            new = self._done.get(name) != word
            if new and self._resilience.force(name, word.state):
                self._done[name] = word


def _in_force(said: Mapping[str, Forced], now_ns: int) -> Mapping[str, Forced]:
    return {
        name: word
        for name, word in said.items()
        if not word.until_ns or word.until_ns > now_ns
    }


def _read(value: object, now_ns: int) -> Mapping[str, Forced]:
    """Read what another process wrote, which may be of another version."""
    said: dict[str, Forced] = {}
    for name, entry in (value if isinstance(value, dict) else {}).items():
        if not isinstance(entry, list) or len(entry) != 2 or len(said) >= _MOST:
            continue

        state, until_ns = entry
        if state in STATES and isinstance(until_ns, int):
            said[name] = Forced(state, min(until_ns, now_ns + _LONGEST_NS + 10**9))

    return _in_force(said, now_ns)
