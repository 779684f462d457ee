"""Which exceptions have their line already: they bear a mark."""

from __future__ import annotations

__all__ = ["claim", "is_claimed"]

_CLAIM = "_svcready_claimed"


def claim(error: BaseException) -> bool:
    """
    Mark *error* as said, so that servers' and frameworks' lines about it are muted.

    Returns:
        False if it was marked before.
    """
    if is_claimed(error):
        return False

    try:
        error.__dict__[_CLAIM] = True
    except Exception:  # noqa: BLE001 - then its line comes out a second time
        return True

    return True


def is_claimed(error: BaseException) -> bool:
    """Tell whether our line about *error* has been written."""
    try:
        return _CLAIM in error.__dict__
    except Exception:  # noqa: BLE001 - the exception's own code
        return False
