"""The section CORE: the library itself: switches, strictness, where things are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import FLAG, TEXT, choice, duration
from svcready.config._setting import setting

__all__ = ["CoreSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreSettings:
    """The library itself: switches, strictness, where things are kept."""

    section: ClassVar[str] = "CORE"

    enabled: bool = setting(True, FLAG, "Switches the whole library off when false")
    strict: bool = setting(
        False, FLAG, "Refuses to start when any setting is wrong, for CI"
    )
    config_file: str = setting(
        "",
        TEXT,
        "Path of a TOML file with a table `default` and one per environment",
        in_file=False,
    )
    config_reload_s: float = setting(
        10.0,
        duration(high=86400.0),
        "How often the file is looked at for changes; 0 never looks again",
    )
    init_timeout_s: float = setting(
        2.0,
        duration(high=60.0),
        "How long the start may wait for anything outside the process",
        in_file=False,
    )
    run_dir: str = setting(
        "", TEXT, "Where the processes of one service meet; empty chooses a place"
    )
    start_summary: str = setting(
        "auto",
        choice("auto", "full", "line", "off"),
        "What is said at the start; auto is full on a terminal, else one line",
    )
