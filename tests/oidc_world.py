"""A strict OpenID Connect provider on loopback: a code works once, for who asked for it."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from joserfc import jwt

from access_world import rsa_key

CLIENT_ID = "quarterdeck"
CLIENT_SECRET = "a secret with : and % in it"


@dataclass
class OidcServer:
    """The provider's state; `changes` are put over the claims of the next ID tokens."""

    redirect_uri: str
    secret: str = CLIENT_SECRET
    auth_methods: tuple[str, ...] = ("client_secret_basic",)
    says_iss: bool = False
    algorithms: tuple[str, ...] = ("RS256",)
    changes: dict[str, Any] = field(default_factory=dict)
    refuses: str | None = None
    """The error that people are sent back with."""
    token_status: int = 200
    issuer: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, query: dict[str, str]) -> str:
        """The address that the browser is sent back to by somebody who consents."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["redirect_uri"] == self.redirect_uri
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        self.asked.append(query)
        back = {"state": query["state"]}
        if self.refuses:
            back["error"] = self.refuses
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.codes[back["code"]] = query
        if self.says_iss:
            back["iss"] = self.issuer
        return f"{self.redirect_uri}?{urlencode(back)}"

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """RFC 6749, 4.1.3, and RFC 7636, 4.6."""
        if self.token_status != 200:
            return self.token_status, {}
        if not self._is_client(form, authorization):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or proof != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if form["redirect_uri"] != self.redirect_uri or form["grant_type"] != "authorization_code":
            return 400, {"error": "invalid_request"}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self._id_token(asked)}

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": self.algorithms,
            "token_endpoint_auth_methods_supported": self.auth_methods,
            "authorization_response_iss_parameter_supported": self.says_iss,
        }

    def _is_client(self, form: dict[str, str], authorization: str | None) -> bool:
        if not self.secret:
            return form.get("client_id") == CLIENT_ID and authorization is None
        if "client_secret_basic" not in self.auth_methods:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, self.secret)
        pair = f"{CLIENT_ID}:{quote_plus(self.secret)}"
        return authorization == f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT_ID, "sub": "u-7", "name": "Ann Example",
            "nonce": asked["nonce"], "iat": now, "exp": now + 300, "role": "ops",
        } | self.changes  # fmt: skip
        good = {name: value for name, value in claims.items() if value is not None}
        key = rsa_key("r1")
        return jwt.encode({"alg": "RS256", "kid": key.kid}, good, key, ["RS256"])


@contextmanager
def oidc_server(redirect_uri: str, **options: Any) -> Iterator[OidcServer]:
    """A running provider."""
    provider = OidcServer(redirect_uri, **options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                query = {name: each[0] for name, each in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.end_headers()
            elif parts.path == "/jwks":
                self._send(200, {"keys": [rsa_key("r1").as_dict(private=False)]})
            elif parts.path == "/.well-known/openid-configuration":
                self._send(200, provider.metadata())
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: each[0] for name, each in parse_qs(body).items()}
            self._send(*provider.token(form, self.headers.get("Authorization")))

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
