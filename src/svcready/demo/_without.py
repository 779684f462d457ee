"""The orders service without svcready: the same file, with nothing in its place."""

from __future__ import annotations

import builtins
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Nothing", "without_svcready"]


class Nothing:
    """Stands for svcready and for all that it gives: does nothing, lets all through."""

    def __getattr__(self, name: str) -> Nothing:
        return self

    def __call__(self, *args: object, **named: object) -> object:
        """Return a function that was to be decorated as it is; else nothing again."""
        return args[0] if len(args) == 1 and not named and callable(args[0]) else self

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def without_svcready() -> ModuleType:
    """Load the orders service once more, with nothing in svcready's place."""
    replacing = {"svcready": Nothing(), "opentelemetry.propagate": Nothing()}
    path = Path(__file__).with_name("service.py")
    spec = spec_from_file_location("orders_without_svcready", path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks for what annotations name

    def find(name: str, *rest: object) -> object:
        found = replacing.get(name)
        return real(name, *rest) if found is None else found  # type: ignore[arg-type]

    # The file's own imports go through its own builtins; nobody else's do.
    real = builtins.__import__
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": find}
    code = compile(path.read_text(), str(path), "exec", dont_inherit=True)
    exec(code, vars(module))  # noqa: S102 - our own file
    return module
