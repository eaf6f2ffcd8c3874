"""Hashes that reveal whether something private changed, and nothing else. Independent of time and place.

A plain hash of a password could be found by trying passwords, and these hashes are in labels, names of releases and
reports. So they are salted and slow; a random key would differ on each machine, and make each deploy a new release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from kamal_dev.compose import interpolate
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Value
from kamal_dev.model import Secret

# Some milliseconds per attempt. PBKDF2 is part of every Python, even of builds with approved functions only.
_ROUNDS = 20_000


def private(salt: str, parts: Iterable[tuple[str, bytes]]) -> str:
    """Return the hash of named contents, in any order."""
    total = hashlib.sha256()
    for name, content in sorted(parts):
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return _slow(salt.encode(), total.digest())


@lru_cache(maxsize=1024)
def _slow(salt: bytes, digest: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", digest, hashlib.sha256(b"kamal-dev:" + salt).digest(), _ROUNDS).hex()


def of_services(
    salt: str, carried: Iterable[tuple[str, Travel]], model: Value, values: Mapping[str, str | Secret]
) -> dict[str, str]:
    """Return a hash for each service that mounts a file, a config or a secret, so that a change recreates it.

    `carried` are the files with their paths in the release, because local paths differ between clones. Compose itself
    recreates a container if its environment changed, but not if the content of a mounted file did.
    """
    contents: dict[str, list[tuple[str, bytes]]] = {}
    for path, travel in carried:
        if travel.role in ("bind", "config", "secret"):
            for name in travel.services:
                contents.setdefault(name, []).append((path, travel.content))
    services = model.at("services")
    for name, service in services.items.items() if services is not None else ():
        for part in _inline(service, model, values):
            contents.setdefault(name, []).append(part)
    return {name: private(salt, parts)[:12] for name, parts in contents.items()}


def _inline(service: Value, model: Value, values: Mapping[str, str | Secret]) -> Iterator[tuple[str, bytes]]:
    """Yield the configs and secrets of a service whose content is in a variable or in the compose file."""
    for path, definition in _definitions(service, model):
        content = definition.at("content")
        if content is not None:
            yield path, content.raw.encode()
        for name in _variables(definition):
            yield f"{path}.{name}", plain(values.get(name, "")).encode()


def mounted_variables(service: Value, model: Value) -> tuple[str, ...]:
    """Return the variables that the mounted configs and secrets of a service use."""
    names = (name for _, definition in _definitions(service, model) for name in _variables(definition))
    return tuple(dict.fromkeys(names))


def _definitions(service: Value, model: Value) -> Iterator[tuple[str, Value]]:
    """Yield the configs and secrets that a service mounts, with their paths in the model."""
    for key in ("configs", "secrets"):
        listed = service.at(key)
        for item in listed.list if listed is not None else ():
            source = item.string("source") if item.items else item.text
            definition = model.at(key, source)
            if definition is not None:
                yield f"{key}.{source}", definition


def _variables(definition: Value) -> tuple[str, ...]:
    content = definition.at("content")
    if content is not None:
        return tuple(interpolate.names(content.raw))
    return (definition.string("environment"),) if definition.at("environment") is not None else ()


def plain(value: str | Secret) -> str:
    """Return a variable's value for hashing."""
    return value.reveal() if isinstance(value, Secret) else value
