"""Faults 20 to 25: a release that comes up badly, or not at all."""

from __future__ import annotations

from tests.faults.standing import COMPOSE, DOCKERFILE, FILE, Standing
from tests.faults.table import Fault, produces

FIX = "fix the service and deploy again; `dev status` shows what is running"
LOOPS = "fix the service and deploy again; if it waits for another service by restarting, raise `deploy.restarts`"
BACK = "left behind: the last good release is running again"
BASE = COMPOSE.format(database=FILE.compose)
SHELL = "[/bin/busybox, sh, -c, {}]"
# The head of a program for another kind of processor: what counts is at its offset 18.
HEAD = r"\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000\001\000\000\000"
FOREIGN = f"RUN printf '{HEAD}' >/foreign && busybox chmod 755 /foreign\n"


def app(**keys: str) -> dict[str, str]:
    """Write a compose file in which the main service has these keys as well."""
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return {".devcontainer/compose.yaml": BASE.replace("    build: .\n", f"    build: .\n{lines}")}


def other(**keys: str) -> dict[str, str]:
    """Write a compose file with one more service."""
    lines = "".join(f"    {key}: {value}\n" for key, value in {"image": FILE.image, **keys}.items())
    return {".devcontainer/compose.yaml": BASE.replace("services:\n", f"services:\n  other:\n{lines}")}


def shell(words: str) -> str:
    """Write a command of the one program that the image has."""
    return SHELL.format(f'"{words}"')


@produces(
    Fault(
        20,
        "A program in the image is built for another processor",
        sees=f"app: …exec format error …{BACK}",
        do=LOOPS,
        how={
            ".devcontainer/compose.yaml": BASE.replace("init: true", "init: false", 1),
            ".devcontainer/Dockerfile": DOCKERFILE.replace("CMD", FOREIGN + "CMD").replace("/bin/busybox", "/foreign"),
        },
        is_slow=True,
    ),
    Fault(
        22,
        "A service crashes repeatedly",
        sees=f"app: crash loop: restarted … times, last exit code 7 last words …{BACK}",
        do=LOOPS,
        how=app(command=shell("echo last words; exit 7")),
        is_slow=True,
    ),
    Fault(
        23,
        "A service never becomes healthy",
        sees=f"app: its health check fails …{BACK}",
        do=FIX,
        how=app(healthcheck="{test: [CMD, /bin/busybox, 'false'], interval: 0.5s, retries: 2}"),
        is_slow=True,
    ),
    Fault(
        24,
        "A one-shot service exits with code 1",
        sees=f"other: exited with code 1 no luck …{BACK}",
        do=FIX,
        how=other(command=shell("echo no luck; exit 1")),
        is_slow=True,
    ),
    Fault(
        25,
        "A service exceeds its memory limit and is killed",
        sees=f"other: out of memory: exited with code 137 …{BACK}",
        do=FIX,
        how=other(mem_limit="8m", memswap_limit="8m", command="[/bin/busybox, tail, /dev/zero]"),
        is_slow=True,
    ),
)
def test_a_release_that_falls_must_be_put_back(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change(fault.how)
    ended = standing.deploy()
    fault.told(ended)
    assert ended.stacks[standing.stack]["running"] == before, str(ended)
    standing.still_holds(ended, state="failed", version=before)
    standing.back()
    standing.endures()


@produces(
    Fault(
        24,
        "A one-shot service exits with code 0",
        sees="Deployed 1 of 1 stacks",
        how=other(command=shell("exit 0")),
        is_slow=True,
    )
)
def test_a_one_shot_that_ends_well_must_not_be_called_a_failure(standing: Standing, fault: Fault) -> None:
    standing.change(fault.how)
    ended = standing.deploy(code=0)
    fault.told(ended)
    assert standing.host.states(standing.stack)["other"] == "exited 0"
    standing.change({".devcontainer/compose.yaml": BASE})
    standing.endures()


@produces(
    Fault(
        20,
        "An image is built for another platform than the host's",
        sees="is an image for linux/arm64, but the host is linux/… …Nothing was deployed: no host can take the release",
        do="build it for the host too: `build.platform: linux/…` in config/dev.yml",
        how=app(platform="linux/arm64"),
        is_slow=True,
    ),
    Fault(
        21,
        "A published port is already in use on the host",
        sees="port `127.0.0.1:22/tcp` is held by a process outside containers …left behind: nothing was changed",
        do="publish another port in the compose file …",
        how=app(ports='["127.0.0.1:22:22"]'),
        is_slow=True,
    ),
)
def test_a_release_that_the_host_cannot_take_must_not_stop_what_runs(standing: Standing, fault: Fault) -> None:
    before = standing.version
    standing.change(fault.how)
    ended = standing.deploy()
    fault.told(ended)
    standing.still_holds(ended, state="failed", version=before)
    standing.back()
    standing.endures()
