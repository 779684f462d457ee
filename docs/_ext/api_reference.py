"""The API reference as Markdown, from signatures and docstrings in the source."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["api_markdown"]

_WIDTH = 79
_LIST = {"Args": "Arguments", "Raises": "Raises"}
_TERM = re.compile(r"    (\S[^:]*): (.*)")
_DUNDERS = {"__call__"}
_MADE_BY_USERS = {"bound", "span", "FakeClock", "JsonFormatter"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def api_markdown(words: str) -> str:
    """
    Return the reference of some public names.

    Args:
        words: The module's dotted name and the names in it, in order; of a class
            that has more members than users need, those to show: `Counter:inc,labels`.
    """
    module, *names = words.split()
    parts = [_entry(module, *name.split(":")) for name in names]
    return "\n\n".join(part for part in parts if part) + "\n"


def _entry(module: str, name: str, members: str = "") -> str:
    thing = getattr(import_module(module), name)
    title = f"### {module}.{name}\n"
    if isinstance(thing, type):
        return "\n".join((title, *_class(thing, f"{module}.{name}", members)))

    (node,) = ast.parse(dedent(inspect.getsource(thing))).body
    assert isinstance(node, Definition)
    return "\n".join((title, _signature(node, f"{module}.{name}"), *_text(node)))


def _class(kind: type, name: str, shown: str) -> Iterator[str]:
    node = _node_of(kind)
    bases = [base.__name__ for base in kind.__bases__ if base is not object]
    bases = [base for base in bases if base not in {"Generic", "NamedTuple", "tuple"}]
    of = f"({', '.join(bases)})" if bases and not bases[0].startswith("_") else ""
    members = _members(kind)
    init = members.pop("__init__", None)
    documented = "Args:" in (ast.get_docstring(node) or "")
    if isinstance(init, Definition) and (
        kind.__name__ in _MADE_BY_USERS or (documented and issubclass(kind, Exception))
    ):
        yield _signature(init, f"class {name}", of_class=True)
        yield from _text(node)
    else:
        yield f"```text\nclass {name}{of}\n```\n"
        text = ast.get_docstring(node) or ""
        yield _without_args(text) + "\n"

    for member in shown.split(",") if shown else members:
        found = members[member]
        if isinstance(found, Definition):
            yield from _method(found)
        else:
            yield _described(f"`{member}`", found)


def _method(node: Definition) -> Iterator[str]:
    text = ast.get_docstring(node) or ""
    head, _, rest = text.partition("\n\n")
    if any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
        yield _described(f"`{node.name}`", head)
        return

    call = _arguments(node, of_class=True)
    shown = "" if node.name == "__call__" else node.name
    prefix = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    yield _described(f"`{prefix}{shown}({', '.join(call)})`", head)
    if rest:
        yield "\n".join(f"  {line}" if line else "" for line in _blocks(rest))


def _described(term: str, text: str) -> str:
    first, _, rest = text.strip().partition("\n\n")
    lines = [f"{term}\n: {' '.join(first.split())}\n"]
    if rest:
        lines.append("\n".join(f"  {line}" if line else "" for line in _blocks(rest)))

    return "\n".join(lines)


def _signature(node: Definition, name: str, *, of_class: bool = False) -> str:
    arguments = _arguments(node, of_class=of_class)
    returns = "" if of_class or node.returns is None else ast.unparse(node.returns)
    tail = f" -> {returns}" if returns and returns != "None" else ""
    line = f"{name}({', '.join(arguments)}){tail}"
    if len(line) > _WIDTH:
        inner = "".join(f"    {argument},\n" for argument in arguments)
        inner = inner.replace("    *,,", "    *,").replace("    /,,", "    /,")
        line = f"{name}(\n{inner}){tail}"

    return f"```text\n{line}\n```\n"


def _arguments(node: Definition, *, of_class: bool) -> list[str]:
    spec = node.args
    plain = [*spec.posonlyargs, *spec.args]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(spec.defaults))
    shown = [
        _argument(argument, default)
        for argument, default in zip(plain, [*missing, *spec.defaults], strict=True)
    ]
    if spec.posonlyargs:
        shown.insert(len(spec.posonlyargs), "/")

    if of_class:
        shown = shown[1:]
        if shown[:1] == ["/"] and len(spec.posonlyargs) == 1:
            shown = shown[1:]

    if spec.vararg:
        shown.append("*" + _argument(spec.vararg, None))
    elif spec.kwonlyargs:
        shown.append("*")

    shown += [
        _argument(argument, default)
        for argument, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    ]
    if spec.kwarg:
        shown.append("**" + _argument(spec.kwarg, None))

    return shown


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    if default is None:
        return argument.arg + kind

    equals = " = " if kind else "="
    return f"{argument.arg}{kind}{equals}{ast.unparse(default)}"


def _text(node: Definition | ast.ClassDef) -> Iterator[str]:
    yield "\n".join(_blocks(ast.get_docstring(node) or ""))


def _without_args(text: str) -> str:
    """Return a docstring up to its arguments, which only we give."""
    return "\n".join(_blocks(re.split(r"\n\n(?=Args:)", text)[0]))


def _blocks(text: str) -> Iterator[str]:
    """Turn a docstring's sections into definition lists; the rest is Markdown."""
    section = ""
    term = False
    for line in text.splitlines():
        head = re.fullmatch(r"(Args|Raises|Returns):", line)
        if head:
            section, term = head[1], False
            yield f"**{_LIST.get(section, section)}**\n"
            continue

        if line and not line.startswith(" "):
            section = ""

        found = _TERM.fullmatch(line) if section in _LIST else None
        if found:
            if term:
                yield ""

            term = True
            yield f"`{found[1]}`"
            yield f": {found[2].strip()}"
        elif section in _LIST and line:
            yield f"  {line.strip()}"
        elif section == "Returns":
            yield line.strip()
        else:
            yield line

    yield ""


@cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text())


def _node_of(kind: type) -> ast.ClassDef:
    path = inspect.getsourcefile(kind)
    assert path is not None
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return node

    raise LookupError(kind)


def _members(kind: type) -> dict[str, Definition | str]:
    """Find what a class offers in public, its own first, then what it inherits."""
    found: dict[str, Definition | str] = {}
    for base in kind.__mro__:
        if not base.__module__.startswith("svcready"):
            continue

        body = list(_node_of(base).body)
        body += [
            inner
            for node in body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
            for inner in node.body
        ]
        for node, after in zip(body, [*body[1:], None], strict=True):
            name = _public_name(node)
            if not name or name in found:
                continue

            if isinstance(node, Definition):
                if ast.get_docstring(node) or name == "__init__":
                    found[name] = node
            elif isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[name] = inspect.cleandoc(str(after.value.value))

    return found


def _public_name(node: ast.stmt) -> str:
    name = ""
    if isinstance(node, Definition):
        name = node.name
        if name in _DUNDERS or name == "__init__":
            return name
    elif isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name):
            name = target.id
        elif isinstance(target, ast.Attribute):
            name = target.attr

    return "" if name.startswith("_") else name
