"""The way in by a JSON Web Token of an issuer's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready.admin._access._gate import Grant
from svcready.admin._access._keys import ALGORITHMS
from svcready.admin._access._tokens import bearer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt import PyJWK

    from svcready.admin._access._keys import Keys
    from svcready.admin._exchange import OpsRequest
    from svcready.config._sections.admin import AdminSettings

__all__ = ["Claims", "WebTokenWay"]

_LONGEST = 8 * 1024
_LONGEST_NAME = 128
_LEEWAY_S = 30
_MOST_AT_ONCE = 4
_PARTS = 3
_WAIT_S = 1.0
_NEEDED = ["exp", "iss", "aud"]
_MALFORMED = (ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT lets through of values that no token should have."""
_REASONS = {
    "ExpiredSignatureError": "token_expired",
    "ImmatureSignatureError": "token_not_yet_valid",
    "InvalidAudienceError": "wrong_audience",
    "InvalidIssuerError": "wrong_issuer",
    "InvalidAlgorithmError": "wrong_algorithm",
    "InvalidSignatureError": "wrong_signature",
    "MissingRequiredClaimError": "missing_claim",
}


class Claims(NamedTuple):
    """What a token must say."""

    issuer: str
    audience: str
    role_claim: str
    read_roles: frozenset[str]
    write_roles: frozenset[str]

    @classmethod
    def of(cls, admin: AdminSettings) -> Claims | None:
        """Return what the settings ask for; None if they don't say all of it."""
        named = (admin.oidc_issuer, admin.oidc_audience, admin.oidc_jwks_url)
        said = (*named, admin.oidc_role_claim)
        if not all(text and text.isprintable() for text in said):
            return None

        return cls(
            *(admin.oidc_issuer, admin.oidc_audience, admin.oidc_role_claim),
            # What is not printable stands for a malformed list, and is nobody's role.
            frozenset(filter(str.isprintable, admin.oidc_read_roles)),
            frozenset(filter(str.isprintable, admin.oidc_write_roles)),
        )


class WebTokenWay:
    """
    Admits bearers of a token that an issuer has signed, RFC 7519 and RFC 8725.

    The key is one that the issuer publishes, found by the token's `kid` alone; what
    else its header names (`jku`, `x5u`, `jwk`) is ignored. `exp`, `iss` and `aud` must
    be there; times may be 30 seconds apart. At most 4 signatures are verified at once,
    and who waits for a key is none of them.

    Args:
        claims: What a token must say.
        keys: The issuer's keys.
    """

    def __init__(self, claims: Claims, keys: Keys) -> None:
        self._claims = claims
        self._keys = keys
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        self._room = threading.Semaphore(_MOST_AT_ONCE)

    def __call__(self, request: OpsRequest) -> Grant | str:
        """Say whose token *request* bears."""
        token = bearer_of(request.header("Authorization"))
        if token.count(".") != _PARTS - 1:
            return ""

        if len(token) > _LONGEST or not token.isascii():
            return "malformed_token"

        from svcready.logging._audit._log import runs_event_loop

        patient = not runs_event_loop()
        key = self._key(token, patient=patient)
        if isinstance(key, str):
            return key

        if not self._room.acquire(
            blocking=patient, timeout=_WAIT_S if patient else None
        ):
            return "busy"

        try:
            return self._verify(token, key)
        finally:
            self._room.release()

    def _key(self, token: str, *, patient: bool) -> PyJWK | str:
        """Return the key that *token* names, or why there is none."""
        import jwt

        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, *_MALFORMED):
            return "malformed_token"

        algorithm, kid = header.get("alg"), header.get("kid")
        # Whatever JSON has can be there; a list or an object is in no set.
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            return "wrong_algorithm"

        if "crit" in header:
            return "wrong_algorithm"

        if not isinstance(kid, str):
            return "unknown_key"

        key = self._keys.get(kid, wait=patient)
        if key is None:
            return "unknown_key" if self._keys.are_there() else "keys_unavailable"

        return key

    def _verify(self, token: str, key: PyJWK) -> Grant | str:
        import jwt

        try:
            said = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._claims.audience,
                issuer=[self._claims.issuer],
                leeway=_LEEWAY_S,
                options={"require": _NEEDED, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, *_MALFORMED) as error:
            return _REASONS.get(type(error).__name__, "malformed_token")

        return self._grant(said)

    def _grant(self, said: Mapping[str, object]) -> Grant | str:
        roles = _roles(said, self._claims.role_claim)
        writes = not roles.isdisjoint(self._claims.write_roles)
        if not writes and roles.isdisjoint(self._claims.read_roles):
            return "missing_role"

        who = str(said.get("sub") or said.get("client_id") or "unknown")
        who = "".join(each if each.isprintable() else " " for each in who)
        return Grant(f"oidc {who[:_LONGEST_NAME]}", writes)


def _roles(said: Mapping[str, object], claim: str) -> frozenset[str]:
    """Return the roles: a list of texts, or texts with spaces between, as `scope`."""
    value: object = said.get(claim)
    if value is None:  # some names have dots, `https://example.com/roles` has
        value = said
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, dict) else None

    if isinstance(value, str):
        return frozenset(value.split())

    if isinstance(value, list):
        return frozenset(each for each in value if isinstance(each, str))

    return frozenset()
