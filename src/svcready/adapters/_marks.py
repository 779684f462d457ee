"""What the access line says of a request that others answered for."""

from __future__ import annotations

from svcready._core.context import bind, degraded, refused_by

__all__ = ["bind_marks"]

_IN_ITS_PLACE = {503, 504}


def bind_marks(status: int) -> None:
    """
    Put on the line whose stand-ins answered, and which policy refused it and how.

    Args:
        status: What was answered; the application may have made another of a refusal.
    """
    stand_ins = degraded()
    if stand_ins:
        bind(degraded=stand_ins)

    refusal = refused_by() if status in _IN_ITS_PLACE else None
    if refusal is not None:
        bind(error_type=refusal.error_type)
        if refusal.name:
            bind(refused_by=refusal.name)
