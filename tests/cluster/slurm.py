"""A real SLURM of three nodes on this machine, for tests.

Debian's packages; munged, slurmctld, a slurmd for each node, slurmdbd and MariaDB, all on loopback
and children of the process that started them. The nodes lie on one address and are told apart by
port: given addresses of their own, an srun within a job hangs. Each has a host name of its own.
Written for and tried with SLURM 22.05.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NODES = ["n1", "n2", "n3"]
PORT = 27_800
PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
}
SETTINGS = Path("/etc/slurm")
"""Where SLURM looks: Snakemake's plugin takes SLURM_CONF, like all of SLURM_*, from its jobs."""
HOSTS = Path("/etc/hosts")
MARK = "# a test of residency"
CGROUPS = Path("/sys/fs/cgroup")
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def missing() -> str | None:
    """Why there can be no SLURM here; None if there can."""
    if os.getuid():
        return "starting a SLURM takes root"
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if packages:
        return f"make test-cluster installs {', '.join(packages)}, which is not here"
    settings = SETTINGS / "slurm.conf"
    if settings.exists() and MARK not in settings.read_text():
        return f"{SETTINGS} belongs to another SLURM"
    if subprocess.run(["unshare", "--uts", "true"], check=False, capture_output=True).returncode:
        return "a node needs a host name of its own, and unshare --uts is not allowed"
    return None


def waited(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.2)


def said(*command: str) -> str:
    """What a command prints; empty where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else ""


@dataclass
class Slurm:
    """A cluster at work in `root`."""

    root: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon that ends with this process."""
        libc = ctypes.CDLL(None)

        def end_with_us() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

        with (self.root / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_us,
                start_new_session=True,
            )

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a daemon; what a slurmd had started goes on, as when one dies."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self.start("slurmctld", "slurmctld", "-D")
        waited(lambda: "is UP" in said("scontrol", "ping"), "slurmctld")

    def start_database(self) -> None:
        """Start slurmdbd and wait until it answers."""
        self.start("slurmdbd", "slurmdbd", "-D")
        waited(lambda: said("sacctmgr", "-n", "show", "tres"), "slurmdbd")

    @contextmanager
    def without_accounting(self, remembers: int) -> Iterator[None]:
        """No slurmdbd, and a controller that forgets a job after so many seconds."""
        conf = SETTINGS / "slurm.conf"
        before = conf.read_text()
        kept = [line for line in before.splitlines(True) if "AccountingStorage" not in line]
        self.stop("slurmctld")
        self.stop("slurmdbd")
        conf.write_text("".join(kept).replace("MinJobAge=600", f"MinJobAge={remembers}"))
        self.start_controller()
        try:
            yield
        finally:
            self.stop("slurmctld")
            conf.write_text(before)
            self.start_database()
            self.start_controller()

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self.start(
            name, "unshare", "--uts", "sh", "-c", f"hostname {name}; exec slurmd -D -N {name}"
        )

    def nodes(self) -> dict[str, str]:
        """The nodes' states, by name."""
        lines = said("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def settle(self) -> None:
        """Wait until all nodes are up and nothing runs."""
        waited(lambda: list(self.nodes().values()) == ["idle"] * len(NODES), "three idle nodes")

    def node_of(self, job: str) -> str:
        """The node that a job runs on."""
        return said("squeue", "-h", "-j", job, "-o", "%N").strip()


def _settings(root: Path) -> dict[str, str]:
    """The files of /etc/slurm."""
    here = socket.gethostname().partition(".")[0]
    grouped = all((CGROUPS / each / "tasks").exists() for each in ["freezer", "memory", "cpuacct"])
    nodes = "".join(
        f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={PORT + 10 + number} "
        f"CPUs=2 RealMemory=40000 State=UNKNOWN\n"
        for number, name in enumerate(NODES)
    )
    main = f"""\
{MARK}
ClusterName=residency
SlurmctldHost={here}(127.0.0.1)
SlurmctldPort={PORT}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=20
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={root}/controller
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
MpiDefault=none
ProctrackType=proctrack/{"cgroup" if grouped else "linuxproc"}
TaskPlugin=task/{"cgroup" if grouped else "none"}
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=5
MinJobAge=600
BatchStartTimeout=20
MessageTimeout=10
TCPTimeout=5
JobAcctGatherType=jobacct_gather/{"cgroup" if grouped else "linux"}
JobAcctGatherFrequency=task=2
JobAcctGatherParams={"" if grouped else "OverMemoryKill,"}UsePss
DefMemPerCPU=200
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={PORT + 1}
AccountingStoragePass={root}/munge.socket
{nodes}\
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=5 PriorityTier=1 GraceTime=0
PartitionName=urgent Nodes=ALL MaxTime=60 DefaultTime=5 PriorityTier=9 PreemptMode=off
"""
    cgroup = f"""\
CgroupAutomount=no
CgroupMountpoint={CGROUPS}
CgroupPlugin=cgroup/v1
ConstrainCores=no
ConstrainRAMSpace={"yes" if grouped else "no"}
AllowedSwapSpace=0
"""
    database = f"""\
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
DbdHost={here}
DbdAddr=127.0.0.1
DbdPort={PORT + 1}
SlurmUser=root
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={PORT + 2}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
    return {"slurm.conf": main, "cgroup.conf": cgroup, "slurmdbd.conf": database}


def _account(slurm: Slurm) -> None:
    """Start a database and slurmdbd, for `sacct`."""
    data, socket_ = slurm.root / "data", slurm.root / "data/mariadb.socket"
    data.mkdir()
    subprocess.run(
        [
            *["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"],
            *["--auth-root-authentication-method=socket", "--skip-test-db"],
        ],
        check=True,
        capture_output=True,
    )
    slurm.start(
        *["mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"],
        *[f"--socket={socket_}", f"--pid-file={data}/pid", "--bind-address=127.0.0.1"],
        *[f"--port={PORT + 2}", "--innodb-buffer-pool-size=64M", "--skip-log-bin"],
        *["--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"],
    )
    client = ["mariadb", "--no-defaults", f"--socket={socket_}", "-e"]
    waited(lambda: said(*client, "select 1"), "mariadbd")
    for host in ["localhost", "127.0.0.1"]:
        user = f"slurm@'{host}'"
        created = f"create user {user} identified by 'slurm'; grant all on slurm.* to {user}"
        subprocess.run([*client, created], check=True)
    subprocess.run([*client, "create database slurm"], check=True)
    slurm.start_database()
    for words in ["cluster residency", "account residency", "user root Account=residency"]:
        said("sacctmgr", "-i", "add", *words.split())


@contextmanager
def started(root: Path) -> Iterator[Slurm]:
    """A cluster in an empty folder that ends with the block; nothing of it stays but its logs."""
    slurm = Slurm(root)
    files = _settings(root)
    hosts = "".join(line for line in HOSTS.read_text().splitlines(True) if MARK not in line)
    root.chmod(0o755)
    SETTINGS.mkdir(exist_ok=True)
    for name, text in files.items():
        (SETTINGS / name).write_text(text)
        (SETTINGS / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
    HOSTS.write_text(hosts + "\n" + "".join(f"127.0.0.1 {name} {MARK}\n" for name in NODES))
    try:
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        slurm.start(
            *["munged", "munged", "--foreground", "--force", f"--socket={root}/munge.socket"],
            *[f"--key-file={key}", f"--pid-file={root}/munged.pid"],
            *[f"--log-file={root}/munge.log", f"--seed-file={root}/munge.seed"],
        )
        waited(lambda: said("munge", "-S", f"{root}/munge.socket", "-n"), "munged")
        _account(slurm)
        slurm.start_controller()
        for name in NODES:
            slurm.start_node(name)
        slurm.settle()
        yield slurm
    finally:
        said("scancel", "--user=root")
        for _ in range(50):
            if not said("squeue", "-h"):
                break
            time.sleep(0.2)
        for name in reversed(list(slurm.daemons)):
            slurm.stop(name)
        HOSTS.write_text(hosts)
        for name in files:
            (SETTINGS / name).unlink()
        waited(_no_groups, "the end of all jobs")


def _no_groups() -> bool:
    """Remove the nodes' control groups, the inner first; False while something runs in one."""
    try:
        for name in NODES:
            for folder in sorted(CGROUPS.glob(f"*/slurm_{name}/**/"), reverse=True):
                folder.rmdir()
    except OSError:
        return False
    return True
