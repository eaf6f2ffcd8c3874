"""Run `dev` as a process of its own without importing its modules again, which is most of what a short run takes.

One process imports the package and forks a child for each run. The child has its own arguments, environment, folder and
streams and runs what the entry point runs. Tests of locales, terminals and signals start the installed `dev` instead.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

LARGEST_REQUEST = 1 << 17


@dataclass(frozen=True)
class Finished:
    """Describe how a run of `dev` finished; `seconds` is processor time, `megabytes` the most it held."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    megabytes: float


def run(words: tuple[str, ...], *, cwd: Path, env: Mapping[str, str], timeout: float = 60) -> Finished:
    """Run `dev` to its end without input. Raises TimeoutExpired after killing it."""
    if "PYTHONPATH" in env.keys() - os.environ.keys():
        # Python itself reads it, as it starts.
        return _started(words, cwd, env, timeout)
    reply, theirs = socket.socketpair()
    with reply, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        with theirs, Path(os.devnull).open("rb") as stdin:
            request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode()
            streams = [stdin.fileno(), stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(_server(os.getpid()), [request], streams)
        reply.settimeout(timeout)
        with reply.makefile() as lines:
            pid = int(lines.readline())
            try:
                code, seconds, megabytes = json.loads(lines.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(("dev", *words), timeout) from None
        texts = [_content(stream) for stream in (stdout, stderr)]
    return Finished(code, texts[0], texts[1], seconds, megabytes)


def _started(words: tuple[str, ...], cwd: Path, env: Mapping[str, str], timeout: float) -> Finished:
    command = (sys.executable, "-m", "kamal_dev", *words)
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Finished(done.returncode, done.stdout, done.stderr, 0, 0)


def _content(stream) -> str:
    stream.seek(0)
    return stream.read().decode()


@cache
def _server(pid: int) -> socket.socket:
    """Start the process that forks; it ends with this one (`pid`), which alone holds the other end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-m", "tests.dev", str(theirs.fileno())),
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def serve(control: socket.socket) -> None:
    """Fork for each request until nobody is left to send one."""
    import kamal_dev

    for module in pkgutil.walk_packages(kamal_dev.__path__, "kamal_dev."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, streams, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 4)
        if not request:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _watch(json.loads(request), streams)
            return
        for stream in streams:
            os.close(stream)


def _watch(request: dict, streams: list[int]) -> None:
    """Run the request in a child; reply with its number, then with how it ended."""
    pid = os.fork()
    if pid == 0:
        _become(request, streams[:3])
    with socket.socket(fileno=streams[3]) as reply, suppress(BrokenPipeError):
        reply.sendall(f"{pid}\n".encode())
        _, status, used = os.wait4(pid, 0)
        figures = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
        reply.sendall(f"{json.dumps(figures)}\n".encode())
    os._exit(0)


def _become(request: dict, streams: list[int]) -> None:
    """Be `dev` from here on: the exit that `main` raises passes through all that called this."""
    from kamal_dev.cli import main

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 64)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace")
    sys.argv = ["dev", *request["words"]]
    main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
