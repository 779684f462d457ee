"""The control group's files, of both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core import cgroup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root directory with the group's place for version 1 and 2."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    return tmp_path


def place(root: Path, text: str) -> None:
    """Say in which groups the process is."""
    (root / "proc/self/cgroup").write_text(text)


def test_the_groups_of_version_1_are_those_of_the_controller(root: Path) -> None:
    """Each controller has a hierarchy; its line may name several."""
    mount = root / "sys/fs/cgroup/cpuacct"
    (mount / "docker/abc").mkdir(parents=True)
    place(root, "9:memory:/other\n4:cpu,cpuacct:/docker/abc\n0::/\n")

    found = cgroup.groups_v1("cpuacct", str(root))
    assert found == [mount / "docker/abc", mount / "docker", mount]
    assert cgroup.groups_v1("pids", str(root)) == []


def test_a_path_of_the_hosts_is_the_mount_in_version_1(root: Path) -> None:
    """A container reads the host's path, and sees its own group as the mount."""
    mount = root / "sys/fs/cgroup/memory"
    mount.mkdir()
    place(root, "9:memory:/docker/abc\n")

    assert cgroup.groups_v1("memory", str(root)) == [mount]


@pytest.mark.parametrize("text", ["", "memory", "9:memory", "x:y:z:/a\n"])
def test_what_makes_no_sense_is_no_group(root: Path, text: str) -> None:
    """Torn files mean neither version."""
    place(root, text)
    assert cgroup.groups(str(root)) == cgroup.groups_v1("memory", str(root)) == []


def test_the_tightest_limit_is_found(root: Path) -> None:
    """A word such as `max` is no limit; without any the own group is taken."""
    own, outer = root / "a/b", root / "a"
    own.mkdir(parents=True)
    (own / "memory.max").write_text("max\n")
    assert cgroup.tightest([own, outer], "memory.max") == (own, None)

    (outer / "memory.max").write_text("1000\n")
    assert cgroup.tightest([own, outer], "memory.max") == (outer, 1000)


def test_a_table_holds_the_lines_that_are_numbers(tmp_path: Path) -> None:
    """Others, and files that are not there, are left out."""
    (tmp_path / "memory.stat").write_text("anon 5\nfile x\nempty\ninactive_file 7")
    assert cgroup.table(tmp_path, "memory.stat") == {"anon": 5, "inactive_file": 7}
    assert cgroup.table(tmp_path, "other") == {}
