"""The limits that rows have: a ratio to a peer, or an absolute value."""

from __future__ import annotations

from benchmarks.model import Goal, Limit


def against(
    subject: str,
    peer: str,
    budget: float,
    stretch: float | None = None,
    over: str = "",
) -> tuple[Limit, ...]:
    """
    Return the limits of a ratio to a peer.

    Args:
        subject: The label of the subject that has to keep them.
        peer: The label of the peer or floor.
        budget: The budget's ratio.
        stretch: The stretch's, if there is one.
        over: The label of what is subtracted from both first.
    """
    limits = [Limit(subject, budget, peer, over)]
    if stretch is not None:
        limits.append(Limit(subject, stretch, peer, over, Goal.STRETCH))

    return tuple(limits)


def absolute(subject: str, budget: float, stretch: float) -> tuple[Limit, ...]:
    """Return limits in the row's own unit."""
    return (Limit(subject, budget), Limit(subject, stretch, goal=Goal.STRETCH))
