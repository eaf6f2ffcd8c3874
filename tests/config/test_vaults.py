"""Addresses in .kamal/secrets: each manager's own command line, played by a stand-in of its name on PATH."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kamal_dev import config
from kamal_dev.config import SecretsFile
from kamal_dev.config.vaults import VAULTS
from kamal_dev.errors import ConfigError
from kamal_dev.shell.local import Local

SECRET = 's3cret "ünd" $more'
Install = Callable[..., None]

# What each prints, as its documentation shows it; the arguments that it takes; and what it says to strangers.
ITEM = {
    "object": "item",
    "id": "99ee88d2-6046-4ea7-92c2-acac464b1412",
    "name": "guestbook",
    "notes": "a note",
    "fields": [{"name": "API_KEY", "value": SECRET, "type": 1}, {"name": "empty", "value": None, "type": 0}],
    "login": {"username": "ann", "password": "of the login", "totp": None},
}
AWS = {
    "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-a1B2c3",
    "Name": "prod/db",
    "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1",
    "SecretString": json.dumps({"password": SECRET, "port": 5432}),
    "VersionStages": ["AWSCURRENT"],
    "CreatedDate": "2026-01-01T00:00:00.000000+00:00",
}
KV2 = {
    "request_id": "fa5a1f4f",
    "data": {"data": {"password": SECRET, "port": 5432}, "metadata": {"version": 5, "destroyed": False}},
}
KV1 = {"request_id": "fa5a1f4f", "data": {"password": SECRET}}
ANSWERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "op://Dev/app/api key": (("read", "--no-newline", "op://Dev/app/api key"), SECRET),
    "bw://guestbook/API_KEY": (("get", "item", "guestbook", "--nointeraction"), json.dumps(ITEM)),
    "aws://prod/db#password": (
        ("secretsmanager", "get-secret-value", "--secret-id", "prod/db", "--output", "json"),
        json.dumps(AWS),
    ),
    "vault://secret/app#password": (("kv", "get", "-format=json", "secret/app"), json.dumps(KV2)),
    "keyring://guestbook/ann": (("get", "guestbook", "ann"), f"{SECRET}\n"),
}
STRANGER = {
    "op": "[ERROR] 2026/01/01 00:00:00 You are not currently signed in. Please run `op signin --help` for instructions",
    "bw": "You are not logged in.",
    "aws": 'Unable to locate credentials. You can configure credentials by running "aws configure".',
    "vault": "Error making API request.\n\nCode: 403. Errors:\n\n* permission denied",
    "keyring": "",
}


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Put a program on PATH that answers one command line, notes each call, and refuses all others."""
    (tmp_path / "bin").mkdir()

    def put(name: str, argv: tuple[str, ...] = (), answer: str = "", refusal: str = "") -> None:
        (tmp_path / f"{name}.argv").write_text("".join(f"{word}\n" for word in argv))
        (tmp_path / f"{name}.answer").write_text(answer)
        (tmp_path / f"{name}.refusal").write_text(f"{refusal}\n" if refusal else "")
        script = f"""#!/bin/sh
here={tmp_path}
echo "$*" >>"$here/calls"
printf '%s\\n' "$@" >"$here/asked"
if [ -s "$here/{name}.argv" ] && cmp -s "$here/{name}.argv" "$here/asked"; then cat "$here/{name}.answer"; exit; fi
cat "$here/{name}.refusal" >&2
exit 1
"""
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)

    return put


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], SecretsFile]:
    shell = Local(environment={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)})
    return lambda text: config.parse_secrets(text, ".kamal/secrets", environment={}, run=shell.run)


def _calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


@pytest.mark.parametrize("address", ANSWERS)
def test_a_secret_is_what_its_manager_says(address: str, install: Install, read: Callable[[str], SecretsFile]) -> None:
    argv, answer = ANSWERS[address]
    install(address.partition(":")[0], argv, answer)
    secret = read(f"A={address} # a comment\n").get("A")
    assert secret is not None
    assert secret.reveal() == SECRET


@pytest.mark.parametrize(
    ("address", "answer", "expected"),
    [
        ("bw://guestbook", ITEM, "of the login"),
        ("bw://guestbook/username", ITEM, "ann"),
        ("bw://guestbook/notes", ITEM, "a note"),
        ("aws://prod/db", AWS, AWS["SecretString"]),
        ("aws://prod/db#port", AWS, "5432"),
        ("vault://secret/app#password", KV1, SECRET),
        ("vault://secret/app#port", KV2, "5432"),
    ],
)
def test_the_parts_of_an_item_have_names(
    address: str, answer: object, expected: str, install: Install, read: Callable[[str], SecretsFile]
) -> None:
    scheme = address.partition(":")[0]
    argv = next(argv for known, (argv, _) in ANSWERS.items() if known.startswith(scheme))
    install(scheme, argv, json.dumps(answer))
    assert read(f"A={address}\n").require(["A"])["A"].reveal() == expected


def test_nothing_is_asked_for_that_is_not_needed_and_nothing_twice(
    tmp_path: Path, install: Install, read: Callable[[str], SecretsFile]
) -> None:
    argv, answer = ANSWERS["aws://prod/db#password"]
    install("aws", argv, answer)
    secrets = read("A=plain\nB=aws://prod/db#password\nC=aws://prod/db#port\nD=op://not/asked/for\n")
    assert "B" in secrets
    assert secrets.names == ("A", "B", "C", "D")
    secrets.require(["A"])
    assert _calls(tmp_path) == []
    assert [secret.reveal() for secret in secrets.require(["B", "C", "B"]).values()] == [SECRET, "5432"]
    assert _calls(tmp_path) == [" ".join(argv)]


def test_what_stands_further_up_says_where_a_manager_is(tmp_path: Path, read: Callable[[str], SecretsFile]) -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin/op").write_text('#!/bin/sh\nprintf %s "$OP_ACCOUNT"\n')
    (tmp_path / "bin/op").chmod(0o755)
    secrets = read("OP_ACCOUNT=work\nA=op://a/b/c\nOP_ACCOUNT=home\nB=op://a/b/c\n")
    assert [secret.reveal() for secret in secrets.require(["A", "B"]).values()] == ["work", "home"]


def test_quotes_keep_an_address_as_it_is_and_variables_may_be_part_of_one(
    install: Install, read: Callable[[str], SecretsFile]
) -> None:
    install("op", *ANSWERS["op://Dev/app/api key"])
    secrets = read("V=Dev\nA='op://Dev/app/api key'\nB=op://$V/app/api key\nC=https://x/y\nD=postgres://a/b\n")
    found = {name: secret.reveal() for name, secret in secrets.require("ABCD").items()}
    assert found == {"A": "op://Dev/app/api key", "B": SECRET, "C": "https://x/y", "D": "postgres://a/b"}


@pytest.mark.parametrize("vault", VAULTS, ids=lambda vault: vault.scheme)
def test_a_manager_that_is_missing_or_refuses_says_so_with_what_to_do(
    vault: config.vaults.Vault, install: Install, read: Callable[[str], SecretsFile]
) -> None:
    address = next(address for address in ANSWERS if address.startswith(vault.scheme))
    with pytest.raises(ConfigError) as caught:
        read(f"\nA={address}\n").get("A")
    program = ANSWERS[address] and vault.scheme
    assert caught.value.message.startswith(".kamal/secrets:2: A: ")
    assert f"`{program}` ({vault.name}) is not installed" in caught.value.message
    assert caught.value.hint == vault.install
    install(vault.scheme, refusal=STRANGER[vault.scheme])
    with pytest.raises(ConfigError) as caught:
        read(f"A={address}\n").get("A")
    said = STRANGER[vault.scheme].splitlines()[-1:] or ["no output"]
    assert said[0] in caught.value.message
    assert caught.value.hint == vault.sign_in


@pytest.mark.parametrize(
    ("address", "answer", "message"),
    [
        ("bw://guestbook/API", json.dumps(ITEM), "has no `API` there, but `username`, `password`, `notes`, `API_KEY`"),
        ("aws://prod/db#nothing", json.dumps(AWS), "has no `nothing` there, but `password`, `port`"),
        ("aws://prod/db#key", json.dumps({**AWS, "SecretString": SECRET}), "is not a JSON object"),
        ("aws://prod/db", json.dumps({"SecretBinary": "eA=="}), "is a binary secret, not text"),
        ("vault://secret/app", "", "names no key: `vault://MOUNT/PATH#KEY`"),
        ("vault://secret/app#a", SECRET, "is not a JSON object"),
        ("vault://-address=evil#a", "", "has no name behind `vault://`"),
        ("bw://-x/password", "", "has no name behind `bw://`"),
        ("keyring://service", "", "has no name behind"),
        ("op://", "", "has no name behind `op://`"),
    ],
)
def test_what_is_not_there_is_told_without_a_value(
    address: str, answer: str, message: str, install: Install, read: Callable[[str], SecretsFile]
) -> None:
    scheme = address.partition(":")[0]
    argv = next(argv for known, (argv, _) in ANSWERS.items() if known.startswith(scheme))
    install(scheme, argv, answer)
    with pytest.raises(ConfigError) as caught:
        read(f"A={address}\n").get("A")
    assert message in caught.value.message
    assert SECRET not in caught.value.message


def test_no_secret_stands_in_an_argument(tmp_path: Path, install: Install, read: Callable[[str], SecretsFile]) -> None:
    for address, (argv, answer) in ANSWERS.items():
        install(address.partition(":")[0], argv, answer)
    lines = "".join(f"S{index}={address}\n" for index, address in enumerate(ANSWERS))
    secrets = read(lines)
    secrets.require(secrets.names)
    assert len(_calls(tmp_path)) == len(ANSWERS)
    assert SECRET not in "\n".join(_calls(tmp_path))
    assert os.environ.get("S0") is None
