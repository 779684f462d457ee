from __future__ import annotations

from pathlib import Path

import pytest

from tests.transport.swarm import swarm
from tests.transport.test_shared import MIXED, REFUSED

pytestmark = [pytest.mark.soak, pytest.mark.timeout(150)]


def test_a_million_lines_of_threads_and_processes(tmp_path: Path) -> None:
    """Through fork and one pipe: none lost, doubled or torn, each thread's in order."""
    swarm(
        run_dir=tmp_path,
        processes=4,
        threads=4,
        lines=62_500,
        sizes=[[100], [20, 300], [60], [150]],
    )


@pytest.mark.parametrize("setup", ["", REFUSED], ids=["enlarged", "64 KiB"])
@pytest.mark.parametrize("read_bytes", [1 << 20, 300], ids=["fast", "slow"])
def test_many_long_lines_stay_whole(
    tmp_path: Path, setup: str, read_bytes: int
) -> None:
    """64 KiB lines of four processes beside short ones, in a pipe of either size."""
    swarm(
        run_dir=tmp_path,
        processes=4,
        threads=4,
        lines=400 if read_bytes > 300 else 60,
        sizes=MIXED,
        setup=setup,
        read_bytes=read_bytes,
    )
