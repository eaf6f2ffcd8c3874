"""What the tests of the host scripts share: hosts, steps run on them, releases."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import time
from dataclasses import dataclass, replace

from kamal_dev.commands import answers, events
from kamal_dev.commands.facts import Facts
from kamal_dev.model import File, Release, StartedService, Step, Version

# Two runs on one engine need two prefixes: a run removes the hosts that an earlier one of its prefix left.
PREFIX = os.environ.get("KAMAL_DEV_TEST_PREFIX", "kamal-dev-test")
LABEL = f"kamal-dev.test={PREFIX}-host"
TINY = "kamal-dev-test/tiny:1"
# Static, so that the image is small enough to be sent to hosts in no time.
TINY_DOCKERFILE = b"""FROM debian:12 AS tools
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static
FROM scratch
COPY --from=tools /bin/busybox /bin/busybox
COPY --from=tools /bin/busybox /bin/sh
CMD ["/bin/busybox", "sleep", "1000000"]
"""
USERS = """
useradd --create-home --shell /bin/sh dev && echo 'dev ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/dev
useradd --create-home --shell /bin/sh --groups sudo asked
useradd --create-home --shell /bin/sh nobody-special
"""
# What a first boot is like: apt and dpkg are busy, and cloud-init ends with an error that it can live with.
FIRST_BOOT = """
cat >/usr/local/bin/cloud-init <<'END'
#!/bin/sh
echo "$*" >>/tmp/cloud-init.calls
exit 2
END
chmod 755 /usr/local/bin/cloud-init
perl -MFcntl -e '
  for my $file (@ARGV) {
    open($open{$file}, ">>", $file) or die;
    my $lock = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
    fcntl($open{$file}, F_SETLK, $lock) or die "$file: $!";
  }
  open(my $ready, ">", "/tmp/locked");
  sleep 6;
' /var/lib/apt/lists/lock /var/lib/dpkg/lock-frontend >/dev/null 2>&1 &
until [ -f /tmp/locked ]; do sleep 0.1; done
"""
numbers = itertools.count()


def token() -> str:
    return f"test-{os.getpid()}-{time.monotonic_ns()}-{next(numbers)}"


@dataclass(frozen=True)
class Answer:
    code: int
    output: str
    errors: str
    seconds: float

    @property
    def outcome(self) -> events.ScriptResult:
        return answers.outcome(self.output)

    @property
    def facts(self) -> Facts:
        facts = answers.facts(self.output)
        assert facts, self
        return facts


@dataclass(frozen=True)
class Lab:
    """A container that is a host; steps reach it by `docker exec`."""

    name: str

    def run(self, step: Step, user: str = "root", stdin: bytes | None = None) -> Answer:
        started = time.monotonic()
        done = subprocess.run(
            [*self.exec(user), *step.argv],
            input=stdin or step.stdin or b"",
            capture_output=True,
            timeout=600,
            check=False,
        )
        output, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Answer(done.returncode, output, errors, time.monotonic() - started)

    def exec(self, user: str = "root") -> list[str]:
        home = "/root" if user == "root" else f"/home/{user}"
        return ["docker", "exec", "--interactive", "--user", user, "--env", f"HOME={home}", self.name]

    def sh(self, script: str, user: str = "root", check: bool = True) -> str:
        """Run a line of shell there and return what it printed."""
        done = subprocess.run(
            [*self.exec(user), "sh", "-c", script], capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, done
        return done.stdout.strip()


@dataclass(frozen=True)
class Bootstrapped:
    lab: Lab
    before: Facts
    refused: Answer
    first: Answer
    second: Answer


SLEEP = '["/bin/busybox", "sleep", "1000000"]'


def service(command: str = SLEEP, **keys: str) -> str:
    """Write a service of the tiny image; `keys` are further YAML values."""
    lines = (f"    {key}: {value}\n" for key, value in keys.items())
    return f"    image: {TINY}\n    init: true\n    command: {command}\n{''.join(lines)}"


def release(
    stack: str,
    version: str,
    *,
    extra: str = "",
    files: tuple[File, ...] = (),
    image: str = TINY,
    started: tuple[StartedService, ...] = (),
    networks: tuple[str, ...] = (),
    **services: str,
) -> Release:
    """Make a release of these services, as `compose` would render it."""
    text = "services:\n" + "".join(f"  {name}:\n{body}" for name, body in services.items()) + extra
    env = f"COMPOSE_FILE=compose.yaml\nCOMPOSE_PROJECT_NAME={stack}\n"
    members = (File("compose.yaml", text.encode()), File(".env", env.encode(), 0o600), *files)
    digest = hashlib.sha256(repr([(file.path, file.mode, file.content) for file in members]).encode()).hexdigest()
    known = Release(f"{version}-{digest[:8]}", stack, Version(version), digest, members, third_party=(image,))
    return replace(known, started=started, networks=networks)


def is_running(facts: Facts | None, release: Release) -> bool:
    """Whether this very release is the current one, and all of it is up."""
    current = facts.release if facts and facts.intact else None
    return current is not None and (current.id, current.digest) == (release.id, release.digest)
