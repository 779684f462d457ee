"""What each module offers: its `__all__` and the objects behind it."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.architecture.house import (
    ENTRY_POINTS,
    Module,
    importable,
    modules,
    run_clean_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIBE = """
import importlib, json, sys

def describe(thing):
    kind = type(thing)
    owner = getattr(thing, "__module__", "")
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
    return f"{kind.__module__}.{kind.__qualname__} {owner} {name}"

def offered(names):
    for name in names:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            yield f"{name}:{public}", getattr(module, public)

order, packages, everything = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
if order == "submodules first":
    for name in everything:
        importlib.import_module(name)

before = dict(offered(packages))
for name in everything:
    importlib.import_module(name)

moved = [key for key, thing in offered(packages) if thing is not before[key]]
described = {key: describe(thing) for key, thing in before.items()}
print(json.dumps([moved, described]))
"""


def with_all() -> Iterator[tuple[Module, list[str]]]:
    """Find the files that say what they offer."""
    for module in modules():
        if (listed := declared_all(module.tree)) is not None:
            yield module, listed


def declared_all(tree: ast.Module) -> list[str] | None:
    """Read `__all__` without importing the file."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                listed = ast.literal_eval(value)
                assert isinstance(listed, list | tuple)
                return list(listed)

    return None


def isort_key(name: str) -> tuple[int, str]:
    """Order as ruff does: CONSTANTS, then Classes, then functions."""
    if re.fullmatch(r"[A-Z0-9_]+", name) and len(name) > 1:
        return (0, name)

    return (1 if name[0].isupper() else 2, name)


every_all = pytest.mark.parametrize(
    ("module", "listed"),
    [pytest.param(module, listed, id=module.name) for module, listed in with_all()],
)


@every_all
def test_all_is_sorted(module: Module, listed: list[str]) -> None:
    """`__all__` is in order and names nothing twice."""
    assert listed == sorted(set(listed), key=isort_key)


@every_all
def test_all_is_what_is_public(module: Module, listed: list[str]) -> None:
    """`__all__` holds each public name that the file makes, and only what is there."""
    if module.name in ENTRY_POINTS:
        pytest.skip("is run, not imported")

    made = set(public_names(module))
    imported = importlib.import_module(module.name)

    assert made <= set(listed), f"not in __all__: {made - set(listed)}"
    assert not [name for name in listed if not hasattr(imported, name)]


@every_all
def test_what_is_loaded_late_is_listed(module: Module, listed: list[str]) -> None:
    """`dir()`, and so completion at a prompt, knows what nobody has used yet."""
    if module.name in ENTRY_POINTS:
        pytest.skip("is run, not imported")

    made = vars(importlib.import_module(module.name))
    if "__getattr__" in made:
        assert set(listed) <= set(made["__dir__"]())


def public_names(module: Module) -> Iterator[str]:
    """
    Find the public names that the file itself makes.

    A package's `__init__` also makes what it imports from its own files. Type
    variables are no names to offer.
    """
    for node in module.tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield from public(name)
            case ast.AsyncFunctionDef(name=name):
                yield from public(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if not makes_type_variable(value):
                    yield from public(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield from public(name)
            case ast.ImportFrom(module=source, names=names) if (
                module.is_package and f"{source}.".startswith(f"{module.name}.")
            ):
                for alias in names:
                    yield from public(alias.asname or alias.name)


def public(name: str) -> list[str]:
    """Drop a private name, and the one that type checkers look for."""
    return [] if name.startswith("_") or name == "TYPE_CHECKING" else [name]


def makes_type_variable(value: ast.expr) -> bool:
    """Tell whether a value is one for annotations only."""
    match value:
        case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec" | "TypeVarTuple")):
            return True

    return False


def test_importing_submodules_moves_no_public_name() -> None:
    """
    Every public name stays its object when all submodules are imported.

    Whether they are imported before the name is first asked for, or after.
    """
    packages = " ".join(
        module.name
        for module in modules()
        if module.is_package and "._" not in module.name
    )
    everything = " ".join(importable())

    after = run_clean_json(DESCRIBE, "names first", packages, everything)
    before = run_clean_json(DESCRIBE, "submodules first", packages, everything)

    assert after == before
    assert isinstance(after, list)
    assert after[0] == []
