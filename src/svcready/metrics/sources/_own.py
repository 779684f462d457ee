"""The source of what svcready says about itself and the service it runs in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol

from svcready._core.guard import fault_counts
from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Identity", "OwnSource"]


class Identity(Protocol):
    """Who the service is, as far as metrics carry it."""

    @property
    def service(self) -> str:
        """The service's name."""
        ...

    @property
    def version(self) -> str:
        """The service's version; empty if nobody said it."""
        ...

    @property
    def environment(self) -> str:
        """The deployment environment."""
        ...

    @property
    def instance(self) -> str:
        """The task, pod or host that this process is part of."""
        ...


class OwnSource:
    """
    Reads our own faults, the state of the configuration, and the target's identity.

    Args:
        identity: Who the service is; read at each snapshot.
        config_errors: Returns how many settings are wrong.
    """

    def __init__(self, identity: Identity, config_errors: Callable[[], int]) -> None:
        self.identity = identity
        self._config_errors = config_errors
        self._version: str | None = None

    def __call__(self) -> Iterator[Family]:
        """Return the families as they are now."""
        yield self._target()
        yield _family(
            "svcready_build",
            "info",
            "The version of svcready, as a label.",
            ("version",),
            (Number((self._own_version(),), 1),),
        )
        yield _family(
            "svcready_config_errors",
            "gauge",
            "Settings whose value is wrong, so that the default is in force.",
            (),
            (Number((), self._config_errors()),),
        )
        yield _family(
            "svcready_internal_errors",
            "counter",
            "Faults inside svcready, which never reach the application.",
            ("component",),
            tuple([Number((key,), count) for key, count in fault_counts().items()]),
        )

    def _target(self) -> Family:
        identity = self.identity
        known = {
            "service_name": identity.service,
            "service_version": identity.version,
            "deployment_environment_name": identity.environment,
            "service_instance_id": identity.instance,
        }
        labels = {name: value for name, value in known.items() if value}
        point = Number(tuple(labels.values()), 1)
        return _family("target", "info", "Target metadata", tuple(labels), (point,))

    def _own_version(self) -> str:
        if self._version is None:
            try:
                self._version = version("svcready")
            except PackageNotFoundError:  # pragma: no cover - run from a bare tree
                self._version = "unknown"

        return self._version


def _family(
    name: str, kind: str, text: str, labels: tuple[str, ...], points: tuple[Number, ...]
) -> Family:
    return Family(name, name, kind, text, "", labels, points, "svcready")
