"""How long ssh waits for a host, and that it ends with whoever reads it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from kamal_dev.model import Host
from kamal_dev.shell import openssh
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way


def test_ssh_gives_up_a_silent_host_after_four_and_a_half_times_the_patience() -> None:
    host = Host("blog-1", "10.0.0.1", proxy_jump="bastion")
    words = openssh.options(way(host, Trust(Path("/known"), read_ssh_config=False, connect_timeout=10)))
    assert {"ServerAliveInterval=15", "ServerAliveCountMax=2"} < set(words)
    # The jump host has its own seconds, and is to blame where it lets them pass.
    assert "ConnectTimeout=20" in words
    (outer,) = [word for word in words if word.startswith("ProxyCommand=")]
    assert "ServerAliveInterval=15" in outer
    assert "ConnectTimeout=10" in outer


def test_a_program_that_takes_over_ends_when_nobody_reads_it() -> None:
    # Python ignores SIGPIPE; `dev ssh … | head` would not end if ssh did so too.
    script = "from kamal_dev.shell.openssh import become; become(('cat', '/proc/self/status'))"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    (ignored,) = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("SigIgn:")]
    assert not int(ignored, 16) & 1 << (signal.SIGPIPE - 1)
