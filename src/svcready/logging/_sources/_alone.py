"""Lines of a process without a runtime: the environment says whose they are."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._core.identity import process_instance, resolve_identity
from svcready._core.redaction import Redactor
from svcready.logging._lines._forms import make_lines

if TYPE_CHECKING:
    from svcready.config import Settings
    from svcready.logging._lines._line import Lines
    from svcready.logging._lines._values import Redaction

__all__ = ["AloneLines"]


class AloneLines:
    """
    Makes lines where no runtime is up: in a server's parent process, before `init()`.

    The settings are read when the first line is made, as `init()` reads them: the
    environment wins over the file, and that over the arguments. A forked child reads
    them again, so that its instance is its own.

    Args:
        service: The service's name.
        version: Its version.
        environment: Where it runs.
        redactor: Hides secrets; by default what the settings say.
    """

    def __init__(
        self,
        *,
        service: str | None,
        version: str | None,
        environment: str | None,
        redactor: Redaction | None,
    ) -> None:
        self._service = service
        self._version = version
        self._environment = environment
        self._redactor = redactor
        self._made: tuple[int, Lines] | None = None

    def get(self) -> Lines:
        """Return what makes the lines of this process."""
        made = self._made
        if made is None or made[0] != os.getpid():
            self._made = made = os.getpid(), self._make()

        return made[1]

    def _make(self) -> Lines:
        settings = self._settings()
        log, service = settings.log, settings.service
        redactor = self._redactor or Redactor.from_settings(log)
        identity = resolve_identity(
            service=service.name,
            namespace=service.namespace,
            version=service.version,
            environment=service.environment,
            instance=service.instance,
            environ=os.environ,
            hostname=socket.gethostname(),
            executable=os.path.basename("".join(sys.argv[:1]) or "python"),  # noqa: PTH119
            new_id=process_instance,
        )
        return make_lines(
            log,
            "json",
            identity,
            redactor,
            span_ids=_no_span,
            terminal=False,
        )

    def _settings(self) -> Settings:
        from svcready import config  # when a line is made, not when one is declared

        try:
            return config.load(
                environ=os.environ,
                service=self._service,
                version=self._version,
                environment=self._environment,
            )
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)
            return config.Settings()


def _no_span() -> tuple[str, str] | None:
    return None
