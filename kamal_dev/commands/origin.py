"""The git configuration of a clone on a host: remote of the project, author of commits. Contains no credential."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from kamal_dev.pattern import pattern

_SCP = pattern(r"(?P<user>[^/@:]+)(:[^@/]*)?@(?P<rest>[^/:]+:.*)")


def of(settings: Mapping[str, str], branch: str) -> str:
    """Return the name of the project's remote: `origin`, else the branch's, else the first; empty without any."""
    named = [
        key[len("remote.") : -len(".url")] for key in settings if key.startswith("remote.") and key.endswith(".url")
    ]
    for name in ("origin", settings.get(f"branch.{branch}.remote", "")):
        if name in named:
            return name
    return named[0] if named else ""


def upstream(settings: Mapping[str, str], branch: str, remote: str) -> str:
    """Return the branch at `remote` that `branch` tracks; empty if there is none."""
    if not remote or settings.get(f"branch.{branch}.remote") != remote:
        return ""
    return settings.get(f"branch.{branch}.merge", "").removeprefix("refs/heads/")


def config(settings: Mapping[str, str], branch: str, remote: str) -> str:
    """Return the configuration of a new clone: origin, upstream, author, submodules."""
    sections: dict[str, dict[str, str]] = {}
    if remote:
        fetch = "+refs/heads/*:refs/remotes/origin/*"
        sections['remote "origin"'] = {"url": without_credentials(settings[f"remote.{remote}.url"]), "fetch": fetch}
    if followed := upstream(settings, branch, remote):
        merge = f"refs/heads/{followed}"
        sections[f"branch {_quoted(branch)}"] = {"remote": "origin", "merge": merge}
    who = {key: settings[f"user.{key}"] for key in ("name", "email") if settings.get(f"user.{key}")}
    if who:
        sections["user"] = who
    for key, value in settings.items():
        name, _, what = key.removeprefix("submodule.").rpartition(".")
        if key.startswith("submodule.") and name and what in ("url", "active"):
            shown = without_credentials(value) if what == "url" else value
            sections.setdefault(f"submodule {_quoted(name)}", {})[what] = shown
    return "".join(f"[{section}]\n{_lines(entries)}" for section, entries in sections.items())


def without_credentials(url: str) -> str:
    """Remove user and password from a URL; for SSH the user stays, because it is not secret but part of the address."""
    if match := _SCP.fullmatch(url):
        return f"{match['user']}@{match['rest']}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "://" not in url or "@" not in parts.netloc:
        return url
    login, _, address = parts.netloc.rpartition("@")
    user = login.partition(":")[0] if parts.scheme in ("ssh", "git+ssh", "ssh+git") else ""
    return urlunsplit(parts._replace(netloc=f"{user}@{address}" if user else address))


def _lines(entries: Mapping[str, str]) -> str:
    return "".join(f"\t{key} = {_quoted(value)}\n" for key, value in entries.items())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
