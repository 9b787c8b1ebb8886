"""A server on loopback that speaks the endpoints of the Hugging Face Hub which its client uses for models, and to read
data sets.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_FILE = r"(datasets/)?([^/]+)/([^/]+)/(resolve)/([^/]+)/(.+)"


class Hub:
    """Repositories in memory.

    Attributes:
        commits: Repository, of data "datasets/USER/NAME" -> list of (commit, dict of file name to bytes), the
            newest last.
        cut: Names of files of which only the first half is sent.
        changed: File name -> bytes that are sent instead, of the same length.
        sizes: File name -> size that is told instead of the file's.
        asked: Requests, "METHOD path".
    """

    def __init__(self):
        self.commits, self.cut, self.changed, self.sizes, self.asked = {}, set(), {}, {}, []

    def commit(self, repo, files):
        """Add a commit of exactly these files; its name, 40 digits."""
        history = self.commits.setdefault(repo, [])
        name = hashlib.sha1(f"{repo} {len(history)}".encode()).hexdigest()
        history.append((name, dict(files)))
        return name

    def at(self, repo, revision):
        """Commit and files of a revision; None where there is none."""
        for name, files in reversed(self.commits.get(repo, [])):
            if revision in ("main", name):
                return name, files
        return None

    def head(self, repo):
        """Files of the newest commit."""
        return self.commits[repo][-1][1]


@contextlib.contextmanager
def serving(hub):
    """Serve a `Hub`; yields the address."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._file()

    def do_GET(self):
        parts = self._parts()
        if parts[0] != "api":
            self._file()
            return
        if parts[1] not in ("models", "datasets"):
            self._missing("EntryNotFound")
            return
        repo, kind, revision = self._repo(parts), *(parts[4:6] or ["revision", "main"])
        found = self.hub.at(repo, revision)
        if found is None:
            self._missing("RevisionNotFound" if repo in self.hub.commits else "RepoNotFound")
            return
        commit, files = found
        listed = [(name, self.hub.sizes.get(name, len(content)), _oid(content)) for name, content in files.items()]
        if kind == "tree":
            self._json(_tree(listed, "/".join(parts[6:]), "recursive=true" in self.path.lower()))
        else:
            siblings = [{"rfilename": name, "size": size, "blobId": oid} for name, size, oid in listed]
            self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": []})

    def do_POST(self):
        parts, body = self._parts(), self.rfile.read(int(self.headers["Content-Length"]))
        if parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts == ["api", "repos", "create"]:
            wanted = json.loads(body)
            repo = f"{wanted['organization']}/{wanted['name']}"
            there = repo in self.hub.commits
            if not there:
                self.hub.commit(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
            self._json({"url": f"http://{self.headers['Host']}/{repo}"}, 409 if there else 200)
        elif parts[4] == "paths-info":
            commit, files = self.hub.at(self._repo(parts), parts[5])
            listed = [(name, len(content), _oid(content)) for name, content in files.items()]
            wanted = json.loads(body)["paths"]
            there = {
                e["path"]: e for part in {p.rpartition("/")[0] for p in wanted} for e in _tree(listed, part, False)
            }
            self._json([there[path] for path in wanted if path in there])
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            told = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._json({"files": told})
        else:
            repo = "/".join(parts[2:4])
            files = dict(self.hub.head(repo))
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del files[line["value"]["path"]]
            commit = self.hub.commit(repo, files)
            self._json({"commitUrl": f"http://{self.headers['Host']}/{repo}/commit/{commit}", "commitOid": commit})

    def parse_request(self):
        if not super().parse_request():
            return False
        self.hub.asked.append(f"{self.command} {self.path}")
        return True

    def _parts(self):
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _file(self):
        """A file: /USER/NAME/resolve/REVISION/FILE, of data below /datasets."""
        *kind, user, name, _, revision, path = re.fullmatch(_FILE, "/".join(self._parts())).groups()
        found = self.hub.at(f"{kind[0] or ''}{user}/{name}", revision)
        if found is None or path not in found[1]:
            self._missing("EntryNotFound" if found else "RepoNotFound")
            return
        commit, files = found
        content = files[path]
        sent = self.hub.changed.get(path, content)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{_oid(content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(sent[: len(sent) // 2] if path in self.hub.cut else sent)
            self.close_connection = path in self.hub.cut

    @staticmethod
    def _repo(parts):
        return ("datasets/" if parts[1] == "datasets" else "") + "/".join(parts[2:4])

    def _json(self, value, status=200):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _missing(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _tree(listed, folder, recursive):
    """Entries below a folder: files, and folders unless all files below are asked for."""
    start, found = f"{folder}/" if folder else "", {}
    for name, size, oid in listed:
        rest = name.removeprefix(start)
        if name.startswith(start) and (recursive or "/" not in rest):
            found[name] = {"type": "file", "path": name, "size": size, "oid": oid}
        elif name.startswith(start):
            path = start + rest.partition("/")[0]
            found[path] = {"type": "directory", "path": path, "oid": "0" * 40}
    return list(found.values())


def _oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
