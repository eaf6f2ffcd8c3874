"""One host for the kinds of answers: it has Docker, and a user for every way in which a login may answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell.remote import Remote
from kamal_dev.shell.trust import Trust
from tests import hosts
from tests.hosts import docker
from tests.real.lab import PREFIX, _port, run

BUSYBOX = "/usr/local/busybox"
SHELLS = ("bash", "csh", "tcsh", "fish", "zsh")
DOCKERFILE = """FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends csh tcsh fish zsh busybox
"""
# What prints: each line of a start-up file of bash is one way to do so.
CHATTY = """
printf 'Welcome! '
echo hello
echo 'mesg: ttyname failed' >&2
printf '{"type":"result","ok":true,"phase":"status"} '
(sleep 12; echo later) &
trap 'echo bye' EXIT
"""
USERS = {
    **{name: f"/bin/{name}" for name in SHELLS},
    "chatty": "/bin/bash",
    "merged": "/bin/bash",
    "setting": "/bin/bash",
    "reading": "/bin/bash",
    "exits": "/bin/bash",
    "nologin": "/usr/sbin/nologin",
    "forced": "/bin/bash",
    "wrapped": "/bin/bash",
    "plain": "/bin/bash",
    "barred": "/bin/bash",
    "elsewhere": "/bin/bash",
    "context": "/bin/bash",
    "rootless": "/bin/bash",
    "busybox": f"{BUSYBOX}/session",
}
SSHD = """
Match User forced
  ForceCommand echo maintenance
Match User wrapped
  ForceCommand echo "running $SSH_ORIGINAL_COMMAND"; eval "$SSH_ORIGINAL_COMMAND"; printf done; exit 0
"""


@dataclass(frozen=True)
class AnswersHost:
    """The host; `folder` has the key that every user of it accepts."""

    container: str
    port: int
    folder: Path

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "id"

    def sh(self, script: str) -> str:
        """Run a line of shell there as root, and return what it printed."""
        return docker("exec", self.container, "sh", "-c", script)

    def write(self, path: str, text: str) -> None:
        """Write a file there."""
        docker("exec", "--interactive", self.container, "sh", "-c", f"cat >{path}", stdin=text.encode())

    def settings(self, *users: str) -> str:
        """Return the lines of a config/dev.yml that name this host, once for each user."""
        listed = json.dumps([f"{user}@127.0.0.1:{self.port}" for user in users])
        keys = json.dumps([str(self.key)])
        return f"provider: {{type: static, hosts: {listed}}}\nssh: {{keys: {keys}}}\nvms: {{count: {len(users)}}}\n"

    def remote(self, user: str) -> Remote:
        """Return a shell there, through sshd."""
        target = Host(user, "127.0.0.1", user, self.port, (self.key,))
        return Remote(target, Trust(self.folder / "known_hosts", read_ssh_config=False))


def made(folder: Path) -> AnswersHost:
    """Make the host, in place of one that an earlier run of this prefix left."""
    name = f"{PREFIX}-answers"
    base = hosts.prepared()
    image = f"kamal-dev-test/host-with-shells:{base.rpartition(':')[2]}"
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--label", hosts.LABEL, "--tag", image, "-", stdin=DOCKERFILE.format(base=base).encode())
    removed(name)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id"))
    container = hosts.boot(image, name)
    host = AnswersHost(container, _port(container), folder)
    host.sh(ONLY_BUSYBOX)
    for user, shell in USERS.items():
        host.sh(f"useradd --create-home --shell {shell} --groups docker {user}")
    host.write("/etc/ssh/authorized", (folder / "id.pub").read_text())
    host.write("/etc/ssh/sshd_config.d/users.conf", f"AuthorizedKeysFile /etc/ssh/authorized\n{SSHD}")
    for user, text in START_UP.items():
        host.write(f"/home/{user}/.bashrc", text)
    host.sh("systemctl restart ssh; until docker version >/dev/null 2>&1; do sleep 0.2; done")
    host.sh(OTHER_SOCKETS)
    return host


START_UP: Mapping[str, str] = {
    "chatty": CHATTY,
    "merged": "exec 2>&1\necho hello\n",
    "setting": "export TAR_OPTIONS=--bad POSIXLY_CORRECT=1 CDPATH=/ COMPOSE_FILE=/none\nset -eu\n",
    "reading": "cat >/dev/null\n",
    "exits": "exit\n",
    "elsewhere": "export DOCKER_HOST=tcp://127.0.0.1:9\n",
}
# A login whose PATH has what BusyBox has, Docker and git. Its flock is one of Alpine's: without a deadline.
ONLY_BUSYBOX = f"""
mkdir {BUSYBOX} && cd {BUSYBOX}
for applet in $(busybox --list); do ln -s /bin/busybox $applet; done
ln -s /usr/bin/docker /usr/bin/git .
printf '#!/bin/sh\\n[ "$1" != -w ] || exit 1\\nexec /usr/bin/flock "$@"\\n' >flock
printf '#!{BUSYBOX}/sh\\nexport PATH={BUSYBOX}\\nexec {BUSYBOX}/sh "$@"\\n' >session
chmod 755 flock session
"""
# Two sockets that are not root's: one that a context names, and one where a rootless engine would listen.
OTHER_SOCKETS = """
gpasswd --delete barred docker; gpasswd --delete context docker; gpasswd --delete rootless docker
own=/run/user/$(id -u rootless) && mkdir -p $own && chown rootless $own
mkdir -p /etc/systemd/system/docker.service.d
cat >/etc/systemd/system/docker.service.d/sockets.conf <<END
[Service]
ExecStart=
ExecStart=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/docker.service) -H unix:///run/context.sock -H unix://$own/docker.sock
ExecStartPost=/bin/chown context /run/context.sock
ExecStartPost=/bin/chown rootless $own/docker.sock
END
systemctl daemon-reload && systemctl restart docker
su context -c 'docker context create mine --docker host=unix:///run/context.sock && docker context use mine'
"""


def removed(name: str) -> None:
    """Remove the host, where it is."""
    if docker("ps", "--all", "--quiet", "--filter", f"name=^{name}$"):
        docker("rm", "--force", "--volumes", name)
