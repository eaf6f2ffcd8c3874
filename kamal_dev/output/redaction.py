"""Remove secrets from text by value, in the forms in which they travel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamal_dev.model import Secret

SHORTEST = 6


class Redaction:
    """Replace each known secret by `[redacted]`: raw, base64 and URL-encoded, and each line of it.

    Values shorter than six characters are left: they would blank out ordinary words.
    """

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, secret: Secret) -> None:
        """Learn a value; safe to call again."""
        value = secret.reveal()
        for text in {value, *value.splitlines()}:
            if len(text) >= SHORTEST:
                self._forms |= _forms(text)

    def __call__(self, text: str) -> str:
        """Return `text` without the values learnt so far; longer ones go first."""
        from kamal_dev.model import REDACTED

        for form in sorted(self._forms, key=len, reverse=True):
            if form in text:
                text = text.replace(form, REDACTED)
        return text


def _forms(text: str) -> set[str]:
    # Imported where the first secret is learnt: `dev --help` meets none.
    import base64
    from urllib.parse import quote, quote_plus

    raw = text.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return {text, quote(text), quote(text, safe=""), quote_plus(text), *encoded}
