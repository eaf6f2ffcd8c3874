"""A lab of real parts: repositories made in code, hosts as containers, registries. Removes what it made, by name."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kamal_dev.output import Event
from kamal_dev.output.plain import explained, render
from kamal_dev.output.sentences import progress
from tests import dev
from tests.hosts import bare, prepared, remove
from tests.output import publish

# Two runs on one engine need two prefixes: a run removes what an earlier one of its prefix left.
PREFIX = os.environ.get("KAMAL_DEV_TEST_PREFIX", "kd-test")
PORTS = range(start := 20000 + 16 * (zlib.crc32(PREFIX.encode()) % 500), start + 16)
DEV = str(Path(sys.executable).with_name("dev"))
EXAMPLE = Path(__file__).parents[2] / "examples" / "guestbook"
COUNT = 3
# Of the stacks of these services, the containers and networks, and what the watcher knows.
END_STACKS = """
for service; do
  rm -rf ~/.kamal-dev/"$service"-*
  docker ps --all --format '{{.ID}} {{.Label "com.docker.compose.project"}}' | grep " $service-" | cut -d' ' -f1
done | xargs -r docker rm --force --volumes
docker network prune --force
"""
# A shell that runs the tests in the background has made them, and so their children, deaf to Ctrl-C.
LISTENING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"

DEVCONTAINER = '{"dockerComposeFile": "compose.yaml", "service": "app"}\n'
COMPOSE = """\
services:
  app:
    build: .
"""
DOCKERFILE = """\
FROM debian:12
STOPSIGNAL SIGKILL
COPY message /message
CMD ["sleep", "infinity"]
"""


def run(*argv: str, cwd: Path | None = None, timeout: float = 120, text: str | None = None) -> str:
    """Run a command of the lab's own and return its stdout; it must succeed."""
    ended = subprocess.run(argv, check=False, cwd=cwd, capture_output=True, text=True, timeout=timeout, input=text)
    assert ended.returncode == 0, f"{' '.join(argv)} exited {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def docker(*words: str, timeout: float = 120, text: str | None = None) -> str:
    """Run docker on this machine."""
    return run("docker", *words, timeout=timeout, text=text)


def has_image(reference: str) -> bool:
    """Whether the engine here has an image."""
    return bool(docker("image", "ls", "--quiet", reference).strip())


def is_listening(port: int) -> bool:
    """Whether anything answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: str, condition: Any, seconds: float = 30) -> None:
    """Ask again and again until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Host:
    """A host of the lab, looked at from outside: through the engine that it is a container of."""

    name: str
    container: str
    port: int
    key: Path

    def run(self, script: str, text: str | None = None, timeout: float = 60) -> str:
        """Run a shell script as root there, and return its stdout."""
        flags = ("--interactive",) if text is not None else ()
        return docker("exec", *flags, self.container, "sh", "-c", script, text=text, timeout=timeout)

    def says(self, script: str) -> bool:
        """Whether a script ends with 0 there."""
        argv = ("docker", "exec", self.container, "sh", "-c", script)
        return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0

    def containers(self, stack: str) -> dict[str, dict[str, Any]]:
        """Return what `docker inspect` says of a stack's containers, by service."""
        ids = self.run(f"docker ps --all --quiet --filter label=com.docker.compose.project={stack}").split()
        found = json.loads(self.run(f"docker inspect {' '.join(ids)}")) if ids else []
        return {item["Config"]["Labels"]["com.docker.compose.service"]: item for item in found}

    def states(self, stack: str) -> dict[str, str]:
        """Return each service's state: `running healthy`, `running`, `exited 3`."""
        return {service: _state(item["State"]) for service, item in self.containers(stack).items()}

    def started(self, stack: str) -> dict[str, str]:
        """Return when each container was started."""
        return {service: item["State"]["StartedAt"] for service, item in self.containers(stack).items()}

    def images(self, stack: str) -> dict[str, str]:
        """Return the image that each service was started from, with the tag that the current release has it by."""
        listed = self.run(f"cat ~/.kamal-dev/{stack}/current/.kamal-dev/images 2>/dev/null || true").split()
        tagged = (reference.partition("@") for reference in listed if "@" in reference)
        tags = {f"{name.rpartition(':')[0]}@{digest}": name for name, _, digest in tagged}
        started = {service: item["Config"]["Image"] for service, item in self.containers(stack).items()}
        return {service: tags.get(image, image) for service, image in started.items()}


def _state(state: Mapping[str, Any]) -> str:
    if state["Status"] == "exited":
        return f"exited {state['ExitCode']}"
    return " ".join(filter(None, (state["Status"], state.get("Health", {}).get("Status", ""))))


def heard(line: str) -> str | None:
    """Return an event of `--json` as people read it; None for any other line. Each line is what the schema says."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict) or "schema" not in data:
        return None
    publish.validator().validate(data)
    if data["type"] != "event":
        return None
    known = {name: value for name, value in data.items() if name not in ("type", "schema", "log")}
    event = Event(**known, log=tuple(data.get("log", ())))
    how_far = f" ({progress(event)})" if event.status == "progress" else ""
    return "".join(f"{text}\n" for text in (f"{render(event, full=True)}{how_far}", *explained(event)))


def ended(code: int, stdout: str, stderr: str, argv: tuple[str, ...]) -> Ended:
    """Return how a command ended; the events of `--json` are told as if people had read them on stderr."""
    lines = stdout.splitlines(keepends=True)
    texts = [heard(line) for line in lines]
    rest = "".join(line for line, text in zip(lines, texts, strict=True) if text is None)
    return Ended(code, rest, "".join(filter(None, texts)) + stderr, argv)


@dataclass(frozen=True)
class Ended:
    """How a `dev` command ended."""

    code: int
    stdout: str
    stderr: str
    argv: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that it said."""
        return self.stdout + self.stderr

    @property
    def json(self) -> Any:
        """What it printed on stdout with `--json`."""
        return json.loads(self.stdout)

    @property
    def stacks(self) -> dict[str, dict[str, Any]]:
        """The stacks of a report, by name."""
        return {stack["stack"]: stack for stack in self.json["stacks"]}

    def steps(self, where: str = "") -> list[str]:
        """The commands that `--verbose` showed, of a host or of this machine."""
        return re.findall(rf"^(?:\d\d:\d\d:\d\d )?{re.escape(where)}\$ (.*)$", self.stderr, re.MULTILINE)

    def __str__(self) -> str:
        return f"$ {' '.join(self.argv)}\nexit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Listening(subprocess.Popen[str]):
    """A process that ends with its block at the latest: a test that fails there must not wait for it."""

    def read_until(self, words: str) -> str:
        """Return what it prints on stderr up to the line that contains these words."""
        assert self.stderr
        said = ""
        while words not in said:
            line = self.stderr.readline()
            assert line, said
            said += line
        return said

    def __exit__(self, *given: Any) -> None:
        self.kill()
        super().__exit__(*given)


@dataclass(frozen=True)
class Repository:
    """A git repository with a devcontainer, in which `dev` is run as a user runs it."""

    root: Path
    service: str
    temporary: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files, by their path in the repository."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: Mapping[str, str] | None = None) -> str:
        """Write files and commit everything; returns the SHA."""
        self.write(files or {})
        git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
        run(*git, "add", "--all", cwd=self.root)
        run(*git, "commit", "--quiet", "--allow-empty", "--message", "Change", cwd=self.root)
        return self.sha

    @property
    def sha(self) -> str:
        """The commit that is checked out."""
        return run("git", "rev-parse", "HEAD", cwd=self.root).strip()

    def stack(self, index: int = 1) -> str:
        """Name a stack."""
        return f"{self.service}-{index}"

    def image(self, version: str = "") -> str:
        """Name the main image, for the registry that config/dev.yml names."""
        server = re.search(r"server: *(\S+)", (self.root / "config/dev.yml").read_text())
        assert server
        return f"{server[1]}/{self.service}-dev:{version or self.sha}"

    def start(self, *words: str, stdout: IO[str] | int = subprocess.DEVNULL) -> Listening:
        """Start `dev` and return the process; its stderr is to be read line by line."""
        return Listening(
            (sys.executable, "-c", LISTENING, DEV, *words),
            cwd=self.root,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def variables(self, **environment: str) -> dict[str, str]:
        """Return the environment that `dev` gets: that of the tests, and a folder for temporary files."""
        return {**os.environ, "TMPDIR": str(self.temporary), **self.environment, **environment}

    def attempt(self, *words: str, timeout: float = 300, **environment: str) -> Ended:
        """Run `dev`, however it ends."""
        done = dev.run(words, cwd=self.root, env=self.variables(**environment), timeout=timeout)
        return ended(done.returncode, done.stdout, done.stderr, ("dev", *words))

    def dev(self, *words: str, code: int = 0, timeout: float = 300, **environment: str) -> Ended:
        """Run `dev`; it must end with `code`, without a traceback, and leave no temporary file."""
        done = self.attempt(*words, timeout=timeout, **environment)
        assert done.code == code, str(done)
        assert "Traceback" not in done.text, str(done)
        assert "defect of kamal-dev" not in done.text, str(done)
        assert self.leftovers == [], f"{self.leftovers} left by {done}"
        return done

    def deploy(self, *words: str, code: int = 0, **environment: str) -> Ended:
        """Run `dev deploy --json`."""
        return self.dev("deploy", "--json", *words, code=code, **environment)

    @property
    def leftovers(self) -> list[str]:
        """The temporary files that `dev` left."""
        return sorted(str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*"))


class Lab:
    """Makes repositories, and knows what to remove in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Kept connections have their sockets there, or in the folder for temporary files, which is to be empty.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        self.password = f"pg-{secrets.token_hex(12)}"
        self.token = f"bt-{secrets.token_hex(12)}"
        self._taken: set[int] = set()
        self._made: list[str] = []
        self.registry = f"localhost:{self.free_port()}"

    def free_port(self) -> int:
        """Return a port for a registry, from the few that are this prefix's."""
        port = next(port for port in PORTS if port not in self._taken and not is_listening(port))
        self._taken.add(port)
        return port

    def repository(
        self, name: str, files: Mapping[str, str], source: Path | None = None, **environment: str
    ) -> Repository:
        """Make a repository with one commit, from a folder or from files alone."""
        root, temporary = self.folder / name, self.folder / f"{name}.tmp"
        if source:
            shutil.copytree(source, root, ignore=shutil.ignore_patterns("local", "secrets"))
        root.mkdir(exist_ok=True)
        temporary.mkdir()
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=root)
        repository = Repository(root, f"{PREFIX}-{name}", temporary, environment)
        repository.commit(files)
        self._made.append(repository.service)
        return repository

    def guestbook(self) -> Repository:
        """Make the example, with a build secret, for hosts that `dev` makes."""
        dockerfile = (EXAMPLE / ".devcontainer/Dockerfile").read_text()
        secret = "RUN --mount=type=secret,id=BUILD_TOKEN,mode=0444 test -s /run/secrets/BUILD_TOKEN\nCMD "
        settings = (EXAMPLE / "config/dev.yml").read_text()
        settings = re.sub(r"service: .*", f"service: {PREFIX}-guestbook", settings)
        settings = re.sub(r"server: .*", f"server: {self.registry}", settings)
        # Hosts without Docker, as people's own may be; those of the provider's own image have it.
        settings = re.sub(r"type: docker.*", f"type: docker\n  image: {bare()}", settings)
        files = {
            ".devcontainer/Dockerfile": dockerfile.replace("CMD ", secret),
            "config/dev.yml": settings + "\nbuild:\n  secrets: [BUILD_TOKEN]\n",
        }
        repository = self.repository("guestbook", files, EXAMPLE, BUILD_TOKEN=self.token)
        private = repository.root / ".kamal/secrets"
        private.write_text(f"POSTGRES_PASSWORD={self.password}\n")
        private.chmod(0o600)
        return repository

    def small(
        self,
        name: str,
        hosts: Iterable[Host | str],
        files: Mapping[str, str] | None = None,
        *,
        compose: str = COMPOSE,
        settings: str = "",
        registry: str = "",
        **environment: str,
    ) -> Repository:
        """Make a repository with one service that sleeps, for hosts that are there already.

        A host may be given as text, `user@address:port`. `settings` is added to config/dev.yml.
        """
        given = list(hosts)
        keys = [str(host.key) for host in given if isinstance(host, Host)]
        listed = [host if isinstance(host, str) else f"root@127.0.0.1:{host.port}" for host in given]
        server = registry if "server:" in registry else f"server: {registry or self.registry}"
        config = f"""\
service: {PREFIX}-{name}
registry:
  {server}
provider: {{type: static, hosts: {json.dumps(listed)}}}
ssh: {{keys: {json.dumps(keys[:1])}}}
deploy: {{window: 1, timeout: 60}}
vms: {{count: {len(listed)}}}
{settings}
"""
        base = {
            "config/dev.yml": config,
            ".gitignore": ".kamal/\n",
            ".devcontainer/devcontainer.json": DEVCONTAINER,
            ".devcontainer/compose.yaml": compose,
            ".devcontainer/Dockerfile": DOCKERFILE,
            ".devcontainer/message": f"{name}\n",
        }
        return self.repository(name, {**base, **(files or {})}, **environment)

    def made_hosts(self, repository: Repository, count: int = 1) -> str:
        """Return the text of a config/dev.yml for hosts that `dev` makes, and that have Docker from the start."""
        return f"""\
service: {repository.service}
registry: {{server: {self.registry}}}
provider: {{type: docker, image: {prepared()}}}
deploy: {{window: 1}}
vms: {{count: {count}}}
"""

    def hosts(self, repository: Repository) -> tuple[Host, ...]:
        """Return the hosts that `dev` made for a repository."""
        label = f"label=kamal-dev.service={repository.service}"
        shown = '{{.ID}} {{.Label "kamal-dev.host"}}'
        rows = [line.split() for line in docker("ps", "--filter", label, "--format", shown).splitlines()]
        key = repository.root / ".kamal/local/id_ed25519"
        found = (Host(name, container, _port(container), key) for container, name in rows)
        return tuple(sorted(found, key=lambda host: host.name))

    def tidy(self, lasting: str) -> None:
        """Remove the hosts that were made for repositories since the last call, and their stacks on those of `lasting`.

        A stack that stays costs all later tests: each check of its health takes half a second of a core.
        """
        services = [service for service in self._made if service != lasting]
        self._made = []
        remove_hosts(*services)
        label = f"label=kamal-dev.service={lasting}"
        shared = docker("ps", "--quiet", "--filter", label).split() if services else []
        end = ("sh", "-c", END_STACKS, "sh", *services)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda container: docker("exec", container, *end, timeout=300), shared))


def _port(container: str) -> int:
    return int(docker("port", container, "22/tcp").splitlines()[0].rpartition(":")[2])


def clean() -> None:
    """Remove every container, volume and image that a run of this prefix made, by id or name."""
    remove_hosts(f"{PREFIX}-")
    mine = docker("ps", "--all", "--quiet", "--filter", f"label=kamal-dev.test={PREFIX}").split()
    registries = [f"kamal-dev-registry-{port}" for port in PORTS]
    mine += [name for name in docker("ps", "--all", "--format", "{{.Names}}").split() if name in registries]
    remove(*mine)
    volumes = [name for name in docker("volume", "ls", "--quiet").split() if name in registries]
    if volumes:
        docker("volume", "rm", *volumes)
    shown = "{{.Repository}}:{{.Tag}} {{.ID}}"
    rows = (line.split() for line in docker("image", "ls", "--format", shown).splitlines())
    # An image whose tag has gone to another one has no name.
    images = [identity if "<none>" in name else name for name, identity in rows if f"/{PREFIX}-" in name]
    if images:
        docker("image", "rm", "--force", *images)


def remove_hosts(*services: str) -> None:
    """Remove the hosts of every service whose name begins like one of these."""
    shown = '{{.ID}} {{.Label "kamal-dev.service"}}'
    rows = docker("ps", "--all", "--filter", "label=kamal-dev.service", "--format", shown).splitlines()
    ids = [row.split()[0] for row in rows if row.split()[1].startswith(services)]
    remove(*ids)
