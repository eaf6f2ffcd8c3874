"""What the shape of the package promises: a light start, small functions, data files that travel with it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from kamal_dev.commands.payload import SCRIPTS
from kamal_dev.config.provider import PROVIDERS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kamal_dev"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("docker", "git", "rich", "ruamel", "yaml", "zstandard")
LONGEST = 40


def imported(*words: str) -> set[str]:
    """Return the modules that `dev` with these words has imported when it ends."""
    script = (
        "import json, sys\n"
        "from kamal_dev.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)\n"
    )
    argv = (sys.executable, "-c", script, *words)
    ended = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT)
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_the_help_imports_nothing_that_is_slow(words: tuple[str, ...]) -> None:
    roots = {name.partition(".")[0] for name in imported(*words)}
    assert roots.isdisjoint(HEAVY), sorted(roots & set(HEAVY))


def test_the_help_of_a_command_imports_no_library_that_only_its_work_needs() -> None:
    roots = {name.partition(".")[0] for name in imported("deploy", "--help")}
    assert roots.isdisjoint(("docker", "git", "rich"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_has_small_functions(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "no docstring"
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = {node.name: length for node in functions if (length := lines(node)) > LONGEST}
    assert long == {}


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_data_files_are_where_the_program_looks_for_them() -> None:
    package = files("kamal_dev")
    for name in SCRIPTS:
        assert (package / "host" / name).read_text().strip(), name
    assert {path.name for path in (PACKAGE / "host").glob("*.sh")} == set(SCRIPTS)
    for name in ("templates/dev.yml.example", "templates/secrets.example", "providers/host.Dockerfile"):
        assert (package / name).read_text().strip(), name


# What installs the engine names its packages and its service.
INSTALLERS = ("bootstrap.sh", "packages.sh", "pools.sh")
ENGINE = ("engine.sh", "engine_images.sh", "engine_events.sh", "engine_swarm.sh", "engine_tasks.sh")
# `docker-init` is a process in a container, not a word of the engine.
OF_AN_ENGINE = re.compile(r"docker(?!-init)|podman|nerdctl|\{\{", re.IGNORECASE)


@pytest.mark.parametrize("path", sorted((PACKAGE / "host").glob("*.sh")), ids=lambda path: path.name)
def test_one_host_script_knows_what_runs_containers(path: Path) -> None:
    if path.name in (*ENGINE, *INSTALLERS):
        return
    assert [line for line in path.read_text().splitlines() if OF_AN_ENGINE.search(line)] == []


def test_the_wheel_has_everything_that_the_package_folder_has(tmp_path: Path) -> None:
    built = next(iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    inside = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {str(path.relative_to(ROOT)) for path in inside} - names == set()


def test_both_commands_are_the_same_program() -> None:
    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    assert scripts["dev"] == scripts["kamal-dev"] == "kamal_dev.cli:main"


def test_one_name_means_one_class() -> None:
    where: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


SHARED_NAMES = 17  # only ever lowered


def test_a_file_name_is_used_once_in_a_row_and_again_only_for_the_same_thing_in_another() -> None:
    where: dict[str, list[str]] = {}
    for path in MODULES:
        if path.name != "__init__.py":
            where.setdefault(path.name, []).append(path.relative_to(PACKAGE).parts[0])
    shared = {name: rows for name, rows in where.items() if len(rows) > 1}
    assert {name: rows for name, rows in shared.items() if len(set(rows)) < len(rows)} == {}
    assert len(shared) <= SHARED_NAMES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_behaviour_depends_on_the_name_of_a_provider(path: Path) -> None:
    compared = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Compare))
    words = {part.value for node in compared for part in ast.walk(node) if isinstance(part, ast.Constant)}
    assert not words & set(PROVIDERS), "ask for a property of the row in config/provider.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_module_of_a_library_is_imported(path: Path) -> None:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = {node.module or "" for node in tree if isinstance(node, ast.ImportFrom) and not node.level}
    parts = {part for module in modules for part in module.split(".") if not module.startswith("__")}
    assert not [part for part in parts if part.startswith("_")]


def test_a_project_that_is_well_written_is_read_without_the_libraries_that_name_mistakes() -> None:
    example = ROOT / "examples/guestbook"
    script = (
        "import sys\nfrom pathlib import Path\nfrom kamal_dev.output import Output\n"
        "from kamal_dev.pipeline.run.run import Run\n"
        f"run = Run.open(Path({str(example)!r}), Output(lambda event: None), strict=False)\n"
        "run.project.compose, run.project.builds\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'jsonschema', 'rich'})\n"
    )
    ended = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True, text=True, cwd=example)
    assert ended.stdout.strip() == "set()"


PIPELINE = PACKAGE / "pipeline"
ROOMS = ("hosts", "images")
TAKING_THE_RUN = 50  # only ever lowered


def test_only_verbs_take_the_whole_run() -> None:
    taking = [(path, node.name) for path in PIPELINE.rglob("*.py") for node in _functions(path) if _takes_run(node)]
    assert [name for path, name in taking if path.parent.name in ROOMS] == []
    assert len(taking) < TAKING_THE_RUN


def _functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def _takes_run(node: ast.FunctionDef) -> bool:
    arguments = (*node.args.args, *node.args.kwonlyargs)
    return any(item.arg == "run" or (item.annotation and ast.unparse(item.annotation) == "Run") for item in arguments)
