"""What one runtime shares with the service's other processes, as far as it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._parts import cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.config._sections.http import HttpSettings
    from svcready.config._sections.resilience import ResilienceSettings
    from svcready.resilience._limiting._store import Store
    from svcready.resilience._sharing._contact import Contact
    from svcready.resilience._sharing._gossip import Gossip
    from svcready.resilience._sharing._rate_store import SharedRates

__all__ = ["Shared"]


class Shared:
    """
    The gossip of breakers and the rate limits in Redis; nothing is loaded for neither.

    Args:
        settings: The section RESILIENCE.
        http: The section HTTP.
        clock: Monotonic time.
        scope: The service and the environment that share; None: nobody can tell.
    """

    def __init__(
        self,
        settings: ResilienceSettings,
        http: HttpSettings,
        clock: Clock,
        scope: Callable[[], tuple[str, str] | None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._scope = scope
        self.gossip: Gossip | None = None
        """What tells other processes of breakers that open; None: nothing does."""
        self.rates: SharedRates | None = None
        """What counts rate limits for all processes; None: each counts its own."""

    @property
    def on_failure(self) -> str:
        """What rate limits do while their store is lost: `local`, `open`, `closed`."""
        return self._http.rate_limit_on_store_failure

    def wake(self) -> None:
        """Begin in this process; a forked child begins here anew."""
        if self.rates is not None:
            self.rates.wake()

        settings = self._settings
        asked = settings.share_breakers and settings.redis_url
        if self.gossip is None and asked and (scope := self._scope()) is not None:
            from svcready.config._redis_address import redis_address
            from svcready.resilience._sharing._gossip import Gossip

            self.gossip = Gossip(
                *scope,
                redis_address(settings.redis_url),
                breakers=lambda: cores("breaker"),
                quorum=settings.share_quorum,
                clock=self._clock,
            )

        if self.gossip is not None:
            self.gossip.wake()

    def close(self) -> None:
        """Let go of every connection."""
        for each in (self.gossip, self.rates):
            if each is not None:
                each.close()

    def contacts(self) -> list[Contact]:
        """Return what is known of the stores."""
        sharing = (self.gossip, self.rates)
        return [each.contact for each in sharing if each is not None]

    def rate_store(self) -> Store:
        """Make what rate limits on inbound requests are counted in."""
        from svcready.resilience._limiting._store import MemoryStore

        settings, memory = self._settings, MemoryStore(self._clock)
        asked = self._http.rate_limit_store == "redis" and settings.redis_url
        if not asked or (scope := self._scope()) is None:
            return memory

        from svcready.config._redis_address import redis_address
        from svcready.resilience._sharing._buckets import key_prefix
        from svcready.resilience._sharing._rate_store import SharedRates

        self.rates = SharedRates(
            redis_address(settings.redis_url),
            key_prefix(*scope),
            memory,
            self._clock,
            on_failure=self.on_failure,
            timeout_s=settings.redis_timeout_s,
        )
        return self.rates
