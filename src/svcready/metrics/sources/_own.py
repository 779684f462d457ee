"""The source of what svcready says about itself and the service it runs in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from svcready._core.guard import fault_counts
from svcready._core.release import own_version
from svcready.metrics._instruments._names import label_text
from svcready.metrics._model import Family, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready._core.identity import Identity

__all__ = ["OwnSource"]


_UNFIT = re.compile(r"^[^a-zA-Z_]|[^a-zA-Z0-9_]")
_LONGEST = 1024


class OwnSource:
    """
    Reads our own faults, the state of the configuration, and the target's identity.

    Args:
        identity: Who this process is.
        config_errors: Returns how many settings are wrong.
    """

    def __init__(self, identity: Identity, config_errors: Callable[[], int]) -> None:
        self.identity = identity
        self._config_errors = config_errors

    def __call__(self) -> Iterator[Family]:
        """Return the families as they are now."""
        yield self._target()
        yield _family(
            "svcready_build",
            "info",
            "The version of svcready, as a label.",
            ("version",),
            (Number((own_version(),), 1),),
            "max",
        )
        yield _family(
            "svcready_config_errors",
            "gauge",
            "Settings whose value is wrong, so that the default is in force.",
            (),
            (Number((), self._config_errors()),),
            "max",
        )
        yield _family(
            "svcready_internal_errors",
            "counter",
            "Faults inside svcready, which never reach the application.",
            ("component",),
            tuple([Number((key,), count) for key, count in fault_counts().items()]),
            "sum",
        )

    def _target(self) -> Family:
        # By name as Prometheus spells it; two attributes that meet there are joined,
        # as OpenTelemetry says.
        labels: dict[str, str] = {}
        for key, value in sorted(self.identity.resource().items()):
            name = _UNFIT.sub("_", key)
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            text = label_text(text, _LONGEST)
            labels[name] = f"{labels[name]};{text}" if name in labels else text

        point = Number(tuple(labels.values()), 1)
        return _family(
            "target", "info", "Target metadata", tuple(labels), (point,), "latest"
        )


def _family(
    name: str,
    kind: str,
    text: str,
    labels: tuple[str, ...],
    points: tuple[Number, ...],
    workers: str,
) -> Family:
    return Family(name, name, kind, text, "", labels, points, "svcready", workers)
