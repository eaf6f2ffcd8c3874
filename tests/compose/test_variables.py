import pytest

from kamal_dev.errors import ComposeError
from kamal_dev.model import Secret
from tests.compose.support import load, overlay_of, render, text_of

TEXT = "services: {app: {image: 'x:${TAG}', environment: {A: '${A:-d}'}}}\n"
OLD, NEW = (2, 26, 1), (2, 27, 2)


def _env(project, **options) -> list[str]:
    return text_of(render(project, **options), ".env").splitlines()


def test_a_variable_comes_from_the_process_then_from_where_compose_runs_then_from_beside() -> None:
    files = {".env": "TAG=root\nA=root\nB=root\n", ".devcontainer/.env": "TAG=beside\nA=beside\nC=beside\n"}
    project = load(TEXT, files=files, environment={"A": "process"})
    assert dict(project.values) == {"TAG": "root", "A": "process"}
    assert project.service("app").image == "x:root"


def test_an_older_compose_reads_only_what_is_beside_the_file() -> None:
    files = {".env": "TAG=root\n", ".devcontainer/.env": "A=beside\n"}
    project = load(TEXT, files=files, compose_version=OLD)
    assert dict(project.values) == {"A": "beside"}
    assert project.own_env == ""
    assert [str(notice) for notice in project.notices] == [
        ".devcontainer/compose.yaml:1: `TAG` has no value here: it is set in `.env`, which Compose reads from 2.27.2 on"
    ]
    assert dict(load(TEXT, files=files, compose_version=NEW).values) == {"TAG": "root", "A": "beside"}


@pytest.mark.parametrize("text", ["'broken\n", b"\xff\n"])
def test_what_an_older_compose_does_not_read_may_be_broken(text: str | bytes) -> None:
    assert load(TEXT, files={".env": text}, compose_version=OLD).values == ()
    with pytest.raises(ComposeError, match=r"^\.env:1"):
        load(TEXT, files={".env": text}, compose_version=NEW)


def test_the_folder_where_compose_runs_may_be_below_the_repository() -> None:
    from tests.compose.support import REPOSITORY

    files = {"app/.env": "TAG=app\n", ".env": "TAG=top\n"}
    project = load(TEXT, names=("app/.devcontainer/compose.yaml",), files=files, root=REPOSITORY / "app")
    assert dict(project.values) == {"TAG": "app"}
    assert project.own_env == ""
    assert [travel.path.as_posix() for travel in project.travels] == ["/src/shop/app/.env"]


def test_the_users_own_text_comes_first_byte_for_byte() -> None:
    own = "# mine\r\nTAG='1'  \nUNUSED=$x"
    lines = text_of(render(load(TEXT, names=("compose.yaml",), files={".env": own})), ".env")
    assert lines.startswith(own + "\n# Made by kamal-dev")
    assert lines.endswith("\nTAG=1\n")


def test_what_describes_this_machine_stays_here() -> None:
    text = "services: {app: {image: x, environment: [HOME, 'P=$PWD', 'L=$LC_ALL', 'U=${SHELL}', 'M=$MAIL']}}\n"
    here = {"HOME": "/home/me", "PWD": "/here", "LC_ALL": "C", "SHELL": "sh"}
    project = load(text, files={".devcontainer/.env": "SHELL=zsh\nMAIL=mine\n"}, environment=here)
    assert dict(project.values) == {"MAIL": "mine", "SHELL": "sh"}
    assert sorted(str(notice).split("`")[1] for notice in project.notices) == ["HOME", "LC_ALL", "PWD"]
    assert "describes this machine" in str(project.notices[0])


def test_a_variable_without_value_is_noticed_once() -> None:
    project = load("services: {app: {image: 'x:$TAG', command: '$TAG ${D:-d} ${E-} $COMPOSE_FILE'}}\n")
    assert [str(notice).split(": ", 1)[1] for notice in project.notices] == [
        "`TAG` has no value: it is empty, here and on a host"
    ]


def test_variables_of_a_build_that_is_spliced_out_do_not_travel() -> None:
    project = load(
        "services: {app: {build: {context: ., args: {T: '$TOKEN'}}, command: '$KEPT'}}\n",
        environment={"TOKEN": "t", "KEPT": "k"},
    )
    assert project.variables == ("TOKEN", "KEPT")
    assert "KEPT=k" in _env(project)
    assert "TOKEN" not in text_of(render(project), ".env")


def test_secrets_go_to_the_main_service_by_name() -> None:
    from kamal_dev.compose import Additions

    project = load(TEXT)
    extra = Additions("shop", "app", secrets=("PASSWORD", "UNSET"), environment=(("PASSWORD", "no"),))
    values = {"PASSWORD": Secret("s3 'cret"), "OTHER": Secret("x"), "TAG": "given"}
    release = render(project, extra=extra, variables=values)
    assert text_of(release, ".env").endswith('PASSWORD="s3 \'cret"\nTAG=given\n')
    assert "      PASSWORD: null\n      UNSET: null\n" in overlay_of(release)
    assert all(b"s3 'cret" not in file.content for file in release.files if file.path != ".env")
    masked = render(project, extra=extra, variables=values, mask=True)
    assert (masked.id, masked.digest) == (release.id, release.digest)
    assert "PASSWORD='[redacted]'\nTAG=given\n" in text_of(masked, ".env")


def test_a_value_that_no_variable_can_hold_is_refused() -> None:
    with pytest.raises(ComposeError, match="`TAG`: a value with a NUL character"):
        render(load(TEXT), variables={"TAG": Secret("a\0b")})


def test_profiles_come_from_the_call_or_the_environment() -> None:
    text = "services: {app: {image: x}, extra: {image: y, profiles: [p]}, more: {image: z, profiles: [q]}}\n"
    assert [service.is_active for service in load(text).services] == [True, False, False]
    project = load(text, environment={"COMPOSE_PROFILES": "p, r"})
    assert [service.is_active for service in project.services] == [True, True, False]
    assert "COMPOSE_PROFILES=p,r" in _env(project)
    assert [service.is_active for service in load(text, environment={"COMPOSE_PROFILES": "*"}).services] == [
        True,
        True,
        True,
    ]
    assert render(load(text, environment={"COMPOSE_PROFILES": "q"})).third_party == ("x", "z")


def test_a_file_name_with_a_colon_changes_the_separator() -> None:
    project = load(TEXT, names=("a:b.yaml",))
    assert _env(project)[1:4] == [
        "COMPOSE_FILE='a:b.yaml;kamal-dev.overlay.yaml'",
        "COMPOSE_PROJECT_NAME=shop-1",
        "COMPOSE_PATH_SEPARATOR=';'",
    ]


MADE = """\
services:
  app: {image: x, secrets: [token, {source: mail}], configs: [c]}
  db: {image: y, secrets: [mail]}
  later: {image: z, secrets: [other], profiles: [p]}
secrets:
  token: {environment: TOKEN}
  mail:
    environment: MAIL_PASSWORD
  other: {environment: OTHER}
  unused: {environment: UNUSED}
  home: {environment: HOME}
configs: {c: {environment: "${WHICH:-CONFIG}"}}
"""


def test_a_secret_or_config_that_is_made_of_a_variable_needs_it_to_be_set() -> None:
    project = load(MADE, environment={"TOKEN": ""})
    assert project.unset == ("MAIL_PASSWORD", "CONFIG")
    assert [str(problem) for problem in project.problems] == [
        ".devcontainer/compose.yaml:8:18: secrets.mail: `MAIL_PASSWORD` is set nowhere, and `app` and `db` need it",
        ".devcontainer/compose.yaml:12:28: configs.c: `CONFIG` is set nowhere, and `app` needs it",
    ]
    set_somewhere = load(MADE, files={".devcontainer/.env": "TOKEN=\nMAIL_PASSWORD=x\nCONFIG=y\n"})
    assert (set_somewhere.unset, set_somewhere.problems) == ((), ())


def test_what_an_included_project_sets_for_itself_is_set() -> None:
    files = {
        "inc/compose.yaml": "services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: INNER}}\n",
        "inc/.env": "INNER=1\n",
    }
    text = "include: [../inc/compose.yaml]\nservices: {app: {image: x}}\n"
    assert load(text, files=files).problems == ()
    del files["inc/.env"]
    assert load(text, files=files).unset == ("INNER",)
