"""The checks of the corpus on cases of the project's own, and on the corpus where it is there.

What `expected-*` of our own cases say was recorded by `python -m tests.corpus.record`.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.corpus import __main__ as corpus
from tests.corpus import accounting, building, composing, reading
from tests.corpus.case import CORPUS, Case, cases, checkout
from tests.corpus.replay import Replay, Verdict

OWN = Path(__file__).parent / "cases"

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="there is no Compose to compare with")


@pytest.mark.parametrize("case", cases(OWN), ids=lambda case: case.name)
def test_a_case_comes_out_as_the_reference_has_it(case: Case) -> None:
    problems = {name: verdict.problems for name, verdict in corpus.run(case).items() if verdict.problems}
    assert problems == {}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="there is no corpus")
def test_the_corpus_comes_out_as_the_reference_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = corpus.main([])
    assert code == 0, capsys.readouterr().out


def test_a_folder_without_cases_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert corpus.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("skipped: ")


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Iterator[Replay]:
    (case,) = (case for case in cases(OWN) if case.name == request.param)
    with checkout(case) as copy:
        yield Replay(copy, corpus.oracle.version())


def saying(replay: Replay, change: Callable[[dict[str, Any]], Any]) -> Replay:
    """Return the replay of a `dev render` that says something else."""
    said = replay.rendered.json
    change(said)
    answer = dataclasses.replace(replay.rendered, output=json.dumps(said))
    object.__setattr__(replay, "__dict__", {**vars(replay), "rendered": answer})
    return replay


def found(verdict: Verdict) -> str:
    return "\n".join(verdict.problems)


@pytest.mark.parametrize("replay", ["comments"], indirect=True)
@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("# about the build", "# about it", "- '    # about the build\\n'"),
        ("      - ..:/w\n", "", "services.app.volumes"),
        ("  # about db\n", "", "- '  # about db\\n'"),
        ("image: postgres", "image: 'postgres'", "- '    image: postgres"),
    ],
)
def test_a_change_of_a_file_is_found(replay: Replay, before: str, after: str, problem: str) -> None:
    assert replay.rendered.exit_code == 0
    path = replay.there / ".devcontainer/compose.yml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    assert problem in found(composing.check(replay))


@pytest.mark.parametrize("replay", ["build-options"], indirect=True)
@pytest.mark.parametrize("word", ["--network=host", "dev", "EMPTY=", "acme/app", "--add-host=a:10.0.0.1"])
def test_a_word_that_a_build_lacks_is_found(replay: Replay, word: str) -> None:
    def drop(said: dict[str, Any]) -> None:
        argv = said["builds"][0]["argv"]
        at = argv.index(word)
        del argv[at if word.startswith("--") else at - 1 : at + 1]

    assert found(building.check(saying(replay, drop)))


@pytest.mark.parametrize("replay", ["lifecycle"], indirect=True)
def test_a_notice_and_a_row_that_are_missing_are_found(replay: Replay) -> None:
    def drop(said: dict[str, Any]) -> None:
        said["notices"] = [text for text in said["notices"] if "postAttachCommand" not in text]
        said["explanations"] = [row for row in said["explanations"] if row["key"] != "image"]
        for row in said["explanations"]:
            row["notices"] = [text for text in row["notices"] if "postAttachCommand" not in text]

    problems = found(accounting.check(saying(replay, drop)))
    assert "no notice says that `postAttachCommand` is ignored" in problems
    assert "`image` is explained 0 times" in problems


@pytest.mark.parametrize("replay", ["variables"], indirect=True)
def test_a_value_that_is_read_otherwise_is_found(replay: Replay) -> None:
    said = replay.configured.json
    said["devcontainer"]["containerEnv"]["WHO"] = "root"
    object.__setattr__(
        replay,
        "__dict__",
        {**vars(replay), "configured": dataclasses.replace(replay.configured, output=json.dumps(said))},
    )
    assert found(reading.check(replay)) == 'containerEnv.WHO: "root" should be "tester"'
