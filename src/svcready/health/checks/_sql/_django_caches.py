"""Checks of Django's caches, as the project's settings have them."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._django import known_aliases, lent_to_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from django.core.cache.backends.base import BaseCache

    from svcready.health.checks._adding import Options

__all__ = ["add_django_caches", "found_caches"]

# Where a cache's backend, found by the end of its name, takes its time-outs.
_DJANGO_REDIS = "django_redis.cache.RedisCache"
_REDIS = "redis.RedisCache"
_MEMCACHE = "memcached.PyMemcacheCache"
_DATABASE = "db.DatabaseCache"
_CACHE_TIMEOUTS = {
    _DJANGO_REDIS: ("SOCKET_CONNECT_TIMEOUT", "SOCKET_TIMEOUT"),
    _REDIS: ("socket_connect_timeout", "socket_timeout"),
    _MEMCACHE: ("connect_timeout", "timeout"),
}
_LOCAL_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")
_KEPT_S = 60
_SHARE = 0.45  # of the time-out, for each of connecting and answering
_SHARE_OF_DATABASE = 0.9


def add_django_caches(*aliases: str, **options: Unpack[Options]) -> None:
    """
    Check Django's caches: a check `django.cache.<alias>` each.

    It sets a random key, gets it and deletes it.

    Args:
        aliases: Which of `CACHES`; all of them if none is given.
        options: As for `health.check`.

    Raises:
        DeclarationError: There is no such alias, an option is wrong, or another check
            has the name.
    """
    from django.core.cache import caches

    for alias in known_aliases(aliases, caches, "CACHES"):
        add(derive_name("django.cache", alias), _cache_check(alias), options)


def found_caches() -> Iterator[tuple[str, ReadyMade]]:
    """
    Return the checks that the settings ask for, by name.

    Caches of this process alone are left out.
    """
    from django.core.cache import caches

    for alias, settings in caches.settings.items():
        if not str(settings.get("BACKEND")).endswith(_LOCAL_CACHES):
            yield derive_name("django.cache", alias), _cache_check(alias, found=True)


def _cache_check(alias: str, *, found: bool = False) -> ReadyMade:
    from django.core.cache import caches

    backend = str(caches.settings[alias].get("BACKEND")).rpartition(".")[2]
    run = _Cache(alias).run
    target = f"{backend} {alias}"
    return ReadyMade(run, kind="datastore", target=target, found=found)


class _Cache:
    """One of Django's caches, with connections of the check's own."""

    def __init__(self, alias: str) -> None:
        from django.core.cache import caches

        settings = caches.settings[alias]
        self._alias = alias
        self._backend = str(settings["BACKEND"])
        servers = settings.get("LOCATION") or ""
        self._count = len(
            re.split("[;,]", servers) if isinstance(servers, str) else servers
        )
        self._cache: BaseCache | None = None

    def run(self) -> CheckResult:
        """Run the check."""
        from django.db import connections

        cache = self._cache or self._make()
        # pymemcache's client takes a server that failed for dead for a minute.
        self._cache = None if self._backend.endswith(_MEMCACHE) else cache
        try:
            with ExitStack() as stack:
                for alias in self._databases(cache):
                    seconds = _SHARE_OF_DATABASE * allowed_s()
                    stack.enter_context(lent_to_thread(alias, seconds))

                return self._ask(cache)
        finally:
            cache.close()
            connections.close_all()  # this thread's: a backend may have opened one

    def _ask(self, cache: BaseCache) -> CheckResult:
        key, value = f"svcready.health.{secrets.token_hex(8)}", secrets.token_hex(8)
        cache.set(key, value, timeout=_KEPT_S)
        read = cache.get(key)
        cache.delete(key)
        if read == value or (read is None and self._reads_replicas()):
            return CheckResult("pass")

        said = "nothing" if read is None else "another value"
        return CheckResult("fail", f"what was set is not there: {said} was read")

    def _reads_replicas(self) -> bool:
        """Tell whether what was set may not have come yet to where it is read."""
        return self._count > 1 and self._backend.endswith((_REDIS, _DJANGO_REDIS))

    def _databases(self, cache: BaseCache) -> set[str]:
        """Return the databases that the cache asks."""
        model = getattr(cache, "cache_model_class", None)
        if model is None or not self._backend.endswith(_DATABASE):
            return set()

        from django.db import router

        return {router.db_for_write(model), router.db_for_read(model)}

    def _make(self) -> BaseCache:
        from django.core.cache import caches
        from django.utils.module_loading import import_string

        settings = dict(caches.settings[self._alias])
        backend = settings.pop("BACKEND")
        options = settings["OPTIONS"] = dict(settings.get("OPTIONS") or {})
        _limit(backend, options)
        cache: BaseCache = import_string(backend)(
            settings.pop("LOCATION", ""), settings
        )
        if backend.endswith(_DJANGO_REDIS):
            # Its pools are the process's, by URL: the application would have the
            # check's time-outs, or the check none.
            client = getattr(cache, "client", None)
            factory = getattr(client, "connection_factory", None)
            if factory is not None:
                factory._pools = {}  # noqa: SLF001

        return cache


def _limit(backend: str, options: dict[str, Any]) -> None:
    """Put the check's time-outs into a backend's options, unless shorter are there."""
    seconds = _SHARE * allowed_s()
    for ending, names in _CACHE_TIMEOUTS.items():
        if backend.endswith(ending):
            for name in names:
                options[name] = min(seconds, options.get(name) or seconds)

            break

    if backend.endswith((_REDIS, _DJANGO_REDIS)):
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        once = {"retry": Retry(NoBackoff(), 0), "retry_on_timeout": False}
        if backend.endswith(_DJANGO_REDIS):
            given = dict(options.get("CONNECTION_POOL_KWARGS") or {})
            for name in _CACHE_TIMEOUTS[_REDIS]:
                given[name] = min(seconds, given.get(name) or seconds)

            options["CONNECTION_POOL_KWARGS"] = {**given, **once}
        else:
            options.update(once)
