"""Find out how much an image adds to a host, so that a host with too little space is not filled up."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from kamal_dev.commands import docker, image_manifest
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.image_manifest import Layer
from kamal_dev.model import Image
from kamal_dev.pipeline.images import local_registry
from kamal_dev.shell import Shell

# With this much space free, the registry is not asked: devcontainer images are far smaller, and asking takes time.
ENOUGH = 30_000_000_000
ASKING = 20.0


class Layers:
    """Ask the registry for the layers of an image, once per architecture for all hosts.

    `config` is the docker config folder with the registry's credential; `is_local` means that the registry runs here.
    """

    def __init__(self, shell: Shell, config: str = "", *, is_local: bool = False) -> None:
        self._shell = shell
        self._config = config
        self._is_local = is_local
        self._known: dict[tuple[str, str], tuple[Layer, ...]] = {}
        self._asking = threading.Lock()

    def to_pull(self, images: Iterable[Image], facts: Facts) -> tuple[Layer, ...]:
        """Return the layers of these images, each once; an image whose manifest cannot be read contributes none.

        Returns none for a host with plenty of space, or one that did not report its free space.
        """
        if not 0 < facts.disk_free < ENOUGH:
            return ()
        with self._asking:
            layers = [layer for image in images for layer in self._of(image, facts.arch)]
        return tuple(dict(layers).items())

    def _of(self, image: Image, architecture: str) -> tuple[Layer, ...]:
        key = (str(image), architecture)
        if key not in self._known:
            self._known[key] = self._ask(image, architecture)
        return self._known[key]

    def _ask(self, image: Image, architecture: str) -> tuple[Layer, ...]:
        text = self._manifest(image, image.digest or image.tag)
        if digest := image_manifest.part(text, architecture):
            text = self._manifest(image, digest)
        return image_manifest.layers(text, self._configuration(image, text), architecture)

    def _manifest(self, image: Image, name: str) -> str:
        if self._is_local:
            return local_registry.text(image, f"manifests/{name}")
        result = self._shell.run(docker.raw_manifest(image, name, config=self._config), timeout=ASKING)
        return result.output if result else ""

    def _configuration(self, image: Image, text: str) -> str:
        if self._is_local:
            digest = image_manifest.configuration(text)
            return local_registry.text(image, f"blobs/{digest}") if digest else ""
        result = self._shell.run(docker.manifest(image, part="Image", config=self._config), timeout=ASKING)
        return result.output if result else ""
