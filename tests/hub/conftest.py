"""A hub on this machine: it answers what huggingface_hub asks for, with repositories that a test can change."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_of_ann"
LARGE = ".safetensors"  # what is stored with LFS


@dataclass
class Repository:
    """The files of each commit, the newest last, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        before = next(reversed(self.commits.values()), {})
        name = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[name] = before | files
        self.branches["main"] = name
        return name


@dataclass
class Hub:
    """The repositories by name, what was asked, and answers that replace the usual ones."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int | None = None  # the answer to everything

    def downloaded(self) -> set[str]:
        return {path.split("/", 5)[5] for method, path in self.asked if method == "GET" and "/resolve/" in path}

    def answer(self, method: str, path: str, body: bytes, token: str | None):
        """The status, the headers, and the content of an answer: bytes, or what becomes JSON."""
        if self.status:
            return self.status, {}, {"error": "no"}
        if method == "POST" and path == "/api/repos/create":
            return self._create(json.loads(body), token)
        if method == "POST" and path == "/api/validate-yaml":
            return 200, {}, {"errors": [], "warnings": []}
        if method == "PUT" and path.startswith("/large/"):
            self.large[path.removeprefix("/large/")] = body
            return 200, {}, {}
        found = re.fullmatch(r"/(?:api/models/)?([\w.-]+/[\w.-]+?)(?:\.git)?/(.*)", path)
        if not found:
            return 501, {}, {"error": f"{method} {path}"}
        name, rest = found.groups()
        repository = self.repositories.get(name)
        if repository is None or (repository.private and token != TOKEN):
            return (401 if token is None else 404), {"X-Error-Code": "RepoNotFound"}, {"error": "Repository not found"}
        if method == "POST":
            return self._write(name, repository, rest, body, token)
        return self._read(repository, rest)

    def _create(self, table, token):
        if token != TOKEN:
            return 401, {}, {"error": "Invalid username or password."}
        name = f"{table['organization']}/{table['name']}"
        if table["organization"] != "ann":
            return 403, {}, {"error": "You don't have the rights to create a model under this namespace"}
        if name in self.repositories:
            return 409, {}, {"error": "You already created this model repo", "url": f"{self.url}/{name}"}
        self.repositories[name] = Repository(private=bool(table.get("private")))
        return 200, {}, {"url": f"{self.url}/{name}"}

    def _write(self, name, repository, rest, body, token):
        if token != TOKEN:
            return 401, {}, {"error": "Invalid username or password."}
        if rest.startswith("preupload/"):
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            return 200, {}, {"files": modes}
        if rest == "info/lfs/objects/batch":
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.url}/large/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return 200, {}, {"transfer": "basic", "objects": objects}
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
        made = repository.commit(files)
        return 200, {}, {"success": True, "commitUrl": f"{self.url}/{name}/commit/{made}", "commitOid": made}

    def _read(self, repository, rest):
        kind, _, rest = rest.partition("/")
        revision, _, path = rest.partition("/")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, {"error": f"Invalid rev id: {revision}"}
        files = repository.commits[commit]
        if kind == "revision":
            return 200, {}, {"id": "x/y", "sha": commit, "siblings": [], "private": repository.private, "tags": []}
        if kind == "tree":
            return 200, {}, [{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()]
        if repository.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, {"error": "Access to this model is restricted"}
        if path not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, {"error": "Entry not found"}
        etag = hashlib.sha1(files[path]).hexdigest()
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}, files[path]


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        path = unquote(urlsplit(self.path).path)
        method = "GET" if self.command == "HEAD" else self.command
        if self.command != "HEAD":
            self.hub.asked.append((method, path))
        status, headers, content = self.hub.answer(method, path, body, token)
        plain = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        for key, value in {**headers, "Content-Length": str(len(plain)), "Content-Type": kind}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(plain)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that listens on this machine, to which huggingface_hub is directed; ann is logged in."""
    from huggingface_hub import constants

    served = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # large files go through LFS, in plain HTTP
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def logged_out(monkeypatch, tmp_path) -> Callable[[], None]:
    """Forgets who is logged in."""
    from huggingface_hub import constants

    def forget() -> None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))

    return forget
