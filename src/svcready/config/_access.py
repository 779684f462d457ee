"""Access to the operator's surface: what of its settings needs others to be said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.config._problems import Problem
from svcready.config._sections.admin import NOBODY, NOTHING
from svcready.config._table import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["unfinished_access"]

_OIDC = ("oidc_issuer", "oidc_audience", "oidc_jwks_url")
_ROLES = ("oidc_read_roles", "oidc_write_roles")
_CERTIFICATE = ("client_cert_header", "client_cert_subjects", "trusted_proxies")


def unfinished_access(
    values: Mapping[str, object], named: Callable[[str], str]
) -> Iterator[Problem]:
    """
    Find ways in that are said in part, and so admit nobody.

    Args:
        values: The settings by key.
        named: Returns how whoever said a key called it.
    """
    said = [field for field in (*_OIDC, *_ROLES) if values[f"admin.{field}"]]
    missing = [_variable(field) for field in _OIDC if field not in said]
    if not any(field in said for field in _ROLES):
        missing.append(f"{_variable(_ROLES[0])} or {_variable(_ROLES[1])}")

    if said and missing:
        yield from _incomplete(values, said, missing, named, "a web token")

    said = [field for field in _CERTIFICATE if values[f"admin.{field}"]]
    missing = [_variable(field) for field in _CERTIFICATE if field not in said]
    # Proxies alone are for the networks.
    if missing and said not in ([], ["trusted_proxies"]):
        yield from _incomplete(values, said, missing, named, "a certificate")


def _all_of(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)}, and {last}" if others else last


def _variable(field: str) -> str:
    return f"{PREFIX}ADMIN_{field.upper()}"


def _incomplete(
    values: Mapping[str, object],
    said: list[str],
    missing: list[str],
    named: Callable[[str], str],
    way: str,
) -> Iterator[Problem]:
    for field in said:
        if values[f"admin.{field}"] not in (NOTHING, NOBODY):  # that was told already
            name, needs = named(f"admin.{field}"), f" needs {_all_of(missing)}"
            used = f"nobody is admitted by {way}"
            yield Problem("incomplete", name, allowed=needs, used=used)
            return
