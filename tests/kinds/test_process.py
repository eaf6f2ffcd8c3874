"""What the host makes of a container's first process (`host/process.sh`): processes of this machine stand for it."""

from __future__ import annotations

import os
import pty
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

# What devcontainers keep containers alive with: the reference CLI's, this project's, and what people write.
REFERENCE = 'echo Container started\ntrap "exit 0" 15\n\nexec "$@"\nwhile sleep 1 & wait $!; do :; done'
OWN = "trap 'exit 0' TERM INT; true; while :; do sleep 1 & wait $!; done"
ALIVE: dict[str, tuple[str, ...]] = {
    "sleep infinity": ("sleep", "infinity"),
    "a sleep of days": ("sleep", "2d"),
    "tail of nothing": ("tail", "-f", "/dev/null"),
    "tail with a number": ("tail", "-n", "0", "-F", "/dev/null"),
    "the loop of the reference": ("/bin/sh", "-c", REFERENCE, "-"),
    "the loop of the overlay": ("/bin/sh", "-c", OWN),
    "a loop of short sleeps": ("/bin/sh", "-c", "while sleep 1; do :; done"),
    "a loop of long sleeps": ("bash", "-c", "while true; do sleep 3600; done;"),
    "a shell that waits for a sleep": ("/bin/sh", "-c", "true && sleep infinity"),
    "a sleep in the background": ("bash", "-c", "trap : TERM INT; sleep infinity & wait"),
    "a script that came to a sleep": ("bash", "-c", "sleep 0.5; tail -f /dev/null; true"),
}
AT_WORK: dict[str, tuple[str, ...]] = {
    "a sleep of seconds": ("sleep", "30"),
    "a sleep before a server": ("/bin/sh", "-c", "sleep 30; exec cat /dev/zero"),
    "such a one in bash": ("bash", "-c", "sleep 10m && exec cat /dev/zero"),
    "a shell that waits for such a one": ("/bin/sh", "-c", "sleep 4; exit 3"),
    "a loop that works": ("/bin/sh", "-c", "while sleep 1; do date >/dev/null; done"),
    "a log that is followed": ("tail", "-f", "/etc/hostname"),
    "a program": ("cat", "/dev/zero"),
    "a program beside a sleep": ("bash", "-c", "cat /dev/zero >/dev/null & sleep infinity"),
    "a script before its loop": ("/bin/sh", "-c", "cat /dev/zero >/dev/null; while :; do sleep 1 & wait $!; done"),
    "a sleep in other words": ("perl", "-e", "sleep 1000 # sleep infinity"),
}


@contextmanager
def running(*commands: tuple[str, ...]) -> Iterator[list[int]]:
    """Run programs side by side, and end them with all that they have started."""
    quiet = subprocess.DEVNULL
    processes = [subprocess.Popen(argv, stdin=quiet, stdout=quiet, start_new_session=True) for argv in commands]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture(scope="module")
def processes() -> Iterator[dict[tuple[str, ...], int]]:
    """All that the cases are about, once they have come to where they stay."""
    cases = (*ALIVE.values(), *AT_WORK.values())
    with running(*cases) as started:
        time.sleep(0.8)
        yield dict(zip(cases, started, strict=True))


def holds(tmp_path: Path, question: str, *words: str, shell: str = "dash") -> bool:
    """Whether a function of the script says yes."""
    script = f'. "$0/lib.sh"; . "$0/process.sh"; {question} "$@"'
    path = "/usr/bin:/bin"
    if shell.startswith("busybox"):
        # All programs are BusyBox's then, not the shell alone.
        subprocess.run(("busybox", "--install", "-s", tmp_path), check=False, capture_output=True)
        path = f"{tmp_path}:{path}"
    argv = (*shell.split(), "-c", script, str(FOLDER), *words)
    environment = {"HOME": str(tmp_path), "PATH": path}
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert ended.stderr == ""
    return ended.returncode == 0


@pytest.mark.parametrize("shell", SHELLS[:2])
def test_what_handles_no_signal_is_told_from_a_shell_with_a_trap_and_from_an_init(tmp_path: Path, shell: str) -> None:
    init = shutil.copy(shutil.which("sleep") or "", tmp_path / "docker-init")
    with running(("sleep", "30"), ("bash", "-c", "trap : TERM; sleep 30; true"), (str(init), "30")) as started:
        time.sleep(0.5)
        assert [holds(tmp_path, "is_heard", str(pid), "15", shell=shell) for pid in started] == [False, True, True]


@pytest.mark.parametrize("shell", SHELLS[:2])
@pytest.mark.parametrize("argv", ALIVE.values(), ids=ALIVE)
def test_what_only_keeps_itself_alive_idles(
    processes: dict[tuple[str, ...], int], tmp_path: Path, argv: tuple[str, ...], shell: str
) -> None:
    # Between two sleeps a loop is a shell that has just forked: a release asks again and again, too.
    assert any(holds(tmp_path, "idles", str(processes[argv]), shell=shell) for _ in range(10))


@pytest.mark.parametrize("shell", SHELLS[:2])
@pytest.mark.parametrize("argv", AT_WORK.values(), ids=AT_WORK)
def test_what_may_still_end_or_fail_does_not_idle(
    processes: dict[tuple[str, ...], int], tmp_path: Path, argv: tuple[str, ...], shell: str
) -> None:
    assert not holds(tmp_path, "idles", str(processes[argv]), shell=shell)


def test_a_shell_idles_at_a_terminal_and_is_about_to_end_without_one(tmp_path: Path) -> None:
    with running(("sh", "-c", "exec 0</dev/zero; exec bash")) as (pid,):
        assert not holds(tmp_path, "idles", str(pid))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("bash", ("bash", "-i"))
    try:
        assert os.read(terminal, 100)
        assert holds(tmp_path, "idles", str(pid))
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_process_that_is_gone_neither_idles_nor_listens(tmp_path: Path) -> None:
    with running(("sleep", "infinity")) as (pid,):
        pass
    assert not holds(tmp_path, "idles", str(pid))
    assert not holds(tmp_path, "listens", str(pid), "80/tcp")


@pytest.mark.parametrize("shell", SHELLS[:2])
def test_a_port_counts_once_something_listens_on_it(tmp_path: Path, shell: str) -> None:
    own = str(os.getpid())
    with closing(socket.create_server(("127.0.0.1", 0))) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        open_tcp, open_udp = f"{tcp.getsockname()[1]}/tcp", f"{udp.getsockname()[1]}/udp"
        assert holds(tmp_path, "listens", own, open_tcp, open_udp, shell=shell)
        assert holds(tmp_path, "listens", own, open_tcp.partition("/")[0], shell=shell)
        assert not holds(tmp_path, "listens", own, open_tcp, "1/tcp", shell=shell)
        assert not holds(tmp_path, "listens", own, open_tcp.replace("tcp", "udp"), shell=shell)
        with closing(socket.create_connection(tcp.getsockname())) as client:
            assert not holds(tmp_path, "listens", own, f"{client.getsockname()[1]}/tcp", shell=shell)
    assert not holds(tmp_path, "listens", own, open_tcp, shell=shell)


def test_ports_of_ipv6_count_and_those_of_the_name_server_of_the_engine_do_not(tmp_path: Path) -> None:
    own = str(os.getpid())
    with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)) as tcp:
        assert holds(tmp_path, "listens", own, f"{tcp.getsockname()[1]}/tcp")
    with closing(socket.create_server(("127.0.0.11", 0))) as names:
        assert not holds(tmp_path, "listens", own, f"{names.getsockname()[1]}/tcp")
