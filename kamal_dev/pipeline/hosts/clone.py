"""Pack what a clone on a host lacks: the history, and the uncommitted changes on top of it."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.commands.facts import Facts, Record
from kamal_dev.commands.words import is_hash
from kamal_dev.commands.workspace import part
from kamal_dev.errors import DevError
from kamal_dev.model import File, Step
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, loose, snapshot, temporary
from kamal_dev.project.growing import GrowingFile
from kamal_dev.project.snapshot import Part, Snapshot
from kamal_dev.project.source import committed
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

PACK_HEAD = 12  # bytes before the objects of a pack; the last four hold their number
STORE = "source.git"


@dataclass(frozen=True)
class Known:
    """Hold what a host already has of one part and this machine has too; `names` and `boundary` are labels."""

    path: str
    commits: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    names: str = ""
    boundary: str = ""


@dataclass(frozen=True)
class Packed:
    """Hold what brings a host up to date: small files, and packs that may still be growing."""

    files: tuple[File, ...]
    packs: tuple[GrowingFile, ...]

    def require_whole(self) -> None:
        """Raise DevError if git did not pack everything."""
        if error := next((pack.error for pack in self.packs if pack.error), None):
            raise _unpackable(error) from error


class Clone:
    """Read the repository on first use, and pack it once for all hosts that need the same pack."""

    def __init__(self, project: Project, tools: LocalTools, withheld: Withheld) -> None:
        self._project = project
        self._tools = tools
        self._withheld = withheld
        self._reading = threading.Lock()
        self._packing = threading.Lock()
        self._packed: dict[tuple[Known, ...], Packed] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The repository as it is now. Raises DevError if it cannot be read."""
        with self._reading:
            return self._snapshot

    def read_ahead(self) -> None:
        """Read the repository in the background; errors are raised when `snapshot` is used."""
        with suppress(DevError):
            _ = self.snapshot

    @cached_property
    def _snapshot(self) -> Snapshot:
        project, local = self._project, self._local
        for path in committed(project.source, local, self._withheld):
            self._tools.output.warn(f"`{path}` is committed to git and is sent with the history")
        stores, say = project.source_cache() / STORE, self._tools.output.info
        return snapshot.read(project.source, local, stores=stores, withheld=self._withheld, say=say)

    @property
    def _local(self) -> Local:
        assert isinstance(self._tools.shell, Local)
        return self._tools.shell

    def was_sent(self, record: Record | None, *, is_quick: bool = False) -> bool:
        """Return whether a host's record is of exactly this source.

        The repository is read only if the state alone cannot tell. With `is_quick` it is never read: if the state
        cannot tell, the source counts as different.
        """
        if not record or record.get("kind") != "git":
            return False
        state = self._project.source.state
        return record.get("state") == state or (not is_quick and self.snapshot.is_in(record))

    def known(self, facts: Facts) -> tuple[Known, ...]:
        """Return what the host already has of every part that was sent to it, according to its own records."""
        return tuple(part for own in self.snapshot.parts if (part := self._known_part(own, facts)))

    def _known_part(self, own: Part, facts: Facts) -> Known | None:
        sent, offered = (_entry(record, own.path) for record in (facts.source, facts.offered))
        if not sent:
            return None
        if sent[5] != own.boundary_label:
            return Known(own.path, boundary=sent[5])
        listed = [entry for entry in (sent, offered) if entry]
        commits = dict.fromkeys(entry[0] for entry in listed)
        trees = dict.fromkeys(tree for entry in listed for tree in (entry[2], entry[3]))
        return Known(own.path, self._here(own, commits), self._here(own, trees), sent[4], sent[5])

    def _here(self, own: Part, names: dict[str, None]) -> tuple[str, ...]:
        return tuple(
            name for name in names if is_hash(name) and self._local.run(git.exists(own.work, own.beside, name))
        )

    def packed(self, known: tuple[Known, ...]) -> Packed:
        """Return what brings a host that has `known` to this source. Raises DevError if git cannot pack it."""
        with self._packing:
            if known not in self._packed:
                self._packed[known] = self._pack_all({item.path: item for item in known})
            return self._packed[known]

    @cached_property
    def _folder(self) -> Path:
        """Return a folder for packs on the project's disk: /tmp may be in memory, and packs can be large."""
        return self._tools.resources.enter_context(temporary.folder("packs", self._project.private()))

    def _pack_all(self, known: dict[str, Known]) -> Packed:
        taken, packs = self.snapshot, []
        files = [
            File("withheld", taken.parts[0].rules.encode(errors="surrogateescape"), 0o600),
            File("state", json.dumps(taken.record).encode() + b"\n", 0o600),
        ]
        for index, own in enumerate(taken.parts):
            known_part = known.get(own.path, Known(own.path, boundary=own.boundary_label))
            fields = _fields(own, known_part)
            if (pack := self._packed_part(index, own, known_part)) is not None:
                packs.append(pack)
                fields["packed"] = ""
            files += part(index, fields)
        return Packed(tuple(files), tuple(packs))

    def _packed_part(self, index: int, own: Part, known: Known) -> GrowingFile | None:
        """Start writing the pack of what a part lacks: history, staged changes, and files of the working tree."""
        names = {"HEAD": own.head, "refs/kamal-dev/index": own.index, "refs/kamal-dev/tree": own.tree}
        if known.names != own.names_label:
            names |= {name: at for at, _, name in (line.partition(" ") for line in own.names)}
        names = {name: at for name, at in names.items() if at}
        objects = (*known.commits, *(f"{commit}^{{tree}}" for commit in known.commits), *known.trees)
        path = Path(tempfile.mkdtemp(dir=self._folder), f"{index}.pack")
        pack = GrowingFile(path, self._local.stream(self._pack(own, names, objects, is_first=not known.commits)))
        try:
            return pack if any(pack.read(PACK_HEAD)[-4:]) else None
        except OSError as error:
            raise _unpackable(error) from error

    def _pack(self, own: Part, names: Mapping[str, str], known_objects: tuple[str, ...], *, is_first: bool) -> Step:
        """Return the step that packs.

        A first pack contains every file, so compressing it may take longer than sending it uncompressed.
        """
        stores = (own.aside.known, own.aside.objects)
        is_compressed = not is_first or loose.is_compressible(*stores)
        return git.pack(own.work, own.beside, names.values(), known_objects, is_compressed=is_compressed)


def _unpackable(error: OSError) -> DevError:
    return DevError(f"git could not pack the source: {error}", hint="`git fsck` shows the problem")


def _fields(own: Part, known: Known) -> dict[str, str]:
    return {
        "path": own.path,
        "folder": own.folder,
        "head": own.head,
        "branch": own.branch,
        "index": own.index,
        "tree": own.tree,
        "names": "".join(f"{name}\n" for name in own.names),
        "boundary": own.boundary,
        "is_cut": "yes" if known.boundary != own.boundary_label else "no",
        "config": own.config,
        "skipped": "".join(f"{name}\0" for name in own.skipped),
        "rules": own.rules,
        "needs": "".join(f"{commit}\n" for commit in known.commits),
    }


def _entry(record: Record | None, path: str) -> tuple[str, ...]:
    """Return a host's record of a part; empty if there is none or it cannot be read."""
    parts = record.get("parts") if record else None
    entry = parts.get(path) if isinstance(parts, Mapping) else None
    # Records written by earlier versions do not list skipped files.
    if isinstance(entry, tuple) and len(entry) in (6, 7) and all(isinstance(word, str) for word in entry):
        return entry
    return ()
