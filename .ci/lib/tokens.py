"""A server of tokens with rights of its own for each user: tokens.py ADDR ISSUER KEY CERTIFICATE RIGHTS

KEY signs (RSA, in PEM), and CERTIFICATE goes into each token (x5c). RIGHTS is JSON: the passwords of the users, and
rules of user, type, pattern and actions. What the user "" may do, everybody may.
"""

import base64
import fnmatch
import http.server
import json
import subprocess
import sys
import time
import urllib.parse

ADDR, ISSUER, KEY, CERTIFICATE = sys.argv[1:5]
RIGHTS = json.loads(sys.argv[5])
X5C = "".join(line.strip() for line in open(CERTIFICATE) if not line.startswith("-----"))


def encode(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def sign(message):
    command = ["openssl", "dgst", "-sha256", "-sign", KEY]
    return subprocess.run(command, input=message, check=True, capture_output=True).stdout


def granted(user, scope):
    """What of one scope the user gets; None for nothing."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    allowed = set()
    for who, its_kind, pattern, its_actions in RIGHTS["rules"]:
        if who in ("", user) and its_kind == kind and fnmatch.fnmatchcase(name, pattern):
            allowed.update(its_actions)
    actions = [action for action in actions.split(",") if action in allowed]
    return {"type": kind, "name": name, "actions": actions} if actions else None


def token(user, service, scopes):
    now = int(time.time())
    access = [entry for entry in (granted(user, scope) for scope in scopes) if entry]
    claims = {"iss": ISSUER, "sub": user, "aud": service, "nbf": now, "exp": now + 300, "access": access}
    header = {"typ": "JWT", "alg": "RS256", "x5c": [X5C]}
    message = b".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return (message + b"." + encode(sign(message))).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        login = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(login).decode().partition(":")
        self.answer(user, password, query)

    def do_POST(self):
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        form = urllib.parse.parse_qs(form)
        self.answer(form.get("username", [""])[0], form.get("password", [""])[0], form)

    def answer(self, user, password, asked):
        if user and RIGHTS["users"].get(user) != password:
            return self.send(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no such login"}]})
        scopes = [scope for scopes in asked.get("scope", []) for scope in scopes.split(" ") if scope]
        text = token(user, asked.get("service", [""])[0], scopes)
        self.send(200, {"token": text, "access_token": text, "expires_in": 300})

    def send(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


host, _, port = ADDR.rpartition(":")
http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
