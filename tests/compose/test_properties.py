"""Any compose file, as hypothesis writes it: what Compose makes of its release is what it makes of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st

from kamal_dev import compose
from kamal_dev.compose import Additions
from kamal_dev.errors import ComposeError
from kamal_dev.project.tree import WorkingTree
from tests.compose import oracle, support

ENVIRONMENT = {"ZONE": "eu", "COMPOSE_PROFILES": "on", "QUOTED": 'it\'s $5 "or" \\6', "EMPTY": ""}
NAMES = ("app", "db", "worker", "cache")

words = st.sampled_from(
    [
        *("plain", '"double $$ quoted"', "'single # quoted'", "${ZONE}", "${NONE:-with${EMPTY}in}", '"${QUOTED}"'),
        *("0644", "3.10", "yes", "1_000", "1e3", "2024-01-01"),
    ]
)
comments = st.sampled_from(["", "", "", "  # why", '   # `build: .` is "not" here'])
dockerfiles = st.sampled_from(["Dockerfile", "./Dockerfile", "'other.Dockerfile'"])
folders = st.sampled_from([".", "..", "../src", "./", "${NONE:-.}"])
volumes = st.sampled_from(
    [
        "..:/w",
        "'../src:/src:ro'",
        '"${NONE:-..}:/v:cached"',
        "data:/data",
        "./file.txt:/file.txt:ro",
        "/var/run/docker.sock:/sock",
        "{type: bind, source: .., target: /long, read_only: true}",
        "{type: volume, source: data, target: /volume}",
        "../..:/up",
    ]
)


@st.composite
def builds(draw: st.DrawFn, indent: str, name: str, above: tuple[str, ...]) -> str:
    """Write a `build`, with the line break and comment after it."""
    folder, dockerfile, word, why = draw(folders), draw(dockerfiles), draw(words), draw(comments)
    anchor = draw(st.sampled_from(["", f" &build_{name}"]))
    bare = word.strip("\"'")
    i = indent
    forms = [
        f"{i}build: {folder}{why}\n",
        f"{i}build:{anchor} {{context: '{folder}', args: [ 'A={bare}' ]}}{why}\n",
        f"{i}build:{anchor}{why}\n{i}  context: {folder}\n\n{i}  # how\n{i}  dockerfile: {dockerfile}{why}\n",
        f"{i}build:{why}\n{i}    dockerfile: {dockerfile}\n{i}    args:\n{i}      A: {word}\n",
        f"{i}build:\n{i}  dockerfile_inline: |\n{i}    FROM scratch\n\n{i}    # end\n{i}  target: x\n",
        f'{i}"build" : {{\n{i}  context: "{folder}",  # here\n{i}  labels: {{a: b}}}}{why}\n',
    ]
    if above:
        forms.append(f"{i}build: *build_{draw(st.sampled_from(above))}{why}\n")
    return draw(st.sampled_from(forms))


@st.composite
def services(draw: st.DrawFn, name: str, above: tuple[str, ...]) -> str:
    """Write a service; those in `above` are anchors, and services that it may build upon."""
    i = "    "
    why = draw(comments)
    parts = []
    merged = draw(st.sampled_from(["", "", *above]))
    if merged:
        forms = [f"{i}<<: *{merged}\n", f"{i}extends: {merged}\n", f"{i}extends: {{service: {merged}}}\n"]
        parts.append(draw(st.sampled_from([*forms, f"{i}<<: [*{merged}, *{above[0]}]\n"])))
    has_build = draw(st.booleans())
    if has_build:
        parts.append(draw(builds(i, name, above)))
    if draw(st.booleans()) or not (has_build or merged):
        image = draw(st.sampled_from(["redis", f"shop/{name}", "shop/app", '"a/b:${ZONE}"', f"&image_{name} x/{name}"]))
        parts.append(f"{i}image: {image}{why}\n")
    optional = [
        f"{i}environment:\n{i}  A: {draw(words)}{why}\n{i}  ZONE:\n",
        f"{i}volumes:\n" + "".join(f"{i}- {x}\n" for x in draw(st.lists(volumes, min_size=1, max_size=4, unique=True))),
        f"{i}env_file: [some.env]\n",
        f"{i}pull_policy: build\n",
        f'{i}command: ["sh", \'-c\', "echo $$HOME ${{ZONE}}"]\n',
        f"{i}labels: [a=b, 'c=${{ZONE}}']\n",
        f"{i}profiles: [{draw(st.sampled_from(['on', 'off']))}]\n",
        f"{i}configs: [site]\n",
        f"{i}depends_on: [{', '.join(above)}]\n",
    ]
    parts += draw(st.lists(st.sampled_from(optional), max_size=4, unique=True))
    gap = draw(st.sampled_from(["", "\n", f"{i}# about it\n"]))
    return f"  {name}: &{name}{why}\n" + gap.join(draw(st.permutations(parts)))


@st.composite
def files(draw: st.DrawFn) -> str:
    """Write a compose file."""
    names = draw(st.integers(1, len(NAMES)))
    text = draw(st.sampled_from(["", "# a file\n", "name: other\n", "x-unused: &unused {build: .}\n"]))
    text += "services:\n"
    for index, name in enumerate(NAMES[:names]):
        text += draw(services(name, NAMES[:index]))
    text += "configs:\n  site: {file: ./file.txt}\n"
    text += draw(st.sampled_from(["volumes:\n  data:\n", "\nvolumes: {data: {}}"]))
    return text.replace("\n", "\r\n") if draw(st.integers(0, 4)) == 0 else text


@given(files(), st.one_of(st.none(), files()))
@settings(
    max_examples=90,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_project_keeps_its_meaning(first: str, second: str | None) -> None:
    note(first)
    note(second or "")
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder).resolve() / "here" / "shop"
        paths = _write(repository, first, second)
        environment = {**ENVIRONMENT}
        try:
            before = oracle.configured(repository, paths, {**environment, "COMPOSE_PROJECT_NAME": "shop-1"})
        except oracle.Refused as refused:
            event(f"refused: {str(refused)[-60:]}")
            _refused_or_read(repository, paths)
            return
        try:
            project = compose.load(paths, tree=WorkingTree(), repository=repository, environment=environment)
        except ComposeError as error:
            # Compose looks only at the builds of services that are active.
            assert "has both `dockerfile` and `dockerfile_inline`" in str(error)
            return
        release = support.render(project, extra=Additions("shop", "app"))
        oracle.write(release, repository.parent.parent / "there")
        after = oracle.configured(repository.parent.parent / "there")
        home = oracle.brought_home(after, release, repository.parent.parent / "there", repository)
        assert home == oracle.expected(before, dict(release.images))
        built = {name: build for build in project.builds for name in build.services}
        for name, service in before["services"].items():
            assert (name in built) == ("build" in service)
            if name in built:
                assert _as_we_have_it(built[name]) == _as_compose_has_it(service["build"])


def _refused_or_read(repository: Path, paths: tuple[Path, ...]) -> None:
    """What Compose refuses may be refused here too, but only as an error for people."""
    try:
        compose.load(paths, tree=WorkingTree(), repository=repository, environment=ENVIRONMENT)
    except ComposeError as error:
        assert all(problem.line for problem in error.problems), error


def _write(repository: Path, first: str, second: str | None) -> tuple[Path, ...]:
    contents = {
        ".devcontainer/compose.yaml": first,
        ".devcontainer/some.env": "SOME='of $them'\n",
        ".devcontainer/file.txt": "text\n",
        ".devcontainer/Dockerfile": "FROM scratch\n",
        "src/Dockerfile": "FROM scratch\n",
        "Dockerfile": "FROM scratch\n",
        **({"second.yaml": second} if second is not None else {}),
    }
    for name, text in contents.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return (repository / ".devcontainer/compose.yaml", *((repository / "second.yaml",) if second is not None else ()))


def _as_compose_has_it(build: dict) -> dict:
    inline = build.get("dockerfile_inline", "")
    dockerfile = "" if inline else str(Path(build["context"], build["dockerfile"]))
    return {
        "context": build["context"],
        "dockerfile": dockerfile,
        "inline": inline,
        "target": build.get("target", ""),
        "args": {key: value.replace("$$", "$") for key, value in build.get("args", {}).items()},
    }


def _as_we_have_it(build) -> dict:
    return {
        "context": build.context,
        "dockerfile": build.dockerfile,
        "inline": build.dockerfile_inline,
        "target": build.target,
        "args": dict(build.args),
    }
