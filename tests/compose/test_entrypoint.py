from pathlib import Path

import pytest

from kamal_dev.compose import Additions
from kamal_dev.model import ImageConfig
from tests.compose import oracle
from tests.compose.support import load, render

INIT = "/usr/local/share/docker-init.sh"
IMAGE = ImageConfig("", ("/entry", "$HOME"), ("serve", "--all"))
EXEC = ["/bin/sh", "-c", f'{INIT}\nexec "$$@"', "-"]


def _app(tmp_path: Path, service: str, **additions) -> dict:
    release = render(load(f"services: {{app: {{build: .{service}}}}}\n"), extra=Additions("shop", "app", **additions))
    oracle.write(release, tmp_path)
    return oracle.configured(tmp_path)["services"]["app"]


@pytest.mark.parametrize(
    ("service", "entrypoint", "command"),
    [
        ("", ["/entry", "$$HOME"], ["serve", "--all"]),
        (", command: own --flag", ["/entry", "$$HOME"], ["own", "--flag"]),
        (", entrypoint: [/mine, a b]", ["/mine", "a b"], None),
        (", entrypoint: /mine 'a b' $$X, command: [x]", ["/mine", "a b", "$$X"], ["x"]),
        (", entrypoint: [], command: null", [], ["serve", "--all"]),
        (", entrypoint: null", ["/entry", "$$HOME"], ["serve", "--all"]),
    ],
)
def test_entrypoints_of_features_run_before_what_the_service_runs(
    tmp_path: Path, service: str, entrypoint: list[str], command: list[str] | None
) -> None:
    app = _app(tmp_path, service, entrypoints=(INIT,), image=IMAGE)
    assert app["entrypoint"] == [*EXEC, *entrypoint]
    assert app["command"] == command


def test_entrypoints_of_features_run_before_a_command_that_goes_on_for_ever(tmp_path: Path) -> None:
    app = _app(tmp_path, ", command: serve", entrypoints=(INIT, "second"), keeps_running=True)
    assert app["entrypoint"][:2] == ["/bin/sh", "-c"]
    assert app["entrypoint"][2].startswith(f"trap 'exit 0' TERM INT; {INIT}; second; while :")
    assert app["command"] == []


def test_without_features_a_service_keeps_its_command(tmp_path: Path) -> None:
    app = _app(tmp_path, ", command: serve")
    assert (app["entrypoint"], app["command"]) == (None, ["serve"])
