"""Faults 11, 26, 29, 32 and 33: `dev` itself, and the machine it runs on."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.faults.standing import DOCKERFILE, Standing
from tests.faults.table import Fault, produces
from tests.faults.test_services import BACK, LOOPS, app
from tests.real.lab import DEV, Ended, run

NOISE = r"""
busybox yes "$(printf '{}')" | busybox tr -d '\n' | busybox head -c {}000000
printf '\n\033[2J\377\000\007<<end'
busybox sleep 0.2
exit 7
"""
GOES_ON = "Interrupted. Work already started on hosts may still finish; `dev status` shows what is running"


@produces(
    Fault(
        11,
        "A service prints megabytes in one line, invalid UTF-8 and escape sequences",
        sees=f"app: crash loop: …<<end …{BACK}",
        do=LOOPS,
        how=(r"\033[31m\377", 3),
        is_slow=True,
    ),
    Fault(
        11,
        "A service prints a gigabyte",
        sees=f"app: crash loop: …a line without an end …{BACK}",
        do=LOOPS,
        how=("a line without an end ", 1000),
        is_slow=True,
    ),
)
def test_what_a_service_says_must_neither_hang_nor_garble(standing: Standing, fault: Fault) -> None:
    before = standing.version
    files = {
        ".devcontainer/noise.sh": NOISE.format(*fault.how),
        ".devcontainer/Dockerfile": DOCKERFILE.replace("CMD", "COPY noise.sh /noise.sh\nCMD"),
    }
    # It takes its time to say all that, and the disk of the host has no room for it.
    settings = (standing.repository.root / "config/dev.yml").read_text()
    files["config/dev.yml"] = settings.replace("window: 1, timeout: 20", "window: 90, timeout: 180")
    limit = "{driver: json-file, options: {max-size: 1m}}"
    standing.change({**app(command="[/bin/busybox, sh, /noise.sh]", logging=limit), **files})
    ended = standing.deploy()
    fault.told(ended)
    assert not set("\x1b\x07\x00") & set(ended.stderr + ended.stdout)
    assert len(ended.text) < 100_000
    standing.still_holds(ended, state="failed", version=before)
    standing.back()
    standing.endures()


MOMENTS = (
    *("Building", "Pushing", "Uploading the release", "Pulling images"),
    *("Starting containers", "Waiting for containers to become healthy"),
)


@produces(
    *(
        Fault(
            26,
            f"`dev` is killed (SIGKILL) while it shows `{moment}`",
            sees=moment,
            how=(signal.SIGKILL, moment),
            is_slow=True,
        )
        for moment in MOMENTS
    ),
    *(
        Fault(
            26,
            f"Ctrl-C while `dev` shows `{moment}`",
            sees=f"{moment} …{GOES_ON}",
            how=(signal.SIGINT, moment),
            is_slow=True,
        )
        for moment in MOMENTS
    ),
    *(
        Fault(
            26,
            f"`dev` receives SIGTERM while it shows `{moment}`",
            sees=f"{moment} …{GOES_ON}",
            how=(signal.SIGTERM, moment),
            is_slow=True,
        )
        for moment in MOMENTS
    ),
)
def test_an_end_in_the_middle_must_leave_what_the_next_deploy_goes_on_from(standing: Standing, fault: Fault) -> None:
    number, moment = fault.how
    standing.change()
    standing.front.fault = "slow" if moment == "Pulling images" else ""
    running = standing.start()
    running.wait_for(moment)
    running.process.send_signal(number)
    ended = running.end(-signal.SIGKILL if number is signal.SIGKILL else 130)
    fault.told(ended)
    standing.endures(leaves=number is signal.SIGKILL)


@produces(
    Fault(29, "The clock of this machine is one day ahead", sees="Deployed 1 of 1 stacks", how=86_400, is_slow=True),
    Fault(29, "The clock of this machine is one day behind", sees="Deployed 1 of 1 stacks", how=-86_400, is_slow=True),
)
def test_a_wrong_clock_must_not_matter(standing: Standing, fault: Fault, tmp_path: Path) -> None:
    skewed = f"import time\nright = time.time\ntime.time = lambda: right() + {fault.how}\n"
    (tmp_path / "sitecustomize.py").write_text(skewed)
    # The clock of a host is this machine's; what a wrong one leaves are the times of its files.
    word = "tomorrow" if fault.how > 0 else "yesterday"
    standing.host.run(f"find ~/.kamal-dev -xdev -exec touch -h -d {word} '{{}}' +")
    standing.change()
    ended = standing.repository.deploy(PYTHONPATH=str(tmp_path))
    fault.told(ended)
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@produces(
    Fault(32, "The checkout has a detached HEAD", sees="Deployed 1 of 1 stacks", how="detached", is_slow=True),
    Fault(32, "The clone is shallow", sees="Deployed 1 of 1 stacks", how="shallow", is_slow=True),
    Fault(
        32,
        "The working tree has uncommitted changes",
        sees="Deployed 1 of 1 stacks",
        how="dirty",
        is_slow=True,
    ),
    Fault(32, "The repository has a submodule", sees="Deployed 1 of 1 stacks", how="submodule", is_slow=True),
    Fault(32, "The repository has no commit yet", sees="Deployed 1 of 1 stacks", how="unborn", is_slow=True),
)
def test_a_repository_in_an_odd_state_must_deploy(standing: Standing, fault: Fault, tmp_path: Path) -> None:
    state = fault.how
    repository = standing.repository
    copy = tmp_path / repository.root.name
    run(
        "git",
        "clone",
        "--quiet",
        *(("--depth", "1") if state == "shallow" else ()),
        f"file://{repository.root}",
        str(copy),
    )
    shutil.copytree(repository.root / ".kamal", copy / ".kamal")
    if state == "detached":
        run("git", "checkout", "--quiet", "--detach", cwd=copy)
    elif state == "dirty":
        (copy / ".devcontainer/message").write_text("changed\n")
    elif state == "submodule":
        words = (
            "git",
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            f"file://{repository.root}",
            "own",
        )
        run(*words, cwd=copy)
    elif state == "unborn":
        shutil.rmtree(copy / ".git")
        run("git", "init", "--quiet", cwd=copy)
    ended = type(repository)(copy, repository.service, repository.temporary).deploy()
    fault.told(ended)
    assert ended.json["version"] == ended.stacks[standing.stack]["running"]
    standing.endures(ended, state=ended.stacks[standing.stack]["state"], version=ended.json["version"])


@produces(
    Fault(
        32,
        "git is not installed on this machine",
        sees="git is not installed, and …is a git repository",
        do="install git, or add its folder to PATH",
    )
)
def test_a_repository_without_git_here_must_be_refused_before_anything_is_built(
    standing: Standing, fault: Fault, tmp_path: Path
) -> None:
    before = standing.version
    standing.change()
    ended = standing.repository.deploy(code=1, PATH=_path_without_git(tmp_path))
    fault.told(ended)
    assert ended.stderr.startswith("error: "), "nothing was built"
    standing.endures(version=before)


def _path_without_git(folder: Path) -> str:
    path = folder / "bin"
    path.mkdir()
    for name in ("docker", "sh", "ssh"):
        found = shutil.which(name)
        assert found
        (path / name).symlink_to(found)
    return str(path)


@produces(
    Fault(
        33,
        "HOME, terminal and locale are missing (`LANG=C`, `TERM=dumb`), and stdin is closed",
        sees="Deployed 1 of 1 stacks",
    )
)
def test_a_bare_environment_must_be_enough(standing: Standing, fault: Fault) -> None:
    standing.change()
    scant = f"exec env -u HOME LANG=C LC_ALL=C TERM=dumb {DEV} deploy <&-"
    import subprocess

    repository = standing.repository
    done = subprocess.run(
        ("sh", "-c", scant),
        cwd=repository.root,
        env=repository.variables(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode(), ("dev", "deploy"))
    assert ended.code == 0, str(ended)
    fault.told(ended)
    standing.endures(version=repository.sha)
