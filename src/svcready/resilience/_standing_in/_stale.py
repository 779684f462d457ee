"""Last good answers: one per arguments, for a limited time and in limited number."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from svcready._core import fork
from svcready._core.guard import report_foreign
from svcready.errors import DeclarationError
from svcready.resilience._arguments import check_plain, source_of
from svcready.resilience._numbers import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from svcready._core.clock import Clock
    from svcready.resilience._numbers import Duration

__all__ = ["Answers", "Kept", "Stale", "stale"]


class Stale:
    """
    How `fallback` keeps last good answers; made by `stale`.

    Args:
        max_age_s: How old an answer may be, in seconds.
        key: Tells answers apart by the call's arguments; None: the arguments do.
        max_entries: How many are kept.
    """

    __slots__ = ("_identity", "key", "max_age_s", "max_entries")

    def __init__(
        self,
        max_age_s: float,
        key: Callable[..., Hashable] | None,
        max_entries: int,
    ) -> None:
        self.max_age_s = max_age_s
        self.key = key
        self.max_entries = max_entries
        self._identity = (max_age_s, source_of(key), max_entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stale) and self._identity == other._identity

    __hash__ = None  # type: ignore[assignment]  # closures may hold anything

    def __repr__(self) -> str:
        return f"<last good answers of up to {self.max_age_s:g} s>"


def stale(
    max_age: Duration,
    *,
    key: Callable[..., Hashable] | None = None,
    max_entries: int = 1000,
) -> Stale:
    """
    Keep the last good answers of a dependency, for `fallback(stale=...)`.

    An answer is kept as the object that it is, for all callers: don't change it. Keys
    and answers stay in memory until others take their place, whatever their age. What
    an answer depends on besides the arguments (a tenant that is in the context) must
    be in the key, or one caller is given what another was told. An answer that gives
    its items only once (a generator, a cursor, an open file) is not kept, which is
    counted (`success_unkept`) and told once: return a list. Nor is one kept, and it is
    counted so, in whose call a fallback further in stood in, of whatever age that was.

    Args:
        max_age: How old an answer may be that stands in.
        key: Called with the call's arguments, returns what tells its answers apart;
            it must be hashable. None: the arguments themselves, a method's object
            included; a call whose arguments can't be hashed is not kept, which is
            counted (`success_unkept`) and told once. Never logged.
        max_entries: At most so many answers are kept, and at least the half of them
            that was used last.

    Raises:
        DeclarationError: An argument is wrong.
    """
    given: object = key
    if given is not None and not callable(given):
        raise DeclarationError(f"key={key!r}: use a function of the call's arguments")

    if key is not None:
        check_plain("key", key)

    return Stale(
        seconds("max_age", max_age), key, count("max_entries", max_entries, low=2)
    )


class Kept(NamedTuple):
    """An answer, and since when it is there."""

    value: object
    at_s: float


class _Place:
    """Where the last answer of a key is, in both generations the same."""

    __slots__ = ("kept",)

    def __init__(self, kept: Kept) -> None:
        self.kept = kept


_Generations: TypeAlias = (
    "tuple[dict[Hashable, _Place], dict[Hashable, _Place], object]"
)
"""The younger one, the older one, and since when nothing was forgotten on purpose."""


class _Call(NamedTuple):
    """The key of a call: what it was called with, kinds included as in `lru_cache`."""

    args: tuple[object, ...]
    kwargs: tuple[tuple[str, object], ...]
    kinds: tuple[object, object]


class Answers:
    """
    The last good answers of one dependency.

    They are in two generations: what is used goes into the younger one, and when that
    has half of all it becomes the older one, whose entries go. So nothing is ever
    searched for or taken out one by one, and the lock is not held while keys are
    compared, which is the application's code. A key has the same place in both, so
    that whoever takes it over late takes over what others have put there meanwhile;
    what is there gives way to what was given later, whoever is done first.

    Args:
        stale: What is kept.
        clock: Monotonic time.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_generations",
        "_half",
        "_key",
        "_lock",
    )

    def __init__(self, stale: Stale, clock: Clock) -> None:
        self._key = stale.key
        self._half = stale.max_entries // 2
        self._clock = clock
        self._lock = threading.RLock()
        self._generations: _Generations = ({}, {}, object())
        fork.reset_in_child(self._reset)

    def use(self, clock: Clock) -> None:
        """Read *clock* from now on; what is kept is as old as it was."""
        shift_s = clock.monotonic() - self._clock.monotonic()
        with self._lock:
            self._clock = clock
            for place in {one for part in self._copies() for one in part.values()}:
                place.kept = place.kept._replace(at_s=place.kept.at_s + shift_s)

    def limit(self, max_entries: int) -> None:
        """Keep so many from now on; of more, those that were new last."""
        half, before = max_entries // 2, self._half
        self._half = half
        if half < before:
            young, old = (dict([*part.items()][-half:]) for part in self._copies())
            with self._lock:
                gone = self._generations
                self._generations = young, old, gone[2]

            del gone  # only now, as finalizers are the application's code

    @property
    def is_keyed(self) -> bool:
        """Whether the application tells calls apart."""
        return self._key is not None

    def key_of(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Hashable | None:
        """Return what tells a call's answers apart; None: they can't be kept."""
        try:
            if self._key is not None:
                key = self._key(*args, **kwargs)
                hash(key)
                return (key,)

            named = tuple(sorted(kwargs.items()))
            key = _Call(args, named, (_kind(args), _kind(named)))
            hash(key)
        except Exception as error:  # noqa: BLE001 - the call goes on without
            if self._key is not None:
                report_foreign("resilience.stale_key", error)

            return None

        return key

    def put(self, key: Hashable, value: object) -> bool:
        """Keep an answer that was given now, unless it gives its items only once."""
        kind = type(value)
        if hasattr(kind, "__next__") or hasattr(kind, "__anext__"):
            return False

        kept = Kept(value, self._clock.monotonic())
        self._use(key, _Place(kept), kept, self._generations[2], is_new=True)
        return True

    def get(self, key: Hashable, max_age_s: float) -> Kept | None:
        """Return the last answer, unless it is older than *max_age_s* seconds."""
        young, old, since = self._generations
        place = young.get(key)
        is_young = place is not None
        if place is None:
            place = old.get(key)
            if place is None:
                return None

        kept = place.kept
        if self._clock.monotonic() - kept.at_s > max_age_s:
            return None

        if not is_young:
            self._use(key, place, kept, since, is_new=False)

        return kept

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            gone, self._generations = self._generations, ({}, {}, object())

        del gone  # only now, as finalizers are the application's code

    def __len__(self) -> int:
        young, old = self._copies()
        return len({*young, *old})

    def _use(
        self, key: Hashable, place: _Place, kept: Kept, since: object, *, is_new: bool
    ) -> None:
        """
        Have *key* be one of the younger ones, with *kept* or what was given later.

        Args:
            key: What was put or got.
            place: Where it is from now on, unless it has a place.
            kept: An answer of it.
            since: Of the generations in which it began; others take nothing over.
            is_new: Whether it was given now, and goes before one of the same instant.
        """
        while True:
            generations = young, old, now_since = self._generations
            if now_since is not since:
                return

            there = young.get(key)
            if there is None:
                there = old.get(key) or place
                if len(young) < self._half:
                    there = young.setdefault(key, there)
                else:
                    self._age(generations, {key: there})

            with self._lock:
                before = there.kept
                if before.at_s < kept.at_s or (is_new and before.at_s == kept.at_s):
                    there.kept = kept

            del before  # only now, as finalizers are the application's code
            if self._generations[0] is young:  # or else look where it is now
                return

    def _age(self, generations: _Generations, young: dict[Hashable, _Place]) -> None:
        """Let the younger of *generations*, if they are in force, be the older one."""
        with self._lock:
            if self._generations is generations:
                self._generations = young, generations[0], generations[2]

    def _copies(self) -> tuple[dict[Hashable, _Place], dict[Hashable, _Place]]:
        young, old, _ = self._generations
        return dict(young), dict(old)

    def _reset(self) -> None:
        self._lock = threading.RLock()


def _kind(value: object) -> object:
    """Return what tells 1, 1.0 and True apart, which are equal, also inside others."""
    kind = type(value)
    if isinstance(value, tuple):
        return (kind, *map(_kind, value))

    if isinstance(value, frozenset):
        return (kind, frozenset((one, _kind(one)) for one in value))

    return kind
