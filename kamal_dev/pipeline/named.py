"""Read the project of each named stack: its source is that of a reference, not the one where `dev` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from kamal_dev.commands import origin
from kamal_dev.devcontainer import lifecycle
from kamal_dev.errors import DevError, HostUnreachable, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.plan import DeployOptions, chosen
from kamal_dev.pipeline.run.names import SHORT_NAME, choose, full_name, is_numbered, matching, new_name, of_project
from kamal_dev.pipeline.run.record import failed, still_known
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.status import StackStatus, look
from kamal_dev.project import HERE, Project
from kamal_dev.project.checkout import Checkouts, cache_folder
from kamal_dev.project.repository_url import name_of
from kamal_dev.project.revision import PULL_REQUEST, Supply, supply_of
from kamal_dev.shell.fanout import each
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

MARK = "="  # between the name of a new stack and its reference; no name has it
READING = 4  # sources that are checked out and read at once


@dataclass(frozen=True)
class SourceChoice:
    """Hold which source a named stack gets: a reference, another worktree, or with `here` the current working tree.

    Each of several `refs`, or one without a NAME, gets a stack that is named after it.
    """

    ref: str = ""
    worktree: str = ""
    here: bool = False
    refs: tuple[str, ...] = ()

    @classmethod
    def of(cls, refs: tuple[str, ...], worktree: str, here: bool, names: tuple[str, ...]) -> SourceChoice:
        """Return the choice of the flags, given with these names."""
        is_one = len(refs) == 1 and bool(names) and not any(MARK in name for name in names)
        return cls(refs[0], worktree, here) if is_one else cls("", worktree, here, refs)

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that choose it."""
        given = {"ref": self.ref or self.refs, "worktree": self.worktree, "here": self.here}
        return tuple(f"--{name}" for name, value in given.items() if value)


@dataclass(frozen=True, eq=False)
class NamedStacks:
    """Tell named stacks from numbered ones, and give each the run with its source."""

    run: Run

    @property
    def _project(self) -> Project:
        return self.run.project

    def deploys(self, options: DeployOptions, choice: SourceChoice) -> list[tuple[Run, DeployOptions]]:
        """Return what has to be deployed, an entry for each source: first the working tree, then the references.

        Raises UsageError for names and references that do not exist, before anything is changed.
        """
        if any(MARK in word for word in options.names) or choice.refs:
            return self._several(options, choice)
        if choice.flags:
            stack = self._new(options, choice)
            return [careful((self._of_choice(stack, choice), replace(options, names=(stack,), new=(stack,))))]
        if options.retry_failed:
            return self._retried(options)
        resumed = self._resumed(options.names)
        words = tuple(word for word in options.names if full_name(self._project, word) not in resumed)
        known = chosen(self.run, replace(options, names=words)) if words or not resumed else ()
        numbered = tuple(name for name in known if is_numbered(self._project, name))
        if not resumed and numbered == known:
            return [(self.run, options)]
        groups = [(self.run, numbered)] if numbered else []
        groups += self._by_source({name: self.run.stacks[name] for name in known if name not in numbered})
        groups += self._of_refs(resumed)
        if len(groups) > 1:
            self._require_no_version()
        return [careful((run, replace(options, names=stacks, new=tuple(resumed)))) for run, stacks in groups]

    def by_source(self, names: tuple[str, ...]) -> list[tuple[Run, tuple[str, ...]]]:
        """Return the stacks that match `names`, default all, with the run that has their source."""
        targets = of_project(self.run.stacks.items(), self._project, names)
        named = {stack: host for stack, host in targets.items() if not is_numbered(self._project, stack)}
        if not named:
            return [(self.run, names)]
        numbered = tuple(stack for stack in targets if stack not in named)
        return ([(self.run, numbered)] if numbered else []) + self._by_source(named)

    def forget(self, stacks: Iterable[str]) -> None:
        """Delete the checkouts of named stacks that were removed."""
        named = [stack for stack in stacks if not is_numbered(self._project, stack)]
        if named and self._project.source.is_git and cache_folder().is_dir():
            for stack in named:
                self._checkouts.forget(stack, self.run.output.info)

    # --- several new stacks

    def _several(self, options: DeployOptions, choice: SourceChoice) -> list[tuple[Run, DeployOptions]]:
        """Return the deploys of the stacks in `NAME=REF`, of those named after `--ref`, and of the others named."""
        pairs, words = self._pairs(options.names, choice.refs), tuple(w for w in options.names if MARK not in w)
        others = [flag for flag in choice.flags if flag != "--ref"]
        if others or options.count is not None or options.retry_failed or (words and choice.refs):
            named = "`NAME=REF`" if any(MARK in word for word in options.names) else "several `--ref`"
            other = others[0] if others else "--count" if options.count is not None else "--retry-failed"
            what = "other names" if words and choice.refs and not others else f"`{other}`"
            example = " ".join(f"{full.removeprefix(f'{self._service}-')}={ref}" for full, ref in pairs.items())
            raise UsageError(f"{named} cannot be used with {what}", hint=f"for instance `dev deploy {example}`")
        known = self.deploys(replace(options, names=words), SourceChoice()) if words else []
        if twice := [stack for _, item in known for stack in item.names if stack in pairs]:
            raise _twice(twice[0])
        self._require_no_version(len(pairs) + len(known))
        made = self._of_refs(pairs, self._of_new)
        return [*known, *(careful((run, replace(options, names=names, new=names))) for run, names in made)]

    def _pairs(self, names: Iterable[str], refs: Iterable[str]) -> dict[str, str]:
        """Return the reference of each new stack. Raises UsageError for a name that two of them would have."""
        pairs: dict[str, str] = {}
        for word in names:
            name, mark, ref = word.partition(MARK)
            if mark and not ref:
                raise UsageError(f"`{word}` has no reference", hint=f"for instance `{name}=main`")
            if mark:
                self._add(pairs, new_name(self._project, name), ref)
        for ref in refs:
            self._add(pairs, self._named_after(ref), ref)
        return pairs

    def _add(self, pairs: dict[str, str], stack: str, ref: str) -> None:
        if stack in pairs:
            raise _twice(stack, pairs[stack], ref)
        pairs[stack] = ref

    def _named_after(self, ref: str) -> str:
        """Return the name of the stack of a reference: `feature/x` becomes `feature-x`."""
        remote = f"{self._supply.remote}/"
        try:
            return new_name(self._project, name_of(ref.removeprefix(remote)))
        except UsageError as error:
            error.hint = f"choose a name: `dev deploy NAME={ref}`"
            raise

    def _of_new(self, stack: str, ref: str) -> Run:
        return self._of_choice(stack, SourceChoice(ref))

    def _require_no_version(self, sources: int = 2) -> None:
        """Refuse a version from the command line for several sources, whose images would have the same name."""
        read = self.run.read
        if sources > 1 and isinstance(read, partial) and read.keywords.get("version"):
            raise UsageError("`--version` names one version, but several are deployed", hint="omit `--version`")

    # --- names

    def _new(self, options: DeployOptions, choice: SourceChoice) -> str:
        """Return the full name of the one stack that a reference is for."""
        flags = choice.flags
        if len(flags) > 1:
            raise UsageError(f"{' and '.join(flags)} are two sources of one stack", hint="use one of them")
        if options.retry_failed or options.count is not None:
            other = "--retry-failed" if options.retry_failed else "--count"
            raise UsageError(f"`{flags[0]}` deploys one named stack", hint=f"omit `{other}`")
        if len(options.names) != 1:
            words = " ".join(filter(None, ("dev deploy fix-42", flags[0], choice.ref or choice.worktree)))
            raise UsageError(f"`{flags[0]}` needs the name of one stack", hint=f"for instance `{words}`")
        return new_name(self._project, options.names[0])

    def _retried(self, options: DeployOptions) -> list[tuple[Run, DeployOptions]]:
        """Return the deploys of the stacks whose last deploy failed."""
        names = still_known(self._project, self.run.stacks, failed(self._project, self.run.output), options.count)
        if options.names or all(is_numbered(self._project, name) for name in names):
            return [(self.run, options)]
        return self.deploys(replace(options, names=names, retry_failed=False), SourceChoice())

    def _resumed(self, words: Iterable[str]) -> dict[str, str]:
        """Return the stacks whose first deploy never reached a host, with the reference that this machine remembers."""
        remembered: dict[str, str] = {}
        for word in words:
            stack = full_name(self._project, word)
            is_named = SHORT_NAME.fullmatch(word) and word not in (*choose(self._project, None, ()), self._service)
            if is_named and not is_numbered(self._project, stack) and not self._is_known(word):
                remembered |= {stack: ref} if (ref := self._last_ref(stack)) else {}
        return remembered

    def _is_known(self, word: str) -> bool:
        return bool(matching(self.run.stacks, word, self._service))

    @property
    def _service(self) -> str:
        return self._project.config.service

    # --- references

    def _by_source(self, named: Mapping[str, Host]) -> list[tuple[Run, tuple[str, ...]]]:
        """Return the named stacks with the run that has their source, as their hosts know it."""
        statuses = look(self.run.connections, named.items()) if named else []
        refs = {status.name: self._ref(status) for status in statuses}
        groups = [(self.run, tuple(stack for stack, ref in refs.items() if not ref))]
        if here := tuple(stack for stack, ref in refs.items() if ref == HERE):
            groups.append((self.run.reading(self.run.folder, HERE), here))
        groups += self._of_refs({stack: ref for stack, ref in refs.items() if ref not in ("", HERE)})
        return [group for group in groups if group[1]]

    def _of_refs(
        self, refs: Mapping[str, str], read: Callable[[str, str], Run] | None = None
    ) -> list[tuple[Run, tuple[str, ...]]]:
        """Return the run with the project of each stack, read in parallel. Raises the first error."""
        if refs:
            # Read once, not by each thread.
            self._checkouts  # noqa: B018
        runs = each(refs.items(), lambda item: (read or self._of_ref)(*item), limit=READING)
        for made in runs:
            if isinstance(made, DevError):
                raise made
        return [(made, (stack,)) for stack, made in zip(refs, runs, strict=True) if isinstance(made, Run)]

    def _ref(self, status: StackStatus) -> str:
        """Return the reference of a stack; if it never came up, the one that this machine deployed last.

        A stack with a release but no reference was named by an earlier `naming.pattern`.
        """
        if status.version:
            return status.ref
        if ref := self._last_ref(status.name):
            return ref
        message = f"the reference of {status.name} is unknown: {status.reason or 'it has no release'}"
        hint = f"pass it: `dev deploy {status.name} --ref REF`"
        raise UsageError(message, hint=hint) if status.is_known else HostUnreachable(status.name, message, hint=hint)

    def _last_ref(self, stack: str) -> str:
        return self._checkouts.last_ref(stack) if self._project.source.is_git else ""

    def _of_choice(self, stack: str, choice: SourceChoice) -> Run:
        """Return the run with the project of a new named stack. Raises UsageError, GitFailed."""
        if choice.here:
            made = self.run.reading(self.run.folder, HERE)
        else:
            folder = str((self.run.folder / choice.worktree).resolve()) if choice.worktree else ""
            made = self._of_ref(stack, folder or choice.ref)
        if stack.removeprefix(f"{self._service}-") in (item.name for item in made.project.compose.services):
            raise UsageError(f"`{stack}` has the name of a service of the project", hint="choose another name")
        return made

    def _of_ref(self, stack: str, ref: str) -> Run:
        """Return the run with the project at a reference, checked out in the cache folder while this run lasts."""
        if Path(ref).is_absolute():
            return self._in_worktree(stack, Path(ref))
        revision = self._checkouts.resolve(ref)
        say = self.run.output.info
        made = self.run.resources.enter_context(self._checkouts.using(stack, revision, say))
        if not (made.folder / self._below).is_dir():
            raise UsageError(f"`{ref}` has no folder `{self._below}`", hint="run `dev` in a folder that it has")
        return self.run.reading(made.folder / self._below, revision.ref, self._address)

    def _in_worktree(self, stack: str, folder: Path) -> Run:
        if not folder.is_dir():
            raise UsageError(
                f"the worktree {folder} of {stack} does not exist on this machine",
                hint=f"`dev deploy {stack} --ref BRANCH` deploys a branch instead",
            )
        supply = supply_of(folder, self._shell)
        if supply.common != self._supply.common:
            raise UsageError(
                f"{folder} is not a worktree of {self._supply.root}", hint="`git worktree list` shows them"
            )
        return self.run.reading(supply.root / self._below, str(supply.root), self._address)

    @property
    def _below(self) -> Path:
        """The current folder, relative to the repository."""
        return self.run.folder.resolve().relative_to(self._project.source.repository.resolve())

    @cached_property
    def _checkouts(self) -> Checkouts:
        if self.run.remote_repository:
            return self.run.remote_repository.checkouts
        return Checkouts(self._supply, self._project.source.repository.name, self._shell)

    @cached_property
    def _supply(self) -> Supply:
        if self.run.remote_repository:
            return self.run.remote_repository.supply
        if not self._project.source.is_git:
            raise UsageError(f"{self._project.root} is not in a git repository", hint="run `git init`, or use `--here`")
        return supply_of(self._project.source.repository, self._shell)

    @property
    def _address(self) -> str:
        """The address of the repository's remote, without credentials."""
        url = self._supply.settings.get(f"remote.{self._supply.remote}.url", "")
        return origin.without_credentials(url)

    @property
    def _shell(self) -> Local:
        assert isinstance(self.run.local, Local)
        return self.run.local


def careful(deployed: tuple[Run, DeployOptions]) -> tuple[Run, DeployOptions]:
    """Return a deploy that does not run commands of strangers on this machine."""
    run, options = deployed
    ref = run.project.source_origin.ref
    if not PULL_REQUEST.fullmatch(ref):
        return deployed
    if lifecycle.initialize(run.project.devcontainer) and not options.skip_initialize:
        run.output.warn(f"initializeCommand of {ref} is not run: it would run on this machine with your rights")
    return run, replace(options, skip_initialize=True)


def _twice(stack: str, *refs: str) -> UsageError:
    if not refs:
        return UsageError(f"{stack} is named twice", hint="name it once")
    both = " and ".join(f"`{ref}`" for ref in refs)
    return UsageError(f"{both} would both be the stack {stack}", hint=f"choose a name: `dev deploy NAME={refs[-1]}`")
