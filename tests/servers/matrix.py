"""The servers that a service must be right under, and what its routes are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.servers.harness import Service

__all__ = ["SERVERS", "Stack", "chosen", "often", "start"]

_GUNICORN = ["gunicorn", "--bind", "127.0.0.1:{port}", "--keep-alive", "75"]
_GUNICORN += ["--graceful-timeout", "5", "--no-control-socket"]
_UVICORN = ["uvicorn", "--port", "{port}", "--timeout-keep-alive", "75"]
_FASTAPI = "tests.servers.apps.fastapi_app:app"
_FLASK = "tests.servers.apps.flask_app:app"
_DJANGO = {"DJANGO_SETTINGS_MODULE": "tests.servers.apps.django_settings"}


@dataclasses.dataclass(frozen=True)
class Stack:
    """A framework under a server."""

    name: str
    framework: str
    command: tuple[str, ...]
    workers: int = 1
    environ: tuple[tuple[str, str], ...] = ()
    is_asgi: bool = False
    sends_disconnects: bool = True

    def __str__(self) -> str:
        return self.name

    def template(self, path: str) -> str:
        """Spell a route, given in FastAPI's way, in the framework's own."""
        if self.framework == "fastapi":
            return path

        text = "str:" if self.framework == "django" else ""
        for name in ("order_id", "thing_id", "item_id"):
            path = path.replace(f"{{{name}}}", f"<int:{name}>")

        for name in ("mark", "tenant"):
            path = path.replace(f"{{{name}}}", f"<{text}{name}>")

        return path


def _fastapi(name: str, command: list[str], workers: int = 1) -> Stack:
    return Stack(
        name,
        "fastapi",
        (*command, _FASTAPI),
        workers,
        is_asgi=True,
    )


def _threads(count: int) -> list[str]:
    return [*_GUNICORN, "-k", "gthread", "--threads", "8", "--workers", str(count)]


SERVERS = (
    _fastapi("fastapi-uvicorn", _UVICORN),
    _fastapi("fastapi-uvicorn-workers", [*_UVICORN, "--workers", "2"], 2),
    _fastapi("fastapi-gunicorn-asgi", [*_GUNICORN, "-k", "asgi", "--workers", "2"], 2),
    _fastapi(
        "fastapi-gunicorn-uvicorn",
        [*_GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "--workers", "2"],
        2,
    ),
    _fastapi(
        "fastapi-gunicorn-asgi-preload",
        [*_GUNICORN, "-k", "asgi", "--workers", "2", "--preload"],
        2,
    ),
    Stack("flask-gunicorn", "flask", (*_threads(2), _FLASK), 2),
    Stack(
        "flask-gunicorn-preload",
        "flask",
        (*_threads(2), "--preload", _FLASK),
        2,
    ),
    Stack(
        "django-gunicorn",
        "django",
        (*_threads(1), "tests.servers.apps.django_app"),
        environ=tuple(_DJANGO.items()),
    ),
    Stack(
        "django-uvicorn",
        "django",
        (*_UVICORN, "tests.servers.apps.django_app:application"),
        environ=(*_DJANGO.items(), ("DJANGO_ON_ASGI", "1")),
        is_asgi=True,
    ),
)


def often(*names: str, of: Iterable[object] = SERVERS) -> pytest.MarkDecorator:
    """Run a test with each of *of* as its `stack`, as `chosen` has them."""
    return pytest.mark.parametrize("stack", chosen(*names, of=of))


def chosen(*names: str, of: Iterable[object] = SERVERS) -> list[ParameterSet]:
    """
    Return all of *of* as parameters: those named run every time, others in the soak.

    It is for tests that start a server for each and wait for its end: some seconds.
    """
    whole = {str(it): it for it in of}
    assert whole.keys() >= set(names)
    rare = (pytest.mark.soak,)
    return [
        pytest.param(it, id=name, marks=() if name in names else rare)
        for name, it in whole.items()
    ]


def start(stack: Stack, directory: Path, **environ: str) -> Service:
    """Return the service of *stack*, not started yet."""
    directory.mkdir(parents=True, exist_ok=True)
    return Service(
        list(stack.command),
        directory,
        workers=stack.workers,
        environ={**dict(stack.environ), **environ},
    )
