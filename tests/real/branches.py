"""A small guestbook in many branches: an app that keeps its entries in a database, a stack for each branch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.real.lab import Ended, Host, Lab, Repository
from tests.workspace.lab import git

# The app asks its database over the network; what it says of itself comes with its image.
COMPOSE = """\
services:
  app:
    build: .
    command: [perl, /serve.pl, "8000", /tmp/unused]
    depends_on: [db]
    stop_signal: SIGKILL
    volumes: ["..:/workspace"]
  db:
    image: debian:12
    command: [perl, /serve.pl, "5432", /data/entries]
    stop_signal: SIGKILL
    volumes: ["entries:/data", "./serve.pl:/serve.pl:ro"]
volumes:
  entries:
"""
DOCKERFILE = """\
FROM debian:12
COPY serve.pl /serve.pl
COPY message /message
"""
# A line is kept, and every line is shown; the app keeps nothing itself and passes lines on.
SERVE = """\
use IO::Socket::INET;
my ($port, $file) = @ARGV;
my $server = IO::Socket::INET->new(Listen => 5, LocalPort => $port, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    my $line = <$client>;
    if ($port == 8000) {
        my $db = IO::Socket::INET->new(PeerAddr => "db:5432") or next;
        print $db $line; print $client $_ while <$db>;
    } else {
        if ($line =~ /\\S/) { open my $out, ">>", $file or die $!; print $out $line; close $out }
        if (open my $in, "<", $file) { print $client $_ while <$in> }
    }
    close $client;
}
"""
ASK = """bash -c 'exec 3<>/dev/tcp/127.0.0.1/8000 && echo "$0" >&3 && cat <&3'"""
APPS = (
    "docker ps --filter label=com.docker.compose.service=app "
    """--format '{{.Label "com.docker.compose.project"}} {{.ID}}'"""
)
KINDS = {
    "containers": "docker ps --all --format '{{.Names}}'",
    "networks": "docker network ls --format '{{.Name}}'",
    "volumes": "docker volume ls --format '{{.Name}}'",
    "images": "docker image ls --format '{{.Repository}}:{{.Tag}}@{{.Digest}}'",
    # The audit log of a removed stack is kept.
    "files": "find ~/.kamal-dev -mindepth 2 -maxdepth 2 ! -name audit.log",
}


@dataclass(frozen=True)
class Branches:
    """A repository with `count` branches, `feature/1` and so on, for stacks on these hosts."""

    repository: Repository
    hosts: tuple[Host, ...]
    count: int

    @classmethod
    def of(cls, lab: Lab, hosts: tuple[Host, ...], count: int, name: str = "branches") -> Branches:
        """Make the repository and its branches."""
        files = {".devcontainer/serve.pl": SERVE, ".devcontainer/Dockerfile": DOCKERFILE}
        settings = "placement: {per_host: 100}\n"
        repository = lab.small(name, hosts, files, compose=COMPOSE, settings=settings)
        made = cls(repository, hosts, count)
        for number in range(1, count + 1):
            git(repository.root, "branch", "--quiet", f"feature/{number}")
        made.commit("first")
        return made

    @property
    def refs(self) -> list[str]:
        """The branches."""
        return [f"feature/{number}" for number in range(1, self.count + 1)]

    @property
    def stacks(self) -> list[str]:
        """The names of their stacks."""
        return [f"{self.repository.service}-feature-{number}" for number in range(1, self.count + 1)]

    def commit(self, what: str) -> None:
        """Commit something else on each branch."""
        for ref in self.refs:
            git(self.repository.root, "switch", "--quiet", ref)
            self.repository.commit({".devcontainer/message": f"{what} of {ref}\n"})
        git(self.repository.root, "switch", "--quiet", "main")

    def create(self, numbers: Iterable[int]) -> Ended:
        """Deploy the first stacks of some branches in one command."""
        flags = [word for number in numbers for word in ("--ref", f"feature/{number}")]
        return self.repository.dev("deploy", "--json", *flags, timeout=900)

    def apps(self) -> dict[str, tuple[Host, str]]:
        """Return the host and the container of the app of each stack that runs; each is on one host."""
        apps: dict[str, tuple[Host, str]] = {}
        for host in self.hosts:
            for line in host.run(APPS).splitlines():
                stack, container = line.split()
                assert stack not in apps, f"{stack} is on two hosts"
                apps[stack] = (host, container)
        return {stack: apps[stack] for stack in self.stacks}

    def within(self, script: str) -> dict[str, str]:
        """Run a script in the app of each stack, in which `STACK` is its name; return the outputs."""
        return {
            stack: host.run(f"docker exec {container} {script.replace('STACK', stack)}")
            for stack, (host, container) in self.apps().items()
        }

    def entries(self) -> dict[str, list[str]]:
        """Return what is in the guestbook of each stack."""
        return {stack: output.split() for stack, output in self.within(f"{ASK} ''").items()}

    def sign(self) -> None:
        """Write the name of each stack into its guestbook."""
        self.within(f"{ASK} STACK")

    def messages(self) -> list[str]:
        """Return what the image of each stack was built with."""
        return [output.strip() for output in self.within("cat /message").values()]

    def traces(self) -> dict[str, list[str]]:
        """Return what the hosts have of these stacks, by kind."""
        service, traces = self.repository.service, {}
        for kind, script in KINDS.items():
            lines = [f"{host.name} {line}" for host in self.hosts for line in host.run(script).split()]
            traces[kind] = sorted({line for line in lines if service in line})
        return traces


def cached(folder: Path) -> list[Path]:
    """Return the checkouts in a cache folder."""
    return list((folder / "kamal-dev").iterdir()) if (folder / "kamal-dev").is_dir() else []
