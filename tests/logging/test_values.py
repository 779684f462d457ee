from __future__ import annotations

import datetime as dt
import decimal
import enum
import logging
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcready.logging import get_logger
from tests.examples import examples
from tests.logging.support import Log, make_log

if TYPE_CHECKING:
    from collections.abc import Iterator


class Broken:
    """Fails at everything that a logger might ask of it."""

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class BrokenStr(str):
    """A text that fails when looked at."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __repr__(self) -> str:
        raise RuntimeError("repr")


class BrokenDict(dict[str, object]):
    """A mapping that can't be walked."""

    def items(self) -> Any:
        """Fail."""
        raise RuntimeError("items")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("iter")


class Colour(enum.Enum):
    """A plain enumeration."""

    RED = "red"


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int


@dataclass
class Login:
    """A data class with something to hide."""

    user: str
    password: str


def cycle() -> list[object]:
    """Make a list that holds itself."""
    made: list[object] = [1]
    made.append({"again": made})
    return made


def deep(levels: int) -> object:
    """Make nested lists."""
    made: object = "bottom"
    for _ in range(levels):
        made = [made]

    return made


ODD = {
    "broken": Broken(),
    "broken_str": BrokenStr("x"),
    "broken_dict": BrokenDict(a=1),
    "cycle": cycle(),
    "deep": deep(2000),
    "tuple_keys": {(1, 2): "x", None: 1, b"b": 2, 3.5: 3},
    "bytes": b"\xff\x00raw",
    "nan": float("nan"),
    "infinity": float("-inf"),
    "set": {1},
    "frozenset": frozenset({"a"}),
    "surrogate": "\ud800 lone",
    "surrogate_key": {"\udfff": 1},
    "nul": "\x00\u2028\u2029",
    "huge_int": 10**5000,
    "big_int": 2**70,
    "negative": -(2**70),
    "complex": 1 + 2j,
    "decimal": decimal.Decimal("1.10"),
    "path": Path("/tmp/x"),
    "datetime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "delta": dt.timedelta(seconds=3),
    "uuid": uuid.UUID(int=1),
    "enum": Colour.RED,
    "namedtuple": Point(1, 2),
    "exception": ValueError("x"),
    "class": Broken,
    "function": deep,
    "generator": (i for i in range(3)),
    "memoryview": memoryview(b"abc"),
    "range": range(3),
}


@pytest.mark.parametrize("name", ODD)
def test_no_value_raises_or_breaks_the_line(log: Log, name: str) -> None:
    """Any object anywhere gives one valid line, and its neighbours survive."""
    value = ODD[name]
    bare = get_logger("shop")

    bare.info("field", value=value, order_id=7)
    bare.info("nested", box={"in": [value]}, order_id=7)
    bare.info("argument %s", value, order_id=7)
    bare.info(value, order_id=7)
    logging.getLogger("lib").info("extra", extra={"value": value, "order_id": 7})
    logging.getLogger("lib").info({"value": value, "order_id": 7})

    assert len(log.lines) == 6
    assert [line["context"]["order_id"] for line in log.lines] == [7] * 6


def test_values_keep_what_they_say(log: Log) -> None:
    """What has a natural form in JSON takes it."""
    get_logger("shop").info(
        "x",
        set={1},
        point=Point(1, 2),
        money=decimal.Decimal("1.10"),
        path=Path("/etc"),
        raw=b"caf\xc3\xa9",
        keys={1: "one"},
        delta=dt.timedelta(minutes=1),
        id=uuid.UUID(int=1),
        colour=Colour.RED,
        error=KeyError("k"),
        big=2**70,
        nan=float("nan"),
    )

    assert log.last["context"] == {
        "set": [1],
        "point": {"x": 1, "y": 2},
        "money": "1.10",
        "path": "/etc",
        "raw": "café",
        "keys": {"1": "one"},
        "delta": "0:01:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "colour": "red",
        "error": "KeyError: 'k'",
        "big": "1180591620717411303424",
        "nan": None,
    }


def test_objects_are_redacted_inside(log: Log) -> None:
    """A secret inside an object that only has fields or a repr is hidden."""

    class Model:
        __pydantic_fields__: ClassVar[dict[str, object]] = {}

        def __init__(self) -> None:
            self.user = "ann"
            self.password = "hunter2"

    class Opaque:
        def __repr__(self) -> str:
            return "Opaque(url='amqp://u:hunter2@mq/')"

    get_logger("shop").info(
        "x", login=Login("ann", "hunter2"), model=Model(), opaque=Opaque()
    )

    assert "hunter2" not in log.text
    assert log.last["context"]["model"]["user"] == "ann"
    assert log.last["context"]["login"]["user"] == "ann"


def test_arguments_that_do_not_fit_are_shown_behind_the_message(log: Log) -> None:
    """A wrong number of `%` arguments loses neither the message nor them."""
    get_logger("shop").info("a %s", 1, 2)
    logging.getLogger("lib").info("b %d", "x")
    get_logger("shop").info("c %(n)s", {"n": 3})

    assert [line["message"] for line in log.lines] == [
        "a %s (1, 2)",
        "b %d ('x',)",
        "c 3",
    ]


def test_a_dict_as_message_is_context(log: Log) -> None:
    """As users of JSON formatters write it: the text is taken out, if there is one."""
    logging.getLogger("lib").info({"message": "hello", "n": 1})
    logging.getLogger("lib").info({"n": 2})

    first, second = log.lines
    assert (first["message"], first["context"]) == ("hello", {"n": 1})
    assert (second["message"], second["context"]) == ("", {"n": 2})


def test_a_redactor_that_fails_shows_nothing(log: Log) -> None:
    """Rather no field than a secret; the fault is reported."""
    from svcready._core.guard import set_reporter

    class Failing:
        enabled = True
        masks_all = False

        def fields(self, mapping: object) -> Any:
            raise LookupError

        def text(self, value: str) -> str:
            raise LookupError

        def stack(self, value: str, names: object) -> str:
            raise LookupError

    seen: list[str] = []
    before = set_reporter(lambda component, error: seen.append(component))
    other = make_log(redactor=Failing())  # type: ignore[arg-type]
    log.pillar.close()
    other.pillar.start()
    get_logger("shop").info("password=hunter2 password", password="hunter2")
    other.pillar.close()
    set_reporter(before)

    assert "hunter2" not in other.text
    assert "logging.redaction" in seen


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.decimals()
    | st.uuids()
    | st.builds(Broken),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=())), inner)
        | st.dictionaries(st.integers() | st.binary() | st.none(), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    fields=st.dictionaries(st.text(st.characters(exclude_categories=())), JSON_LIKE),
    message=st.text(st.characters(exclude_categories=())),
)
def test_any_graph_gives_one_valid_line(
    log: Log, fields: dict[str, object], message: str
) -> None:
    """No graph that hypothesis makes raises or breaks a line, in either form."""
    log.written.clear()
    get_logger("shop").bind(**fields).info(message)
    get_logger("shop").info(message, extra=fields)

    assert len(log.lines) == 2
    assert all(len(line) <= 16 * 1024 for line in log.written)

    console = make_log(development=True)
    console.pillar.handler.lines.line(
        ("shop", None, None), "shop", 20, message, fields, None, 0
    )
