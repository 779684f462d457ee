"""Objects that a logger should not be given, and is."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

TOUCHED: list[str] = []
"""What was done to objects that must be left alone."""


def fail(*_: object, **__: object) -> NoReturn:
    """Fail, as anything in an object may."""
    raise RuntimeError("no")


class FailsAtAll:
    """Fails at everything that can be asked of it."""

    __repr__ = __str__ = __len__ = __iter__ = __bool__ = __format__ = fail
    __eq__ = __hash__ = __getattr__ = __call__ = __int__ = __float__ = fail
    __class__ = property(fail)


class FailingDict(dict[Any, Any]):
    """A dictionary whose every method fails."""

    items = keys = values = get = __iter__ = __len__ = __getitem__ = fail
    __bool__ = __contains__ = __repr__ = fail


class FailingList(list[Any]):
    """A list whose every method fails."""

    __iter__ = __len__ = __getitem__ = __repr__ = __bool__ = fail


class FailingStr(str):
    """A text whose every method fails."""

    __slots__ = ()
    __str__ = __repr__ = encode = __len__ = __eq__ = __format__ = fail
    __hash__ = str.__hash__


class FailingInt(int):
    """A number whose every method fails."""

    __int__ = __index__ = __le__ = __ge__ = __repr__ = __str__ = fail


class FailingFloat(float):
    """A number whose every method fails."""

    __slots__ = ()
    __float__ = __repr__ = __str__ = __eq__ = fail
    __hash__ = float.__hash__


class ReturnsNoText:
    """Has a `repr` and a `str` that are none."""

    __repr__ = __str__ = lambda self: 7  # type: ignore[assignment, return-value]


class Meta(type):
    """A metaclass that lies."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        """Fail."""
        fail()

    __instancecheck__ = __subclasscheck__ = fail


class Lied(metaclass=Meta):
    """Has a class that fails when asked for its name."""

    __repr__ = fail


class Infinite:
    """Has every attribute, each of which is another such object."""

    def __getattr__(self, name: str) -> Infinite:
        return Infinite()

    def __repr__(self) -> str:
        return "<Infinite>"


class Lazy:
    """Does its work when it is looked at, as Django's and SQLAlchemy's objects do."""

    def __getattribute__(self, name: str) -> object:
        TOUCHED.append(name)
        raise RuntimeError(name)

    def __repr__(self) -> str:
        return "<Lazy>"

    def __iter__(self) -> Iterator[object]:
        TOUCHED.append("iter")
        raise RuntimeError

    def __len__(self) -> int:
        TOUCHED.append("len")
        raise RuntimeError


class Loads:
    """A descriptor that asks the database."""

    def __get__(self, instance: object, owner: type) -> object:
        TOUCHED.append("loaded")
        raise RuntimeError


@dataclass(init=False)
class Row:
    """A data class whose relation is loaded when it is read, as a mapped one's is."""

    id: int
    owner: object
    missing: object

    def __init__(self) -> None:
        self.id = 7


Row.owner = Loads()


class NoDataClass:
    """Says that it is one."""

    __dataclass_fields__ = {"id": None}  # noqa: RUF012 - the point of it


@dataclass(slots=True)
class Slotted:
    """A data class with slots, one of them never set."""

    user: str = "ann"
    password: str = "hunter2"
    unset: int = field(init=False)


class Colour(enum.Enum):
    """An enumeration whose values are no atoms."""

    RED = {"r": 255, "password": "hunter2"}  # noqa: RUF012 - the point of it


class FailingEnum(enum.Enum):
    """An enumeration that can't be asked for its value."""

    ONE = 1
    value = property(fail)


class Array:
    """Looks like an array of numpy's."""

    dtype = "float64"

    def __init__(self, items: list[object]) -> None:
        self.items = items
        self.size = len(items)

    def tolist(self) -> list[object]:
        """Return the items."""
        return self.items

    def __repr__(self) -> str:
        return f"array({self.size})"


class Tensor(Array):
    """Looks like one of torch's: `size` is a method."""

    def size(self) -> int:  # type: ignore[override]
        """Return how many items there are."""
        return 1

    def __init__(self) -> None:
        self.items = []

    def __repr__(self) -> str:
        return "tensor(1)"


class OddZone(dt.tzinfo):
    """A time zone that fails."""

    utcoffset = tzname = dst = fail


class FailingError(Exception):
    """An exception whose every attribute fails."""

    def __getattribute__(self, name: str) -> object:
        fail()


class FailingMarks(Exception):
    """An exception that cannot be marked."""

    __dict__ = property(fail)


class FailingChain(Exception):
    """An exception that does not tell what was behind it."""

    __cause__ = property(fail)


class FailingGroup(ExceptionGroup[Exception]):
    """A group that does not tell its members."""

    exceptions = property(fail)


class LiedError(Exception, metaclass=Meta):
    """An exception whose class fails when asked for its name."""


def cycle() -> dict[str, object]:
    """Make a dictionary that holds itself."""
    made: dict[str, object] = {}
    made["again"] = [made, {"more": made}]
    return made


def numbers() -> Iterator[int]:
    """Count, and say so."""
    for number in range(3):
        TOUCHED.append("consumed")
        yield number


MAKERS: dict[str, Any] = {
    "fails": FailsAtAll,
    "failing_dict": lambda: FailingDict(a=1),
    "failing_list": lambda: FailingList([1]),
    "failing_str": lambda: FailingStr("text"),
    "failing_int": lambda: FailingInt(7),
    "failing_float": lambda: FailingFloat(1.5),
    "no_text": ReturnsNoText,
    "lied": Lied,
    "infinite": Infinite,
    "lazy": Lazy,
    "row": Row,
    "no_data_class": NoDataClass,
    "slotted": Slotted,
    "colour": lambda: Colour.RED,
    "failing_enum": lambda: FailingEnum.ONE,
    "array": lambda: Array([1.0, float("nan"), [2]]),
    "big_array": lambda: Array(list(range(10_000))),
    "tensor": Tensor,
    "cycle": cycle,
    "generator": numbers,
    "map": lambda: map(str, numbers()),
    "surrogates": lambda: "\ud800\udfff",
    "separators": lambda: "\x00\u2028\u2029\x85\r\n\x1b[31m",
    "huge_int": lambda: 10**5000,
    "big_int": lambda: -(2**90),
    "nan": lambda: float("nan"),
    "bytes": lambda: b"\xff\xfe\x00",
    "aware": lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "naive": lambda: dt.datetime(1, 1, 1),  # noqa: DTZ001
    "extreme": lambda: dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(0, 1))),
    "odd_zone": lambda: dt.datetime(2026, 1, 1, tzinfo=OddZone()),
    "time": lambda: dt.time(1, 2, tzinfo=dt.UTC),
    "odd_keys": lambda: {(1, 2): 1, None: 2, 1: 3, "1": 4, b"k": 5, 2.5: 6},
    "frozen": lambda: frozenset({"a", None}),
    "failing_error": FailingError,
    "failing_marks": FailingMarks,
    "failing_chain": FailingChain,
    "failing_group": lambda: FailingGroup("g", [ValueError()]),
    "lied_error": LiedError,
    "exception": lambda: ExceptionGroup("g", [ValueError("\ud800")]),
}
"""Makes one of each."""
