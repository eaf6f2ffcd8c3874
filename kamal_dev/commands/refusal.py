"""Find out from a client's error message why a registry gave no answer. Does no I/O.

Only a message about the image itself means that the registry does not have it. Everything else is unknown, with a
cause.
"""

from __future__ import annotations

import re

_STATUS = r"(?:status|code|error|says|http(?:/\d\.\d)?)\W{1,3}"
# Each cause with its messages; the first match counts.
_CAUSES = (
    ("engine", r"docker daemon|docker\.sock"),
    ("proxy", rf"proxyconnect|proxy authentication required|{_STATUS}407\b"),
    ("name", r"no such host|name or service not known|temporary failure in name resolution|server misbehaving"),
    ("certificate", r"x509|tls: |certificate|http response to https client"),
    ("helper", r"error getting credentials|docker-credential-"),
    ("busy", rf"toomanyrequests|too many requests|rate limit|{_STATUS}429\b"),
    ("space", rf"no space left|insufficient storage|request entity too large|{_STATUS}(?:413|507)\b"),
    (
        "denied",
        r"unauthorized|(?<!permission )denied|forbidden|authorization failed|authentication required|no basic auth"
        rf"|{_STATUS}40[13]\b",
    ),
    ("broken", rf"internal server error|bad gateway|service unavailable|gateway time-?out|{_STATUS}50\d\b"),
    ("dropped", r"connection reset|\beof\b|broken pipe|remote end closed"),
    ("time", r"timed? ?out|timeout|deadline exceeded|in time\b|within \d+ s\b"),
    ("refused", r"connection refused|no route to host|network is unreachable|failed to connect"),
    ("stranger", r"invalid character '<'|text/html|malformed http|not http|is not a registry"),
)
_ABSENT = r"manifest[ _]unknown|name[ _]unknown|no such manifest|repository name not known"
TRANSIENT = frozenset({"broken", "dropped", "busy"})


def is_absent(text: str, reference: str = "") -> bool:
    """Return whether this message means that the registry answered and has no such image."""
    by_name = rf"{re.escape(reference)}: not found\s*$" if reference else r"(?!)"
    return (
        re.search(rf"{_ABSENT}", text, re.IGNORECASE) is not None or re.search(by_name, text, re.MULTILINE) is not None
    )


def cause(text: str) -> str:
    """Return the word for what went wrong: `denied`, `name`, `time` …; empty if unknown."""
    return next((word for word, signs in _CAUSES if re.search(signs, text, re.IGNORECASE)), "")


def hint(text: str, server: str, *, otherwise: str = "") -> str:
    """Return what to do about this message from `server`; `otherwise` if it is unknown."""
    advice = _ADVICE.get(cause(text))
    return advice.format(server=server) if advice else otherwise


_ADVICE = {
    "proxy": "the proxy in `HTTP_PROXY`/`HTTPS_PROXY` refuses the connection; "
    "list {server} in `NO_PROXY`, or check the proxy",
    "name": "the name {server} does not resolve: check it for a typo, the network, DNS and VPN",
    "certificate": "the certificate of {server} is not trusted: install its CA in "
    "`/etc/docker/certs.d/{server}/ca.crt`, or check whether it speaks HTTPS",
    "helper": "a credential helper in `~/.docker/config.json` failed: install it, or remove its entry",
    "busy": "{server} limits the rate of requests: wait, or log in with an account that has a higher limit",
    "space": "{server} has no space for the image, or a proxy in front of it limits the size of a layer",
    "denied": "check that the account has access to {server}, that its token has not expired, "
    "and that the repository exists",
    "broken": "{server} failed: check its status page or log, and try again later",
    "dropped": "{server} closed the connection: check its log and the network, and try again",
    "time": "{server} did not answer in time: check the network, VPN and firewalls, and try again",
    "refused": "no answer from {server}: check the name and port, the network, and that the registry is running",
    "stranger": "what answers at {server} is not a registry: check the name, the port and any proxy",
}
