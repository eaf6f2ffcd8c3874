"""Why git could not read the repository at a URL, and what to do about it. Quotes git, and decides by its words."""

from __future__ import annotations

from urllib.parse import urlsplit

from kamal_dev.errors import GitFailed
from kamal_dev.project.repository_url import RepositoryUrl

_OFFLINE = (
    "could not resolve host",
    "couldn't connect to",
    "failed to connect",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "network is unreachable",
    "no route to host",
    "temporary failure in name resolution",
    "name or service not known",
)
_HOST_KEY = ("host key verification failed",)
_ACCESS = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "terminal prompts disabled",
    "permission denied",
    "access denied",
    "the requested url returned error: 401",
    "the requested url returned error: 403",
)
_NOT_THERE = ("not found", "does not appear to be a git repository", "does not exist", "no such file or directory")


def is_offline(words: str) -> bool:
    """Return whether git did not reach the host at all."""
    return _has(words, _OFFLINE)


def error(url: RepositoryUrl, words: str, helper: str) -> GitFailed:
    """Return the error with git's own words; `helper` is the credential helper that git has for the URL."""
    reason = _reason(words)
    if is_offline(words):
        return GitFailed(f"{url.url} does not answer: {reason}", hint="check the address and the network")
    if _has(words, _HOST_KEY):
        host = _host(url.url)
        return GitFailed(f"the SSH key of {host} is not known: {reason}", hint=f"run `ssh {host}` once to accept it")
    if _has(words, _ACCESS):
        return GitFailed(f"no access to {url.url}: {reason}", hint=_credentials(url, helper))
    if _has(words, _NOT_THERE):
        hint = f"check the address; a private repository looks the same without access: {_credentials(url, helper)}"
        return GitFailed(f"there is no repository at {url.url}: {reason}", hint=hint)
    return GitFailed(f"git cannot read {url.url}: {reason}", hint=f"check with `git ls-remote {url.url}`")


def _credentials(url: RepositoryUrl, helper: str) -> str:
    """Say which credentials git had, and how to give it some."""
    if url.password:
        return f"git used the credentials in the URL, of the user `{url.user}`"
    if not url.url.startswith(("http://", "https://")):
        host = _host(url.url)
        return f"git used your SSH keys and agent: check with `ssh -T {host}`" if host else "check who may read it"
    if helper:
        return f"git asked the credential helper `{helper}`: sign in with it again"
    return "git has no credential helper for it: set one up (`gh auth setup-git`), or use the SSH address"


def _host(url: str) -> str:
    """Return the host of an SSH address with its user; empty for a path."""
    return urlsplit(url).netloc if "://" in url else url.partition(":")[0] if "@" in url else ""


def _reason(words: str) -> str:
    starts = ("fatal:", "error:", "ssh:", "remote:", "ERROR:")
    lines = [line.strip() for line in words.splitlines()]
    telling = [line for line in lines if line.startswith(starts) or "denied" in line or "verification failed" in line]
    return "; ".join(dict.fromkeys(telling)) or words.strip() or "it gave no reason"


def _has(words: str, known: tuple[str, ...]) -> bool:
    return any(text in words.lower() for text in known)
