"""The state file: written whole or not at all, and lost without loss."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamal_dev.model import Host
from kamal_dev.project import audit_log, state
from kamal_dev.project.local_folder import private
from kamal_dev.project.state import CachedHost, Found, State

A, B = Host("app-1", "10.0.0.1", "root", 22, (Path("/k"),)), Host("app-1", "10.0.0.9")
KNOWN = CachedHost.of("app-1", A, "static")
FULL = State().begun(["app-1", "app-2"], ["app-2"], "2026-01-01T00:00:00Z").ended([KNOWN], [("app-1", "deployed")])


def write(folder: Path, wanted: State = FULL) -> None:
    assert state.update(folder, lambda found: replace(wanted, serial=found.serial)) == ()


def test_what_is_written_is_read_again_with_a_serial_and_the_one_before(tmp_path: Path) -> None:
    assert state.read(tmp_path) == Found()
    write(tmp_path)
    assert state.read(tmp_path).state == replace(FULL, serial=1)
    before = (tmp_path / state.NAME).read_bytes()
    write(tmp_path)
    assert (tmp_path / state.NAME).read_bytes() == before, "nothing changed: nothing is written"
    write(tmp_path, State())
    assert state.read(tmp_path).state == State(serial=2)
    assert (tmp_path / "state.json.bak").read_bytes() == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_deploy_that_does_not_end_leaves_unknown_results_and_the_hosts_being_created() -> None:
    begun = FULL.begun(["app-1", "app-3"], ["app-2", "app-3"], "2026-02-02T00:00:00Z")
    assert dict(begun.results) == {"app-1": "unknown", "app-2": "unknown", "app-3": "unknown"}
    assert dict(begun.creating) == {"app-2": "2026-01-01T00:00:00Z", "app-3": "2026-02-02T00:00:00Z"}
    ended = begun.ended([CachedHost.of("app-3", A, "docker")], [("app-3", "failed")])
    assert (dict(ended.results)["app-3"], [name for name, _ in ended.creating]) == ("failed", ["app-2"])


def test_a_static_host_is_told_by_its_address_and_any_other_by_its_name() -> None:
    moved = FULL.ended([CachedHost.of("app-1", B, "static")], ())
    assert [known.address for known in moved.hosts] == ["10.0.0.1", "10.0.0.9"]
    assert [known.address for known in moved.removed([("app-1", A)]).hosts] == ["10.0.0.9"]
    made = State().ended([CachedHost.of("app-1", A, "docker")], ()).ended([CachedHost.of("app-1", B, "docker")], ())
    assert [known.address for known in made.hosts] == ["10.0.0.9"]
    assert FULL.removed([("app-1", A), ("app-2", A)]) == State()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A folder whose state changed twice, with the text of the file and of the one before."""
    folder = tmp_path_factory.mktemp("state")
    write(folder)
    write(folder, replace(FULL, creating=()))
    return folder, (folder / state.NAME).read_bytes(), (folder / "state.json.bak").read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_raises_or_costs_more_than_the_last_change(
    written: tuple[Path, bytes, bytes], data: st.DataObject
) -> None:
    folder, text, before = written
    path = folder / state.NAME
    (folder / "state.json.bak").write_bytes(before)
    damaged = data.draw(
        st.one_of(
            st.integers(0, len(text) - 1).map(lambda length: text[:length]),
            st.binary(max_size=40),
            st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=5).map(
                lambda value: json.dumps({"version": 1, "serial": value, "hosts": value, "creating": value}).encode()
            ),
        )
    )
    path.write_bytes(damaged)
    found = state.read(folder)
    assert found.state == replace(FULL, serial=1)
    assert str(path) in found.notices[0]
    assert "state.json.bak" in found.notices[0]
    (folder / "state.json.bak").write_bytes(damaged)
    assert state.read(folder).state == State()
    # The next one who writes it mends it.
    assert "damaged" in state.update(folder, lambda found: found)[0]
    assert state.read(folder) == Found(State(1), text=path.read_bytes())


def test_a_file_from_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    newer = b'{"version": 2, "everything": "else"}'
    (tmp_path / state.NAME).write_bytes(newer)
    (notice,) = state.update(tmp_path, lambda found: FULL)
    assert "newer version of kamal-dev (2)" in notice
    assert (tmp_path / state.NAME).read_bytes() == newer


def test_a_folder_that_cannot_be_written_is_a_notice(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    (notice,) = state.update(tmp_path / "folder", lambda found: FULL)
    assert f"{tmp_path / 'folder' / state.NAME}: could not be written" in notice


WRITER = """
import sys
from pathlib import Path
from kamal_dev.project import state
for number in range(20):
    state.update(Path(sys.argv[1]), lambda found: found.begun([f"{sys.argv[2]}-{number}"], (), ""))
"""


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    words = (sys.executable, "-c", WRITER, str(tmp_path))
    writers = [subprocess.Popen((*words, name)) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = state.read(tmp_path).state
    assert (found.serial, len(found.results)) == (40, 40)


def test_the_audit_log_is_appended_to_and_read_past_what_is_no_record(tmp_path: Path) -> None:
    assert audit_log.read(tmp_path) == ()
    for number in range(3):
        audit_log.append(tmp_path, {"at": f"2026-01-0{number + 1}", "text": "line\nbreak"})
    with (tmp_path / audit_log.NAME).open("ab") as file:
        file.write(b'{"at": "torn\n[1]\nnull\n')
    assert [record["at"] for record in audit_log.read(tmp_path)] == [f"2026-01-0{day}" for day in (1, 2, 3)]
    assert (tmp_path / audit_log.NAME).stat().st_mode & 0o777 == 0o600


def test_what_another_thread_renames_or_removes_meanwhile_is_no_trouble(tmp_path: Path) -> None:
    folder, has_ended = private(tmp_path), threading.Event()

    def write_and_remove() -> None:
        while not has_ended.is_set():
            state.put(folder / state.NAME, b"{}")
            (folder / "packs").mkdir()
            (folder / "packs/pack").touch()
            (folder / "packs/pack").unlink()
            (folder / "packs").rmdir()

    writer = threading.Thread(target=write_and_remove)
    writer.start()
    try:
        for _ in range(1000):
            assert private(tmp_path) == folder
    finally:
        has_ended.set()
        writer.join()
