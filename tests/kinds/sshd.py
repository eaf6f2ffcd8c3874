"""Real sshd of every kind, in one container, and an OpenSSH client whose configuration is the test's own.

OpenSSH reads `~/.ssh/config` of the user's home whatever HOME says. So `ssh` is found here as a script that names
another file, which then stands for it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell import quoting
from kamal_dev.shell.multiplex import MuxClient
from kamal_dev.shell.trust import Trust
from tests import hosts
from tests.hosts import docker
from tests.real.lab import PREFIX

LABEL = f"kamal-dev.test.sshd={PREFIX}"
PORTS = range(2201, 2210)
HIDDEN = "127.0.0.2"  # an address that is reached from inside the container alone
BASE = """
PidFile none
PermitRootLogin yes
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
AuthorizedKeysFile /kd/authorized_keys
MaxStartups 100
"""


@dataclass
class Sshd:
    """The container; each `start` is one sshd in it."""

    container: str
    published: dict[int, int]
    keys: dict[str, str] = field(default_factory=dict)

    @classmethod
    def boot(cls) -> Sshd:
        """Start the container; what an earlier run has left is removed."""
        for old in docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split():
            docker("rm", "--force", old)
        ports = [f"--publish=127.0.0.1::{port}" for port in PORTS]
        name = f"{PREFIX}-sshd"
        docker("run", "--detach", f"--label={LABEL}", f"--name={name}", *ports, hosts.bare(), "sleep", "infinity")
        docker("exec", name, "sh", "-c", "mkdir -p /kd /run/sshd && : >/kd/authorized_keys")
        told = (line.split(" -> ") for line in docker("port", name).splitlines())
        return cls(name, {int(inner.split("/")[0]): int(outer.rsplit(":", 1)[1]) for inner, outer in told})

    def start(self, port: int, *, at: str = "0.0.0.0", more: str = "", key: str = "ed25519") -> int:
        """Start an sshd, or the same port's with other settings; returns its port as it is reached from here."""
        name = f"/kd/{port}"
        self.sh(
            f"[ ! -f {name}.pid ] || {{ kill $(cat {name}.pid); rm -f {name}.pid; }}; "
            f"[ -f {name}_{key} ] || ssh-keygen -q -t {key} -N '' -f {name}_{key}; "
            f"cat >{name}.conf; /usr/sbin/sshd -f {name}.conf -E {name}.log",
            BASE.replace("PidFile none", f"PidFile {name}.pid")
            + f"ListenAddress {at}:{port}\nHostKey {name}_{key}\n{more}\n",
        )
        self.sh(f"until [ -f {name}.pid ]; do sleep 0.05; done")
        return self.published.get(port, port)

    def host_key(self, port: int, kind: str = "ed25519") -> str:
        """Return the public key of the sshd on a port, as `type base64`."""
        return " ".join(self.sh(f"cat /kd/{port}_{kind}.pub").split()[:2])

    def admit(self, public: str) -> None:
        """Let a key in everywhere."""
        self.sh("cat >>/kd/authorized_keys", f"{public.strip()}\n")

    def signal(self, name: str) -> None:
        """Send a signal to the processes of all connections; one may have ended meanwhile."""
        found = "ps -eo pid,args | awk '/sshd(-session)?: root/ && !/awk/ { print $1 }'"
        self.sh(f"for process in $({found}); do kill -{name} $process || [ ! -d /proc/$process ] || exit; done")

    def sh(self, script: str, stdin: str = "") -> str:
        """Run a line of shell in the container."""
        return docker("exec", "--interactive", self.container, "sh", "-c", script, stdin=stdin.encode())

    def remove(self) -> None:
        """End all of it."""
        docker("rm", "--force", self.container)


@dataclass
class Client:
    """One user's machine: `config` stands for `~/.ssh/config`, `known_hosts` for the file beside it."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, folder: Path) -> Client:
        """Write the `ssh` that reads this client's configuration."""
        real = shutil.which("ssh")
        assert real
        (folder / "bin").mkdir(parents=True)
        ssh = folder / "bin/ssh"
        ssh.write_text(f'#!/bin/sh\nexec {real} -F {shlex.quote(str(folder / "config"))} "$@"\n')
        ssh.chmod(0o755)
        client = cls(folder, {"PATH": f"{folder}/bin:{os.environ['PATH']}"})
        client.configure("")
        return client

    @property
    def known_hosts(self) -> Path:
        """The user's own."""
        return self.folder / "known_hosts"

    @property
    def mine(self) -> Path:
        """The project's."""
        return self.folder / "project/known_hosts"

    def configure(self, text: str) -> None:
        """Write ssh_config; what it does not set is set so that nothing of this machine's user counts."""
        self.mine.parent.mkdir(exist_ok=True)
        base = f"Host *\n  UserKnownHostsFile {quoting.path(str(self.known_hosts))}\n"
        base += "  GlobalKnownHostsFile /dev/null\n  User root\n"
        (self.folder / "config").write_text(f"{text}\n{base}")

    def trust(self, policy: str = "accept-new", *, config: bool = True, patience: int = 10, persist: int = 60) -> Trust:
        """Return what the project says of keys and connections."""
        return Trust(self.mine, policy, config, patience, persist)

    def key(self, name: str = "id", *, passphrase: str = "", kind: str = "ed25519") -> Path:
        """Make a key, and return its private file."""
        path = self.folder / name
        words = ("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(path))
        subprocess.run(words, check=True)
        return path

    def host(self, address: str, port: int = 0, *, key: Path | None = None, jump: str = "", user: str = "") -> Host:
        """Return a host as config/dev.yml would name it."""
        return Host("blog-1", address, user, port, (key,) if key else (), jump)


def end_connections(folder: Path) -> None:
    """End every ssh whose control socket is in a folder, and delete it."""
    for socket in folder.glob("*/*/s"):
        with suppress(OSError, EOFError), closing(MuxClient(socket, 2)) as client:
            os.kill(client.pid(), signal.SIGTERM)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Agent:
    """An ssh-agent; `socket` is where it listens."""

    socket: Path

    def add(self, key: Path, passphrase: str = "") -> None:
        """Let it hold a key."""
        ask = key.with_name("ask")
        ask.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
        ask.chmod(0o755)
        more = {"SSH_AUTH_SOCK": str(self.socket), "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        words = ("ssh-add", "-q", str(key))
        subprocess.run(words, check=True, env=os.environ | more, stdin=subprocess.DEVNULL, capture_output=True)


@contextmanager
def agent(socket: Path) -> Iterator[Agent]:
    """Start an agent, which ends with the block."""
    with subprocess.Popen(("ssh-agent", "-D", "-a", str(socket)), stdout=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                time.sleep(0.01)
            yield Agent(socket)
        finally:
            process.terminate()
