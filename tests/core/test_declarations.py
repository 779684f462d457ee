"""Names of things, and the registers that hold what was declared."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready._core.declarations import Register, check_name, name_of, variable
from svcready._core.places import Place, calling_place
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable


class Thing:
    """Something with a name, and an owner that may change."""

    def __init__(self, owner: str = "") -> None:
        self.owner = owner


@pytest.mark.parametrize("name", ["a", "orders.db", "pay-ments_2", "0", "x" * 64])
def test_valid_names(name: str) -> None:
    """Lower case, digits, dots, dashes and underscores, up to 64."""
    assert check_name("check", name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "é", "x" * 65, "default", "_default_", "..", 5]
)
def test_invalid_names(name: object) -> None:
    """The message has the name and what is allowed; `default` is reserved."""
    with pytest.raises(DeclarationError, match="check name") as caught:
        check_name("check", name)

    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("payments", "PAYMENTS"),
        ("pay-ments.v2", "PAY_MENTS_V2"),
        ("a._-b", "A_B"),
        ("-a-", "A"),
    ],
)
def test_how_variables_spell_names(name: str, spelt: str) -> None:
    """Upper case; every run of `._-` is one underscore, none at the ends."""
    assert variable(name) == spelt


def module_level() -> None:
    """Stand for a function at the top of a module."""


def test_names_are_derived_from_functions() -> None:
    """`module.qualname`, lower case, without `<locals>.`; a partial's is its own's."""

    def Inner() -> None:  # noqa: N802 - a name with capitals
        pass

    module = __name__.lower()
    this = "test_names_are_derived_from_functions"

    assert name_of(module_level) == f"{module}.module_level"[-64:]
    assert name_of(functools.partial(module_level)) == name_of(module_level)
    Inner.__module__ = "shop"
    assert name_of(Inner) == f"shop.{this}.inner"


def test_a_scripts_functions_are_named_by_its_stem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`__main__` says nothing, the file's name does."""

    def work() -> None:
        pass

    work.__module__ = "__main__"
    work.__qualname__ = "work"
    monkeypatch.setattr("__main__.__file__", "/srv/nightly.py", raising=False)

    assert name_of(work) == "nightly.work"


def test_long_derived_names_are_cut_and_told_apart() -> None:
    """The last 55 characters and 8 hex digits of the whole name's hash."""

    def one() -> None:
        pass

    def two() -> None:
        pass

    one.__module__ = two.__module__ = "m"
    one.__qualname__ = "a" + "x" * 80
    two.__qualname__ = "b" + "x" * 80
    names = {name_of(one), name_of(two)}

    assert len(names) == 2
    assert {len(name) for name in names} == {64}
    assert {name[:56] for name in names} == {"x" * 55 + "-"}


@given(st.text(), st.text(min_size=1))
def test_every_derived_name_is_valid(module: str, qualname: str) -> None:
    """Whatever a function is called, its name can be used in variables."""

    def function() -> None:
        pass

    function.__module__ = module
    function.__qualname__ = qualname
    name = name_of(function)
    if variable(name) not in {"DEFAULT", ""}:
        assert check_name("policy", name) == name


def test_the_same_declaration_twice_is_one_thing() -> None:
    """With equal arguments or none, the name means what is there."""
    register: Register[Thing] = Register("policy")
    first = register.declare("a", (1,), Thing)

    assert register.declare("a", (1,), Thing) is first
    assert register.declare("a", None, Thing) is first
    assert register.names() == ("a",)
    assert register.things() == (first,)
    assert register.get("a") is first
    assert register.get("b") is None


def test_all_things_are_the_same_tuple_until_one_comes() -> None:
    """Who works with all of them sees by identity that none is new."""
    register: Register[Thing] = Register("policy")
    first = register.declare("a", (1,), Thing)
    before = register.things()
    register.declare("a", (1,), Thing)
    assert register.things() is before
    assert before == (first,)

    second = register.declare("b", (1,), Thing)
    third = register.declare("a", (2,), Thing, replace=lambda *_: True)
    assert register.things() == (third, second)
    register.clear()
    assert register.things() == ()


def test_another_meaning_raises_and_shows_both_places() -> None:
    """The message names kind, name and where each was declared."""
    register: Register[Thing] = Register("policy")
    here, there = Place("a.py", 1), Place("b.py", 2)
    register.declare("a", (1,), Thing, place=here)
    with pytest.raises(DeclarationError) as caught:
        register.declare("a", (2,), Thing, place=there)

    assert "policy 'a' is declared at b.py:2" in str(caught.value)
    assert "a.py:1" in str(caught.value)
    assert register.place("a") == here


def test_names_that_variables_cannot_tell_apart_raise() -> None:
    """`a.b` and `a-b` are both A_B."""
    register: Register[Thing] = Register("check")
    register.declare("a.b", None, Thing)
    with pytest.raises(DeclarationError, match="both A_B in variables"):
        register.declare("a-b", None, Thing)

    assert register.names() == ("a.b",)


def test_a_new_thing_can_take_the_old_ones_place() -> None:
    """An application factory that runs again registers its check anew."""
    register: Register[Thing] = Register("check")
    register.declare("a", (1,), lambda: Thing("old"))
    new = register.declare(
        "a", (2,), lambda: Thing("new"), replace=lambda old, new: old.owner == "old"
    )

    assert register.get("a") is new


def test_a_binder_meets_everything_before_and_after() -> None:
    """What was declared at import and what comes later are bound alike."""
    register: Register[Thing] = Register("metric")
    first = register.declare("a", None, Thing)
    bound: list[Thing] = []
    register.bind(bound.append)
    second = register.declare("b", None, Thing)
    register.declare("b", None, Thing)
    register.bind(None)
    register.declare("c", None, Thing)

    assert bound == [first, second]


def test_a_binder_may_declare() -> None:
    """It runs outside the lock, so that it can use the register itself."""
    register: Register[Thing] = Register("metric")

    def binder(thing: Thing) -> None:
        if thing.owner != "second":
            register.declare("second", None, lambda: Thing("second"))

    register.declare("first", None, Thing)
    register.bind(binder)

    assert register.names() == ("first", "second")


def test_a_cleared_register_is_empty() -> None:
    """Tests declare the same names again."""
    register: Register[Thing] = Register("metric")
    register.declare("a.b", None, Thing)
    register.clear()
    register.declare("a-b", (5,), Thing)

    assert register.names() == ("a-b",)


def test_the_calling_place_is_outside_svcready() -> None:
    """A declaration's place is the application's line, not ours."""
    namespace: dict[str, Callable[[], Place]] = {}
    source = "def inner():\n    return calling_place()"
    exec(
        source,
        {"__name__": "svcready.fake", "calling_place": calling_place},
        namespace,
    )
    place = namespace["inner"]()

    assert place.file == __file__
    assert str(place) == f"{__file__}:{place.line}"


def test_no_lock_is_held_while_arguments_are_compared() -> None:
    """What `==` means is the application's: it may declare, or wait for who does."""
    register: Register[Thing] = Register("thing")

    class Asking:
        def __eq__(self, other: object) -> bool:
            thread = threading.Thread(
                target=register.declare, args=("other", None, Thing), daemon=True
            )
            thread.start()
            thread.join(5.0)
            return not thread.is_alive()

        __hash__ = None  # type: ignore[assignment]

    first = register.declare("a", Asking(), Thing)
    assert register.declare("a", Asking(), Thing) is first
    assert register.names() == ("a", "other")


def test_who_is_slower_to_declare_gets_what_is_there() -> None:
    """Declared by another thread while its own was made, the name is compared again."""
    register: Register[Thing] = Register("thing")
    there: list[Thing] = []

    def build() -> Thing:
        if not there:
            there.append(Thing())
            register.declare("a", 1, there.copy().pop)

        return Thing()

    assert register.declare("a", 1, build) is there[0]
    register.clear()
    there.clear()
    with pytest.raises(DeclarationError, match="with other arguments"):
        register.declare("a", 2, build)
