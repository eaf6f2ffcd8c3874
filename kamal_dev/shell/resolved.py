"""Ask ssh for its configuration of a host. Decides nothing."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.pattern import pattern
from kamal_dev.shell import quoting
from kamal_dev.shell.fanout import once
from kamal_dev.shell.trust import Trust

ANSWER = 30  # seconds; a `Match exec` of the user may query a network
# Other options of ssh_config that affect how a connection is made. Forwards, terminals and the like are for people.
OTHERS = (
    *("bindaddress", "bindinterface", "casignaturealgorithms", "ciphers", "compression", "gssapiauthentication"),
    *("hostkeyalgorithms", "ipqos", "kexalgorithms", "knownhostscommand", "macs", "pkcs11provider"),
    *("preferredauthentications", "pubkeyacceptedalgorithms", "pubkeyauthentication", "rekeylimit"),
    *("requiredrsasize", "revokedhostkeys", "securitykeyprovider", "verifyhostkeydns"),
)
PATHS = ("pkcs11provider", "revokedhostkeys", "securitykeyprovider")
_TOKEN = pattern(r"%(.)")
_EXPANDED = pattern(r"%|\$\{|~[^/]")


def asked(host: Host, trust: Trust) -> tuple[str, ...]:
    """Return the settings of config/dev.yml for a host, as options of ssh."""
    settings = [
        ("User", quoting.quoted(host.user) if host.user else ""),
        ("Port", str(host.port or "")),
        ("ProxyJump", host.proxy_jump),
    ]
    settings += [("IdentityFile", quoting.path(str(key))) for key in host.keys]
    settings += [("IdentitiesOnly", "yes" if host.keys else "")]
    words = [word for name, value in settings if value for word in ("-o", f"{name}={value}")]
    return (*(() if trust.read_ssh_config else ("-F", "none")), *words)


class Resolved:
    """Hold the output of `ssh -G` for a host. Raises HostUnreachable if there is none."""

    def __init__(self, host: Host, trust: Trust) -> None:
        self._stack = host.name
        self._ask = (*asked(host, trust), "--", host.address)
        self._said = _said(host.name, self._ask)

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of an option that may be given several times."""
        return tuple(self._said.get(name, ()))

    def one(self, name: str, otherwise: str = "") -> str:
        """Return the value of an option."""
        return next(iter(self.all(name)), otherwise)

    def paths(self, name: str) -> tuple[str, ...]:
        """Return the existing files, because ssh skips the others; a private key may be in the agent only."""
        given = (self._path(item) for item in self.all(name) if item.lower() != "none")
        return tuple(item for item in given if Path(item).exists() or Path(f"{item}.pub").exists())

    def files(self, name: str) -> tuple[str, ...]:
        """Return a list of paths. ssh prints them without quotes, so the longest pieces that exist are taken."""
        words, files = re.split(" (?=[/~])", " ".join(self.all(name))), []
        while words:
            ends = (end for end in range(len(words), 1, -1) if Path(" ".join(words[:end])).exists())
            end = next(ends, 1)
            files.append(" ".join(words[:end]))
            words = words[end:]
        # Before OpenSSH 9, `~` is not expanded here.
        files = [_home() + item[1:] if item.startswith("~/") else item for item in files]
        return tuple(item for item in files if item not in ("", "none"))

    def others(self) -> tuple[tuple[str, str], ...]:
        """Return the settings that differ from ssh's defaults."""
        default = {name: "\n".join(values) for name, values in _default().items()}
        given = [(name, self.one(name)) for name in OTHERS]
        changed = [(name, value) for name, value in given if value and value != default.get(name)]
        return tuple((name, _as_written(name, value, default.get(name, ""))) for name, value in changed)

    def _path(self, item: str) -> str:
        if _EXPANDED.search(item):
            # ssh prints these as written, except ControlPath, which uses the same tokens and is printed expanded.
            item = _said(self._stack, ("-o", f"ControlPath={quoting.quoted(item)}", *self._ask))["controlpath"][0]
        return _home() + item[1:] if item.startswith("~/") else item

    def tokens(self, name: str) -> str:
        """Return ProxyCommand or ProxyJump with its tokens replaced. Source: ssh_config(5), TOKENS."""
        values = {"%": "%", "h": self.one("hostname"), "n": self._ask[-1], "p": self.one("port"), "r": self.one("user")}
        return _TOKEN.sub(lambda match: values.get(match[1], match[0]), self.one(name))


def _said(stack: str, words: Sequence[str]) -> dict[str, list[str]]:
    """Return the output of `ssh -G`. Raises HostUnreachable with ssh's message, which names file and line."""
    try:
        done = subprocess.run(
            ("ssh", "-T", "-G", *words), check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER
        )
    except FileNotFoundError as error:
        hint = "install the OpenSSH client"
        raise HostUnreachable(stack, "`ssh` is not installed on this machine", hint=hint) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        hint = "a `Match exec` in ~/.ssh/config may be blocking"
        raise HostUnreachable(stack, f"`ssh -G {words[-1]}` gave no answer: {error}", hint=hint) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").splitlines()
        reason = "; ".join(line for line in lines if ": terminating, " not in line) or f"it exited {done.returncode}"
        hint = "fix the file, or set `ssh.config: false` in config/dev.yml to ignore it"
        raise HostUnreachable(stack, f"ssh cannot read its configuration: {reason}", hint=hint)
    answers: dict[str, list[str]] = {}
    for line in os.fsdecode(done.stdout).splitlines():
        name, _, value = line.partition(" ")
        answers.setdefault(name, []).append(value)
    return answers


def _as_written(name: str, value: str, default: str) -> str:
    """Return a value in the form it has in ssh_config."""
    if name in PATHS:
        return quoting.quoted(value)
    ours, theirs = value.split(","), default.split(",")
    if name == "hostkeyalgorithms" and set(theirs) <= set(ours):
        # A full list would disable ssh's own order, in which the known key types of a host come first.
        return "+" + ",".join(item for item in ours if item not in theirs)
    return value


@once
def _default() -> dict[str, list[str]]:
    return _said("", ("-F", "none", "--", "localhost"))


def _home() -> str:
    # Like ssh, which does not use HOME.
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return str(Path.home())
