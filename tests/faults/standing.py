"""A stack that stands, with a row and a file of people's own: what every fault must leave alone."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults.front import Front
from tests.faults.proxy import Proxy
from tests.host.lab import TINY
from tests.real.lab import DEV, LISTENING, PREFIX, Ended, Host, Lab, Repository, heard, run

DEVCONTAINER = '{"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/workspace"}\n'
COMPOSE = """\
services:
  app:
    build: .
    init: true
    restart: unless-stopped
    volumes: ["..:/workspace"]
  db:
    init: true
    restart: unless-stopped
{database}
volumes:
  rows:
"""
DOCKERFILE = f"""\
FROM {TINY}
STOPSIGNAL SIGKILL
COPY message /message
CMD ["/bin/busybox", "sleep", "1000000"]
"""


@dataclass(frozen=True)
class Database:
    """What keeps the rows: how compose runs it, and how a row gets in and out."""

    image: str
    compose: str
    create: str
    insert: str
    select: str


# Small enough to be sent to hosts in no time.
FILE = Database(
    TINY,
    f"""\
    image: {TINY}
    command: [/bin/busybox, sh, -c, "busybox touch /rows/all; exec busybox sleep 1000000"]
    volumes: ["rows:/rows"]
    healthcheck: {{test: [CMD, /bin/busybox, test, -f, /rows/all], interval: 1s, retries: 60}}
    stop_signal: SIGKILL""",
    create="busybox true",
    insert="busybox sh -c 'echo {} >>/rows/all'",
    select="busybox cat /rows/all",
)
POSTGRES = Database(
    "postgres:15",
    """\
    image: postgres:15
    environment: {POSTGRES_HOST_AUTH_METHOD: trust, POSTGRES_PASSWORD: unused}
    volumes: ["rows:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, --host=127.0.0.1, --quiet], interval: 1s, retries: 60}""",
    create='psql -h 127.0.0.1 -U postgres -qc "create table kept (word text)"',
    insert="psql -h 127.0.0.1 -U postgres -qc \"insert into kept values ('{}')\"",
    select='psql -h 127.0.0.1 -U postgres -qtAc "select word from kept"',
)
SETTINGS = """\
service: {service}
registry:
  server: {registry}
provider: {{type: static, hosts: {hosts}}}
ssh: {{keys: [{key}], connect_timeout: 2, config: false}}
deploy: {{window: 1, timeout: 20}}
vms: {{count: {count}}}
"""
# All that is looked at, in one go: what a deploy may leave only while it runs, what runs, what people have there.
LOOK = """
cd ~/.kamal-dev
{{
  ls -d /tmp/kamal-dev* .incoming.* */lock */releases/.new.* */.current.* .run/*/payload
  [ -d {stack}/current/ ] || echo current
}} 2>/dev/null | paste -sd ' ' -
readlink {stack}/current
shape='{{{{index .Config.Labels "com.docker.compose.service"}}}}={{{{.State.Status}}}}'
shape=$shape'{{{{with .State.Health}}}} {{{{.Status}}}}{{{{end}}}}={{{{.Config.Image}}}}'
docker inspect --format "$shape" $(docker ps -aq {mine}) | sort | paste -sd '|' -
echo $(docker volume ls -q {mine}) $(docker network ls -q {mine} | wc -l)
docker exec {stack}-db-1 {select} | sort | paste -sd ' ' -
cat {kept}/* | sort | paste -sd ' ' -
"""


@dataclass(frozen=True)
class Seen:
    """What a host has of a stack."""

    residue: str
    current: str
    services: dict[str, tuple[str, str]]
    owned: str
    rows: str
    files: str


STANDING = {"app": "running", "db": "running healthy"}


class Running:
    """A `dev` command that is under way; what it says is collected as it comes."""

    def __init__(self, repository: Repository, *words: str) -> None:
        self._repository = repository
        self.argv = ("dev", *words)
        self.process = subprocess.Popen(
            (sys.executable, "-c", LISTENING, DEV, *words),
            cwd=repository.root,
            env=repository.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.text = {"stdout": "", "stderr": ""}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self.text]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        for line in getattr(self.process, name):
            if (text := heard(line)) is None:
                self.text[name] += line
            else:
                self.text["stderr"] += text

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Wait until it says so."""
        deadline = time.monotonic() + seconds
        while words not in self.text["stderr"]:
            assert self.process.poll() is None, f"ended before `{words}`: {self.text}"
            assert time.monotonic() < deadline, f"never said `{words}`: {self.text}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as nothing can be caught."""
        self.__exit__()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def end(self, code: int | None = None, timeout: float = 120) -> Ended:
        """Wait for its end."""
        found = self.process.wait(timeout)
        self.__exit__()
        ended = Ended(found, self.text["stdout"], self.text["stderr"], self.argv)
        assert code in (None, found), str(ended)
        assert "Traceback" not in ended.text, str(ended)
        return ended


@dataclass
class Standing:
    """One small stack on one host, behind a proxy, with its images in a registry behind a front.

    What is put in with `keep` must be there for ever after.
    """

    lab: Lab
    host: Host
    proxy: Proxy
    front: Front
    repository: Repository
    database: Database = FILE
    kept: list[str] = field(default_factory=list)
    _running: Running | None = None

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.repository.stack()

    @property
    def registry(self) -> str:
        """Where its images go."""
        return f"localhost:{self.front.port}"

    # --- what people have there

    def keep(self) -> None:
        """Write a row and a file, as people do."""
        word = f"kept-{secrets.token_hex(4)}"
        insert = f"docker exec {self.stack}-db-1 {self.database.insert.format(word)}"
        self.host.run(f"{insert} && mkdir -p {self._kept} && echo {word} >{self._kept}/{word}")
        self.kept.append(word)

    @property
    def workspace(self) -> str:
        """Where the source is on the host."""
        return f"~/.kamal-dev/{self.stack}/workspace/{self.repository.root.name}"

    @property
    def _kept(self) -> str:
        return f"{self.workspace}/kept"

    def begin(self) -> None:
        """Deploy where nothing was, and make the table."""
        self.repository.deploy()
        self.host.run(f"docker exec {self.stack}-db-1 {self.database.create}")
        self.keep()

    # --- deploying

    def change(self, files: Mapping[str, str] | None = None) -> str:
        """Commit another version; returns its SHA."""
        return self.repository.commit(files or {".devcontainer/message": f"version {secrets.token_hex(4)}\n"})

    def back(self) -> None:
        """Undo the last commit, as one does who has deployed a mistake."""
        run("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=self.repository.root)

    def deploy(self, *words: str, code: int = 1) -> Ended:
        """Deploy into the fault."""
        return self.repository.deploy(*words, code=code)

    def start(self, *words: str) -> Running:
        """Start a deploy and return while it runs."""
        self._running = Running(self.repository, "deploy", "--json", *words)
        return self._running

    def tidy(self) -> None:
        """Have the files of the first commit again, whatever a test that failed has left."""
        first = run("git", "rev-list", "--max-parents=0", "HEAD", cwd=self.repository.root).strip()
        for name in ("compose.yaml", "Dockerfile"):
            run("git", "checkout", first, "--", f".devcontainer/{name}", cwd=self.repository.root)
        if run("git", "status", "--porcelain", cwd=self.repository.root):
            self.repository.commit()

    def heal(self) -> None:
        """Mend what was broken, and end what was started."""
        self.proxy.heal()
        self.front.fault = ""
        if self._running:
            self._running.__exit__()

    # --- what must hold afterwards

    def look(self) -> Seen:
        """Look at all at once."""
        mine = f"--filter label=com.docker.compose.project={self.stack}"
        script = LOOK.format(stack=self.stack, mine=mine, select=self.database.select, kept=self._kept)
        residue, current, services, owned, rows, files = (self.host.run(script).split("\n") + [""] * 6)[:6]
        found = (line.split("=", 2) for line in services.split("|") if line)
        return Seen(residue, current, {name: (state, image) for name, state, image in found}, owned, rows, files)

    @property
    def version(self) -> str:
        """The version that really runs."""
        return version_of(self.look())

    def endures(self, ended: Ended | None = None, *, state: str = "", version: str = "", leaves: bool = False) -> None:
        """Assert all that must hold after a fault; the next plain deploy is part of it.

        `state` is how the report must call the stack, `version` what must run. With `leaves` what was
        killed may leave files until the next deploy.
        """
        self.heal()
        self.still_holds(ended, state=state, version=version, leaves=leaves)
        self.converges()

    def still_holds(
        self, ended: Ended | None = None, *, state: str = "", version: str = "", leaves: bool = False
    ) -> Seen:
        """Assert that nothing is lost, gone or stuck, and that the report was true."""
        seen = self._settled(leaves)
        assert leaves or not seen.residue, f"left on the host: {seen.residue}"
        assert {name: state for name, (state, _) in seen.services.items() if name in STANDING} == STANDING, seen
        assert seen.rows == seen.files == " ".join(sorted(self.kept)), (seen, self.kept)
        assert leaves or self.repository.leftovers == []
        assert version in ("", version_of(seen)), seen
        if ended and state:
            self._is_true(ended, state, version_of(seen))
        return seen

    def _settled(self, leaves: bool) -> Seen:
        """Look when what was begun has ended, but no later than a heart beats."""
        deadline = time.monotonic() + 30
        while True:
            seen = self.look()
            is_settled = (leaves or not seen.residue) and all(
                seen.services.get(name, ("", ""))[0] == state for name, state in STANDING.items()
            )
            if is_settled or time.monotonic() > deadline:
                return seen
            time.sleep(0.3)

    def _is_true(self, ended: Ended, state: str, runs: str) -> None:
        """Assert that what the report says of the stack is what runs."""
        told = ended.stacks[self.stack]
        assert told["state"] == state, str(ended)
        assert told["ok"] == (state in ("deployed", "unchanged")), str(ended)
        assert ended.code == (0 if told["ok"] else 1), str(ended)
        assert told["running"] in ("", runs), str(ended)

    def converges(self) -> None:
        """Deploy plainly: it must end well, with this version and with all data, and leave nothing."""
        self.repository.deploy()
        self.is_clean()

    def is_clean(self) -> None:
        """Assert that this version runs, with all data, and that nothing else is there."""
        seen = self.still_holds(version=self.repository.sha)
        assert set(seen.services) == set(STANDING)
        assert seen.owned == f"{self.stack}_rows 1"
        assert self.repository.sha in seen.current


def version_of(seen: Seen) -> str:
    """Return the version that runs."""
    # A release names its images by digest; its own name begins with the version.
    return seen.current.rpartition("/")[2].rpartition("-")[0]


def hosts_of(*ports: int) -> str:
    """Write hosts of this machine for config/dev.yml."""
    return str([f"root@127.0.0.1:{port}" for port in ports])


def repository(lab: Lab, name: str, host: Host, registry: str, *ports: int, database: Database = FILE) -> Repository:
    """Make the repository of a standing stack; `ports` are those of its proxies."""
    files = {
        "config/dev.yml": SETTINGS.format(
            service=f"{PREFIX}-{name}", registry=registry, hosts=hosts_of(*ports), key=host.key, count=len(ports)
        ),
        ".gitignore": ".kamal/\nkept/\n",
        ".devcontainer/devcontainer.json": DEVCONTAINER,
        ".devcontainer/compose.yaml": COMPOSE.format(database=database.compose),
        ".devcontainer/Dockerfile": DOCKERFILE,
        ".devcontainer/message": "first\n",
    }
    return lab.repository(name, files)
