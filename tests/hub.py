"""«المستودع»: a stand-in of the model hub on a free port of this machine, as far as sending a folder needs it.

It keeps what comes, checks tokens and hashes, and remembers every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "x" * 34
SIGNATURE = "5ecret"  # whoever has it may write


@dataclass
class Repository:
    """Branches of files; ``large`` are the hashes that a commit named and that have come before it."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Hub:
    """What the stand-in holds. ``drop`` is a path whose requests fail."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: list[tuple[str, str | None]] = field(default_factory=list)
    drop: str = ""

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, Any]:
        """Status and JSON of a request."""
        self.requests.append(f"{method} {path}")
        self.tokens.append((path, token))
        if self.drop and self.drop in path:
            return 403, {"error": "not allowed to write here"}
        if method == "PUT" and path.startswith("/storage/"):  # an address that was signed: no token
            self.objects[path.rpartition("/")[2]] = body
            return 200, {}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._object(one) for one in json.loads(body)["objects"]]}
        parts = unquote(path).removeprefix("/api/models/").split("/")
        if path.startswith("/api/models/") and (found := self.repositories.get("/".join(parts[:2]))):
            return self._of_repository("/".join(parts[:2]), found, parts[2:], body)
        return 404, {"error": "Repository not found"}

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked['organization'] or 'khabar'}/{asked['name']}"
        there = name in self.repositories
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.repositories.setdefault(name, Repository(private))
        return (409 if there else 200), {"url": f"{self.address}/{name}", "name": name}

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        there = asked["oid"] in self.objects
        upload = {"upload": {"href": f"{self.address}/storage/{asked['oid']}?signature={SIGNATURE}"}}
        return {**asked, **({} if there else {"actions": upload})}

    def _of_repository(self, name: str, found: Repository, asked: list[str], body: bytes) -> tuple[int, Any]:
        match asked:
            case []:
                return 200, {"id": name, "private": found.private, "sha": "0" * 40, "siblings": []}
            case ["branch", branch]:
                found.branches.setdefault(branch, {})
                return 200, {}
            case ["preupload", _]:
                files = json.loads(body)["files"]
                modes = [(one["path"], "lfs" if one["path"].endswith(".safetensors") else "regular") for one in files]
                return 200, {"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes]}
            case ["commit", branch] if branch in found.branches:
                return self._commit(name, found, branch, [json.loads(line) for line in body.splitlines()])
        return 404, {"error": f"no {asked}"}

    def _commit(self, name: str, found: Repository, branch: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        files = found.branches[branch]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                found.commits.append(value)
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif value["oid"] not in self.objects or (
                hashlib.sha256(self.objects[value["oid"]]).hexdigest() != value["oid"]
            ):
                return 400, {"error": f"{value['path']} has not come"}
            else:
                files[value["path"]] = self.objects[value["oid"]]
        return 200, {"commitUrl": f"{self.address}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40, "success": True}


@contextmanager
def running() -> Iterator[Hub]:
    """The stand-in, listening on this machine alone."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self._body()
            path = urlsplit(self.path).path
            status, content = hub.answer(self.command, path, self.headers.get("Authorization"), body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 404 and content["error"] == "Repository not found":
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - names of http.server

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *_: Any) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
