"""Run the ssh that the user asked for: replace this process, or pass on its output if there is no terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from functools import partial

from kamal_dev.errors import DevError, NoAnswer
from kamal_dev.shell import frame, openssh
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes
from kamal_dev.shell.way import Way
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Session:
    """Hold an ssh command line; without a terminal, its output is in the frame of `mark`."""

    host: str
    words: tuple[str, ...]
    mark: Frame | None = None

    @classmethod
    def of(cls, host: str, way: Way, command: tuple[str, ...], *, has_terminal: bool) -> Session:
        """Return the session that runs `command`; a script that reads its output gets no output of start-up files."""
        if has_terminal:
            return cls(host, openssh.argv(way, ("-t",), command))
        mark = Frame.new()
        return cls(host, openssh.argv(way, ("-T",), ("sh", "-c", mark.around(command))), mark)

    def take_over(self) -> int:
        """Replace this process, or run it and return its exit code. Raises DevError, and NoAnswer like `Remote`."""
        return _passed_on(self.host, self.words, self.mark) if self.mark else openssh.become(self.words)


def _passed_on(host: str, words: tuple[str, ...], mark: Frame) -> int:
    # The reader of our output may stop reading: then this process and ssh end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    out, err = Framed(mark, Bytes(partial(_write, 1))), Framed(mark.errors, Bytes(partial(_write, 2)))
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise DevError(f"`{words[0]}` cannot be run: {error.strerror}", hint="install the OpenSSH client") from error
    with process:
        assert process.stdout and process.stderr
        reader = threading.Thread(target=err.reads, args=(process.stderr,), daemon=True)
        reader.start()
        out.reads(process.stdout)
        out.end()
        reader.join(5)
        if out.code is not None:
            process.terminate()
            return out.code
        code = process.wait()
    err.end()
    if not out.has_begun and code != openssh.REFUSED:
        raise NoAnswer(host, frame.unanswered(code, out.noise, err.noise), hint=frame.OTHERS_ANSWER)
    _write(2, b"" if err.has_begun else err.noise)
    return code


def _write(stream: int, data: bytes) -> None:
    while data:
        data = data[os.write(stream, data) :]
