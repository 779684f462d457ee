"""Configuration: typed settings, where each came from, and every problem at once."""

from __future__ import annotations

from svcready.config._describe import Row, describe, report
from svcready.config._file import watch_file
from svcready.config._load import load
from svcready.config._named import KINDS, Named
from svcready.config._origins import Origin
from svcready.config._probe_paths import PROBE_ALIASES
from svcready.config._problems import Problem, raise_if_any
from svcready.config._reference import ReferenceRow, reference, reference_markdown
from svcready.config._regular_file import read_regular_file
from svcready.config._reload import reload
from svcready.config._secrets import SecretError, resolve_file_secret
from svcready.config._settings import RELAXED, Inputs, Settings

__all__ = [
    "KINDS",
    "PROBE_ALIASES",
    "RELAXED",
    "Inputs",
    "Named",
    "Origin",
    "Problem",
    "ReferenceRow",
    "Row",
    "SecretError",
    "Settings",
    "describe",
    "load",
    "raise_if_any",
    "read_regular_file",
    "reference",
    "reference_markdown",
    "reload",
    "report",
    "resolve_file_secret",
    "watch_file",
]
