"""The password managers that may hold a secret: one row each, as values of .kamal/secrets. Runs nothing itself.

A value that begins with a scheme, without quotes, is the address of a secret. It is resolved by the manager's own
command line when needed; an address contains no secret, so it may be an argument. Sources:
developer.1password.com/docs/cli (`op read`), bitwarden.com/help/cli (`bw get item`), docs.aws.amazon.com/cli
(`secretsmanager get-secret-value`), developer.hashicorp.com/vault/docs/commands/kv/get, keyring(1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Vault:
    """Hold how to ask one manager. `argv` and `read` raise ValueError with the reason.

    `argv` makes the command from what follows `scheme://`, `read` extracts the value from that and the command's
    output. `install` and `sign_in` are hints if the manager is missing or refuses.
    """

    scheme: str
    name: str
    argv: Callable[[str], tuple[str, ...]]
    read: Callable[[str, str], str]
    install: str
    sign_in: str


def find(text: str) -> Vault | None:
    """Return the manager for an address; None for any other value."""
    match = re.match(r"([a-z]+)://", text)
    return next((vault for vault in VAULTS if match and match[1] == vault.scheme), None)


def asked(vault: Vault, address: str) -> tuple[str, ...]:
    """Return the command that asks for a secret. Raises ValueError for an incomplete address."""
    return vault.argv(_name(address.partition("://")[2], f"{vault.scheme}://"))


def secret(vault: Vault, address: str, output: str) -> str:
    """Return the secret from the command's output. Raises ValueError if it is not there."""
    return vault.read(address.partition("://")[2], output)


def _name(text: str, before: str) -> str:
    """Refuse an empty name, and one that a command would take for a flag."""
    if not text or text.startswith("-") or not text.isprintable():
        raise ValueError(f"has no name behind `{before}`")
    return text


def _bitwarden(address: str) -> tuple[str, ...]:
    return ("bw", "get", "item", _name(address.rpartition("/")[0] or address, "bw://"), "--nointeraction")


def _bitwarden_field(address: str, output: str) -> str:
    """Return a custom field, or a field of a login; `password` by default."""
    item, field = _object(output), address.rpartition("/")[2] if "/" in address else "password"
    login = item.get("login") or {}
    fields = {"username": login.get("username"), "password": login.get("password"), "notes": item.get("notes")}
    fields |= {own.get("name"): own.get("value") for own in item.get("fields") or ()}
    return _field({name: value for name, value in fields.items() if value is not None}, field)


def _aws(address: str) -> tuple[str, ...]:
    name = _name(address.partition("#")[0], "aws://")
    return ("aws", "secretsmanager", "get-secret-value", "--secret-id", name, "--output", "json")


def _aws_key(address: str, output: str) -> str:
    text, key = _object(output).get("SecretString"), address.partition("#")[2]
    if not isinstance(text, str):
        raise ValueError("is a binary secret, not text")
    return _field(_object(text), key) if key else text


def _vault(address: str) -> tuple[str, ...]:
    path, hash_, key = address.partition("#")
    if not hash_ or not key:
        raise ValueError("names no key: `vault://MOUNT/PATH#KEY`")
    return ("vault", "kv", "get", "-format=json", _name(path, "vault://"))


def _vault_key(address: str, output: str) -> str:
    data = _object(output).get("data") or {}
    # The second version of the engine returns metadata next to the data.
    is_second = isinstance(data.get("data"), dict) and isinstance(data.get("metadata"), dict)
    return _field(data["data"] if is_second else data, address.partition("#")[2])


def _keyring(address: str) -> tuple[str, ...]:
    service, _, user = address.rpartition("/")
    return ("keyring", "get", _name(service, "keyring://"), _name(user, f"keyring://{service}/"))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        # The output may be the secret itself, so it is not shown.
        raise ValueError("is not a JSON object")
    return value


def _field(fields: dict[str, Any], name: str) -> str:
    if name not in fields:
        raise ValueError(f"has no `{name}` there, but {', '.join(f'`{key}`' for key in fields) or 'nothing'}")
    value = fields[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


VAULTS = (
    Vault(
        "op",
        "1Password",
        lambda address: ("op", "read", "--no-newline", f"op://{address}"),
        lambda _, output: output,
        "install the 1Password CLI: developer.1password.com/docs/cli/get-started",
        "`op signin` signs in, `OP_ACCOUNT` names the account; `op read` tests the address",
    ),
    Vault(
        "bw",
        "Bitwarden",
        _bitwarden,
        _bitwarden_field,
        "install the Bitwarden CLI: bitwarden.com/help/cli",
        "`bw login` once, then `export BW_SESSION=$(bw unlock --raw)`",
    ),
    Vault(
        "aws",
        "AWS Secrets Manager",
        _aws,
        _aws_key,
        "install the AWS CLI: docs.aws.amazon.com/cli",
        "`aws sso login`, or `aws configure`; `AWS_PROFILE` and `AWS_REGION` select the account and the region",
    ),
    Vault(
        "vault",
        "HashiCorp Vault",
        _vault,
        _vault_key,
        "install Vault's CLI: developer.hashicorp.com/vault/install",
        "`vault login`; `VAULT_ADDR` is its address",
    ),
    Vault(
        "keyring",
        "the keyring of this machine",
        _keyring,
        lambda _, output: output.rstrip("\r\n"),
        "`pipx install keyring`",
        "`keyring set SERVICE USER` stores a secret",
    ),
)
