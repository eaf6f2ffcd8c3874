"""Remove secrets from text by value, in all common encodings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any

from kamal_dev.pattern import pattern

if TYPE_CHECKING:
    from kamal_dev.model import Secret

SHORTEST = 4
WIDTHS = (76, 64)  # line lengths of `base64` and PEM


# Values of these keys are names chosen by the project, a host or this program.
NAMES = frozenset(
    (
        *("stack", "service", "host", "main", "project", "provider", "type", "kind", "phase", "stage"),
        *("state", "status", "health", "outcome", "category"),
    )
)


_WORD = pattern(r"[a-z][a-z_]*")


class Redaction:
    """Replace each known secret by `[redacted]`, as a whole and line by line.

    Secrets are also found in base64 at any alignment, URL-encoded, and quoted for JSON, a shell or Compose. Values
    shorter than four characters are not replaced: ordinary words would disappear. Neither are spared names:
    `POSTGRES_PASSWORD=postgres` must not make a service with that name unreadable.
    """

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()
        self._spared: frozenset[str] = frozenset()
        self._shared: dict[str, re.Pattern[str]] = {}
        self._known: set[Secret] = set()
        self._lock = Lock()

    def add(self, secret: Secret) -> None:
        """Add a secret value; safe to call repeatedly."""
        with self._lock:
            if secret in self._known:
                return
            value = secret.reveal()
            texts = {value, *map(str.strip, value.splitlines())}
            forms = {form for text in texts if len(text.strip()) >= SHORTEST for form in _forms(text)}
            # Longest first. Assigned in one step, because other threads may be reading.
            self._forms = tuple(sorted(forms.union(self._forms), key=lambda form: (-len(form), form)))
            self._known.add(secret)
            self._share()

    def spare(self, names: Iterable[str]) -> None:
        """Keep names readable as whole words, even if a secret has the same value or contains it."""
        with self._lock:
            if not self._spared.issuperset(names := frozenset(filter(None, names))):
                self._spared |= names
                self._share()

    def _share(self) -> None:
        """Find the forms that occur in spared names: there, names are matched first."""
        patterns: dict[str, re.Pattern[str]] = {}
        for form in self._forms:
            if names := sorted((name for name in self._spared if form in name), key=len, reverse=True):
                words = "|".join(map(re.escape, names))
                patterns[form] = re.compile(rf"(?<!\w)(?P<name>{words})(?!\w)|{re.escape(form)}")
        self._shared = patterns

    def __call__(self, text: str) -> str:
        """Return `text` without the known values."""
        from kamal_dev.model import REDACTED

        for form in self._forms:
            if form in text:
                shared = self._shared.get(form)
                text = shared.sub(_unless_named, text) if shared else text.replace(form, REDACTED)
        return text

    def _key(self, key: str) -> str:
        """Return a key: words of the schema stay, and so do names from the user's files."""
        return key if _WORD.fullmatch(key) or self._is_value(key) else self(key)

    def _named(self, key: Any, value: Any) -> Any:
        """Return a value: if its key means that it is a name, equality with a secret is a coincidence."""
        return value if key in NAMES and self._is_value(value) else self.within(value)

    def _is_value(self, text: Any) -> bool:
        return any(secret.reveal() == text for secret in self._known)

    def within(self, data: Any) -> Any:
        """Return JSON data without the known values; keys and values that are names stay."""
        if isinstance(data, dict):
            return {self._key(str(key)): self._named(key, value) for key, value in data.items()}
        if isinstance(data, (list, tuple)):
            return [self.within(item) for item in data]
        return self(data) if isinstance(data, str) else data


def _unless_named(match: re.Match[str]) -> str:
    from kamal_dev.model import REDACTED

    return match["name"] or REDACTED


def _forms(text: str) -> Iterator[str]:
    # Imported with the first secret: `dev --help` has none.
    import json
    import shlex
    from urllib.parse import quote, quote_plus

    raw = text.encode(errors="surrogateescape")
    yield text
    yield from (json.dumps(text, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
    yield shlex.quote(text).removeprefix("'").removesuffix("'")
    yield text.replace("$", "$$")
    yield text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    for safe in ("", "/", "!'()*", ";,/?:@&=+$!~*'()#"):
        for encoded in (quote(raw, safe=safe), quote_plus(raw, safe=safe)):
            yield encoded
            yield _lower(encoded)
    yield from _base64(raw)


def _lower(encoded: str) -> str:
    """Return URL-encoded text with its escapes in lower case."""
    import re

    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)


def _base64(raw: bytes) -> Iterator[str]:
    """Yield the base64 of a value on its own, and the invariant part for each alignment inside a longer text."""
    from base64 import b64encode

    for alphabet in (None, b"-_"):
        whole = b64encode(raw, alphabet).decode()
        yield whole
        yield from (whole[at : at + width] for width in WIDTHS for at in range(0, len(whole) - 15, width))
        for before in range(3):
            encoded = b64encode(b"\0" * before + raw, alphabet).decode()
            # A character encodes six bits: the outermost ones share bits with the neighbouring bytes and vary.
            end = (before + len(raw)) * 8 // 6
            core = encoded[-(-before * 8 // 6) : end]
            if len(core) >= SHORTEST:
                yield core
