"""The shells and awks of hosts. `bin/test` installs them: without one its tests fail instead of being left out."""

from __future__ import annotations

SHELLS = ("dash", "busybox sh", "bash")
AWKS = ("gawk", "mawk", "busybox awk")
