"""Find the way to a host once: `ssh -G` answers, and Paramiko and OpenSSH are both told its answers.

Include, Match, tokens, aliases and defaults of ssh_config are ssh's own to read; nothing else reads that file.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.shell import quoting
from kamal_dev.shell.trust import Trust

ANSWER = 30  # seconds; a `Match exec` of the user's may ask a network
MOST_HOPS = 8
# What else of ssh_config says how a connection is made. Forwards, terminals and the like are for people.
OTHERS = (
    *("bindaddress", "bindinterface", "casignaturealgorithms", "ciphers", "compression", "gssapiauthentication"),
    *("hostkeyalgorithms", "ipqos", "kexalgorithms", "knownhostscommand", "macs", "pkcs11provider"),
    *("preferredauthentications", "pubkeyacceptedalgorithms", "pubkeyauthentication", "rekeylimit"),
    *("requiredrsasize", "revokedhostkeys", "securitykeyprovider", "verifyhostkeydns"),
)
PATHS = ("pkcs11provider", "revokedhostkeys", "securitykeyprovider")
_HOP = re.compile(r"(?:(?P<user>.+)@)?(?:\[(?P<six>[^]]+)\]|(?P<name>[^@:\[\]]+))(?::(?P<port>\d+))?")
_TOKEN = re.compile(r"%(.)")
_EXPANDED = re.compile(r"%|\$\{|~[^/]")


@dataclass(frozen=True)
class Way:
    """Hold how one host is reached, and through which others.

    `stack` is whose host it is, for errors; `address` is what ssh is asked for, `hostname` where that leads.
    `identities` and `certificates` are files that exist, `missing` the keys of config/dev.yml that do not. `agent`
    is the socket of the agent as ssh_config writes it: a path, `SSH_AUTH_SOCK`, `$NAME`, or `none`. `known_hosts`
    are the files to look keys up in; `alias` is the name to look it up by, empty for the address. `vouched` is the
    only right key (`type base64`), where the provider knows it. `command` makes the connection in place of a socket.
    `others` are options for OpenSSH alone, as pairs.
    """

    stack: str
    address: str
    hostname: str
    user: str
    trust: Trust
    port: int = 22
    family: str = "any"
    identities: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str = "SSH_AUTH_SOCK"
    alias: str = ""
    known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    vouched: str = ""
    policy: str = "accept-new"
    others: tuple[tuple[str, str], ...] = ()
    command: str = ""
    passes_socket: bool = False
    through: Way | None = None
    is_hop: bool = False

    @property
    def shown(self) -> str:
        """Where it leads, for people."""
        name = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"jump host {name}:{self.port}" if self.is_hop else f"{name}:{self.port}"

    @property
    def has_other_proofs(self) -> bool:
        """Whether something besides the files may vouch for a key of the host."""
        return any(name in ("knownhostscommand", "verifyhostkeydns") for name, _ in self.others)

    @property
    def has_revoked_keys(self) -> bool:
        """Whether a file of ssh's own format lists keys that are refused."""
        return "revokedhostkeys" in dict(self.others)

    @property
    def known_as(self) -> str:
        """The name under which known_hosts lists it. Source: sshd(8)."""
        return self.alias or entry_name(self.hostname, self.port)


def entry_name(hostname: str, port: int) -> str:
    """Return the name under which known_hosts lists an address. Source: sshd(8)."""
    return hostname if port in (0, 22) else f"[{hostname}]:{port}"


@cache
def way(host: Host, trust: Trust) -> Way:
    """Return how to reach a host; asked once for each in a run. Raises HostUnreachable."""
    return _way(host, trust, count())


def _way(host: Host, trust: Trust, depth: count[int], *, is_hop: bool = False) -> Way:
    if not host.address:
        raise HostUnreachable(
            host.name,
            "the host has no address, so there is nothing to connect to",
            hint="it may be switched off; `dev deploy` starts it",
        )
    if next(depth) > MOST_HOPS:
        raise HostUnreachable(
            host.name, f"the jump hosts lead in a circle: {host.address}", hint="see `ProxyJump` in ~/.ssh/config"
        )
    told = _Answers(host, trust)
    mine = str(trust.known_hosts)
    is_off, is_pinned = trust.policy == "off", bool(host.host_key)
    theirs = () if is_off or is_pinned else _files(told.all("userknownhostsfile"))
    return Way(
        stack=host.name,
        address=host.address,
        hostname=told.one("hostname"),
        user=told.one("user"),
        trust=trust,
        port=int(told.one("port")),
        family=told.one("addressfamily", "any"),
        identities=told.paths("identityfile"),
        certificates=told.paths("certificatefile"),
        missing=tuple(str(key) for key in host.keys if not key.exists()),
        identities_only=told.one("identitiesonly") == "yes",
        agent=told.one("identityagent", "SSH_AUTH_SOCK"),
        alias=told.one("hostkeyalias"),
        known_hosts=() if is_off else (mine, *theirs),
        global_known_hosts=() if is_off or is_pinned else _files(told.all("globalknownhostsfile")),
        vouched=" ".join(host.host_key.split()[:2]),
        policy=_policy(trust, told),
        others=told.others(),
        command="" if told.one("proxycommand") == "none" else told.tokens("proxycommand"),
        passes_socket=told.one("proxyusefdpass") == "yes",
        through=_through(host, told, trust, depth),
        is_hop=is_hop,
    )


def _policy(trust: Trust, told: _Answers) -> str:
    """Return what to do with an unknown key; ssh_config may be stricter than config/dev.yml, never laxer."""
    is_strict = told.one("stricthostkeychecking") in ("true", "yes")
    return "strict" if trust.policy == "accept-new" and is_strict else trust.policy


def _through(host: Host, told: _Answers, trust: Trust, depth: count[int]) -> Way | None:
    """Return the way to the last jump host; those before it are its own way, as with ssh."""
    *before, last = told.tokens("proxyjump").split(",")
    if not last:
        return None
    hop = _HOP.fullmatch(last)
    if hop is None:
        raise HostUnreachable(host.name, f"`{last}` is no jump host", hint="write it as `user@address:port`")
    # The keys that config/dev.yml names are those for the hop as well; its user and port are the host's alone.
    there = Host(
        host.name, hop["six"] or hop["name"], hop["user"] or "", int(hop["port"] or 0), host.keys, ",".join(before)
    )
    return _way(there, trust, depth, is_hop=True)


def asked(host: Host, trust: Trust) -> tuple[str, ...]:
    """Return what config/dev.yml says of a host, as options of ssh."""
    said = [
        ("User", quoting.quoted(host.user) if host.user else ""),
        ("Port", str(host.port or "")),
        ("ProxyJump", host.proxy_jump),
    ]
    said += [("IdentityFile", quoting.path(str(key))) for key in host.keys]
    said += [("IdentitiesOnly", "yes" if host.keys else "")]
    words = [word for name, value in said if value for word in ("-o", f"{name}={value}")]
    return (*(() if trust.read_ssh_config else ("-F", "none")), *words)


class _Answers:
    """Hold what `ssh -G` says of a host."""

    def __init__(self, host: Host, trust: Trust) -> None:
        self._stack = host.name
        self._ask = (*asked(host, trust), "--", host.address)
        self._said = _said(host.name, self._ask)

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(self._said.get(name, ()))

    def one(self, name: str, otherwise: str = "") -> str:
        return next(iter(self.all(name)), otherwise)

    def paths(self, name: str) -> tuple[str, ...]:
        """Return the files that are there, as ssh skips the others; a private key may be in the agent alone."""
        given = (self._path(item) for item in self.all(name) if item.lower() != "none")
        return tuple(item for item in given if Path(item).exists() or Path(f"{item}.pub").exists())

    def others(self) -> tuple[tuple[str, str], ...]:
        """Return what is not as ssh has it by itself."""
        default = {name: "\n".join(values) for name, values in _default().items()}
        given = [(name, self.one(name)) for name in OTHERS]
        changed = [(name, value) for name, value in given if value and value != default.get(name)]
        return tuple((name, _as_written(name, value, default.get(name, ""))) for name, value in changed)

    def _path(self, item: str) -> str:
        if _EXPANDED.search(item):
            # ssh prints these as they are written, but ControlPath, which takes the same tokens, as it is meant.
            item = _said(self._stack, ("-o", f"ControlPath={quoting.quoted(item)}", *self._ask))["controlpath"][0]
        return _home() + item[1:] if item.startswith("~/") else item

    def tokens(self, name: str) -> str:
        """Return ProxyCommand or ProxyJump with its tokens replaced. Source: ssh_config(5), TOKENS."""
        values = {"%": "%", "h": self.one("hostname"), "n": self._ask[-1], "p": self.one("port"), "r": self.one("user")}
        return _TOKEN.sub(lambda found: values.get(found[1], found[0]), self.one(name))


def _said(stack: str, words: Sequence[str]) -> dict[str, list[str]]:
    """Return what `ssh -G` answers. Raises HostUnreachable with ssh's own words, which name file and line."""
    try:
        done = subprocess.run(
            ("ssh", "-T", "-G", *words), check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER
        )
    except FileNotFoundError as error:
        hint = "install the OpenSSH client"
        raise HostUnreachable(stack, "`ssh` is not installed on this machine", hint=hint) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        hint = "a `Match exec` in ~/.ssh/config may be waiting for something"
        raise HostUnreachable(stack, f"`ssh -G {words[-1]}` gave no answer: {error}", hint=hint) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").splitlines()
        reason = "; ".join(line for line in said if ": terminating, " not in line) or f"it exited {done.returncode}"
        hint = "correct the file; `ssh.config: false` in config/dev.yml does without it"
        raise HostUnreachable(stack, f"ssh cannot read its configuration: {reason}", hint=hint)
    answers: dict[str, list[str]] = {}
    for line in os.fsdecode(done.stdout).splitlines():
        name, _, value = line.partition(" ")
        answers.setdefault(name, []).append(value)
    return answers


def _as_written(name: str, value: str, default: str) -> str:
    """Return an answer as it could stand in ssh_config."""
    if name in PATHS:
        return quoting.quoted(value)
    ours, theirs = value.split(","), default.split(",")
    if name == "hostkeyalgorithms" and set(theirs) <= set(ours):
        # As a list of its own it would undo that ssh asks for the kinds of keys first that it knows of a host.
        return "+" + ",".join(item for item in ours if item not in theirs)
    return value


@cache
def _default() -> dict[str, list[str]]:
    return _said("", ("-F", "none", "--", "localhost"))


def _files(lines: Sequence[str]) -> tuple[str, ...]:
    """Cut a list of paths that ssh prints without quotes: the longest pieces that are there, else where one begins."""
    words, found = re.split(" (?=[/~])", " ".join(lines)), []
    while words:
        ends = (end for end in range(len(words), 1, -1) if Path(" ".join(words[:end])).exists())
        end = next(ends, 1)
        found.append(" ".join(words[:end]))
        words = words[end:]
    # Before OpenSSH 9 the home folder is not filled in here.
    found = [_home() + item[1:] if item.startswith("~/") else item for item in found]
    return tuple(item for item in found if item not in ("", "none"))


def _home() -> str:
    # As ssh does, which does not ask HOME.
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return str(Path.home())
