"""A real Slurm on this machine: loopback only, virtual nodes, neither systemd nor cgroups."""

import fcntl
import os
import pwd
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psutil

PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server",
    "munged": "munge",
    "sbatch": "slurm-client",
}
# One partition is for all, the other for jobs of one account.
PARTITION = ACCOUNT = "rig"
PAID = "paid"
# Daemons live where an ordinary user's PATH does not look.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
# Linux takes at most 107 bytes; slurmd adds spool/NODE/NODE_JOB.STEP to the folder.
LONGEST_FOLDER = 107 - len("/spool/node10/node10_123456.4294967291")
USER = pwd.getpwuid(os.geteuid()).pw_name
# Variables of another Slurm, as when this itself runs in a job.
FOREIGN = ("SLURM", "SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_", "SRUN_")
UP = {"idle", "mixed", "allocated", "completing"}

CONFIGURATION = """\
ClusterName=rig
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny

# Neither systemd nor cgroups; the machine is smaller than its nodes claim to be.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
PlugStackConfig={folder}/plugstack.conf
SlurmdParameters=config_overrides

StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/logs/slurmctld.log
SlurmdLogFile={folder}/logs/%n.log

# Memory is polled; nothing else enforces it.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=200
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill

# Only who has an account may submit.
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations

# Impatient: what a site counts in minutes is counted in seconds here. A dead node is noticed
# after two pings, and each takes MessageTimeout; a requeued job waits for cred_expire.
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
MessageTimeout=3
SlurmdTimeout=3
BatchStartTimeout=5
KillWait=2
OverTimeLimit=0
ReturnToService=2
MinJobAge=600

PartitionName={partition} Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName={paid} Nodes=ALL AllowAccounts={account} MaxTime=INFINITE State=UP
"""
ACCOUNTING = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
PidFile={folder}/slurmdbd.pid
LogFile={folder}/logs/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser={user}
StoragePass={password}
"""
# Run by the database when it starts: a statement a line.
GRANTS = """\
CREATE OR REPLACE USER {user}@localhost IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO {user}@localhost;
"""


def missing() -> str | None:
    """A sentence that says which programs are not here, or None."""
    absent = [name for name in PACKAGES if not shutil.which(name, path=SEARCH_PATH)]
    if not absent:
        return None
    packages = " ".join(PACKAGES[name] for name in absent)
    return f"Slurm needs {', '.join(absent)}: install the Debian packages {packages}."


@contextmanager
def _no_services() -> Iterator[None]:
    """Packages that are installed meanwhile start no service."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # the machine has its own: containers often do
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def install() -> None:
    """Install the Debian packages that are missing; a RuntimeError says why it cannot be done."""
    sentence = missing()
    if sentence is None:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(f"{sentence} Only root can, with apt-get.")
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["install", "--yes", "--no-install-recommends", *PACKAGES.values()]
    with _no_services():
        for words in (["update"], wanted):
            done = subprocess.run([*apt, *words], env=environment, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{sentence} apt-get {words[0]} failed: {done.stderr.strip()}")
    if sentence := missing():
        raise RuntimeError(sentence)


def _free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on.

    Below the ephemeral range, whence no connection takes one while its daemon is down.
    """
    ports: list[int] = []
    for port in random.sample(range(12_000, 32_000), 2_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("there are no free ports on loopback")


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is gone: its parent, often PID 1 of a container, may never reap it."""
    if isinstance(process, psutil.Popen):
        return process.poll() is None
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(map(_is_alive, processes)) and time.monotonic() < end:
        time.sleep(0.02)


def _kill(processes: list[psutil.Process]) -> None:
    """Kill processes as one: all stop first, so that none sees another's death and reports it."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    _wait_for_end(processes, 5)


def _end(daemon: psutil.Process, how: signal.Signals = signal.SIGTERM) -> None:
    """End a daemon and its helpers in its own way, or else at once."""
    if not _is_alive(daemon):
        return
    with suppress(psutil.NoSuchProcess):
        family = [daemon, *daemon.children(recursive=True)]
        daemon.send_signal(how)
        _wait_for_end(family, 5)
        _kill([process for process in family if _is_alive(process)])


class Cluster:
    """A Slurm of virtual nodes, up inside a `with` block; all that it writes is in `folder`."""

    def __init__(
        self,
        folder: Path,
        nodes: int = 2,
        cpus: int = 2,
        memory_mb: int = 4000,
    ) -> None:
        self.folder = folder.resolve()
        if len(os.fsencode(self.folder)) > LONGEST_FOLDER:
            raise ValueError(
                f"{self.folder} is too long for the sockets in it: "
                f"Slurm's folder may have {LONGEST_FOLDER} bytes"
            )
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.cpus, self.memory_mb = cpus, memory_mb
        self.configuration = self.folder / "slurm.conf"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "SLURM_CONF": str(self.configuration),
            "PATH": os.pathsep.join([str(self.folder / "bin"), SEARCH_PATH]),
        }
        self._pids = self.folder / "pids"
        self._daemons: dict[str, psutil.Popen] = {}

    def __enter__(self) -> Self:
        if sentence := missing():
            raise RuntimeError(sentence)
        self._lock()
        try:
            self._end_leftovers()
            self._write_files()
            self._start_all()
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._take_down()

    # --- Using it

    def run(self, *words: str | Path, check: bool = True, **variables: str) -> str:
        """What a Slurm command prints; a RuntimeError says why it failed."""
        environment = self.environment | variables
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            command = shlex.join(map(str, words))
            raise RuntimeError(f"{command} exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def wait_until(self, event: Callable[[], object], seconds: float) -> None:
        """Wait for something to be true; a TimeoutError shows the daemons' logs."""
        end = time.monotonic() + seconds
        while not event():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s\n{self.logs()}")
            time.sleep(0.1)

    def job_state(self, job: str) -> str:
        """A job's state, as PENDING or COMPLETED; empty if Slurm does not know it."""
        return self.run(
            "squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}", check=False
        )

    def node_state(self, name: str) -> str:
        """A node's state, as idle or down*; the star says that it does not answer."""
        only = (f"--nodes={name}", f"--partition={PARTITION}")
        return self.run("sinfo", "--noheader", "--Node", *only, "--format=%T")

    def logs(self) -> str:
        """What the daemons wrote."""
        logs = [self._errors_of("munged"), *sorted(self.folder.glob("logs/*.log"))]
        return "\n".join(f"--- {log.stem}\n{log.read_text(errors='replace')}" for log in logs)

    def processes_of(self, nodes: list[str]) -> list[psutil.Process]:
        """The step daemons of some nodes, and the processes of their jobs."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self._is_step_daemon(process, nodes) or self._is_of_job(process, nodes):
                    found |= {process, *process.children(recursive=True)}
        return [process for process in found if _is_alive(process)]

    # --- Breaking it

    def lose_node(self, name: str) -> None:
        """What the death of a machine does: its daemon and all its jobs are gone at once."""
        _kill([self._daemons.pop(name), *self.processes_of([name])])
        self._kill_jobs([name])  # what the daemon had been starting

    def return_node(self, name: str) -> None:
        """Start a lost node again, and wait until it takes jobs."""
        since = time.time()
        self._start_node(name)
        self._wait_for_start(name, lambda: self._has_joined(name, since))

    def expire(self, job: str) -> None:
        """Let a running job's time limit pass now; Slurm looks twice a minute."""
        self.run("scontrol", "update", f"JobId={job}", "EndTime=now+1")

    def restart_controller(self, down_for: float = 0, *, forget: bool = False) -> None:
        """End the controller, and later start it again: as it was, or without its jobs."""
        _end(self._daemons.pop("slurmctld"))
        time.sleep(down_for)
        self._start_controller(*["-c"] * forget)

    # --- Up

    def _lock(self) -> None:
        """One cluster a folder; the lock of a process that was killed is free again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock_file.close()
            raise RuntimeError(f"another cluster is up in {self.folder}") from None

    def _write_files(self) -> None:
        for name in ("spool", "state", "logs", "bin", "database"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("state", "logs", "bin", *(f"spool/{node}" for node in self.nodes)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "plugstack.conf").touch()
        self._write_key()
        self._write_srun()
        self._write_configuration()

    def _write_key(self) -> None:
        key = self.folder / "munge.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o400)
        key.chmod(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)

    def _write_srun(self) -> None:
        """Snakemake's job steps call srun without any SLURM_ variable, SLURM_CONF too."""
        srun = self.folder / "bin" / "srun"
        real = shutil.which("srun", path=SEARCH_PATH)
        conf = shlex.quote(str(self.configuration))
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {real} "$@"\n')
        srun.chmod(0o755)

    def _write_configuration(self) -> None:
        host = socket.gethostname().partition(".")[0]
        controller, accounting, database, *ports = _free_ports(3 + len(self.nodes))
        facts = {
            "folder": self.folder,
            "user": USER,
            "accounting_port": accounting,
            "database_port": database,
            "password": secrets.token_hex(16),
        }
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self.cpus} RealMemory={self.memory_mb}\n"
            for name, port in zip(self.nodes, ports, strict=True)
        ]
        common = CONFIGURATION.format(
            host=host,
            port=controller,
            partition=PARTITION,
            paid=PAID,
            account=ACCOUNT,
            **facts,
        )
        self.configuration.write_text(common + "".join(lines))
        accounts = self.folder / "slurmdbd.conf"  # slurmdbd looks beside slurm.conf
        accounts.touch(mode=0o600)
        accounts.write_text(ACCOUNTING.format(**facts))
        (self.folder / "grants.sql").write_text(GRANTS.format(**facts))
        self._database_port = database

    def _start_all(self) -> None:
        self._start_munge()
        self._start_database()
        self._start_accounting()
        self._start_controller("-c")
        for name in self.nodes:
            self._start_node(name)
        for name in self.nodes:
            self._wait_for_start(name, partial(self._is_up, name))

    def _start_munge(self) -> None:
        munge_socket = self.folder / "munge.socket"
        munge_socket.unlink(missing_ok=True)
        files = {
            "key-file": "munge.key",
            "socket": munge_socket.name,
            "pid-file": "munge.pid",
            "seed-file": "munge.seed",
        }
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        # --force: the folder above may be closed to other users.
        self._start("munged", "--foreground", "--force", "--num-threads=2", *options)
        self._wait_for_start("munged", munge_socket.exists)

    def _start_database(self) -> None:
        data = self.folder / "database"
        self.run(
            *("mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={USER}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self._start(
            *("mariadbd", "--no-defaults", f"--datadir={data}", f"--user={USER}"),
            *("--bind-address=127.0.0.1", f"--port={self._database_port}"),
            *(f"--socket={self.folder}/database.socket", f"--pid-file={self.folder}/database.pid"),
            f"--init-file={self.folder}/grants.sql",
        )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._database_port)) == 0

        self._wait_for_start("mariadbd", listens)

    def _start_accounting(self) -> None:
        self._start("slurmdbd", "-D")
        self._wait_for_start("slurmdbd", self._accounting_answers)
        for words in (
            ("cluster", "rig"),
            ("account", ACCOUNT),
            ("user", USER, f"account={ACCOUNT}"),
        ):
            self.run("sacctmgr", "--immediate", "add", *words)

    def _accounting_answers(self) -> bool:
        try:
            self.run("sacctmgr", "--noheader", "list", "cluster")
        except RuntimeError:
            return False
        return True

    def _start_controller(self, *options: str) -> None:
        self._start("slurmctld", "-D", *options)
        self._wait_for_start("slurmctld", self._controller_answers)

    def _start_node(self, name: str) -> None:
        self._start("slurmd", "-D", "-N", name, name=name)

    def _start(self, program: str, *options: str, name: str | None = None) -> None:
        name = name or program
        path = shutil.which(program, path=SEARCH_PATH)
        assert path is not None
        with self._errors_of(name).open("a") as errors:
            daemon = psutil.Popen(
                [path, *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self._daemons[name] = daemon
        with self._pids.open("a") as pids:
            pids.write(f"{daemon.pid} {daemon.create_time()} {Path(path).resolve()}\n")

    def _wait_for_start(self, name: str, ready: Callable[[], bool], seconds: float = 20) -> None:
        def event() -> bool:
            if self._daemons[name].poll() is not None:
                raise RuntimeError(f"{name} did not start:\n{self._errors_of(name).read_text()}")
            return ready()

        self.wait_until(event, seconds)

    def _errors_of(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.stderr"

    def _controller_answers(self) -> bool:
        return "is UP" in self.run("scontrol", "ping", check=False)

    def _has_joined(self, name: str, since: float) -> bool:
        """Whether the node takes jobs with a daemon that registered after a moment."""
        shown = self.run("scontrol", "show", "node", name, SLURM_TIME_FORMAT="%s")
        started = re.search(r"SlurmdStartTime=(\d+)", shown)
        recent = started is not None and int(started[1]) >= int(since)
        return recent and self._is_up(name)

    def _is_up(self, name: str) -> bool:
        return self.node_state(name) in UP

    # --- Down

    def _take_down(self) -> None:
        # A sick controller must not keep the rest from ending.
        with suppress(RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self._cancel_all()
        for daemon in reversed(self._daemons.values()):
            _end(daemon)
        self._daemons.clear()
        self._kill_jobs(self.nodes)
        self._pids.unlink(missing_ok=True)
        self._lock_file.close()

    def _cancel_all(self) -> None:
        # Without munged every command would try for long.
        needed = [self._daemons.get(name) for name in ("munged", "slurmctld")]
        if all(daemon and _is_alive(daemon) for daemon in needed) and self._controller_answers():
            self.run("scancel", f"--user={USER}")
            self.wait_until(lambda: not self.run("squeue", "--noheader"), 5)

    def _end_leftovers(self) -> None:
        """End what an earlier cluster in this folder left, when its own process was killed."""
        lines = self._pids.read_text().splitlines() if self._pids.exists() else []
        for line in reversed(lines):
            pid, created, program = line.split(maxsplit=2)
            with suppress(psutil.Error):
                process = psutil.Process(int(pid))
                if process.exe() == program and abs(process.create_time() - float(created)) < 1:
                    _end(process)
        self._kill_jobs([spool.name for spool in self.folder.glob("spool/*")])
        self._pids.unlink(missing_ok=True)

    def _kill_jobs(self, nodes: list[str]) -> None:
        """Kill the step daemons and the jobs of some nodes."""
        for _ in range(5):  # one may have been starting another
            _kill(self.processes_of(nodes))

    def _is_step_daemon(self, process: psutil.Process, nodes: list[str]) -> bool:
        """A step daemon hides its environment, but it holds its node's log open."""
        if process.name() != "slurmstepd":
            return False
        logs = {str(self.folder / "logs" / f"{name}.log") for name in nodes}
        return any(file.path in logs for file in process.open_files())

    def _is_of_job(self, process: psutil.Process, nodes: list[str]) -> bool:
        """By its environment, so that one that left its parent is found too."""
        environment = process.environ()
        conf, name = environment.get("SLURM_CONF"), environment.get("SLURMD_NODENAME")
        return conf == str(self.configuration) and name in nodes


def main() -> None:
    """Keep a cluster up until Ctrl-C or SIGTERM, and say how a shell reaches it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="slurm-"))

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with Cluster(folder) as cluster:
        for name in ("SLURM_CONF", "PATH"):
            print(f"export {name}={shlex.quote(cluster.environment[name])}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
