"""A repository in memory, and short ways to load and render what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kamal_dev import compose
from kamal_dev.compose import Additions, ComposeProject, place
from kamal_dev.model import Image, Release, Version

REPOSITORY = Path("/src/shop")
DEFAULT = ".devcontainer/compose.yaml"


class MemoryTree:
    """Show files that exist in memory alone; `links` are symbolic links, all paths absolute."""

    def __init__(self, files: Mapping[Path, bytes], links: Mapping[Path, Path] | None = None) -> None:
        self.files = dict(files)
        self.links = dict(links or {})

    def read(self, path: Path) -> bytes:
        real = self.real(path)
        if real not in self.files:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return self.files[real]

    def kind(self, path: Path) -> str:
        real = self.real(path)
        if real in self.files:
            return "file"
        return "directory" if any(real in file.parents for file in self.files) else ""

    def mode(self, path: Path) -> int:
        """Return what such a file has in most repositories: a script can be run."""
        return 0o755 if self.read(path).startswith(b"#!") else 0o644

    def real(self, path: Path) -> Path:
        for link, target in self.links.items():
            if path == link or link in path.parents:
                return self.real(target / path.relative_to(link))
        return path

    def list(self, path: Path) -> tuple[str, ...]:
        return tuple(sorted({file.relative_to(path).parts[0] for file in self.files if path in file.parents}))


def tree(files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None) -> MemoryTree:
    """Return a tree with these files, named relative to the repository."""
    contents = {
        place.absolute(REPOSITORY, name): text.encode() if isinstance(text, str) else text
        for name, text in files.items()
    }
    return MemoryTree(contents, {REPOSITORY / link: Path(target) for link, target in (links or {}).items()})


def load(
    text: str | bytes = "",
    *,
    files: Mapping[str, str | bytes] | None = None,
    names: tuple[str, ...] = (DEFAULT,),
    links: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> ComposeProject:
    """Load a project of which `text` is the first file; `.devcontainer/Dockerfile` exists."""
    everything: dict[str, str | bytes] = {".devcontainer/Dockerfile": "FROM scratch\n", **(files or {})}
    if text or names == (DEFAULT,):
        everything.setdefault(names[0], text)
    paths = tuple(REPOSITORY / name for name in names)
    return compose.load(
        paths, tree=tree(everything, links), repository=REPOSITORY, environment=environment or {}, **options
    )


def images(project: ComposeProject) -> dict[str, Image]:
    """Return an image for every build."""
    return {
        name: Image("registry.example", f"acme/{build.services[0]}", "v1")
        for build in project.builds
        for name in build.services
    }


def render(project: ComposeProject, *, main: str = "app", extra: Additions | None = None, **options: Any) -> Release:
    """Render a project as the stack `shop-1`."""
    return compose.render(
        project,
        stack=options.pop("stack", "shop-1"),
        version=options.pop("version", Version("v1", "abc")),
        images=options.pop("images", images(project)),
        additions=extra or Additions("shop", main),
        **options,
    )


def text_of(release: Release, path: str) -> str:
    """Return the text of one file of a release."""
    return next(file.content.decode() for file in release.files if file.path == path)


def overlay_of(release: Release) -> str:
    """Return the overlay without its heading."""
    return text_of(release, "kamal-dev.overlay.yaml").split("\n", 1)[1]
