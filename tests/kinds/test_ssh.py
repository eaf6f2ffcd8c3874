"""SSH as people have it: one `~/.ssh/config` and one known_hosts have one meaning for every verb.

Deploys share one ssh for each host; `dev ssh`, `forward` and the file that `dev open` writes have their own. All are
given what `ssh -G` answered about the host, once. What OpenSSH reaches is reached, what it refuses is refused, and the
error names the hop, the file and the line that are to blame. Every path here has a space, quotes, a percent sign and a
dollar sign in it.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.errors import DevError, HostError, HostKeyChanged, HostTimeout, HostUnreachable, LinkDropped
from kamal_dev.model import Host, Step
from kamal_dev.shell import openssh, quoting, remote_forward, ssh_config
from kamal_dev.shell.connection import Connection, connect
from kamal_dev.shell.fanout import Background, each
from kamal_dev.shell.remote import Remote
from kamal_dev.shell.resolved import OTHERS
from kamal_dev.shell.session import Session
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way
from tests.faults.proxy import Proxy
from tests.kinds.sshd import HIDDEN, Client, Sshd, agent

FOLDER = '100% of "my" $HOME files'
HI = Step(("echo", "hi"))
CONNECTION = Step(("sh", "-c", "echo $SSH_CLIENT"))
GOAL, OUTER, INNER, OTHER = 2201, 2202, 2203, 2204
BEHIND = 2301


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with ExitStack() as stack:
        servers = Sshd.boot()
        stack.callback(servers.remove)
        for port in (GOAL, OUTER, INNER):
            servers.start(port)
        servers.start(BEHIND, at=HIDDEN)
        yield servers


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client.make(tmp_path / FOLDER)
    monkeypatch.setenv("PATH", made.environment["PATH"])
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    way.forget()
    return made


@pytest.fixture
def key(client: Client, sshd: Sshd) -> Path:
    """A key that is let in everywhere."""
    path = client.key()
    sshd.admit(path.with_suffix(".pub").read_text())
    return path


def deploys(host: Host, trust: Trust) -> str:
    """Run a step as a deploy does."""
    with closing(Remote(host, trust)) as remote:
        return remote.run(HI, timeout=30).output.strip()


def ssh(host: Host, trust: Trust) -> str:
    """Run a command as `dev ssh` does."""
    return spoken(openssh.argv(way(host, trust), ("-T",), HI.argv))


def editor(host: Host, trust: Trust, client: Client) -> str:
    """Run a command as an editor does, with the file that `dev open` writes included in ssh_config."""
    path = client.mine.with_name("ssh_config")
    ssh_config.write(path, ssh_config.text([("stack-1", host)], trust, path))
    own = client.folder / "config"
    before = own.read_text()
    own.write_text(f"{ssh_config.include(path)}\n{before}")
    try:
        assert ssh_config.is_included("stack-1", host, trust)
        return spoken(("ssh", "-T", "-o", "BatchMode=yes", "stack-1", "echo hi"))
    finally:
        own.write_text(before)


def tunnel(host: Host, trust: Trust) -> str:
    """Lend a port as a deploy with a local registry does."""
    with closing(Remote(host, trust)) as remote:
        return "hi" if remote.lend(5999).is_open else "closed"


def spoken(words: tuple[str, ...]) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return done.stdout.strip() or done.stderr.strip()


def reached(host: Host, trust: Trust, client: Client) -> None:
    """Every verb reaches the host; a deploy is the first, as in a run."""
    assert deploys(host, trust) == "hi"
    assert ssh(host, trust) == "hi"
    assert editor(host, trust, client) == "hi"
    assert tunnel(host, trust) == "hi"


def agree(host: Host, trust: Trust) -> None:
    """A deploy and `dev ssh` reach the host."""
    assert deploys(host, trust) == "hi"
    assert ssh(host, trust) == "hi"


def refused(host: Host, trust: Trust, kind: type[DevError] = HostError) -> DevError:
    """No verb reaches the host; returns the error of a deploy."""
    with pytest.raises(kind) as caught:
        deploys(host, trust)
    assert ssh(host, trust) != "hi"
    return caught.value


def public(path: Path) -> str:
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def sign(authority: Path, path: Path, *words: str) -> Path:
    """Make a certificate for a public key."""
    subprocess.run(("ssh-keygen", "-q", "-s", str(authority), "-I", "test", *words, str(path)), check=True)
    return path.with_name(f"{path.stem}-cert.pub")


# --- One meaning: the table --------------------------------------------------------------------------------------


SAMPLES = {
    "nothing": "",
    "alias": "Host box\n  HostName 10.1.2.3\n  Port 2222\n  User deploy",
    "tokens": "Host box\n  HostName %h.example\n  IdentityFile {folder}/id_%r_%n",
    "several keys": "Host box\n  IdentityFile {folder}/second\n  IdentityFile {folder}/first\n  IdentitiesOnly yes",
    "a missing key": "Host box\n  IdentityFile {folder}/gone\n  IdentityFile none\n  IdentityFile {folder}/first",
    "an agent": "Host box\n  IdentityAgent {folder}/agent.sock",
    "an agent in a variable": "Host box\n  IdentityAgent $OP_SOCK",
    "no agent": "Host box\n  IdentityAgent none",
    "a certificate": "Host box\n  IdentityFile {folder}/first\n  CertificateFile {folder}/first-cert.pub",
    "known hosts": "Host box\n  UserKnownHostsFile {folder}/k1 {folder}/k2\n  GlobalKnownHostsFile {folder}/k3",
    "alias of a key": "Host box\n  HostKeyAlias fleet\n  Port 2200",
    "strict": "Host box\n  StrictHostKeyChecking yes",
    "one hop": "Host box\n  ProxyJump jump@bastion:2200\nHost bastion\n  HostName 10.9.9.9\n  Port 1",
    "two hops": "Host box\n  ProxyJump outer,inner\nHost inner\n  Port 99",
    "a hop with a hop": "Host box\n  ProxyJump inner\nHost inner\n  ProxyJump outer",
    "no hop": "Host box\n  ProxyJump none\nHost * !bastion\n  ProxyJump bastion",
    "a command": "Host box\n  ProxyCommand nc -x 'proxy %%' %h %p | cat",
    "match": 'Match host box exec "true"\n  User matched\nMatch host box exec "false"\n  User never',
    "ciphers": "Host box\n  Ciphers aes256-ctr\n  HostKeyAlgorithms rsa-sha2-512\n  BindAddress 127.0.0.1",
    "old servers": "Host box\n  HostKeyAlgorithms +ssh-rsa\n  PubkeyAcceptedAlgorithms +ssh-rsa",
    "no default keys": "Host box\n  IdentityFile none",
    "address family": "Host box\n  AddressFamily inet6",
}


SAME = (
    "hostname",
    "port",
    "user",
    "addressfamily",
    "identitiesonly",
    "hostkeyalias",
    "identityagent",
    "proxyusefdpass",
)


def answers(words: tuple[str, ...]) -> dict[str, list[str]]:
    done = subprocess.run(("ssh", "-T", "-G", *words), check=True, capture_output=True, text=True)
    found: dict[str, list[str]] = {}
    for name, _, value in (line.partition(" ") for line in done.stdout.splitlines()):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("sample", SAMPLES)
def test_ssh_is_given_what_its_configuration_says(sample: str, client: Client) -> None:
    for name in ("first", "second", "id_root_box", "k1", "k2", "k3", "first-cert.pub"):
        (client.folder / name).touch()
    folder = quoting.path(str(client.folder))[:-1]
    client.configure("".join(f"{_closed(line)}\n" for line in SAMPLES[sample].replace("{folder}", folder).split("\n")))
    host, trust = Host("blog-1", "box"), client.trust()
    there = way(host, trust)
    plain, ours = answers(("box",)), answers((*openssh.options(there), "box"))
    for name in (*SAME, *OTHERS):
        assert ours.get(name, ["SSH_AUTH_SOCK"]) == plain.get(name, ["SSH_AUTH_SOCK"])
    assert (there.hostname, there.port, there.user) == (ours["hostname"][0], int(ours["port"][0]), ours["user"][0])
    assert " ".join((*there.known_hosts, *there.global_known_hosts)) == " ".join(
        (*ours["userknownhostsfile"], *ours["globalknownhostsfile"])
    )
    assert ours["userknownhostsfile"][0] == " ".join((str(client.mine), *plain["userknownhostsfile"]))
    # What is given comes first, and what is read again adds nothing that is there.
    exist = [path for path in (item.replace("%%", "%") for item in ours["identityfile"]) if Path(path).exists()]
    assert list(there.identities) == list(dict.fromkeys(exist))
    assert ("first" in SAMPLES[sample]) == any(path.endswith("/first") for path in there.identities)
    assert bool(there.through or there.command) == (ours.get("proxycommand", ["none"]) != ["none"])


def _closed(line: str) -> str:
    """Close the quotes of each path."""
    head, *paths = line.split('"/')
    return head + " ".join(f'"/{path.strip()}"' for path in paths) if "HOME files" in line else line


@pytest.mark.parametrize("written", ["~/.ssh/id_%r", "%d/x%h%p%%", "${KD_FOLDER}/%n", "~/a b", "%C"])
def test_the_name_of_a_key_means_what_ssh_means_by_it(
    written: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KD_FOLDER", str(client.folder))
    client.configure(f'Host box\n  HostName 10.0.0.1\n  IdentityFile "{written}"\n')
    meant = answers(("-o", f'ControlPath="{written}"', "box"))["controlpath"][0]
    seen: list[str] = []
    monkeypatch.setattr(Path, "exists", lambda path: bool(seen.append(str(path))))
    way(Host("blog-1", "box"), client.trust())
    assert meant in seen


def test_include_is_followed_and_its_faults_have_file_and_line(client: Client) -> None:
    more = client.folder / "config.d"
    more.mkdir()
    (more / "work").write_text("Host box\n  HostName 10.7.7.7\n")
    client.configure(f"{ssh_config.include(more / 'work')}\n")
    assert way(Host("blog-1", "box"), client.trust()).hostname == "10.7.7.7"
    (more / "work").write_text("Host box\n  HostNmae 10.7.7.7\n")
    with pytest.raises(HostUnreachable) as caught:
        way(Host("blog-2", "box"), client.trust())
    assert f"{more}/work: line 2: Bad configuration option: hostnmae" in caught.value.message


def test_configuration_that_is_switched_off_is_not_read(client: Client) -> None:
    client.configure("This is nonsense\n")
    assert way(Host("blog-1", "box"), client.trust(config=False)).hostname == "box"


def test_a_project_may_say_that_there_is_no_jump_host(client: Client) -> None:
    client.configure("Host *\n  ProxyJump bastion\n")
    assert way(client.host("box", jump="none"), client.trust()).through is None


def test_jump_hosts_in_a_circle_are_an_error(client: Client) -> None:
    client.configure("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    with pytest.raises(HostUnreachable, match="circular jump hosts"):
        way(client.host("a"), client.trust())


def test_no_verb_connects_without_an_address(client: Client) -> None:
    host = Host("blog-1", "")
    for verb in (deploys, ssh, tunnel):
        with pytest.raises(HostUnreachable, match="no address"):
            verb(host, client.trust())


def test_a_machine_without_ssh_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostUnreachable, match="`ssh` is not installed"):
        deploys(Host("blog-1", "box"), client.trust())


# --- Keys of ours ------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_key_is_found_whatever_the_paths_are_called(sshd: Sshd, client: Client, key: Path) -> None:
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    reached(host, client.trust(), client)
    # What was recorded is enough for the strictest.
    reached(host, client.trust("strict"), client)


@pytest.mark.real
def test_a_key_with_a_passphrase_is_used_from_the_agent_and_others_there_are_not(
    sshd: Sshd, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = client.key("locked", passphrase="secret words")
    sshd.admit(named.with_suffix(".pub").read_text())
    host = client.host("127.0.0.1", sshd.published[GOAL], key=named)
    error = refused(host, client.trust(), HostUnreachable)
    assert "ssh-add" in error.hint
    assert str(named) in error.message
    with agent(tmp_path / "agent.sock") as held:
        for number in range(8):  # sshd hangs up after six that are wrong
            held.add(client.key(f"wrong{number}"))
        held.add(named, "secret words")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(held.socket))
        reached(host, client.trust(), client)


@pytest.mark.real
def test_the_agent_of_a_password_manager_is_asked_and_a_public_key_names_one_of_its_keys(
    sshd: Sshd, client: Client, tmp_path: Path
) -> None:
    held = client.key("held")
    sshd.admit(held.with_suffix(".pub").read_text())
    listen = tmp_path / "100% op.sock"
    with agent(listen) as manager:
        for number in range(8):
            manager.add(client.key(f"wrong{number}"))
        manager.add(held)
        held.unlink()
        client.configure(
            f"Host box\n  HostName 127.0.0.1\n  Port {sshd.published[GOAL]}\n"
            f"  IdentityAgent {quoting.path(str(listen))}\n  IdentitiesOnly yes\n"
            f"  IdentityFile {quoting.path(f'{held}.pub')}\n"
        )
        reached(client.host("box"), client.trust(), client)


@pytest.mark.real
def test_keys_that_are_missing_are_skipped(sshd: Sshd, client: Client, key: Path) -> None:
    client.configure(
        f"Host box\n  HostName 127.0.0.1\n  Port {sshd.published[GOAL]}\n  IdentityFile /gone\n"
        f"  IdentityFile none\n  IdentityFile {quoting.path(str(key))}\n"
    )
    agree(client.host("box"), client.trust())
    gone = client.host("127.0.0.1", sshd.published[GOAL], key=client.folder / "never was")
    client.configure("")
    assert "there is no file" in refused(gone, client.trust(), HostUnreachable).hint


@pytest.mark.real
def test_a_key_that_others_may_read_is_used_by_no_verb(sshd: Sshd, client: Client, key: Path) -> None:
    key.chmod(0o644)
    error = refused(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust("off"), HostUnreachable)
    assert f"chmod 600 {shlex.quote(str(key))}" in error.hint


@pytest.mark.real
def test_a_certificate_is_shown_whether_the_key_is_in_a_file_or_in_the_agent(
    sshd: Sshd, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = client.key("ca")
    sshd.sh("cat >/kd/ca.pub", public(authority))
    port = sshd.start(OTHER, more="TrustedUserCAKeys /kd/ca.pub\nAuthorizedKeysFile none")
    for kind in ("ed25519", "ecdsa", "rsa"):
        mine = client.key(f"my {kind}", kind=kind)
        beside = sign(authority, mine.with_name(f"{mine.name}.pub"), "-n", "root")
        agree(client.host("127.0.0.1", port, key=mine), client.trust())
        elsewhere = beside.rename(client.folder / f"{kind}-cert.pub")
        client.configure(f"Host box\n  HostName 127.0.0.1\n  CertificateFile {quoting.path(str(elsewhere))}\n")
        agree(client.host("box", port, key=mine), client.trust())
        with agent(tmp_path / f"{kind}.sock") as held, monkeypatch.context() as patch:
            held.add(mine)
            mine.unlink()
            patch.setenv("SSH_AUTH_SOCK", str(held.socket))
            way.forget()
            agree(client.host("box", port), client.trust())


# --- Keys of hosts -----------------------------------------------------------------------------------------------


def name_of(sshd: Sshd, port: int) -> str:
    return f"[127.0.0.1]:{sshd.published[port]}"


def hashed(text: str, folder: Path) -> str:
    path = folder / "to be hashed"
    path.write_text(text)
    subprocess.run(("ssh-keygen", "-q", "-H", "-f", str(path)), check=True, capture_output=True)
    return path.read_text()


LISTED: dict[str, Callable[[str, str], bytes]] = {
    "by name": lambda name, key: f"{name} {key}\n".encode(),
    "by pattern": lambda name, key: f"[127.0.*]:* {key}\n".encode(),
    "among others": lambda name, key: f"other,{name},!never {key} a comment\n".encode(),
    "without a port": lambda name, key: f"127.0.0.1 {key}\n".encode(),
    "behind lines that cannot be read": lambda name, key: (
        b"caf\xe9 \xff\xfe\nnonsense\n\n# a comment\n"
        + f"{name} ssh-ed25519 AAAA!!\n@cert-authority *.example {key}\n{name} {key}\n".encode()
    ),
    "beside another key of it": lambda name, key: f"{name} {OTHER_KEY}\n{name} {key}\n".encode(),
}
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9iKvVG4jUMd9ssAjdMM6hmwyo2hfYxImaAoNLyW/vx"


@pytest.mark.real
@pytest.mark.parametrize("listed", [*LISTED, "hashed"])
def test_a_host_is_known_however_known_hosts_lists_it(listed: str, sshd: Sshd, client: Client, key: Path) -> None:
    name, proof = name_of(sshd, GOAL), sshd.host_key(GOAL)
    if listed == "hashed":
        client.known_hosts.write_text(hashed(f"{name} {proof}\n", client.folder))
    else:
        client.known_hosts.write_bytes(LISTED[listed](name, proof))
    agree(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust("strict"))
    assert not client.mine.exists()


@pytest.mark.real
@pytest.mark.parametrize("line", ["{name} {other}", "@revoked {name} {key}", "!{name},[127.0.*]:* {key}"])
def test_what_openssh_refuses_is_refused(line: str, sshd: Sshd, client: Client, key: Path) -> None:
    name, proof = name_of(sshd, GOAL), sshd.host_key(GOAL)
    client.known_hosts.write_text(f"{line.format(name=name, key=proof, other=OTHER_KEY)}\n")
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    error = refused(host, client.trust("strict"), HostKeyChanged)
    assert str(sshd.published[GOAL]) in error.message
    assert not client.mine.exists()


@pytest.mark.real
def test_a_key_that_the_provider_vouches_for_counts_alone(sshd: Sshd, client: Client, key: Path) -> None:
    port = sshd.published[GOAL]
    client.known_hosts.write_text(f"{name_of(sshd, GOAL)} {sshd.host_key(GOAL)}\n")
    host = client.host("127.0.0.1", port, key=key)
    refused(replace(host, host_key=OTHER_KEY), client.trust(), HostKeyChanged)
    client.known_hosts.write_text(f"{name_of(sshd, GOAL)} {OTHER_KEY}\n")
    reached(replace(host, host_key=f"{sshd.host_key(GOAL)} a comment"), client.trust("strict"), client)


@pytest.mark.real
def test_the_hint_names_the_entry_and_the_file_that_has_the_old_key(sshd: Sshd, client: Client, key: Path) -> None:
    client.known_hosts.write_text(f"{name_of(sshd, GOAL)} {OTHER_KEY}\n")
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    error = refused(host, client.trust(), HostKeyChanged)
    command = error.hint.split("`")[1]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    reached(host, client.trust(), client)


@pytest.mark.real
def test_known_hosts_off_reads_no_file(sshd: Sshd, client: Client, key: Path) -> None:
    for path in (client.known_hosts, client.mine):
        path.write_text(f"{name_of(sshd, GOAL)} {OTHER_KEY}\n{name_of(sshd, OUTER)} {OTHER_KEY}\n")
    reached(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust("off"), client)
    jump = f"root@127.0.0.1:{sshd.published[OUTER]}"
    reached(client.host(HIDDEN, BEHIND, key=key, jump=jump), client.trust("off"), client)
    assert OTHER_KEY in client.mine.read_text()
    assert len(client.mine.read_text().splitlines()) == 2


@pytest.mark.real
def test_an_authority_vouches_for_hosts(sshd: Sshd, client: Client, key: Path) -> None:
    authority = client.key("ca")
    listed = client.folder / "2205_ed25519.pub"
    sshd.start(2205)
    listed.write_text(sshd.host_key(2205))
    sshd.sh("cat >/kd/2205-cert.pub", sign(authority, listed, "-h", "-n", "fleet,127.0.0.1").read_text())
    port = sshd.start(2205, more="HostCertificate /kd/2205-cert.pub")
    host = client.host("127.0.0.1", port, key=key)
    client.known_hosts.write_text(f"@cert-authority 127.0.0.*,[127.0.0.*]:* {public(authority)}\n")
    reached(host, client.trust("strict"), client)
    client.known_hosts.write_text(f"@cert-authority [127.0.0.*]:* {public(client.key('another ca'))}\n")
    refused(host, client.trust("strict"), HostKeyChanged)


@pytest.mark.real
def test_a_list_of_revoked_keys_is_asked(sshd: Sshd, client: Client, key: Path) -> None:
    host, revoked = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.folder.with_name("revoked keys")
    client.configure(f"Host *\n  RevokedHostKeys {quoting.quoted(str(revoked))}\n")
    revoked.write_text(f"{OTHER_KEY}\n")
    client.known_hosts.write_text(f"{name_of(sshd, GOAL)} {sshd.host_key(GOAL)}\n")
    agree(host, client.trust("strict"))
    revoked.write_text(f"{sshd.host_key(GOAL)}\n")
    assert "revoked" in refused(host, client.trust("strict"), HostKeyChanged).message


@pytest.mark.real
def test_a_host_with_an_alias_is_recorded_and_looked_up_by_it(sshd: Sshd, client: Client, key: Path) -> None:
    client.configure("Host 127.0.0.1\n  HostKeyAlias fleet\n")
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    agree(host, client.trust())
    assert client.mine.read_text() == f"fleet {sshd.host_key(GOAL)}\n"
    agree(host, client.trust("strict"))


@pytest.mark.real
def test_a_host_is_asked_for_the_kind_of_key_that_is_known(sshd: Sshd, client: Client, key: Path) -> None:
    client.configure("Host *\n  HostKeyAlgorithms +ssh-rsa\n")
    sshd.start(2206, key="rsa")
    port = sshd.start(2206, more="HostKey /kd/2206_rsa")
    client.known_hosts.write_text(f"[127.0.0.1]:{port} {sshd.host_key(2206, 'rsa')}\n")
    agree(client.host("127.0.0.1", port, key=key), client.trust("strict"))


@pytest.mark.real
def test_ssh_config_may_be_stricter_than_the_project(sshd: Sshd, client: Client, key: Path) -> None:
    client.configure("Host *\n  StrictHostKeyChecking yes\n")
    error = refused(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(), HostKeyChanged)
    assert "StrictHostKeyChecking yes" in error.message


# --- The way there -----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_hops_are_taken_in_their_order(sshd: Sshd, client: Client, key: Path) -> None:
    outer = f"root@127.0.0.1:{sshd.published[OUTER]}"
    sshd.start(2302, at=HIDDEN)
    # The second hop, and then the goal, are there from inside alone.
    host = client.host(HIDDEN, BEHIND, key=key, jump=f"{outer},root@{HIDDEN}:2302")
    reached(host, client.trust(), client)
    client.configure(
        f"Host goal\n  HostName {HIDDEN}\n  Port {BEHIND}\n  ProxyJump outer,inner\n"
        f"Host outer\n  HostName 127.0.0.1\n  Port {sshd.published[OUTER]}\n"
        f"Host inner\n  HostName {HIDDEN}\n  Port 2302\n"
        f"Match all\n  IdentityFile {quoting.path(str(key))}\n"
    )
    reached(client.host("goal"), client.trust(), client)


@pytest.mark.real
def test_an_address_of_version_6_is_reached(sshd: Sshd, client: Client, key: Path) -> None:
    if not sshd.sh("cat /proc/net/if_inet6 2>/dev/null || true").strip():
        sshd.sh("sysctl -w net.ipv6.conf.lo.disable_ipv6=0 >/dev/null")
    sshd.start(2303, at="[::1]")
    jump = f"root@127.0.0.1:{sshd.published[OUTER]}"
    reached(client.host("::1", 2303, key=key, jump=jump), client.trust(), client)
    assert "[::1]:2303 " in client.mine.read_text()


@pytest.mark.real
def test_an_error_names_the_hop_that_it_is_about(sshd: Sshd, client: Client, key: Path) -> None:
    port = sshd.published[OUTER]
    jump = f"root@127.0.0.1:{port}"
    trust = client.trust()
    error = refused(client.host(HIDDEN, BEHIND, key=key, jump="root@127.0.0.1:1"), trust)
    assert error.message == "no SSH at jump host 127.0.0.1:1: Connection refused"
    error = refused(client.host(HIDDEN, BEHIND, key=client.key("stranger"), jump=jump), trust)
    assert f"jump host 127.0.0.1:{port} refused the login of `root`" in error.message
    error = refused(client.host(HIDDEN, 1, key=key, jump=jump), trust)
    assert error.message == f"jump host 127.0.0.1:{port} could not connect to {HIDDEN}:1: Connection refused"
    closed = sshd.start(2207, more="AllowTcpForwarding no")
    error = refused(client.host(HIDDEN, BEHIND, key=key, jump=f"root@127.0.0.1:{closed}"), trust)
    assert f"jump host 127.0.0.1:{closed} does not forward connections" in error.message
    assert "AllowTcpForwarding" in error.hint
    client.known_hosts.write_text(f"[127.0.0.1]:{port} {OTHER_KEY}\n")
    client.mine.unlink()
    error = refused(client.host(HIDDEN, BEHIND, key=key, jump=jump), trust, HostKeyChanged)
    assert error.message.startswith(f"jump host [127.0.0.1]:{port} has a different key than before")
    assert shlex.join(("ssh-keygen", "-R", f"[127.0.0.1]:{port}", "-f", str(client.known_hosts))) in error.hint


@pytest.mark.real
def test_what_a_failed_try_has_opened_is_closed(sshd: Sshd, client: Client, key: Path) -> None:
    before = set(threading.enumerate())
    host = client.host(HIDDEN, 1, key=key, jump=f"root@127.0.0.1:{sshd.published[OUTER]}")
    with pytest.raises(HostUnreachable):
        connect(way(host, client.trust(patience=1)), lambda: True, lambda _: None)
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not set(threading.enumerate()) - before


@pytest.mark.real
def test_a_command_of_the_users_makes_the_connection_as_their_shell_runs_it(
    sshd: Sshd, client: Client, key: Path
) -> None:
    relay = client.folder / "relay.py"
    relay.write_text(RELAY)
    client.configure(
        f"Host box\n  HostName 127.0.0.1\n  Port {sshd.published[GOAL]}\n  IdentityFile {quoting.path(str(key))}\n"
        f"  ProxyCommand python3 {shlex.quote(str(relay)).replace('%', '%%')} $(printf %%s %h) %p 2>/dev/null | cat\n"
    )
    reached(client.host("box"), client.trust(), client)
    client.configure(
        f"Host box\n  HostName 127.0.0.1\n  Port {sshd.published[GOAL]}\n  IdentityFile {quoting.path(str(key))}\n"
        f"  ProxyUseFdpass yes\n  ProxyCommand python3 {shlex.quote(str(relay)).replace('%', '%%')} %h %p hand\n"
    )
    reached(client.host("box"), client.trust(patience=9), client)
    client.configure("Host box\n  ProxyCommand sh -c 'echo no way to %n >&2; exit 1'\n")
    error = refused(client.host("box", key=key), client.trust())
    assert error.message == "no SSH at box:22: no way to box"


@pytest.mark.real
def test_what_ssh_config_says_for_people_at_a_terminal_disturbs_no_verb(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(1)) as taken:
        client.configure(
            f"Host box\n  HostName 127.0.0.1\n  Port {sshd.published[GOAL]}\n  IdentityFile {quoting.path(str(key))}\n"
            f"  LocalForward {taken.port} localhost:80\n  RemoteForward {GOAL} localhost:80\n  RemoteCommand tmux\n"
            "  RequestTTY force\n  ControlMaster auto\n  ControlPath /nonexistent/%C\n  LogLevel DEBUG3\n"
            "  PermitLocalCommand yes\n  LocalCommand echo local\n  ForwardX11 yes\n"
        )
        host, trust = client.host("box"), client.trust()
        assert deploys(host, trust) == ssh(host, trust) == tunnel(host, trust) == "hi"


RELAY = """
import socket, sys, threading, os
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if sys.argv[3:]:
    socket.send_fds(socket.socket(fileno=1), [b"x"], [s.fileno()])
    sys.exit()
def up():
    while data := os.read(0, 65536):
        s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := s.recv(65536):
    os.write(1, data)
"""


# --- Links that drop ---------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_link_that_is_silent_when_a_session_opens_is_opened_again(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(sshd.published[GOAL])) as proxy:
        host = client.host("127.0.0.1", proxy.port, key=key)
        with closing(Remote(host, client.trust(patience=1))) as remote:
            assert remote.run(HI, timeout=30).output == "hi"
            proxy.freeze()
            threading.Timer(2, proxy.heal).start()
            assert remote.run(HI, timeout=30).output == "hi"


@pytest.mark.real
def test_a_link_that_is_silent_during_a_command_is_given_up(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(sshd.published[GOAL])) as proxy:
        host = client.host("127.0.0.1", proxy.port, key=key)
        with closing(Remote(host, client.trust(patience=1))) as remote:
            assert remote.run(HI, timeout=30).output == "hi"
            threading.Timer(1, proxy.freeze).start()
            started = time.monotonic()
            with pytest.raises(LinkDropped, match="not responding"):
                remote.run(Step(("sleep", "60")), timeout=60)
            assert time.monotonic() - started < 20
            proxy.heal()


@pytest.mark.real
def test_a_command_that_keeps_printing_does_not_outlive_its_time(sshd: Sshd, client: Client, key: Path) -> None:
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    with closing(Remote(host, client.trust())) as remote:
        started = time.monotonic()
        with pytest.raises(HostTimeout):
            remote.run(Step(("yes",)), timeout=1)
        assert time.monotonic() - started < 10


@pytest.mark.real
def test_a_step_that_uses_up_its_time_ends_no_other_step(sshd: Sshd, client: Client, key: Path) -> None:
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    with closing(Remote(host, client.trust())) as remote:
        first = remote.run(CONNECTION).output
        other = Background(lambda: remote.run(Step(("sh", "-c", "sleep 4; echo done"))))
        time.sleep(0.5)
        with pytest.raises(HostTimeout):
            remote.run(Step(("sleep", "60")), timeout=1)
        assert (other.result().output, remote.run(CONNECTION).output) == ("done", first)
        # Nobody else needs this connection, which may be what does not answer.
        with pytest.raises(HostTimeout):
            remote.run(Step(("sleep", "60")), timeout=1)
        assert remote.run(CONNECTION).output != first


@pytest.mark.real
def test_a_session_that_opens_late_ends_no_other_step(sshd: Sshd, client: Client, key: Path) -> None:
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    with closing(Remote(host, client.trust(patience=2))) as remote:
        first = remote.run(CONNECTION).output
        other = Background(lambda: remote.run(Step(("sh", "-c", "sleep 5; echo done"))))
        time.sleep(1)
        sshd.signal("STOP")
        late = Background(lambda: remote.run(CONNECTION, timeout=60))
        time.sleep(3)
        sshd.signal("CONT")
        assert (late.result().output, other.result().output) == (first, "done")


@pytest.mark.real
def test_an_earlier_refusal_is_not_why_a_link_is_lost(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(sshd.start(2209, more="MaxSessions 1"))) as proxy:
        host = client.host("127.0.0.1", proxy.port, key=key)
        with closing(Remote(host, client.trust())) as remote:
            waits = "touch /tmp/busy; while [ -e /tmp/busy ]; do sleep 0.1; done"
            first = Background(lambda: remote.run(Step(("sh", "-c", waits)), timeout=120))
            sshd.sh("until [ -e /tmp/busy ]; do sleep 0.1; done")
            with pytest.raises(HostUnreachable, match="refused a session"):
                remote.run(HI)
            sshd.sh("rm /tmp/busy")
            assert first.result().exit_code == 0
            threading.Timer(0.5, proxy.reset).start()
            with pytest.raises(LinkDropped) as caught:
                remote.run(Step(("sleep", "60")))
            assert "open failed" not in caught.value.message, caught.value.message


@pytest.mark.real
def test_a_login_that_ends_after_the_run_leaves_no_connection(
    sshd: Sshd, client: Client, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust())
    connections: list[Connection] = []

    def late(*words: Any) -> Connection:
        connections.append(connect(*words))
        remote.close()
        return connections[0]

    monkeypatch.setattr("kamal_dev.shell.remote.connect", late)
    with pytest.raises((HostUnreachable, LinkDropped), match="this run has ended"):
        remote.run(HI)
    assert [connection.is_open for connection in connections] == [False]


@pytest.mark.real
def test_too_many_open_files_cost_neither_the_connection_nor_more_files(sshd: Sshd, client: Client, key: Path) -> None:
    files = Path("/proc/self/fd")
    host = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    with closing(Remote(host, client.trust())) as remote, ExitStack() as fill:
        first = remote.run(CONNECTION).output
        before = len([*files.iterdir()])
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        fill.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 40, limits[1]))
        taken: list[int] = []
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        # Enough is left for the socket and one pipe, but not for three.
        for descriptor in taken[:3]:
            os.close(descriptor)
        try:
            with pytest.raises(HostError, match="Too many open files") as caught:
                remote.run(HI)
        finally:
            for descriptor in taken[3:]:
                os.close(descriptor)
        assert "ulimit -n" in caught.value.hint
        fill.close()
        assert remote.run(CONNECTION).output == first
        assert len([*files.iterdir()]) == before


@pytest.mark.real
def test_a_command_without_a_terminal_has_both_streams_and_its_exit_code(
    sshd: Sshd, client: Client, key: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    assert deploys(host, trust) == "hi"
    # More on stderr than a pipe holds: it has to be read while the command runs.
    command = ("sh", "-c", "yes err | head -n 50000 >&2; echo out; exit 3")
    before = signal.getsignal(signal.SIGPIPE)
    try:
        code = Session.of("blog-1", way(host, trust), command, has_terminal=False).take_over()
    finally:
        signal.signal(signal.SIGPIPE, before)
    shown = capfd.readouterr()
    assert (code, shown.out, shown.err.count("err\n")) == (3, "out\n", 50_000)


@pytest.mark.real
def test_a_tunnel_knows_that_it_has_ended(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(sshd.published[GOAL])) as proxy:
        host = client.host("127.0.0.1", proxy.port, key=key)
        with closing(Remote(host, client.trust())) as remote:
            opened = remote.lend(5998)
            assert opened.is_open
            proxy.reset()
            deadline = time.monotonic() + 10
            while opened.is_open and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not opened.is_open


@pytest.mark.real
def test_a_tunnel_that_is_refused_says_whether_the_port_or_the_server_is_to_blame(
    sshd: Sshd, client: Client, key: Path
) -> None:
    closed = client.host("127.0.0.1", sshd.start(2208, more="AllowTcpForwarding no"), key=key)
    with closing(Remote(closed, client.trust())) as remote, pytest.raises(HostError) as caught:
        remote.lend(5997)
    assert "AllowTcpForwarding" in caught.value.hint
    taken = client.host("127.0.0.1", sshd.published[GOAL], key=key)
    with closing(Remote(taken, client.trust())) as remote:
        with pytest.raises(HostError) as caught:
            remote.lend(GOAL)
        # The connection stays, and a port that was refused may be asked for again.
        with pytest.raises(HostError):
            remote.lend(GOAL)
        assert remote.lend(5997).is_open
    assert f"another process on the host may use port {GOAL}" in caught.value.hint


@pytest.mark.real
def test_steps_and_the_registry_share_one_connection(sshd: Sshd, client: Client, key: Path) -> None:
    with closing(Proxy(sshd.published[GOAL])) as proxy:
        host = client.host("127.0.0.1", proxy.port, key=key)
        with closing(Remote(host, client.trust())) as remote:
            answers = each(range(8), lambda number: remote.run(Step(("echo", str(number)))).output, limit=8)
            assert remote.lend(5996).is_open
            assert answers == [str(number) for number in range(8)]
            assert len(proxy.links) == 1


def logins(log: list[str]) -> list[Path]:
    """Return the control socket of each ssh that logged in."""
    return [Path(found[1]) for line in log if (found := re.search(r"ControlPath=\W*(/[^\s'\"]+)", line))]


@pytest.mark.real
def test_a_host_that_is_connected_early_is_logged_in_to_once(sshd: Sshd, client: Client, key: Path) -> None:
    log: list[str] = []
    with closing(Remote(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(), log.append)) as remote:
        remote.connect()
        remote.connect()
        assert remote.run(HI).output == "hi"
        remote.connect()
        assert remote.run(HI).output == "hi"
    assert len(logins(log)) == 1


@pytest.mark.real
def test_the_first_step_raises_why_an_early_login_failed(sshd: Sshd, client: Client, tmp_path: Path) -> None:
    log: list[str] = []
    key = tmp_path / "of-a-stranger"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), check=True)
    with closing(Remote(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(), log.append)) as remote:
        remote.connect()
        with pytest.raises(HostUnreachable):
            remote.run(HI)
    assert len(logins(log)) == 1


@pytest.mark.real
@pytest.mark.parametrize("pause", [0.0, 0.02, 0.05, 0.1, 2.0])
def test_an_early_login_that_nothing_used_ends_with_the_run(
    pause: float, sshd: Sshd, client: Client, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(persist=0)
    with tempfile.TemporaryDirectory(dir="/tmp") as own:
        monkeypatch.setenv("XDG_RUNTIME_DIR", own)
        with closing(Remote(host, trust, log.append)) as remote:
            remote.connect()
            time.sleep(pause)
        # This process may end now, and its threads with it.
        assert not list(Path(own).glob("*/*"))
    assert len(logins(log)) == 1 or pause < 1


@pytest.mark.real
def test_a_large_input_arrives_whole_and_its_output_comes_back(sshd: Sshd, client: Client, key: Path) -> None:
    sent = [os.urandom(1 << 20) for _ in range(8)]
    received: list[bytes] = []
    with closing(Remote(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust())) as remote:
        assert remote.receive(Step(("cat",)), received.append, feed=sent, timeout=60).exit_code == 0
    assert b"".join(received) == b"".join(sent)


@pytest.mark.real
def test_a_server_that_opens_no_further_session_says_so(sshd: Sshd, client: Client, key: Path) -> None:
    host = client.host("127.0.0.1", sshd.start(2209, more="MaxSessions 1"), key=key)
    with closing(Remote(host, client.trust())) as remote:
        # One after the other, they are enough.
        assert [remote.run(HI).output for _ in range(5)] == ["hi"] * 5
        first = Background(lambda: remote.run(Step(("sleep", "2"))))
        time.sleep(0.5)
        with pytest.raises(HostUnreachable, match="the host refused a session") as caught:
            remote.run(HI)
        assert "MaxSessions" in caught.value.hint
        assert first.result().exit_code == 0


@pytest.mark.real
def test_the_end_of_a_run_ends_its_steps_at_once(sshd: Sshd, client: Client, key: Path) -> None:
    remote = Remote(client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust())
    assert remote.run(HI).output == "hi"
    running = Background(lambda: remote.run(Step(("sleep", "60"))))
    time.sleep(0.5)
    started = time.monotonic()
    remote.close()
    with pytest.raises(LinkDropped, match="it was closed"):
        running.result()
    assert time.monotonic() - started < 5


@pytest.mark.real
def test_hosts_that_are_met_at_the_same_time_are_all_recorded(sshd: Sshd, client: Client, key: Path) -> None:
    names = [f"host{number}" for number in range(8)]
    listed = (f"Host {name}\n  HostName 127.0.0.1\n  HostKeyAlias {name}\n" for name in names)
    client.configure("".join(listed))
    port, trust = sshd.published[GOAL], client.trust()
    assert each(names, lambda name: deploys(client.host(name, port, key=key), trust), limit=8) == ["hi"] * 8
    known = client.mine.read_text().splitlines()
    assert sorted(known) == [f"{name} {sshd.host_key(GOAL)}" for name in names]


KILLED = """
import sys, time
from pathlib import Path
from kamal_dev.model import Host, Step
from kamal_dev.shell.remote import Remote
from kamal_dev.shell.trust import Trust
port, key, known_hosts, persist, lent = sys.argv[1:]
trust = Trust(Path(known_hosts), control_persist=int(persist))
remote = Remote(Host("blog-1", "127.0.0.1", "root", int(port), (Path(key),)), trust)
remote.run(Step(("echo", "hi")))
if lent != "0":
    remote.lend(int(lent))
print(remote._connection._pid, remote._connection._folder.socket, flush=True)
remote.run(Step(("sleep", "60")))
"""


@pytest.mark.real
@pytest.mark.parametrize(("persist", "lent"), [(0, 0), (60, 0), (60, 5995)])
def test_a_run_that_is_killed_leaves_neither_a_connection_nor_a_forward(
    persist: int, lent: int, sshd: Sshd, client: Client, key: Path
) -> None:
    client.mine.parent.mkdir(exist_ok=True)
    given = (str(sshd.published[GOAL]), str(key), str(client.mine), str(persist), str(lent))
    with subprocess.Popen((sys.executable, "-c", KILLED, *given), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid, name = process.stdout.readline().split()
        socket = Path(name)
        os.kill(int(pid), 0)
        assert socket.parent.stat().st_mode & 0o777 == socket.parents[1].stat().st_mode & 0o777 == 0o700
        time.sleep(0.5)
        process.kill()
    deadline = time.monotonic() + 5
    while (socket.exists() or is_running(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (socket.exists(), is_running(pid)) == (False, False)


def is_running(pid: str) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and ") Z " not in state.read_text()


# --- The next run ------------------------------------------------------------------------------------------------


def origin(host: Host, trust: Trust) -> str:
    """Return the connection that a run uses, as the host sees it."""
    with closing(Remote(host, trust)) as remote:
        return remote.run(CONNECTION, timeout=30).output


def lent_on(remote: Remote, port: int) -> bool:
    """Whether the host listens on a port for this machine."""
    return not remote.run(Step(("sh", "-c", remote_forward.LISTENS.format(port=port)))).exit_code


@pytest.mark.real
def test_the_next_run_uses_the_connection_of_the_last_one(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust, log = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(), list[str]()
    first = origin(host, trust)
    with closing(Remote(host, trust, log.append)) as remote:
        remote.connect()
        assert remote.run(CONNECTION).output == first
    assert (origin(host, trust), logins(log)) == (first, [])
    jump = f"root@127.0.0.1:{sshd.published[OUTER]}"
    inner = client.host(HIDDEN, BEHIND, key=key, jump=jump)
    assert origin(inner, trust) != first
    assert origin(inner, trust) == origin(inner, trust)


@pytest.mark.real
def test_runs_at_the_same_time_do_not_share_a_connection(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    with closing(Remote(host, trust)) as one, closing(Remote(host, trust)) as two:
        used = [remote.run(CONNECTION).output for remote in (one, two)]
    assert used[0] != used[1]
    assert origin(host, trust) == used[0]
    with closing(Remote(host, trust)) as one, closing(Remote(host, trust)) as two:
        assert [remote.run(CONNECTION).output for remote in (one, two)] == used
        assert one.run(Step(("false",))).exit_code == 1
    # The first one has ended with its run; the second one is still open.
    assert origin(host, trust) == used[1]


@pytest.mark.real
@pytest.mark.parametrize("change", ["known hosts", "key", "agent", "user", "time", "persist", "socket"])
def test_a_connection_that_was_made_in_another_way_is_not_used(
    change: str, sshd: Sshd, client: Client, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    first = origin(host, trust)
    folders = {path.parent for path in Path(os.environ["XDG_RUNTIME_DIR"]).glob("*/*/s")}
    if change == "known hosts":
        client.mine.write_text(f"{client.mine.read_text()}# a comment\n")
    elif change == "key":
        key.rename(key.with_name("old"))
        key.with_name("old").rename(key)
    elif change == "agent":
        monkeypatch.setenv("SSH_AUTH_SOCK", str(client.folder / "no agent"))
    elif change == "user":
        client.configure("Host *\n  Compression yes\n")
        way.forget()
    elif change == "time":
        for folder in folders:
            os.utime(folder / "login", (time.time() - 61,) * 2)
    elif change == "persist":
        trust = client.trust(persist=59)
    else:
        for folder in folders:
            (folder / "s").unlink()
    assert origin(host, trust) != first


@pytest.mark.real
def test_a_host_whose_key_was_replaced_is_refused_at_once(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    assert deploys(host, trust) == "hi"
    client.mine.write_text(f"{name_of(sshd, GOAL)} {OTHER_KEY}\n")
    refused(host, trust, HostKeyChanged)


@pytest.mark.real
def test_a_connection_on_which_something_failed_ends_with_the_run(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    first = origin(host, trust)
    with closing(Remote(host, trust)) as remote:
        assert remote.run(CONNECTION).output == first
        assert remote.run(Step(("false",))).exit_code == 1
    second = origin(host, trust)
    with closing(Remote(host, trust)) as remote:
        assert remote.run(CONNECTION).output == second != first
        remote.end_with_run()
    third = origin(host, trust)
    assert third not in (first, second)
    with closing(Remote(host, trust)) as remote:
        assert remote.run(CONNECTION).output == third
        running = Background(lambda: remote.run(Step(("sleep", "60"))))
        time.sleep(0.5)
    with pytest.raises(LinkDropped, match="it was closed"):
        running.result()
    assert origin(host, trust) != third


@pytest.mark.real
def test_a_connection_that_was_lost_between_two_runs_is_replaced_and_nothing_runs_twice(
    sshd: Sshd, client: Client, key: Path
) -> None:
    count = Step(("sh", "-c", "echo x >>/kd/runs; wc -l </kd/runs"))
    with closing(Proxy(sshd.published[GOAL])) as proxy:
        host, trust = client.host("127.0.0.1", proxy.port, key=key), client.trust()
        harms: list[Callable[[], None]] = [lambda: None, proxy.reset, lambda: sshd.signal("STOP"), lambda: None]
        for number, harm in enumerate(harms, 1):
            harm()
            started = time.monotonic()
            with closing(Remote(host, trust)) as remote:
                assert remote.run(count, timeout=30).output == str(number)
            assert time.monotonic() - started < 8
    sshd.signal("CONT")
    sshd.sh("rm /kd/runs")


@pytest.mark.real
def test_sessions_that_an_earlier_run_has_left_on_the_host_do_not_count(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust = client.host("127.0.0.1", sshd.start(2209, more="MaxSessions 1"), key=key), client.trust()
    first = connect(way(host, trust), lambda: True, lambda _: None)
    session = first.session("exec sleep 20")
    time.sleep(0.5)
    session.close()
    first.release()
    assert deploys(host, trust) == "hi"


@pytest.mark.real
def test_a_forward_ends_with_its_run_and_the_connection_does_not(sshd: Sshd, client: Client, key: Path) -> None:
    host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust()
    first = origin(host, trust)
    for _ in range(2):
        with closing(Remote(host, trust)) as remote:
            assert remote.run(CONNECTION).output == first
            assert remote.lend(5994).is_open
            assert lent_on(remote, 5994)
    with closing(Remote(host, trust)) as remote:
        assert remote.run(CONNECTION).output == first
        assert not lent_on(remote, 5994)


@pytest.mark.real
def test_a_connection_that_nobody_uses_ends_by_itself(
    sshd: Sshd, client: Client, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as own:
        monkeypatch.setenv("XDG_RUNTIME_DIR", own)
        host, trust = client.host("127.0.0.1", sshd.published[GOAL], key=key), client.trust(persist=1)
        with closing(Remote(host, trust)) as remote:
            first = remote.run(CONNECTION).output
            time.sleep(2.5)
            # The pauses of a run do not count.
            assert remote.run(CONNECTION).output == first
        deadline = time.monotonic() + 5
        while (found := list(Path(own).glob("*/*/s"))) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found == []
        # The next login deletes what is left of it.
        with closing(Remote(client.host("127.0.0.1", sshd.published[OUTER], key=key), client.trust(persist=0))) as one:
            assert one.run(HI).output == "hi"
        assert list(Path(own).glob("*/*")) == []


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_sockets_are_not_looked_for_where_others_may_put_them(
    mode: int, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as own:
        monkeypatch.setenv("XDG_RUNTIME_DIR", own)
        place = Path(own, "kamal-dev")
        place.mkdir()
        place.chmod(mode)
        with pytest.raises(HostUnreachable, match="not a folder that only this user can access"):
            deploys(client.host("127.0.0.1", 1), client.trust())


STUBBORN = """
import os
from kamal_dev.shell import local_forward
from kamal_dev.shell.frame import Frame
mark = Frame.new()
script = f"trap '' TERM; {mark.opening}; echo ready; echo $$ >&2; while :; do echo noise >&2; sleep 0.05; done"
tell = lambda word: os.write(1, f"{word}\\n".encode())
ready = lambda: tell("ready")
say = lambda line: line.isdecimal() and tell(line)
local_forward.hold("blog-1", ("sh", "-c", script), mark, on_ready=ready, on_line=say, log=lambda _: None)
"""


def test_a_second_interrupt_ends_a_forward_at_once() -> None:
    words = (sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler){STUBBORN}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        said = sorted(process.stdout.readline().strip() for _ in range(2))
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        again = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert time.monotonic() - again < 3
        with pytest.raises(ProcessLookupError):
            os.kill(int(said[0]), 0)
