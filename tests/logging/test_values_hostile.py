from __future__ import annotations

import datetime as dt
import enum
import json
import logging
import sys
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcready._core.redaction import Redactor
from svcready.config._sections.log import LogSettings
from svcready.logging import get_logger
from svcready.testing import assert_log_line
from tests.logging import hostile
from tests.logging.support import Log, make_log, read

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 16 * 1024
FORMS = ["standard", "ecs", "otel", "flat", "console", "unredacted"]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[tuple[str, Log]]:
    """Return a running pillar that writes in each of the forms."""
    name: str = request.param
    layout = name if name in {"ecs", "otel", "flat"} else "standard"
    wanted = "console" if name == "console" else "json"
    log = make_log(LogSettings(format=wanted, layout=layout, max_line_bytes=MAX_BYTES))
    log.pillar.start()
    log.written.clear()
    yield name, log
    log.pillar.close()


def check(form: tuple[str, Log], lines: int) -> None:
    """Assert that so many valid lines of bounded size were written."""
    name, log = form
    assert len(log.written) == lines
    for line in log.written:
        assert line.endswith(b"\n")
        assert len(line) <= MAX_BYTES
        line.decode()
        if name != "console":
            assert line.count(b"\n") == 1
            layout = "standard" if name == "unredacted" else name
            assert_log_line(line, layout=layout)

    if name == "standard":
        read(b"".join(log.written))  # by jsonschema

    assert name == "unredacted" or "hunter2" not in log.text


def say(log: Log, value: Any) -> int:
    """Log *value* in every way that there is; return how many lines that is."""
    log.written.clear()
    ours, theirs = get_logger("shop"), logging.getLogger("lib")
    ours.info("field", value=value, order_id=7)
    ours.info("nested", box={"in": [value, {"k": value}]}, order_id=7)
    ours.info("argument %s %d", value, value)
    ours.bind(value=value).error(value)
    ours.info("event", event=value, exc_info=value, extra={"more": value})
    theirs.warning("extra", extra={"value": value, "order_id": 7})
    theirs.warning("argument %s %d", "a", value)
    theirs.warning("%(value)s", {"value": value})
    return 8


@pytest.mark.parametrize("kind", hostile.MAKERS)
def test_no_object_breaks_a_line_or_its_caller(
    form: tuple[str, Log], kind: str
) -> None:
    """In every place of a line and in every form: one valid line of bounded size."""
    expected = say(form[1], hostile.MAKERS[kind]())

    check(form, expected)


@pytest.mark.parametrize(
    "kind",
    ["failing_error", "failing_marks", "failing_chain", "failing_group", "lied_error"],
)
@pytest.mark.parametrize("color", [False, True], ids=["json", "colours"])
def test_an_exception_whose_code_fails_has_its_line(kind: str, *, color: bool) -> None:
    """Of both kinds of loggers, with what can be told of it without that code."""
    form = "console" if color else "json"
    log = make_log(LogSettings(format=form), terminal=color)
    log.pillar.start()
    log.written.clear()
    error: Exception = hostile.MAKERS[kind]()
    get_logger("shop").error("ours", exc_info=error)
    logging.getLogger("lib").error("theirs", exc_info=(type(error), error, None))
    log.pillar.close()

    assert len(log.written) == 2
    assert log.text.count(type.__repr__(type(error)).split(".")[-1][:-2]) >= 2
    if not color:
        assert [line["message"] for line in log.lines] == ["ours", "theirs"]


@pytest.mark.parametrize("kind", ["lazy", "row", "generator", "map"])
def test_what_does_its_work_when_looked_at_is_not_looked_at(
    log: Log, kind: str
) -> None:
    """Neither attributes are read nor items: that may be a query or a stream."""
    hostile.TOUCHED.clear()
    value = hostile.MAKERS[kind]()
    get_logger("shop").info("x", value=value, box=[value, {"a": value}])
    get_logger("shop").info("x %s", "a", pair=("password", value))
    logging.getLogger("lib").info("x", extra={"value": value})

    assert hostile.TOUCHED == []
    if kind == "row":
        assert log.lines[0]["context"]["value"] == {"id": 7}


def test_django_objects_stay_lazy(log: Log) -> None:
    """The user of a request is not fetched for a log line; a translation is a text."""
    functional = pytest.importorskip("django.utils.functional")
    fetched: list[int] = []
    user = functional.SimpleLazyObject(lambda: fetched.append(1))
    translated = functional.lazystr("hello")
    get_logger("shop").info("x", user=user, users=[user], said=translated)

    assert fetched == []
    assert log.last["context"]["said"] == "hello"
    assert "SimpleLazyObject" in log.last["context"]["user"]


def test_sqlalchemy_objects_are_not_loaded(log: Log) -> None:
    """A mapped data class shows what it has; its unloaded relation stays so."""
    orm = pytest.importorskip("sqlalchemy.orm")
    alchemy = pytest.importorskip("sqlalchemy")

    class Base(orm.MappedAsDataclass, orm.DeclarativeBase):  # type: ignore[misc, name-defined]
        pass

    class User(Base):
        __tablename__ = "users"
        id = orm.mapped_column(alchemy.Integer, primary_key=True)
        name = orm.mapped_column(alchemy.String)

    engine = alchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    statements: list[str] = []
    with orm.Session(engine) as session:
        session.execute(alchemy.insert(User).values(id=1, name="ann"))
        user = session.get(User, 1)
        session.expire(user, ["name"])
        alchemy.event.listen(
            engine, "before_cursor_execute", lambda *args: statements.append(args[2])
        )
        get_logger("shop").info("x", user=user, users=[user])

    engine.dispose()
    assert statements == []
    assert log.last["message"] == "x"
    assert "ann" not in log.text


def test_models_show_their_fields_without_secrets(log: Log) -> None:
    """pydantic, attrs and data classes, with slots or a dictionary."""

    class Model(pydantic.BaseModel):
        user: str
        password: str
        when: dt.datetime

    @attrs.define
    class Attrs:
        user: str
        password: str

    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    get_logger("shop").info(
        "x",
        model=Model(user="ann", password="hunter2", when=day),
        attrs=Attrs("ann", "hunter2"),
        slotted=hostile.Slotted(),
        colour=hostile.Colour.RED,
        money=Decimal("1.10"),
        array=hostile.Array([1, 2]),
    )
    hidden = {"user": "ann", "password": "[redacted:key]"}

    assert log.last["context"] == {
        "model": {**hidden, "when": "2026-01-01T00:00:00+00:00"},
        "attrs": hidden,
        "slotted": hidden,
        "colour": {"r": 255, "password": "[redacted:key]"},
        "money": "1.10",
        "array": [1, 2],
    }


class Access(NamedTuple):
    """A tuple whose items have names."""

    user: str
    password: str


class Field(enum.Enum):
    """Keys of a dictionary that are no texts."""

    PASSWORD = "password"


@pytest.mark.parametrize(
    "value",
    [
        Access("ann", "hunter2"),
        [Access("ann", "hunter2")],
        {"password": "hunter2"}.items(),
        {Field.PASSWORD: "hunter2"},
        {("password",): "hunter2"},
        {"when": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "who": Access("a", "hunter2")},
    ],
    ids=["named_tuple", "in_a_list", "items", "enum_key", "tuple_key", "beside_a_date"],
)
def test_a_secret_is_hidden_by_the_name_that_the_line_shows(
    log: Log, value: object
) -> None:
    """Whatever has names only once it is made plain is searched by these."""
    get_logger("shop").info("x", value=value)
    logging.getLogger("lib").warning("x", extra={"value": [value]})

    assert "hunter2" not in log.text
    assert log.text.count("[redacted:key]") >= 2


def test_the_operators_patterns_are_looked_for_in_dates() -> None:
    """A date of birth may be what is to be hidden; other dates are shown."""
    log = make_log(redactor=Redactor(patterns=["1970-[0-9-]+"]))
    log.pillar.start()
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    get_logger("shop").info("x", born=dt.date(1970, 1, 2), at=[day, day.time()])
    log.pillar.close()

    assert log.last["context"] == {
        "born": "[redacted:pattern-1]",
        "at": ["2026-01-01T00:00:00+00:00", "00:00:00"],
    }


def test_numpy_is_shown_as_numbers(log: Log) -> None:
    """Scalars and small arrays; of a large one its repr."""
    numpy = pytest.importorskip("numpy")
    get_logger("shop").info(
        "x",
        scalar=numpy.float64(1.5),
        whole=numpy.int64(7),
        flag=numpy.bool_(True),
        nan=numpy.float32("nan"),
        array=numpy.array([[1, 2], [3, 4]]),
        large=numpy.zeros(100_000),
        odd=numpy.array([object()], dtype=object),
    )
    context = log.last["context"]

    assert (context["scalar"], context["whole"], context["flag"]) == (1.5, 7, True)
    assert context["nan"] is None
    assert context["array"] == [[1, 2], [3, 4]]
    assert context["large"].startswith("array(")


def test_all_of_a_failing_objects_neighbours_are_there(log: Log) -> None:
    """What can't be read is named; the rest of the line is as if it were not there."""
    get_logger("shop").info("x", bad=hostile.FailsAtAll(), good={"a": [1]}, n=2)
    get_logger("shop").info("args %d", "a", hostile.ReturnsNoText())
    first, second = log.lines

    assert first["context"]["good"] == {"a": [1]}
    assert first["context"]["n"] == 2
    assert "FailsAtAll" in first["context"]["bad"]
    assert second["message"] == "args %d ('a', <ReturnsNoText that repr() fails on>)"


def test_keys_that_look_alike_are_both_kept(log: Log) -> None:
    """JSON's names are texts; `1` and `"1"` are two keys of a dictionary."""
    get_logger("shop").info("x", box={1: "a", "1": "b"})

    assert log.last["context"]["box"] == {"1": "a", "1_": "b"}


@pytest.mark.parametrize("container", ["dict", "set", "list"])
def test_what_another_thread_changes_is_logged(log: Log, container: str) -> None:
    """A container that grows and shrinks meanwhile gives valid lines all the same."""
    live: Any = {"dict": dict, "set": set, "list": list}[container](range(0))
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            if container == "dict":
                live[f"k{number % 50}"] = number
                live.pop(f"k{(number * 7) % 50}", None)
            elif container == "set":
                live.add(number % 50)
                live.discard((number * 7) % 50)
            else:
                live.append(number)
                del live[:-20]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for number in range(300):
            get_logger("shop").info("x", live=live, odd=Decimal(number), n=number)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)

    assert [line["context"]["n"] for line in log.lines] == list(range(300))


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


@dataclass(frozen=True)
class Recipe:
    """How to make an object that hypothesis itself could not look at."""

    maker: str
    part: object = None

    def make(self) -> Any:
        """Make it."""
        part = made(self.part)
        if self.maker == "array*":
            return hostile.Array(part)

        if self.maker == "dict*":
            return hostile.FailingDict(a=part)

        if self.maker == "list*":
            return hostile.FailingList([part])

        return hostile.MAKERS[self.maker]()


def made(value: Any) -> Any:
    """Return *value* with all recipes followed."""
    if isinstance(value, Recipe):
        return value.make()

    if isinstance(value, dict):
        return {key: made(item) for key, item in value.items()}

    if isinstance(value, list | tuple):
        return type(value)(made(item) for item in value)

    return value


ODD = st.builds(Recipe, st.sampled_from(sorted(hostile.MAKERS)))
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.binary(max_size=40)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.uuids()
    | ODD
)
KEYS = ANY_TEXT | st.integers() | st.none() | st.binary(max_size=5) | st.floats()
GRAPHS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(KEYS, inner, max_size=6)
        | st.tuples(inner, inner)
        | st.builds(Recipe, st.just("array*"), st.lists(inner, max_size=4))
        | st.builds(Recipe, st.sampled_from(["dict*", "list*"]), inner)
    ),
    max_leaves=25,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    fields=st.dictionaries(ANY_TEXT, GRAPHS, max_size=6),
    message=GRAPHS,
    args=st.lists(GRAPHS, max_size=3),
)
def test_any_graph_of_objects_gives_one_valid_line(
    form: tuple[str, Log], fields: dict[str, Any], message: Any, args: list[Any]
) -> None:
    """As message, argument, field or `extra`, of our logger and of stdlib's."""
    log = form[1]
    log.written.clear()
    fields, message, args = made(fields), made(message), made(args)
    kept = {
        name: value
        for name, value in fields.items()
        if name not in {"message", "asctime"} | set(vars(RECORD))
    }
    get_logger("shop").bind(**fields).info(message, *args)
    # stdlib itself looks into an argument that is alone.
    logging.getLogger("lib").error("%s %s", "a", *args, extra=kept)
    logging.getLogger("lib").info(message)

    check(form, 3)


RECORD = logging.LogRecord("", 0, "", 0, "", (), None)


def test_json_is_what_json_is(log: Log) -> None:
    """No NaN, no raw line break: any parser and any splitter reads the line."""
    get_logger("shop").info("a\u2028b\n\x00", nan=float("nan"), sep="\u2029\x85")
    raw = log.written[-1]

    assert raw.count(b"\n") == 1
    assert b"NaN" not in raw
    assert json.loads(raw)["message"] == "a\u2028b\n\x00"
