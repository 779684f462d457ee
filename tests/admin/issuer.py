"""An issuer of web tokens on this machine, whose keys are fetched over HTTP."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

__all__ = ["AUDIENCE", "ISSUER", "Issuer"]

ISSUER = "https://issuer.example"
AUDIENCE = "orders"
_RSA = rsa.generate_private_key(65537, 2048)
_OTHER_RSA = rsa.generate_private_key(65537, 2048)
_EC = ec.generate_private_key(ec.SECP256R1())
_ED = ed25519.Ed25519PrivateKey.generate()


class Issuer:
    """
    Publishes the keys `rsa`, `ec` and `ed`, and signs with them.

    The key `late` is published once `publishes_late` is true. While `status` is another
    than 200 the keys can't be had; while `holds` is not set no answer comes.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.publishes_late = False
        self.holds = threading.Event()
        self.holds.set()
        self.body: bytes | None = None
        self.public_pem = _RSA.public_key()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.holds.wait(10)
                body = issuer.body or issuer.keys()
                self.send_response(issuer.status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.holds.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def keys(self) -> bytes:
        """Return the key set, with what no signature may be verified by."""
        public = [
            {**RSAAlgorithm.to_jwk(_RSA.public_key(), as_dict=True), "kid": "rsa"},
            {**ECAlgorithm.to_jwk(_EC.public_key(), as_dict=True), "kid": "ec"},
            {**OKPAlgorithm.to_jwk(_ED.public_key(), as_dict=True), "kid": "ed"},
            {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "kid": "secret"},
            {
                **RSAAlgorithm.to_jwk(_RSA.public_key(), as_dict=True),
                "kid": "enc",
                "use": "enc",
            },
            {"kty": "new", "kid": "new"},
            "no key",
        ]
        if self.publishes_late:
            late = RSAAlgorithm.to_jwk(_OTHER_RSA.public_key(), as_dict=True)
            public.append({**late, "kid": "late"})

        return json.dumps({"keys": public}).encode()

    def token(self, kid: str | None = "rsa", **options: object) -> str:
        """
        Sign a token.

        Args:
            kid: The key's id, `rsa`, `ec`, `ed` or `late`; the header's `kid`.
            options: `signs` (another key than the one that *kid* names), `algorithm`,
                `header` (more of it), and claims; one that is None is left out.
        """
        keys = {"rsa": _RSA, "ec": _EC, "ed": _ED, "late": _OTHER_RSA}
        algorithms = {"ec": "ES256", "ed": "EdDSA"}
        signs = options.pop("signs", kid)
        algorithm = options.pop("algorithm", None) or algorithms.get(
            str(signs), "RS256"
        )
        header: dict[str, object] = {"kid": kid} if kid is not None else {}
        header |= options.pop("header", {})  # type: ignore[call-overload]
        now_s = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": now_s + 300,
            "iat": now_s,
            "roles": ["ops"],
            **options,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        # Not `jwt.encode`: it refuses claims of the wrong kind.
        return jwt.PyJWS().encode(
            json.dumps(said).encode(),
            keys.get(str(signs), _RSA),  # type: ignore[arg-type]
            algorithm=str(algorithm),
            headers=header,
        )
