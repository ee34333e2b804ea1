"""A stand-in for the API of Kubernetes: it writes down what it is asked for, and runs jobs here.

It is no Kubernetes: nothing is scheduled, limited, mounted or kept apart. `requests` holds the body
of every request; what would run in a container runs as a process of this machine.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Api:
    """What was asked for, and the jobs at work."""

    folder: Path
    image: dict[str, str]  # what the image says of the environment
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def bodies(self, method: str, kind: str) -> list[Any]:
        """The bodies of the requests of a method about a kind of thing."""
        return [body for each, path, body in self.requests if each == method and kind in path]

    def created(self, path: str, body: Any) -> None:
        """Take a secret, or begin a job."""
        name = body["metadata"]["name"]
        if "/secrets" in path:
            self.secrets[name] = body.get("data") or {}
            return
        (container,) = body["spec"]["template"]["spec"]["containers"]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"PATH": path, "OMP_NUM_THREADS": "1", **self.image}
        for each in container.get("env") or []:
            wanted = each["valueFrom"]["secretKeyRef"]
            value = self.secrets[wanted["name"]][wanted["key"]]
            env[each["name"]] = base64.b64decode(value).decode()
        with (self.folder / f"{name}.log").open("wb") as log:
            self.jobs[name] = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=container["workingDir"],
                env=env,
                stdout=log,
                stderr=log,
            )

    def status(self, name: str) -> dict[str, int]:
        """How a job is."""
        ended = self.jobs[name].poll()
        return {} if ended is None else {"failed" if ended else "succeeded": 1}


@contextmanager
def served(folder: Path, **image: str) -> Iterator[Api]:
    """The stand-in at work; `folder/config` is what KUBECONFIG names."""
    api = Api(folder, image)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, said: Any) -> None:
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def taken(self) -> Any:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            api.requests.append((self.command, self.path, body))
            return body

        def do_POST(self) -> None:
            body = self.taken()
            api.created(self.path, body)
            self.answer(201, body)

        def do_GET(self) -> None:
            self.taken()
            if job := re.search(r"/jobs/([^/]+)/status", self.path):
                named = {"metadata": {"name": job[1]}, "status": api.status(job[1])}
                self.answer(200, {"kind": "Job", "apiVersion": "batch/v1", **named})
            else:
                self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": []})

        def do_DELETE(self) -> None:
            self.taken()
            self.answer(200, {"kind": "Status", "status": "Success"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": here}}],
        "users": [{"name": "tester", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "tester"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    try:
        yield api
    finally:
        server.shutdown()
        for each in api.jobs.values():
            each.kill()
            each.wait()
