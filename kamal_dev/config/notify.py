"""Who is notified about alerts: `notify` of config/dev.yml, and its file on hosts. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kamal_dev.config.kinds import Many, Name, Text, Whole
from kamal_dev.config.options import option
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import REDACTED, Secret
from kamal_dev.values import dataclass

_MAILBOX = r"[^\s\x00-\x1f\x7f@,<>\"'-][^\s\x00-\x1f\x7f@,<>\"']*"
ADDRESS = Text(rf"{_MAILBOX}@[A-Za-z0-9.-]+", "is not an address", "an address")
_URL = r"https?://[^\s\x00-\x1f\x7f\"'\\]+"
URL = Text(_URL, "must be a URL with http or https", "a URL")
HEADER = Text(r"[A-Za-z0-9-]+", "is not the name of a header", "the name of a header")


@dataclass(frozen=True)
class Notify:
    """Hold who is notified about problems of a stack, and when."""

    command: str = option(
        Text(title="a command"),
        """Shell command that runs on the host, as the SSH user and in the folder of the workspaces, with the alert as
        JSON on stdin, for up to 60 seconds. Containers can change a program in a workspace.""",
        default="",
        example="./shop/bin/page",
        otherwise="none",
    )
    webhook: str = option(
        URL,
        "URL to which the host sends each alert as JSON in a POST request.",
        default="",
        example="https://alerts.example.com/dev",
        otherwise="none",
    )
    header: str = option(HEADER, "Header of the webhook that carries `notify.secret`.", default="Authorization")
    secret: str = option(
        Name(),
        "Variable with the value of that header, read from the environment or the secrets file.",
        default="",
        example="ALERTS_TOKEN",
        otherwise="no header",
    )
    slack: str = option(
        Name(),
        "Variable with the URL of a Slack incoming webhook, which is a secret.",
        default="",
        example="SLACK_WEBHOOK",
        otherwise="none",
    )
    email: tuple[str, ...] = option(
        Many(ADDRESS, or_one=True),
        "Addresses to send e-mail to, with `sendmail` of the host.",
        default=(),
        example="[ops@example.com]",
        otherwise="none",
    )
    disk: int = option(Whole(1, 100), "Raise an alert when a disk is at least this full, in percent.", default=90)
    calm: int = option(
        Whole(1, 86_400),
        """Seconds without the problem after which a service counts as recovered. The time doubles each time the
        problem returns.""",
        default=60,
    )
    repeat: int = option(
        Whole(1, 604_800),
        "Seconds after which the alert of a persisting problem is repeated, with its count.",
        default=1800,
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The variables whose values are needed."""
        return tuple(filter(None, (self.secret, self.slack)))


def notify_text(settings: Notify, secrets: Mapping[str, Secret] | None, path: str) -> str:
    """Return the file that host/notify.sh reads, one key and value per line; empty if everything is default.

    Without `secrets`, their values are `[redacted]`. Raises ConfigError for a value of several lines; `path` is the
    secrets file as shown.
    """
    if settings == Notify():
        return ""
    values = {name: REDACTED if secrets is None else secrets[name].reveal() for name in settings.secrets}
    if wrong := [name for name, value in values.items() if not value.isprintable()]:
        raise ConfigError([Problem(path, 0, "must be one line of text for `notify`", name) for name in wrong])
    if secrets is not None and settings.slack and not re.fullmatch(_URL, values[settings.slack]):
        raise ConfigError([Problem(path, 0, "must be a URL with http or https for `notify.slack`", settings.slack)])
    return "".join(f"{key} {value}\n" for key, value in _entries(settings, values))


def _entries(settings: Notify, secrets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if settings.command:
        yield "command", settings.command
    if settings.webhook:
        yield "webhook", settings.webhook
    if settings.webhook and settings.secret:
        yield "header", f"{settings.header}: {secrets[settings.secret]}"
    if settings.slack:
        yield "slack", secrets[settings.slack]
    if settings.email:
        yield "email", " ".join(settings.email)
    yield from (("disk", str(settings.disk)), ("calm", str(settings.calm)), ("repeat", str(settings.repeat)))
