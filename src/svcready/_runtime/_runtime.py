"""The runtime: builds the pillars from the settings, starts, attaches, stops them."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from svcready import _wiring
from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.guard import guard
from svcready._core.worker import Worker
from svcready._runtime import (
    _background,
    _build,
    _problems,
    _resilience,
    _summary,
)
from svcready._runtime._adapters import find_adapter
from svcready._runtime._applications import Applications
from svcready._runtime._cells import has_wrappers, renew_plans
from svcready._runtime._ending import _exit
from svcready._runtime._ending._drain import Drain
from svcready._runtime._ending._ending import Ending, flush
from svcready._runtime._ending._orders import DrainOrders
from svcready._runtime._judged import harmless, judged
from svcready._runtime._open_requests import OpenRequests
from svcready._runtime._ops._port import OpsPorts
from svcready._runtime._stalls._lines import watch_stalls
from svcready._transport.group import Group
from svcready.errors import ConfigurationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable

    from svcready._core.clock import Clock
    from svcready._core.identity import Identity
    from svcready.config import Settings
    from svcready.logging._stages import Sink

__all__ = ["Runtime"]


class Runtime:
    """
    Everything that one `init()` turned on, built from one set of settings.

    Args:
        settings: What is in force, and what was wrong with it.
        clock: Read and waited on by every pillar.
        write: Takes the log lines and their levels in place of every destination.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = SYSTEM_CLOCK,
        *,
        write: Sink | None = None,
    ) -> None:
        judged(settings)  # which raises where code asks for what is not installed
        self._noted: list[str] = []
        self.notices: tuple[str, ...] = ()
        """What is as it is meant to be, but worth knowing."""
        self.settings = settings
        self.clock = clock
        self.write = write
        self.development = settings.relaxed
        self.redactor = _build.redactor(settings)
        self.identity = _build.identity(settings, self.redactor)
        self.group = Group(self.identity.service, settings.core.run_dir, clock=clock)
        self.metrics = _build.metrics(self)
        self.tracing = _build.tracing(self)
        self.logging = _build.logging(self)
        self.levels = _build.levels(self)
        self.audit = _build.audit(self)
        self.resilience = _resilience.resilience(self)
        self.breakers = _resilience.breakers(self)
        self.refusals = _resilience.refusals(self)
        self.health = _build.health(self)
        self.open_requests = OpenRequests(clock.monotonic)
        """What is in flight in this process."""
        self.loops: WeakKeyDictionary[AbstractEventLoop, int] = WeakKeyDictionary()
        """The application's event loops, each with the thread that it runs on."""
        self.draining = False
        """Whether readiness fails because the service goes, or was told to pause."""
        self.drain = Drain(self)
        self.drain_orders = DrainOrders(self)
        self.apps = Applications()
        """The applications that this is attached to."""
        self.public: frozenset[str] = frozenset()
        """The operator's paths that anybody may ask, as an adapter serves them."""
        self.speaks: bool | None = None
        """Whether this process says for its group what is on; None: not yet asked."""
        self._worker = Worker("svcready", clock)
        self._disconnect: Callable[[], None] = lambda: None
        self._ready = self._closed = self._works = self._is_worker = False
        self.stalls = watch_stalls(self)
        """Finds out that nothing moves any more."""
        self.ops = OpsPorts(self)
        """The port and the socket for operators."""
        self._ending = Ending(self)
        fork.reset_in_child(self._after_fork)

    def start(self) -> None:
        """Start the pillars, in the order in which they need each other."""
        if not self.settings.core.enabled:
            self.audit.start()
            self.resilience.start()  # says so to every policy
            return

        fork.install()
        first = (self.logging, self.metrics, self.tracing)
        for pillar in (*first, self.resilience, self.health):
            if pillar is not None:
                pillar.start()

        self._disconnect = _wiring.connect(self)
        self.audit.start()
        _summary.inform(self)
        _background.schedule(self, self._worker)
        _exit.watch(self)

    def attach(self, app: object) -> None:
        """
        Put the request lifecycle around *app*, once.

        Args:
            app: A FastAPI, Starlette or Flask application.

        Raises:
            DeclarationError: It is something else; a bare ASGI or WSGI callable
                cannot be wrapped in place, so the message names `svcready.wrap`.
        """
        adapter, framework = find_adapter(app)
        if self.settings.core.enabled and self.settings.http.enabled:
            if import_module(adapter).attach(app):
                self.wait_for_server()
                self._ready = False  # what is on is said again, with what serves

            self.apps.add(framework, adapter, app)

    def wake(self) -> None:
        """Start what must run in this process; a forked child starts here."""
        if self.settings.core.enabled and not self._closed:
            self._works = True
            _background.meet(self)
            self._worker.wake()
            if self.metrics is not None:
                self.metrics.wake()

            if self.health is not None:
                self.health.wake()

            self.ops.begin()

    def work(self) -> None:
        """Be ready at once: nothing is known that would serve, so this is a worker."""
        self.wake()
        self._is_worker = not self._ready
        self.ready()

    def wait_for_server(self) -> None:
        """
        Take back that this is a worker, because something is wrapped that will serve.

        Until it does, readiness fails and operators' requests are another process's
        business: this one may be a master that only forks.
        """
        if not self._is_worker:
            return

        self._is_worker = self._ready = self._works = False
        with guard("runtime.wait"):
            self.ops.close()
            if self.health is not None:
                self.health.wait_for_server()

    @property
    def serves(self) -> bool:
        """Whether requests can have come to an application in this process."""
        applies = bool(self.apps) or has_wrappers()
        return self._ready and applies and not self._closed

    def starting(self) -> None:
        """Take note that the application starts, maybe again after it had stopped."""
        if self._ending.begin_again():
            self._ready = False

    def begun(self, loop: AbstractEventLoop | None) -> None:
        """Take note that a server runs, and on which event loop."""
        _exit.meet_server(self)
        if self.logging is not None:
            self.logging.unify()

        if loop is None:
            return

        self.loops[loop] = threading.get_ident()
        self.stalls.watch(loop)
        if self.health is not None:
            self.health.learn_loop(loop)

        if self.metrics is not None:
            self.metrics.watch_loop(loop)

    def ready(self) -> None:
        """
        Take note that requests can come, and say once what is on.

        Raises:
            ConfigurationError: Strict mode is on, and something is wrong that could
                not be judged earlier (a variable for a check that nobody declared).
        """
        if self._ready or not self.settings.core.enabled:
            return

        self._ready = True
        problems: tuple[str, ...] = ()
        if self.settings.core.strict:
            told = self.problems()
            inert = harmless(self.settings) | self.resilience.doubtful()
            problems = tuple(p for p in told if p not in inert)

        if self.health is not None and not problems:
            self.health.lifecycle.ready()

        with guard("runtime.summary"):
            self.drain.compare()
            _summary.announce(self)

        if self.serves:
            self.drain_orders.show()

        if problems:
            raise ConfigurationError(problems)

    def keep_out(self, paths: Iterable[str]) -> None:
        """Take note that the application defines *paths* itself, and keeps them."""
        for path in paths:
            self.public -= {path}
            self.notice(
                f"{path} is the application's own route, so svcready does not answer "
                "it; SVCREADY_HTTP_PATH_PREFIX moves svcready's paths"
            )

    def identify(self, identity: Identity) -> None:
        """Put what is known by now of the service's identity on all signals."""
        self.identity = identity
        for pillar in (self.tracing, self.metrics, self.logging, self.audit):
            if pillar is not None:
                pillar.identify(identity)

    def apply_reloaded(self) -> None:
        """Put the reloadable settings in force after the file has changed."""
        if self.logging is not None:
            self.logging.reload(self.settings.log)

        for pillar in (self.resilience, self.health):
            if pillar is not None:
                pillar.reload()

        renew_plans()

    def ended(self) -> None:
        """Flush after a request that ended while the service drains."""
        self._ending.after_request()

    def stopping(self) -> None:
        """Flush what is pending, for nothing may come after this."""
        self._ending.stopping()

    def problems(self) -> tuple[str, ...]:
        """
        Return everything that is wrong with the configuration, one line each.

        What can only be judged once the service is ready (a variable for a check that
        nobody declared) joins then.
        """
        return _problems.problems(self, self._noted, ready=self._ready)

    def note(self, problem: str) -> None:
        """Add a problem that a pillar found with its values."""
        self._noted = list(dict.fromkeys((*self._noted, problem)))

    def notice(self, notice: str) -> None:
        """Add what is worth knowing, and no problem."""
        self.notices = tuple(dict.fromkeys((*self.notices, notice)))

    def redact_query(self, query: str) -> str:
        """Return a query string with its secrets replaced by markers."""
        return self.redactor.url("?" + query)[1:]

    def flush(self, timeout_s: float) -> bool:
        """
        Send everything that is pending.

        Args:
            timeout_s: The one budget that all pillars share.

        Returns:
            False if something could not be sent in time; it stays pending.
        """
        return flush(self, timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """
        Flush, then stop everything and put back what was there before.

        Args:
            timeout_s: The budget; if None, what flushes at the end have left of it.
        """
        if self._closed:
            return

        self._closed = True
        left_s = self._ending.budget(timeout_s)
        _exit.unwatch(self)
        self._worker.stop(0.0)
        self.drain_orders.forget()
        self.group.leave()
        self.ops.close()

        self._ending.close_pillars(left_s(), served=self._ready)
        self._disconnect()

    def _after_fork(self) -> None:
        self._ready = self.draining = False
        self._ending.after_fork()
        self.drain.after_fork()
        self.drain_orders.after_fork()
        self.speaks = None
        self.loops.clear()  # they are the parent's
        self.ops.forget()
        self.identify(_build.child_identity(self.identity))
        if self._works and not self._closed and self.metrics is not None:
            self.metrics.wake_when_recording(self._wake_helper)

    def _wake_helper(self) -> None:
        """Start what sends, in a child of a working process that may never serve."""
        self._worker.wake()
        _exit.flush_at_end_of_child(self._end_helper)

    def _end_helper(self) -> None:
        _background.meet(self)  # it may have been too short for that
        self._ending.flush()
