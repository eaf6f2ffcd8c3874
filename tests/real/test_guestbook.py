"""The example on three hosts, from nothing to a new version."""

from __future__ import annotations

import json
import re

from tests.real.conftest import Guestbook
from tests.real.lab import Host
from tests.real.watch import files_with_any, image_with_any, registry_with_any

UP = {"app": "running healthy", "db": "running healthy"}


def entries(host: Host) -> list[str]:
    return [entry["message"] for entry in json.loads(host.run("curl -sSf http://127.0.0.1:8000/entries"))]


def write(host: Host, message: str) -> None:
    host.run(f"curl -sSf -X POST -d author=Ada -d message={message} http://127.0.0.1:8000/entries")


def ensure_deployed(guestbook: Guestbook) -> None:
    """Start from a commit that is deployed everywhere, whatever other tests did."""
    guestbook.deploy()


def test_a_bare_host_is_bootstrapped_and_all_run_app_and_db(guestbook: Guestbook) -> None:
    assert (guestbook.first.code, guestbook.others.code) == (0, 0), f"{guestbook.first}\n{guestbook.others}"
    assert "bootstrap" in guestbook.first.steps(guestbook.repository.stack(1)), str(guestbook.first)
    assert "Deployed 1 of 1 stacks" in guestbook.first.stderr
    assert "Deployed 3 of 3 stacks" in guestbook.others.stderr
    for host, stack in guestbook.placed:
        assert host.states(stack) == UP
    assert guestbook.repository.leftovers == []


def test_bootstrapped_hosts_start_docker_again_after_a_reboot(guestbook: Guestbook) -> None:
    for host in guestbook.hosts:
        assert host.run("systemctl is-enabled docker").strip() == "enabled"


def test_an_entry_in_one_stack_is_in_no_other(guestbook: Guestbook) -> None:
    first, *others = guestbook.hosts
    write(first, "only-here")
    assert "only-here" in entries(first)
    assert ["only-here" in entries(other) for other in others] == [False, False]


def test_the_folder_of_a_release_works_with_docker_compose_alone(guestbook: Guestbook) -> None:
    for host, stack in guestbook.placed:
        services = host.run(f"cd ~/.kamal-dev/{stack}/current && docker compose ps --services")
        assert sorted(services.split()) == ["app", "db"]


def test_what_is_private_on_a_host_is_private(guestbook: Guestbook) -> None:
    for host, stack in guestbook.placed:
        modes = host.run(f"cd ~/.kamal-dev/{stack} && stat -L -c %a . current/.env").split()
        assert modes == ["700", "600"]


def test_deploying_again_restarts_nothing_and_asks_each_host_once(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    before = [host.started(stack) for host, stack in guestbook.placed]
    again = guestbook.repository.dev("deploy", "--count", "3", "--yes", "--verbose")
    assert [host.started(stack) for host, stack in guestbook.placed] == before
    assert again.stdout.count("unchanged") == 3, str(again)
    for _, stack in guestbook.placed:
        assert again.steps(stack) == [f"facts {stack}"], str(again)
    # The builder is asked, because no version tells of a base image that moved; it has nothing to do.
    assert not [step for step in again.steps() if "docker push" in step], str(again)


def test_a_new_commit_runs_everywhere_and_the_data_is_kept(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    first = guestbook.hosts[0]
    write(first, "kept")
    before = [host.started(stack)["db"] for host, stack in guestbook.placed]
    page = (guestbook.repository.root / "app.py").read_text()
    sha = guestbook.repository.commit({"app.py": page.replace("<h1>", "<h1>New: ", 1)})
    report = guestbook.deploy()
    assert {name: stack["state"] for name, stack in report.stacks.items()} == {
        stack: "deployed" for _, stack in guestbook.placed
    }
    assert report.json["version"] == sha
    for host, stack in guestbook.placed:
        assert host.images(stack)["app"].startswith(guestbook.repository.image(sha))
        assert "<h1>New: " in host.run("curl -sSf http://127.0.0.1:8000/")
    assert "kept" in entries(first)
    assert [host.started(stack)["db"] for host, stack in guestbook.placed] == before


def test_a_dirty_tree_has_a_version_of_its_own_that_says_what_is_in_it(guestbook: Guestbook) -> None:
    repository = guestbook.repository
    sha, path = repository.sha, repository.root / "notes.txt"

    def version(text: str) -> str:
        path.write_text(text)
        return str(repository.dev("config", "--json").json["version"])

    try:
        assert re.fullmatch(rf"{sha}-\w+-[0-9a-f]{{8,}}", version("one"))
        assert version("one") == version("one") != version("two")
    finally:
        path.unlink()
    assert repository.dev("config", "--json").json["version"] == sha


def test_one_stack_can_be_deployed_by_its_name(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    report = guestbook.deploy(guestbook.repository.stack(2))
    assert list(report.stacks) == [guestbook.repository.stack(2)]


def test_list_shows_every_stack_with_its_version(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    listed = {stack["stack"]: stack for stack in guestbook.repository.dev("list", "--json").json}
    assert {name: (stack["state"], stack["version"]) for name, stack in listed.items()} == {
        stack: ("up", guestbook.repository.sha) for _, stack in guestbook.placed
    }
    table = guestbook.repository.dev("list").stdout
    for host, stack in guestbook.placed:
        line = next(line for line in table.splitlines() if line.startswith(f"{stack} "))
        assert f"127.0.0.1:{host.port}" in line
        assert line.endswith(" up")


def test_status_shows_every_container_live(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    host, stack = guestbook.placed[2]
    table = guestbook.repository.dev("status").stdout
    for _, name in guestbook.placed:
        for service in ("app", "db"):
            assert re.search(rf"^{name} +{service} +up +healthy ", table, re.MULTILINE), table
    host.run(f"cd ~/.kamal-dev/{stack}/current && docker compose kill app")
    try:
        broken = guestbook.repository.dev("status", stack, code=1)
        assert re.search(rf"^{stack} +app +exited", broken.stdout, re.MULTILINE), str(broken)
    finally:
        mended = guestbook.deploy()
    assert host.states(stack) == UP, str(mended)


def test_people_find_the_source_in_their_workspace_and_keep_what_they_change(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    host, stack = guestbook.placed[0]
    place = "/workspaces/guestbook"

    def within(command: str) -> str:
        return host.run(f"cd ~/.kamal-dev/{stack}/current && docker compose exec -T app {command}")

    assert "app = Flask(__name__)" in within(f"cat {place}/app.py")
    assert not host.says(
        f"find ~/.kamal-dev/{stack}/workspace -path '*/.kamal/secrets' -o -path '*/.kamal/local' | grep ."
    )
    within(f"sh -c 'echo mine >{place}/mine'")
    guestbook.repository.commit()
    guestbook.deploy()
    assert within(f"cat {place}/mine") == "mine\n"


def test_a_deploy_leaves_nothing_behind_on_hosts_but_its_own_folder(guestbook: Guestbook) -> None:
    ensure_deployed(guestbook)
    for host in guestbook.hosts:
        assert host.run("ls -d /tmp/kamal-dev* /root/.kamal-dev/.run/*/payload 2>/dev/null || true") == ""
        assert host.run("ls -d /root/.kamal-dev/*/lock 2>/dev/null || true") == ""
        assert host.run("cat /root/.docker/config.json 2>/dev/null || true") == ""


def test_no_secret_of_the_first_deploy_is_anywhere_but_in_its_private_file(guestbook: Guestbook) -> None:
    repository = guestbook.repository
    secrets = (repository.environment["BUILD_TOKEN"], _password(guestbook))
    assert not [secret for secret in secrets if secret in guestbook.first.text + guestbook.others.text]
    assert guestbook.watch.with_any(secrets) == []
    for host, stack in guestbook.placed:
        found = files_with_any(host, secrets)
        assert found, "the password has to be somewhere"
        outside = {name: mode for name, mode in found.items() if not (name.endswith("/.env") and mode == "600")}
        assert outside == {}
        assert all(f"/{stack}/releases/" in name for name in found)
    image = re.search(r"Built `(\S+)`", guestbook.first.stderr)
    assert image, str(guestbook.first)
    assert image_with_any(image[1], secrets) == []
    assert registry_with_any(f"kamal-dev-registry-{image[1].split('/')[0].split(':')[1]}", secrets) == []


def _password(guestbook: Guestbook) -> str:
    return (guestbook.repository.root / ".kamal/secrets").read_text().strip().partition("=")[2]
