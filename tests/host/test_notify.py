"""How people are notified, by each program that can post: functions of host/notify.sh."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webhook import Webhook, listening

HOST = Path(__file__).parents[2] / "kamal_dev/host"
SHELLS = (("dash",), ("busybox", "ash"))
POSTERS = ("curl", "wget", "python3")
# What the scripts need; nothing that posts, and no sendmail.
TOOLS = (
    *("awk", "cat", "cut", "date", "env", "getent", "grep", "id", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sleep"),
    *("tail", "timeout", "tr", "uname", "wc"),
)
REASON = 'exited with code 3: "no" \\ space & <left> 100 %41'
TOKEN = "Bearer to-0123456789"
SCRIPT = """here={host}; . "{host}/lib.sh"; . "{host}/stack.sh"; . "{host}/notify.sh"; here={folder}
delays="0 0 0" letters={folder}/letters stack=shop-1 home={folder}
"$@"
until [ -z "$(find "$letters" -type f 2>/dev/null)" ]; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Webhook]:
    """A web server: the last part of a path is the code of its response."""
    with listening(lambda _, line: int(line.rpartition("/")[2])) as webhook:
        yield webhook


@pytest.fixture
def webhook(server: Webhook) -> Webhook:
    server.requests.clear()
    return server


class Notifying:
    """A stack with settings, on a host with few programs; each records its arguments."""

    def __init__(self, folder: Path, shell: tuple[str, ...]) -> None:
        self.folder, self.shell = folder, shell
        self.programs = folder / "programs"
        (folder / "current").mkdir()
        (folder / "workspace").mkdir()
        self.programs.mkdir()
        self.has(*TOOLS, "find")

    def has(self, *names: str) -> None:
        for name in names:
            program = sys.executable if name == "python3" else shutil.which(name)
            self.script(name, f'exec {program} "$@"')

    def script(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f'#!/bin/dash\nprintf \'%s\\n\' "$0" "$@" >>{self.folder}/arguments\n{text}\n')
        path.chmod(0o755)

    def notify(self, **settings: str) -> None:
        (self.folder / "current/kamal-dev.notify").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))

    def alert(self, state: str = "exited 3", service: str = "db", count: int = 1, reason: str = REASON) -> None:
        """Write an alert, and wait until it is delivered or given up."""
        self.run("alert", state, service, str(count), "2026-01-01T00:00:00Z", reason)

    def run(self, *words: str) -> None:
        script = SCRIPT.format(host=HOST, folder=self.folder)
        shell = shutil.which(self.shell[0])
        assert shell
        subprocess.run(
            [shell, *self.shell[1:], "-c", script, "x", *words],
            env={"PATH": str(self.programs), "HOME": str(self.folder), "KAMAL_DEV_TOKEN": "test"},
            check=True,
            timeout=60,
        )

    @property
    def log(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.folder / "alerts.log").read_text().splitlines()]

    @property
    def undelivered(self) -> list[str]:
        return [entry["reason"] for entry in self.log if entry["state"] == "undelivered"]

    @property
    def arguments(self) -> str:
        return (self.folder / "arguments").read_text()


@pytest.fixture
def notifying(request: pytest.FixtureRequest, tmp_path: Path) -> Notifying:
    return Notifying(tmp_path, getattr(request, "param", SHELLS[0]))


both_shells = pytest.mark.parametrize("notifying", SHELLS, indirect=True, ids=lambda shell: shell[-1])


@both_shells
@pytest.mark.parametrize("poster", POSTERS)
def test_each_program_posts_the_alert_and_shows_nothing_of_it(
    notifying: Notifying, webhook: Webhook, poster: str
) -> None:
    notifying.has(poster)
    notifying.notify(webhook=webhook.url("hook/204"), header=f"Authorization: {TOKEN}", slack=webhook.url("T0/200"))
    notifying.alert()
    requests = {request.line: request for request in webhook.requests}
    assert sorted(requests) == ["POST /T0/200", "POST /hook/204"]
    posted = requests["POST /hook/204"]
    assert (posted.headers["Content-Type"], posted.headers["Authorization"]) == ("application/json", TOKEN)
    assert posted.json == notifying.log[0]
    assert posted.json["reason"] == REASON
    posted = requests["POST /T0/200"]
    escaped = REASON.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert (posted.headers["Content-Type"], posted.headers["Authorization"]) == ("application/json", None)
    assert posted.json == {"text": f"shop-1: db: {escaped}"}
    assert len(notifying.log) == 1
    assert poster in notifying.arguments
    for hidden in (TOKEN, "hook/204", "T0/200", "with code 3"):
        assert hidden not in notifying.arguments


@pytest.mark.parametrize("poster", POSTERS)
@pytest.mark.parametrize("code", [308, 503])
def test_only_a_success_counts_as_delivered(notifying: Notifying, webhook: Webhook, poster: str, code: int) -> None:
    notifying.has(poster)
    notifying.notify(webhook=webhook.url(f"hook/{code}"))
    notifying.alert()
    assert [request.line for request in webhook.requests] == [f"POST /hook/{code}"] * 3
    (reason,) = notifying.undelivered
    assert reason.startswith("could not notify by webhook: ")
    assert str(code) in reason or "redirections exceeded" in reason


@pytest.mark.parametrize("poster", POSTERS)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/T0/s3cret", "T0/s3cret", "http://no-such-host.invalid/s3cret"])
def test_what_a_program_says_of_a_failure_does_not_give_the_address_away(
    notifying: Notifying, poster: str, url: str
) -> None:
    notifying.has(poster)
    notifying.notify(slack=url)
    notifying.alert()
    (reason,) = notifying.undelivered
    assert reason.startswith("could not notify by slack: ")
    assert "s3cret" not in (notifying.folder / "alerts.log").read_text()


def test_a_host_that_cannot_post_says_so_once(notifying: Notifying, webhook: Webhook) -> None:
    notifying.notify(webhook=webhook.url("hook/204"), email="ops@example.com")
    notifying.alert()
    assert sorted(notifying.undelivered) == [
        "could not notify by email: this host has no sendmail",
        "could not notify by webhook: a webhook needs curl, GNU wget or python3 on the host",
    ]


@both_shells
def test_a_mail_is_sent_by_sendmail_which_reads_the_addresses_from_it(notifying: Notifying) -> None:
    notifying.script("sendmail", f'cat >"{notifying.folder}/mail"')
    notifying.notify(email="ops@example.com dev@example.com")
    notifying.alert(count=3, reason="it failed\nBcc: all@example.com")
    head, _, body = (notifying.folder / "mail").read_text().partition("\n\n")
    lines = head.splitlines()
    assert lines[0] == "To: ops@example.com, dev@example.com"
    assert lines[1].startswith("Subject: [kamal-dev] shop-1: db: it failed Bcc: all@example.com (3 times since ")
    assert [line.split(":")[0] for line in lines[2:]] == ["Date", "MIME-Version", "Content-Type"]
    assert json.loads(body.splitlines()[-1]) == notifying.log[0]
    assert "sendmail\n-t\n-i\n" in notifying.arguments
    assert "example.com" not in notifying.arguments
    assert notifying.undelivered == []


@both_shells
def test_a_command_gets_the_alert_on_stdin_and_is_tried_again(notifying: Notifying) -> None:
    notifying.notify(command="cat >>seen; echo pager is off; [ $(wc -l <seen) = 2 ]")
    notifying.alert()
    seen = (notifying.folder / "workspace/seen").read_text().splitlines()
    assert [json.loads(line) for line in seen] == [notifying.log[0]] * 2
    notifying.notify(command="echo pager is off; exit 1")
    notifying.alert()
    assert notifying.undelivered == ["could not notify by command: pager is off"]


def test_an_alert_is_delivered_even_if_nothing_can_be_written(notifying: Notifying, webhook: Webhook) -> None:
    (notifying.folder / "alerts.log").symlink_to("/dev/full")
    (notifying.folder / "letters").symlink_to("/dev/null")
    notifying.has("curl")
    notifying.notify(webhook=webhook.url("hook/204"))
    notifying.alert()
    deadline = time.monotonic() + 20
    while not webhook.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    (request,) = webhook.requests
    assert request.json["reason"] == REASON


@pytest.mark.parametrize(
    ("state", "reason", "text"),
    [
        ("recovered", "", "shop-1: db: recovered"),
        ("recovered", "no disk is full", "shop-1: db: recovered: no disk is full"),
        ("unhealthy", "its health check fails", "shop-1: db: its health check fails"),
    ],
)
def test_people_read_what_has_happened(
    notifying: Notifying, webhook: Webhook, state: str, reason: str, text: str
) -> None:
    notifying.has("curl")
    notifying.notify(slack=webhook.url("T0/200"))
    notifying.alert(state, reason=reason)
    assert [request.json["text"] for request in webhook.requests] == [text]
