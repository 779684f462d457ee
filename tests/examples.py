"""How many examples hypothesis takes of what is slow to try."""

from __future__ import annotations

import os

__all__ = ["examples"]


def examples(of_new_ones: int) -> int:
    """
    Return how many examples to take, for `max_examples`.

    Where they are the same at each run, by `TEST_SAME_EXAMPLES`, a third of the number
    will do: a landing takes them on four environments, and finds nothing new in them.
    """
    return of_new_ones // 3 if os.environ.get("TEST_SAME_EXAMPLES") else of_new_ones
