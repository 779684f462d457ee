"""The SDK's patches of libraries, kept off those that OpenTelemetry traces."""

# Both patch the same methods: with both, each call is two spans, and which one's id the
# called service is told depends on the order. An application that calls `patch_all()`
# does so before or after `init()`, so patches are both refused and taken back.

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import guard
from svcready.tracing.xray._sdk_bridge._django import keep_off

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["Patches"]

_quiet = guard("tracing.xray_sdk")
_SDK = "aws_xray_sdk."


class _Library(NamedTuple):
    """What the SDK patches by one name."""

    traced_by: tuple[str, ...]
    """The instrumentation packages of OpenTelemetry that see the same calls."""
    points: tuple[tuple[str, str], ...] = ()
    """Where the SDK wraps: module and attribute."""
    marks: tuple[tuple[str, str], ...] = ()
    """What the SDK sets to wrap but once."""


_MARK = "_xray_enabled"
_LIBRARIES = {
    "aiobotocore": _Library(
        ("aiobotocore",),
        (
            ("aiobotocore.client", "AioBaseClient._make_api_call"),
            ("aiobotocore.endpoint", "AioEndpoint.prepare_request"),
        ),
        (("aiobotocore.client", _MARK),),
    ),
    "botocore": _Library(
        ("botocore",),
        (
            ("botocore.client", "BaseClient._make_api_call"),
            ("botocore.endpoint", "Endpoint.prepare_request"),
        ),
        (("botocore.client", _MARK),),
    ),
    "httplib": _Library(
        ("requests", "urllib3", "urllib", "botocore"),
        (
            ("http.client", "HTTPConnection._send_request"),
            ("http.client", "HTTPConnection.getresponse"),
            ("http.client", "HTTPResponse.read"),
        ),
        (("http.client", "__xray_patched"),),
    ),
    "httpx": _Library(("httpx",)),
    "mysql": _Library(("mysql",), (("mysql.connector", "connect"),)),
    "pg8000": _Library((), (("pg8000", "connect"),)),
    "psycopg": _Library(
        ("psycopg",),
        (("psycopg", "connect"), ("psycopg_pool.pool", "ConnectionPool._connect")),
    ),
    "psycopg2": _Library(("psycopg2",), (("psycopg2", "connect"),)),
    "pymongo": _Library(("pymongo",)),
    "pymysql": _Library(("pymysql",), (("pymysql", "connect"),)),
    "pynamodb": _Library(
        ("botocore",),
        (("botocore.httpsession", "URLLib3Session.send"),),
        (("botocore.httpsession", _MARK),),
    ),
    "requests": _Library(
        ("requests", "urllib3"),
        (("requests", "Session.request"), ("requests", "Session.prepare_request")),
    ),
    "sqlalchemy_core": _Library(
        ("sqlalchemy",),
        (
            ("sqlalchemy.engine.base", "Connection.execute"),
            ("sqlalchemy.orm.session", "Session.execute"),
        ),
    ),
    "sqlite3": _Library(("sqlite3",), (("sqlite3", "connect"),)),
}
_ROOTS = {"httplib": "http.client", "sqlalchemy_core": "sqlalchemy"}


class Patches:
    """Decides about the SDK's patches from `join` to `part`."""

    def __init__(self, patcher: ModuleType) -> None:
        self._patcher = patcher
        original = patcher._patch_module  # noqa: SLF001
        before = getattr(original, "__self__", None)  # another runtime's, which ends
        self._original: Callable[..., object] = getattr(before, "_original", original)
        self._left_out: list[str] = []
        self._undo: list[Callable[[], None]] = []

    def join(self) -> None:
        """Take back patches of what is traced, and refuse further ones."""
        vars(self._patcher)["_patch_module"] = self._patch
        for library in _LIBRARIES:
            self.look_at(library)

        self._undo.append(keep_off(_is_on))

    def part(self) -> None:
        """Let the SDK patch what it was asked to."""
        if vars(self._patcher).get("_patch_module") == self._patch:
            vars(self._patcher)["_patch_module"] = self._original

        undo, self._undo = self._undo, []
        for step in undo:
            step()

        left_out, self._left_out = self._left_out, []
        for library in left_out:
            if not _is_traced(library):
                self._original(library, raise_errors=False)

    def traced(self, name: str) -> None:
        """Take back patches of what OpenTelemetry traces from now on, by its name."""
        for library, known in _LIBRARIES.items():
            if name in known.traced_by:
                self.look_at(library)

    def look_at(self, library: str) -> None:
        """Take the SDK's patch of *library* back, if OpenTelemetry traces it."""
        done: set[str] = self._patcher._PATCHED_MODULES  # noqa: SLF001
        if library in done and _is_traced(library):
            with _quiet:
                self._take_back(library)
                done.discard(library)
                self._left_out.append(library)

    def _patch(self, module_to_patch: str, raise_errors: bool = True) -> object:  # noqa: FBT001, FBT002
        # What waits for the library's import (OpenTelemetry's) comes first so.
        with _quiet:
            if module_to_patch in _LIBRARIES:
                _import(_ROOTS.get(module_to_patch, module_to_patch))

        if _is_traced(module_to_patch):
            if module_to_patch not in self._left_out:
                self._left_out.append(module_to_patch)

            return None

        return self._original(module_to_patch, raise_errors)

    def _take_back(self, library: str) -> None:
        known = _LIBRARIES[library]
        for module, path in known.points:
            _strip(module, path)

        for module, mark in known.marks:
            vars(sys.modules.get(module) or sys).pop(mark, None)

        if library == "httpx":
            self._quiet_httpx()
        elif library == "pymongo":
            self._quiet_pymongo()

    def _quiet_httpx(self) -> None:
        """Put the classes back; the transports of clients made before pass on."""
        import httpx

        patch = sys.modules["aws_xray_sdk.ext.httpx.patch"]
        for name in ("Client", "AsyncClient"):
            kind = getattr(httpx, name)
            if kind.__module__ == patch.__name__:
                setattr(httpx, name, kind.__bases__[0])

        api = sys.modules["httpx._api"]
        if api.Client.__module__ == patch.__name__:
            vars(api)["Client"] = api.Client.__bases__[0]

        self._replace(patch.SyncInstrumentedTransport, "handle_request", _pass)
        self._replace(patch.AsyncInstrumentedTransport, "handle_async_request", _apass)

    def _quiet_pymongo(self) -> None:
        """Make the listener say nothing: pymongo lets none go."""
        patch = sys.modules["aws_xray_sdk.ext.pymongo.patch"]
        for name in ("started", "succeeded", "failed"):
            self._replace(patch.XrayCommandListener, name, _say_nothing)

    def _replace(self, kind: type, name: str, value: object) -> None:
        original = vars(kind)[name]
        setattr(kind, name, value)
        self._undo.append(lambda: setattr(kind, name, original))


def _pass(self: object, request: object) -> object:
    return self._wrapped_transport.handle_request(request)  # type: ignore[attr-defined]


async def _apass(self: object, request: object) -> object:
    wrapped = self._wrapped_transport  # type: ignore[attr-defined]
    return await wrapped.handle_async_request(request)


def _say_nothing(self: object, event: object) -> None:
    pass


def _import(module: str) -> None:
    try:
        import_module(module)
    except ImportError:
        pass  # the SDK says so


def _is_traced(library: str) -> bool:
    known = _LIBRARIES.get(library)
    return known is not None and any(map(_is_on, known.traced_by))


def _is_on(package: str) -> bool:
    """Tell whether an instrumentation package is switched on, by whomever."""
    module = sys.modules.get(f"opentelemetry.instrumentation.{package}")
    for value in vars(module).values() if module is not None else ():
        made = getattr(value, "_instance", None) if isinstance(value, type) else None
        if getattr(made, "_is_instrumented_by_opentelemetry", False):
            return True

    return False


def _strip(module: str, path: str) -> None:
    """Take the SDK's wrapper out of a chain of wrapt's wrappers."""
    holder: object = sys.modules.get(module)
    *inner, name = path.split(".")
    for part in inner:
        holder = getattr(holder, part, None)

    found = vars(holder).get(name) if holder is not None else None
    if _is_sdks(found):
        setattr(holder, name, found.__wrapped__)  # type: ignore[union-attr]
        return

    while found is not None:
        below = getattr(found, "__wrapped__", None)
        if _is_sdks(below):
            found.__wrapped__ = below.__wrapped__  # type: ignore[union-attr]
            return

        found = below


def _is_sdks(wrapper: object) -> bool:
    made_by = getattr(wrapper, "_self_wrapper", None)
    return str(getattr(made_by, "__module__", "")).startswith(_SDK)
