"""A terminal of tmux with a command in it, which can be resized and looked at."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path


class Terminal:
    """Run a command in a terminal; `folder` is for its files."""

    def __init__(
        self,
        argv: tuple[str, ...],
        folder: Path,
        size: tuple[int, int],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._socket, self._ended = str(folder / "tmux"), folder / "code"
        # The shell gets Ctrl-C, too.
        command = f"trap : INT; {shlex.join(argv)}; echo $? >{shlex.quote(str(self._ended))}; sleep 600"
        words = ("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "sh", "-c", command)
        self._tmux(*words, cwd=cwd, env=env)

    @property
    def lines(self) -> list[str]:
        """What the terminal shows."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    @property
    def history(self) -> list[str]:
        """What it shows and what has scrolled away; a line that the terminal has broken in two is one."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip("\n").split("\n")

    @property
    def coloured(self) -> str:
        """What it shows, with the escape sequences of colours."""
        return self._tmux("capture-pane", "-p", "-e")

    @property
    def code(self) -> int | None:
        """The exit code of the command, once it has ended."""
        text = self._ended.read_text() if self._ended.is_file() else ""
        return int(text) if text else None

    def press(self, key: str) -> None:
        """Press a key, as tmux names it: `C-c`."""
        self._tmux("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        """Change the size."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        """End the terminal, and what runs in it."""
        self._tmux("kill-server")

    def _tmux(self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        argv = ("tmux", "-S", self._socket, *words)
        ended = subprocess.run(argv, check=False, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout
