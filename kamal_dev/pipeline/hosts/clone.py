"""Pack what a clone on a host lacks: the history, and the uncommitted changes on top of it."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.commands.facts import Facts, Record
from kamal_dev.commands.words import is_hash
from kamal_dev.commands.workspace import part
from kamal_dev.errors import DevError, hint_for
from kamal_dev.model import File
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, snapshot, temporary
from kamal_dev.project.growing import GrowingFile
from kamal_dev.project.snapshot import Part, Snapshot
from kamal_dev.project.source import committed
from kamal_dev.project.stored import StoredFiles, StoredObject, kept, large_objects
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
    """Hold what brings a host up to date: small files, and what it is fed with after them.

    That is for each part a pack that may still be growing, then its large files, if there are any.
    """

    files: tuple[File, ...]
    packs: tuple[GrowingFile | StoredFiles, ...]

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
        taken = self.snapshot
        packs: list[GrowingFile | StoredFiles] = []
        files = [
            File("withheld", taken.parts[0].rules.encode(errors="surrogateescape"), 0o600),
            File("state", json.dumps(taken.record).encode() + b"\n", 0o600),
        ]
        for index, own in enumerate(taken.parts):
            known_part = known.get(own.path, Known(own.path, boundary=own.boundary_label))
            new, fields = self._packed_part(index, own, known_part), _fields(own, known_part)
            packs += new.values()
            files += part(index, fields | dict.fromkeys(new, ""))
        return Packed(tuple(files), tuple(packs))

    def _packed_part(self, index: int, own: Part, known: Known) -> dict[str, GrowingFile | StoredFiles]:
        """Start writing the pack of what a part lacks: history, staged changes, and files of the working tree.

        A first pack contains every file. Large ones are sent as git has stored them, because packing and indexing
        them takes longer than sending them.
        """
        names = {"HEAD": own.head, "refs/kamal-dev/index": own.index, "refs/kamal-dev/tree": own.tree}
        if known.names != own.names_label:
            names |= {name: at for at, _, name in (line.partition(" ") for line in own.names)}
        sent = tuple(at for at in names.values() if at)
        objects = (*known.commits, *(f"{commit}^{{tree}}" for commit in known.commits), *known.trees)
        stored = () if known.commits else self._stored(own, sent, objects)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        stored = kept(stored, folder)
        step = git.pack(own.work, own.beside, sent, (*objects, *(one.name for one in stored)))
        pack = GrowingFile(folder / f"{index}.pack", self._local.stream(step))
        try:
            is_filled = any(pack.read(PACK_HEAD)[-4:])
        except OSError as error:
            raise _unpackable(error) from error
        contents = {"packed": pack if is_filled else None, "stored": StoredFiles(stored) if stored else None}
        return {name: content for name, content in contents.items() if content}

    def _stored(self, own: Part, names: tuple[str, ...], known: tuple[str, ...]) -> tuple[StoredObject, ...]:
        """Return the large files among what is sent."""
        large = large_objects(own.aside.known, own.aside.objects)
        if not large:
            return ()
        # If git cannot list them, it cannot pack them either, and says why.
        with suppress(OSError):
            listed = self._local.stream(git.reachable(own.work, own.beside, names, known))
            return tuple(large[name] for name in _lines(listed) if name in large)
        return ()


def _unpackable(error: OSError) -> DevError:
    reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
    return DevError(f"git could not pack the source: {reason}", hint=hint_for(error, "`git fsck` shows the problem"))


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of an output that may be too long to be held."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


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
