"""A registry has an image, says that it has none, or gave no answer.

No answer has a cause: a time-out, 429, 5xx, DNS, a certificate, an expired login, a proxy, something else on the
port. It never counts as "does not have it", starts no second registry, and never ends with exit code 0. The hint
names the cause, not the account.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kamal_dev.commands import refusal
from kamal_dev.commands.docker import REGISTRY_IMAGE
from kamal_dev.errors import BuildFailed, RegistryError, RegistryUnknown
from kamal_dev.model import Image, Result, Step
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline import doctor
from kamal_dev.pipeline.images import local_registry, registry
from kamal_dev.pipeline.images.building import build_all
from kamal_dev.pipeline.images.pushing import push_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.plan import DeployOptions, plan
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.shell import Shell
from kamal_dev.shell.local import TIMED_OUT, Local
from kamal_dev.shell.recorder import Recorder
from tests.real.lab import Lab, Repository, docker
from tests.transcripts.paper import Listed, Machine, RecordedRun
from tests.transcripts.test_transcripts import FIRST, UP, project, root

__all__ = ["project", "root"]

DIGEST = f"sha256:{'a' * 64}"
REGISTRY = "Docker-Distribution-Api-Version: registry/2.0\r\n"
JSON = "Content-Type: application/json\r\n"
HTML = "Content-Type: text/html\r\n"


def http(status: str, headers: str = "", body: str = "{}") -> bytes:
    """Return an answer as it is on the wire."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


FINE = http("200 OK", f"{REGISTRY}{JSON}Docker-Content-Digest: {DIGEST}\r\n")
ABSENT = http("404 Not Found", f"{REGISTRY}{JSON}", '{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
PAGE = http("200 OK", HTML, "<html>welcome</html>")
SILENCE = b"silence"


@contextmanager
def port_that_says(*answers: bytes) -> Iterator[str]:
    """Listen on a port and give these answers in turn, the last one for ever; yields `localhost:PORT`."""
    left = list(answers)
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer == SILENCE:
                    done.wait(5)
                elif answer:
                    connection.recv(4096)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"localhost:{listening.getsockname()[1]}"
        finally:
            done.set()
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(6)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_registry, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(local_registry, "LOOKING", 0.3)
    monkeypatch.setattr(local_registry, "ASKING", 0.3)


def image(server: str) -> Image:
    return Image(server, "acme/blog-dev", "v1")


# What stands on the port, and the cause that the error has.
NO_ANSWERS = {
    "it is broken": (http("500 Internal Server Error", JSON), "broken"),
    "it is not available": (http("503 Service Unavailable", JSON), "broken"),
    "it is asked too often": (http("429 Too Many Requests", JSON), "busy"),
    "it wants a login": (http("401 Unauthorized", REGISTRY), "denied"),
    "it is a web server": (http("404 Not Found", HTML, "<html>"), "stranger"),
    "it says something else": (b"SSH-2.0-OpenSSH_9.2\r\n", "stranger"),
    "it hangs up": (b"", "dropped"),
    "it says nothing": (SILENCE, "time"),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_gives_no_answer_is_unknown_with_its_cause(what: str) -> None:
    said, cause = NO_ANSWERS[what]
    with port_that_says(said) as server:
        for question in (
            lambda: local_registry.ask(image(server), "manifests/v1"),
            lambda: local_registry.runs(server),
        ):
            with pytest.raises(RegistryUnknown) as unknown:
                question()
            assert unknown.value.cause == cause, unknown.value
            assert server in unknown.value.message
            assert unknown.value.hint
            assert unknown.value.exit_code != 0


def test_a_registry_that_says_it_has_no_such_image_has_none() -> None:
    with port_that_says(ABSENT) as server:
        assert local_registry.ask(image(server), "manifests/v1") is None


def test_a_failure_that_passes_is_asked_again() -> None:
    broken = http("500 Internal Server Error", JSON)
    with port_that_says(broken, b"", FINE) as server:
        assert local_registry.runs(server)


def test_where_nothing_listens_there_is_no_registry() -> None:
    with port_that_says(FINE) as server:
        pass
    assert not local_registry.runs(server)


def test_a_page_of_html_is_neither_a_registry_nor_an_image() -> None:
    with port_that_says(PAGE) as server:
        with pytest.raises(RegistryUnknown, match="not a registry"):
            local_registry.runs(server)
        with pytest.raises(RegistryUnknown, match="not a registry"):
            registry.stored(here(server)[0], Local(), image(server), "")


def test_a_registry_here_is_reached_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with port_that_says(FINE) as server:
        assert local_registry.runs(server)
        assert registry.stored(here(server)[0], Local(), image(server), "") == registry.Stored(DIGEST)


def test_what_is_only_estimated_goes_without_an_answer() -> None:
    with port_that_says(http("500 Internal Server Error")) as server:
        assert local_registry.text(image(server), "manifests/v1") == ""


# What Docker, buildx and the devcontainer CLI say, and what it means.
SAID = {
    'failed to do request: Head "https://r.example/v2/": dial tcp: lookup r.example on :53: no such host': "name",
    "dial tcp: lookup r.example: Temporary failure in name resolution": "name",
    'Head "https://r.example/v2/x/manifests/v1": net/http: TLS handshake timeout': "time",
    "Get https://r.example/v2/: context deadline exceeded (Client.Timeout exceeded while awaiting headers)": "time",
    "unexpected status from HEAD request to https://r.example/v2/x/manifests/v1: 503 Service Unavailable": "broken",
    "received unexpected HTTP status: 500 Internal Server Error": "broken",
    "error parsing HTTP 429 response body: toomanyrequests: You have reached your pull rate limit": "busy",
    "pull access denied, repository does not exist or may require authorization": "denied",
    "failed to authorize: failed to fetch oauth token: 401 Unauthorized": "denied",
    "denied: Your authorization token has expired. Reauthenticate and try again.": "denied",
    "denied: permission_denied: The token provided does not match expected scopes.": "denied",
    "x509: certificate signed by unknown authority": "certificate",
    "http: server gave HTTP response to HTTPS client": "certificate",
    "proxyconnect tcp: dial tcp 127.0.0.1:3128: connect: connection refused": "proxy",
    "dial tcp 127.0.0.1:5000: connect: connection refused": "refused",
    "read tcp 10.0.0.1:4711->10.0.0.2:443: read: connection reset by peer": "dropped",
    "error parsing HTTP 413 response body: invalid character '<' looking for beginning of value: \"<html>\"": "space",
    "invalid character '<' looking for beginning of value": "stranger",
    'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH': "helper",
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock": "engine",
    "write /var/lib/registry: no space left on device": "space",
    "something that nobody has seen before, 500 times, on port 5000": "",
}


@pytest.mark.parametrize("said", SAID)
def test_the_words_of_a_failure_name_its_cause_and_never_an_absence(said: str) -> None:
    assert refusal.cause(said) == SAID[said]
    assert not refusal.is_absent(said, "r.example/x:v1")
    with pytest.raises(RegistryUnknown) as unknown:
        registry.stored(*elsewhere(lambda step: Result(step, 1, errors=f"ERROR: {said}")), image("r.example"), "")
    assert unknown.value.cause == SAID[said]
    assert unknown.value.hint


@pytest.mark.parametrize("said", ["{}: not found", "manifest unknown: manifest unknown", "NAME_UNKNOWN: no such name"])
def test_only_what_is_said_of_the_image_itself_is_an_absence(said: str) -> None:
    wanted = image("r.example")
    silent = elsewhere(lambda step: Result(step, 1, errors=f"ERROR: {said.format(wanted.reference)}"))
    assert registry.stored(*silent, wanted, "") is None


def test_a_question_that_docker_does_not_answer_in_time_is_unknown() -> None:
    with pytest.raises(RegistryUnknown) as unknown:
        registry.stored(*elsewhere(lambda step: Result(step, TIMED_OUT)), image("r.example"), "")
    assert unknown.value.cause == "time"


def test_an_answer_without_a_digest_is_none() -> None:
    for said in ("<html>", "[]", '{"digest": ""}', '{"digest": null}'):
        with pytest.raises(RegistryUnknown):
            registry.stored(*elsewhere(lambda step, said=said: Result(step, 0, said)), image("r.example"), "")


def elsewhere(answer: Any) -> tuple[Project, Shell]:
    """Return a project whose registry is another machine, and a shell that answers so."""
    return _project(SimpleNamespace(is_local=False)), Recorder(answer=answer)


def here(server: str, shell: Shell | None = None) -> tuple[Project, LocalTools]:
    """Return a project whose registry is on this machine."""
    found = SimpleNamespace(is_local=True, server=server, port=int(server.rpartition(":")[2]))
    return _project(found), LocalTools(shell or Local(), Output(lambda event: None), ExitStack())


def _project(found: SimpleNamespace) -> Project:
    return cast(Project, SimpleNamespace(config=SimpleNamespace(registry=found)))


@dataclass
class Engine:
    """Say what an engine says of the container of a registry; `taken` while another run has made it."""

    start: list[str] = field(default_factory=list)
    create: str = ""
    steps: list[str] = field(default_factory=list)

    def __call__(self, step: Step) -> Result:
        self.steps.append(step.argv[1])
        if step.argv[1] == "start":
            error = self.start.pop(0) if self.start else ""
            return Result(step, int(bool(error)), errors=error)
        if step.argv[1] == "create":
            return Result(step, int(bool(self.create)), "0123\n", self.create)
        return Result(step, 0)


def starting(engine: Engine, monkeypatch: pytest.MonkeyPatch, answers: list[bool]) -> tuple[Project, LocalTools]:
    """Return a project that has to start its registry; `answers` says from which question on that one answers."""
    monkeypatch.setattr(local_registry, "runs", lambda server: answers.pop(0) if len(answers) > 1 else answers[0])
    return here("localhost:5999", Recorder(answer=engine))


NONE = "Error response from daemon: No such container: kamal-dev-registry-5999"
TAKEN = 'Conflict. The container name "/kamal-dev-registry-5999" is already in use by container "4567".'
PORT = "Bind for 127.0.0.1:5999 failed: port is already allocated"


def test_a_registry_that_answers_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    local_registry.ensure(*starting(engine, monkeypatch, [True]))
    assert engine.steps == []


def test_the_registry_of_an_earlier_run_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    local_registry.ensure(*starting(engine, monkeypatch, [False, True]))
    assert engine.steps == ["start"]


def test_the_loser_of_two_that_start_the_registry_takes_the_winners(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(start=[NONE, ""], create=TAKEN)
    local_registry.ensure(*starting(engine, monkeypatch, [False, False, True]))
    assert engine.steps == ["start", "create", "start"]


def test_a_winner_that_never_starts_it_is_waited_for_until_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(start=[NONE] * 20, create=TAKEN)
    with pytest.raises(RegistryError, match="already in use"):
        local_registry.ensure(*starting(engine, monkeypatch, [False]), waits=0.3)


@pytest.mark.parametrize(("create", "removed"), [("", ["rm"]), (TAKEN, [])])
def test_only_a_container_that_this_run_made_is_removed_again(
    create: str, removed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(start=[NONE, PORT], create=create)
    project, tools = starting(engine, monkeypatch, [False])
    with pytest.raises(RegistryError, match="port is already allocated"):
        local_registry.ensure(project, tools)
    assert engine.steps == ["start", "create", "start", *removed]
    words = [step.argv for step in cast(Recorder, tools.shell).steps if step.argv[1] == "rm"]
    assert words == [("docker", "rm", "0123")] * len(removed)


def test_an_image_of_the_registry_that_cannot_be_pulled_is_said_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(start=[NONE], create="lookup registry-1.docker.io: no such host")
    with pytest.raises(RegistryError) as failed:
        local_registry.ensure(*starting(engine, monkeypatch, [False]))
    assert "DNS" in failed.value.hint
    assert "--skip-push" in failed.value.hint
    assert engine.steps == ["start", "create"]


def test_a_registry_that_was_started_and_does_not_answer_is_waited_for_until_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(RegistryError, match="does not answer") as failed:
        local_registry.ensure(*starting(Engine(), monkeypatch, [False]), waits=0.3)
    assert "docker logs kamal-dev-registry-5999" in failed.value.hint


@pytest.mark.real
def test_two_that_start_the_registry_at_once_have_one(lab: Lab) -> None:
    port = lab.free_port()
    failed: list[BaseException] = []

    def start() -> None:
        try:
            local_registry.ensure(*here(f"localhost:{port}"))
        except RegistryError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    name = f"kamal-dev-registry-{port}"
    try:
        assert failed == []
        assert docker("inspect", "--format", "{{.State.Status}} {{.Config.Image}}", name).split() == [
            "running",
            REGISTRY_IMAGE,
        ]
    finally:
        docker("rm", "--force", "--volumes", name)


def buildable(lab: Lab, name: str, server: str = "") -> Repository:
    """Make a repository with one image, for a host that nobody has."""
    compose = "services: {app: {build: ., command: sleep infinity}}\n"
    files = {".devcontainer/Dockerfile": "FROM debian:12\n"}
    given = {"REGISTRY_USERNAME": "acme", "REGISTRY_PASSWORD": "a-token-of-acme"}
    return lab.small(name, ["root@127.0.0.1:1"], files, compose=compose, registry=server, **given)


@pytest.mark.real
def test_a_stranger_on_the_port_of_the_registry_is_named_and_nothing_is_started_beside_it(lab: Lab) -> None:
    with port_that_says(PAGE) as server:
        ended = buildable(lab, "stranger", server).dev("push", code=1)
    assert "the server is not a registry" in ended.stderr
    assert f"what answers at {server} is not a registry" in ended.stderr
    assert "Starting a registry" not in ended.stderr


@pytest.mark.real
def test_a_proxy_in_the_environment_is_not_asked_for_the_registry_here(lab: Lab) -> None:
    made = buildable(lab, "proxied")
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    made.dev("build")
    made.dev("push")
    ended = made.dev("push", **proxy)
    assert "Already pushed" in ended.stderr
    assert "Starting a registry" not in ended.stderr


@pytest.mark.real
def test_a_name_that_does_not_resolve_is_not_a_registry_without_the_image(lab: Lab) -> None:
    ended = buildable(lab, "unresolved", "registry.invalid").dev("push", code=1)
    assert "the login of `acme` at registry.invalid failed" in ended.stderr
    assert "hint: the name registry.invalid does not resolve" in ended.stderr
    assert "REGISTRY_PASSWORD" not in ended.stderr
    assert "does not have it" not in ended.stderr


class Docker(Machine):
    """A machine whose registry says what `said` has, in this order, and takes pushes unless they are `refused`."""

    def __init__(self, *said: str, refused: str = "", build: str = "") -> None:
        super().__init__()
        self.said, self.refused, self.build = list(said), refused, build

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if step.argv[1:3] == ("buildx", "imagetools") and self.said:
            return Result(step, 1, errors=self.said.pop(0))
        if step.argv[1] == "push" and self.refused:
            return Result(step, 1, errors=self.refused)
        if step.argv[1:3] == ("buildx", "build") and self.build:
            return Result(step, 1, errors=self.build)
        return super().answer(step)


def run_on(project: Project, machine: Machine) -> RecordedRun:
    return RecordedRun.of(project, machine, {FIRST: UP})


DENIED = "pull access denied, repository does not exist or may require authorization"


@pytest.mark.parametrize("verb", ["deploy", "build and push"])
def test_a_repository_that_nobody_may_look_into_before_the_first_push_is_pushed(verb: str, project: Project) -> None:
    run = run_on(project, machine := Docker(DENIED))
    built = build_all(run.project, run.tools, BuildOptions())
    known = built if verb == "deploy" else ()
    (pushed,) = (item.image for item in push_all(run.project, run.tools, config="", built=known))
    assert pushed.digest
    assert [step.argv[1] for step in machine.steps].count("push") == 1


def test_a_registry_that_does_not_answer_is_not_pushed_to_and_never_lacks_the_image(project: Project) -> None:
    busy = "unexpected status from HEAD request: 503 Service Unavailable"
    run = run_on(project, machine := Docker(*[busy] * 3))
    build_all(run.project, run.tools, BuildOptions())
    with pytest.raises(RegistryUnknown, match="503") as unknown:
        push_all(run.project, run.tools, config="")
    assert unknown.value.left_behind == "nothing was deployed"
    assert "status page" in unknown.value.hint
    assert "push" not in [step.argv[1] for step in machine.steps]


def test_a_registry_is_not_asked_for_what_was_never_pushed_to_it(project: Project) -> None:
    run = run_on(project, machine := Docker("error: 503 Service Unavailable"))
    push_all(run.project, run.tools, config="", built=build_all(run.project, run.tools, BuildOptions()))
    assert not [step.text for step in machine.steps if "imagetools" in step.argv]


def test_a_failure_of_the_registry_elsewhere_that_passes_is_asked_again(project: Project) -> None:
    run = run_on(project, Docker("error: 502 Bad Gateway", "connection reset by peer"))
    build_all(run.project, run.tools, BuildOptions())
    (pushed,) = (item.image for item in push_all(run.project, run.tools, config=""))
    assert pushed.digest


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("received unexpected HTTP status: 503 Service Unavailable", "status page"),
        ("denied: requested access to the resource is denied", "check that the account may write"),
        ("error parsing HTTP 413 response body: request entity too large", "limits the size of a layer"),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", "did not answer in time"),
    ],
)
def test_the_hint_after_a_push_names_what_the_registry_said(said: str, hint: str, project: Project) -> None:
    run = run_on(project, Docker(refused=said))
    built = build_all(run.project, run.tools, BuildOptions())
    with pytest.raises(RegistryError) as failed:
        push_all(run.project, run.tools, config="", built=built)
    assert hint in failed.value.hint
    assert "run `dev push` to retry" in failed.value.hint


def test_a_base_image_that_its_registry_does_not_give_is_no_mistake_in_the_dockerfile(project: Project) -> None:
    said = (
        "ERROR: failed to solve: debian:99: failed to resolve source metadata for docker.io/library/debian:99: "
        'failed to do request: Head "https://registry-1.docker.io/v2/": dial tcp: lookup r.docker.io: no such host'
    )
    run = run_on(project, Docker(build=said))
    with pytest.raises(BuildFailed) as failed:
        build_all(run.project, run.tools, BuildOptions())
    assert "docker.io does not resolve" in failed.value.hint
    run = run_on(project, Docker(build="process /bin/sh -c npm ci did not complete: exit code: 1"))
    with pytest.raises(BuildFailed, match="npm ci") as failed:
        build_all(run.project, run.tools, BuildOptions())
    assert failed.value.hint.startswith("fix it and run `dev build`")


def test_a_plan_says_that_it_could_not_ask_the_registry(project: Project) -> None:
    events: list[Event] = []
    run = Run(project, Docker(*["no such host"] * 9), Output(events.append))
    run.__dict__["provider"] = Listed([])
    plan([(run, DeployOptions())])
    assert [sentence(event) for event in events if "could not query" in sentence(event)]


def test_the_doctor_asks_the_registry_here_and_tells_of_a_stranger_on_its_port() -> None:
    with port_that_says(FINE) as server:
        assert doctor._registry(*here(server)) == f"{server}: answers"
    assert doctor._registry(*here(server)) == f"{server}: on this machine, started by the next push"
    with port_that_says(PAGE) as server, pytest.raises(RegistryUnknown, match="not a registry"):
        doctor._registry(*here(server))
