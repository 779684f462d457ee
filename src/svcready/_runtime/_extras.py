"""Packages of extras that settings need, told of where they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.optional import installed, require

if TYPE_CHECKING:
    from svcready.config import Settings

__all__ = ["lacks_jwt"]

_NO_JWT = (
    "SVCREADY_ADMIN_OIDC_ISSUER needs the packages jwt and cryptography, which are not "
    'installed: pip install "svcready[jwt]"; nobody is admitted by a web token'
)


def lacks_jwt(settings: Settings) -> list[str]:
    """
    Tell that no web token can be verified, where they are asked for.

    Raises:
        MissingExtraError: Code asks for them; for an operator it is a report.
    """
    asked = settings.admin.enabled and settings.admin.oidc_issuer
    if not asked or (installed("jwt") and installed("cryptography")):
        return []

    if settings.origin("admin.oidc_issuer").kind == "argument":
        needed_for = 'settings={"admin.oidc_issuer": ...}'
        require("jwt", extra="jwt", needed_for=needed_for)
        require("cryptography", extra="jwt", needed_for=needed_for)

    return [_NO_JWT]
