"""Which adapter an application needs, told without importing any framework."""

from __future__ import annotations

from svcready.errors import DeclarationError

__all__ = ["find_adapter"]

_ADAPTERS = (
    ("fastapi.applications", "FastAPI", "svcready.adapters.fastapi"),
    ("starlette.applications", "Starlette", "svcready.adapters.fastapi"),
    ("flask.app", "Flask", "svcready.adapters.flask"),
)
"""Module and name of a class that is recognised, so that nothing is imported to ask."""


def find_adapter(app: object) -> tuple[str, str]:
    """
    Return the module of *app*'s adapter and the framework's name.

    Raises:
        DeclarationError: It is no application of a framework that can be wrapped in
            place.
    """
    for kind in type(app).__mro__:
        for module, name, adapter in _ADAPTERS:
            if kind.__module__ == module and kind.__name__ == name:
                return adapter, name

    what = f"{type(app).__module__}.{type(app).__qualname__}"
    hint = (
        "a bare ASGI or WSGI callable cannot be wrapped in place: serve "
        "`app = svcready.wrap(app)` instead"
        if callable(app)
        else "give the application object itself"
    )
    msg = f"init(app=...) takes FastAPI, Starlette or Flask, not {what}: {hint}"
    raise DeclarationError(msg)
