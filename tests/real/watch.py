"""Look over the shoulder of a deploy: the arguments of every process, and every file that it writes."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

from tests.real.lab import Host, docker

PROC = Path("/proc")


class Watch:
    """Note the arguments of every process of this machine while the block runs; containers are seen too."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.03):
            for folder in PROC.glob("[0-9]*"):
                try:
                    self.seen.add((folder / "cmdline").read_bytes())
                except OSError:
                    continue

    def with_any(self, secrets: Iterable[str]) -> list[bytes]:
        """Return the arguments that hold a secret."""
        return [argv for argv in self.seen for secret in secrets if secret.encode() in argv]


def files_with_any(host: Host, secrets: Iterable[str]) -> dict[str, str]:
    """Return the files on a host that hold a secret, with their modes: releases, temporary files, docker logins."""
    places = "/root/.kamal-dev /root/.docker /tmp /var/tmp /run/shm"
    found = host.run(f"grep -rlaF -f - {places} 2>/dev/null | xargs -r stat -c '%a %n'", "\n".join(secrets))
    return {name: mode for mode, name in (line.split(" ", 1) for line in found.splitlines())}


def image_with_any(image: str, secrets: Iterable[str]) -> list[str]:
    """Return where in an image a secret is: in its history, its configuration or any layer."""
    told = {
        "history": docker("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", image).encode(),
        "configuration": docker("image", "inspect", image).encode(),
        "layers": subprocess.run(("docker", "image", "save", image), capture_output=True, check=True).stdout,
    }
    return [place for place, data in told.items() for secret in secrets if secret.encode() in data]


def registry_with_any(container: str, secrets: Iterable[str]) -> list[str]:
    """Return the files of a registry that hold a secret: manifests, configurations, uncompressed blobs."""
    words = ("exec", "--interactive", container, "sh", "-c", "grep -rlaF -f - /var/lib/registry || true")
    return docker(*words, text="\n".join(secrets)).splitlines()
