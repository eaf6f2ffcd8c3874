"""The URL of a repository as users write it: `URL[@REF]`. Credentials in it are kept apart, and never shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from kamal_dev.errors import UsageError
from kamal_dev.model import Secret
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "ssh+git", "file")
_SCP = pattern(r"[A-Za-z0-9._~-]+@[A-Za-z0-9.-]+:(?!/?/?$)\S+")
_WITHOUT_SCHEME = pattern(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?/[^/\s]+/\S+")
_PULL = pattern(r"(?P<url>https?://.+?)(?:/pulls?|/-/merge_requests)/(?P<number>[1-9][0-9]*)/?")
_WORD = pattern(r"[a-z0-9]+")
# A helper of its own for this host only: git neither asks nor stores, and no argument has the password.
_HELPER = (
    '!f() { test "$1" = get || return 0; '
    'printf "username=%s\\npassword=%s\\n" "$KAMAL_DEV_GIT_USERNAME" "$KAMAL_DEV_GIT_PASSWORD"; }; f'
)


@dataclass(frozen=True)
class RepositoryUrl:
    """Hold where a repository is: `url` without credentials, which are `user` and `password`, and the reference."""

    url: str
    ref: str = ""
    user: str = field(default="", repr=False)
    password: Secret | None = None

    @property
    def name(self) -> str:
        """The name of the repository, and of its folder in workspaces."""
        last = re.split(r"[/:]", self.url.rstrip("/"))[-1].removesuffix(".git")
        return last if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", last) else "repository"

    @property
    def key(self) -> str:
        """A name for the folders of this repository: equal for the ways to write one URL."""
        plain = self.url.rstrip("/").removesuffix(".git")
        return f"{self.name}-{hashlib.sha256(plain.encode(errors='surrogateescape')).hexdigest()[:12]}"

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which git has the credentials of the URL; without any, git uses the user's."""
        if not self.user:
            return dict(own)
        host = urlunsplit(urlsplit(self.url)._replace(path="", query="", fragment=""))
        settings = [(f"credential.{host}.username", self.user)]
        secrets = {}
        if self.password:
            settings += [(f"credential.{host}.helper", ""), (f"credential.{host}.helper", _HELPER)]
            secrets = {"KAMAL_DEV_GIT_USERNAME": self.user, "KAMAL_DEV_GIT_PASSWORD": self.password.reveal()}
        first = int(own.get("GIT_CONFIG_COUNT") or 0)
        given = {"GIT_CONFIG_COUNT": str(first + len(settings))}
        for index, (key, value) in enumerate(settings, first):
            given |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return {**own, **given, **secrets}


def is_url(word: str) -> bool:
    """Return whether a word names a repository and not a stack."""
    return "://" in word or word.startswith(("/", "./", "../", "~/")) or _is_short(word)


def _is_short(word: str) -> bool:
    return bool(_SCP.fullmatch(word) or _WITHOUT_SCHEME.fullmatch(word))


def parse(word: str, folder: Path) -> RepositoryUrl:
    """Return the repository that a word names; a path is relative to `folder`. Raises UsageError."""
    if "://" not in word and not _SCP.fullmatch(word):
        return _path_or_host(word, folder)
    if pull := _PULL.fullmatch(word):
        word = f"{pull['url']}@pr/{pull['number']}"
    if "://" not in word:
        login, _, path = word.partition(":")
        path, ref = _split(path, word)
        return RepositoryUrl(f"{login}:{path}", ref)
    return _with_scheme(word)


def name_of(ref: str) -> str:
    """Return the name of the stack for a reference: `feature-x` for `feature/x`; a full hash is shortened."""
    text = ref[:12] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref) else ref.lower()
    return "-".join(_WORD.findall(text))[:40].strip("-")


def submodule_url(url: str, outer: str) -> str:
    """Return the URL of a submodule; `./` and `../` are relative to the outer repository, as in git."""
    if not url.startswith(("./", "../")):
        return url
    base, mark = outer.rstrip("/"), "/"
    while url.startswith(("./", "../")):
        step, _, url = url.partition("/")
        path = base.partition("://")[2] or base
        if step == ".." and ("/" in path or "://" not in base):
            mark = "/" if "/" in path else ":"
            base = base.rpartition(mark)[0]
    return f"{base}{mark}{url}"


def _path_or_host(word: str, folder: Path) -> RepositoryUrl:
    if _WITHOUT_SCHEME.fullmatch(word) and not (folder / word).exists():
        return parse(f"https://{word}", folder)
    text, ref = _split(word, word)
    path = (folder / Path(text).expanduser()).resolve()
    if not path.is_dir():
        raise UsageError(f"there is no repository at {path}", hint="pass a URL, or the folder of a repository")
    return RepositoryUrl(str(path), ref)


def _with_scheme(word: str) -> RepositoryUrl:
    scheme, _, rest = word.partition("://")
    if scheme.lower() not in SCHEMES:
        raise UsageError(f"`{scheme}://` is not a transport for repositories", hint=f"use {', '.join(SCHEMES)}")
    authority, _, path = rest.partition("/")
    path, ref = _split(path, f"{scheme}://{authority.rpartition('@')[2]}/{path}")
    login, _, host = authority.rpartition("@")
    user, _, password = map(unquote, login.partition(":"))
    if any(sign in user + password for sign in "\n\r\0"):
        raise UsageError("the credentials in the URL contain a line break", hint="use a credential helper of git")
    if scheme.lower() in ("https", "http"):
        return RepositoryUrl(f"{scheme}://{host}/{path}", ref, user, Secret(password) if password else None)
    # For SSH the user is part of the address; a password is not used.
    return RepositoryUrl(f"{scheme}://{f'{user}@{host}' if user else host}/{path}", ref)


def _split(path: str, shown: str) -> tuple[str, str]:
    """Split `PATH@REF`. Raises UsageError if one of them is empty."""
    at = path.find(".git@") + 4 if ".git@" in path else path.find("@")
    repository, ref = (path, "") if at < 0 else (path[:at], path[at + 1 :])
    if not repository.strip("/") or (at >= 0 and not ref):
        raise UsageError(f"`{shown}` is not a repository", hint="write `URL` or `URL@REF`")
    return repository, ref
