"""Pack what a clone on a host lacks: history, and on top of it what is not committed."""

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

PACK_HEAD = 12  # bytes of a pack before its objects; the last four say how many these are
STORE = "source.git"


@dataclass(frozen=True)
class Known:
    """Say what a host has of one part, as far as it is here too; `names` and `boundary` are labels."""

    path: str
    commits: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    names: str = ""
    boundary: str = ""


@dataclass(frozen=True)
class Packed:
    """Hold what brings a host to the source: small files, and packs that may still be growing."""

    files: tuple[File, ...]
    packs: tuple[GrowingFile, ...]

    def require_whole(self) -> None:
        """Raise DevError where git did not pack everything."""
        if error := next((pack.error for pack in self.packs if pack.error), None):
            raise _unpackable(error) from error


class Clone:
    """Read the repository when it is first needed, and pack it once for all hosts that have the same of it."""

    def __init__(self, project: Project, tools: LocalTools, withheld: Withheld) -> None:
        self._project = project
        self._tools = tools
        self._withheld = withheld
        self._reading = threading.Lock()
        self._packing = threading.Lock()
        self._packed: dict[tuple[Known, ...], Packed] = {}

    @property
    def snapshot(self) -> Snapshot:
        """The repository as it is now. Raises DevError where it cannot be read."""
        with self._reading:
            return self._snapshot

    def read_ahead(self) -> None:
        """Read the repository; errors are raised later, when `snapshot` is used."""
        with suppress(DevError):
            _ = self.snapshot

    @cached_property
    def _snapshot(self) -> Snapshot:
        project, local = self._project, self._local
        for path in committed(project.source, local, self._withheld):
            self._tools.output.warn(f"`{path}` is committed to git and is sent with the history")
        stores, say = project.private() / STORE, self._tools.output.info
        return snapshot.read(project.source, local, stores=stores, withheld=self._withheld, say=say)

    @property
    def _local(self) -> Local:
        assert isinstance(self._tools.shell, Local)
        return self._tools.shell

    def was_sent(self, record: Record | None, *, is_quick: bool = False) -> bool:
        """Whether a host's record is of this very source. Reads the repository only where its state says too little.

        One that `is_quick` does not: where it says too little, the source counts as another.
        """
        if not record or record.get("kind") != "git":
            return False
        state = self._project.source.state
        return record.get("state") == state or (not is_quick and self.snapshot.is_in(record))

    def known(self, facts: Facts) -> tuple[Known, ...]:
        """Return what the host has, by its own records, of every part that it was sent."""
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
        """Return what brings a host with `known` to this source. Raises DevError where git cannot pack it."""
        with self._packing:
            if known not in self._packed:
                self._packed[known] = self._pack_all({item.path: item for item in known})
            return self._packed[known]

    @cached_property
    def _folder(self) -> Path:
        """A folder for packs on the disk of the project: /tmp may be memory, and packs large."""
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
        """Begin to write what a part lacks: the history and on top of it what is staged and in the folder."""
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
        """Return the step that packs. A first one has every file: there compressing may take longer than sending."""
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
    """Return what a host's record says of a part; empty where it says nothing that can be understood."""
    parts = record.get("parts") if record else None
    entry = parts.get(path) if isinstance(parts, Mapping) else None
    # A host that an earlier version sent to says nothing of skipped files.
    if isinstance(entry, tuple) and len(entry) in (6, 7) and all(isinstance(word, str) for word in entry):
        return entry
    return ()
