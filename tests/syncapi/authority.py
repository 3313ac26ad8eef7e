"""An OpenID Connect authority on loopback: publishes keys, signs tokens, misbehaves."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AUDIENCE = "api://waystation"
ADA = UUID("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb")
GRACE = UUID("cccccccc-0000-1111-2222-dddddddddddd")


@cache
def private_key(name: str) -> RSAPrivateKey:
    """A key for the whole run: making one takes longer than most tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(payload: object, *, key: RSAPrivateKey, header: object) -> str:
    parts = [base64url(json.dumps(part).encode()) for part in (header, payload)]
    text = ".".join(parts)
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{base64url(signature)}"


class Authority:
    """One tenant's issuer. Attributes may be changed to let it misbehave."""

    def __init__(self, server: Server) -> None:
        self.path = f"/{uuid4()}"
        self.origin = server.origin
        self.url = f"{server.origin}{self.path}/v2.0"
        self.issuer = self.url
        self.kids = ["first"]
        self.is_down = False
        self.requests: list[str] = []
        self.discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "jwks_uri": f"{server.origin}{self.path}/keys",
        }
        # What is answered instead of the documents: status, headers, content.
        self.instead: tuple[int, dict[str, str], bytes] | None = None

    def identity(self, **changed: object) -> dict[str, object]:
        return {
            "authority": self.url,
            "issuers": [self.issuer],
            "audience": AUDIENCE,
            "tenant_id": TENANT,
            **changed,
        }

    def token(
        self,
        *,
        kid: str = "first",
        signed_by: str | None = None,
        headers: dict[str, object] | None = None,
        without: tuple[str, ...] = (),
        **claims: object,
    ) -> str:
        """A good token of Ada's, except for what is said to be different."""
        payload = {**self.claims(), **claims}
        for name in without:
            del payload[name]
        # Not `jwt.encode`, which refuses to write some of the claims to be refused.
        return signed(
            payload,
            key=private_key(signed_by or kid),
            header={"alg": "RS256", "typ": "JWT", "kid": kid, **(headers or {})},
        )

    def service_token(self, *roles: str) -> str:
        return self.token(
            without=("scp",), roles=list(roles), idtyp="app", azp="loader"
        )

    def claims(self) -> dict[str, object]:
        now = int(time.time())
        return {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "tid": TENANT,
            "oid": str(ADA),
            "sub": "x3",
            "scp": "sync",
            "ver": "2.0",
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self._jwk(kid) for kid in self.kids]}

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(path)
        if self.is_down:
            return 503, {}, b"down"
        if self.instead is not None:
            return self.instead
        is_keys = path.endswith("/keys")
        document = self.jwks() if is_keys else self.discovery
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def _jwk(self, kid: str) -> dict[str, Any]:
        public = private_key(kid).public_key()
        described = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        return {**described, "kid": kid, "use": "sig", "alg": "RS256"}


class Server:
    """Serves any number of authorities, each under a path of its own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.authorities: dict[str, Authority] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        scheme = "https" if tls else "http"
        self.origin = f"{scheme}://127.0.0.1:{self._http.server_port}"
        if tls:
            # The handshake belongs to the thread of the request, not to the server's.
            self._http.socket = tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )

    def authority(self) -> Authority:
        authority = Authority(self)
        self.authorities[authority.path] = authority
        return authority

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        authorities = self.authorities

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                authority = authorities["/" + self.path.split("/")[1]]
                status, headers, content = authority.respond(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the run's output to the point."""

        return Handler
