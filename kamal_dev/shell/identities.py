"""Explain why ssh could not use our keys, and what to do about it. Logs in nowhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

from kamal_dev.shell.way import Way

READING = 10  # seconds


def hint(way: Way, log: str) -> str:
    """Return what to do after a host refused every key; empty if ssh has offered them all.

    `log` is the log of ssh: a key in the agent needs no file.
    """
    held = re.findall(r"Offering public key: (.*) \S+ SHA256:\S+.* agent$", log, re.MULTILINE)
    faults = (_fault(path) for path in way.identities if path not in held)
    return next(filter(None, faults), "")


def _fault(path: str) -> str:
    """Return why ssh does not use a private key, according to ssh-keygen; empty if it would."""
    words = ("ssh-keygen", "-y", "-P", "", "-f", path)
    try:
        done = subprocess.run(
            words,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READING,
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    complaint, quoted = done.stderr.decode(errors="replace"), shlex.quote(path)
    if "are too open" in complaint:
        return f"{path} is readable by others, so ssh ignores it: `chmod 600 {quoted}`"
    if "incorrect passphrase" in complaint:
        return f"{path} has a passphrase: add it to the agent: `ssh-add {quoted}`"
    return f"{path} cannot be read: Permission denied" if "Permission denied" in complaint else ""
