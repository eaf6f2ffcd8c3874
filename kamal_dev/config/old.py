"""The keys that only kamal-dev 0.3 knows, and what becomes of each. Reads nothing."""

from __future__ import annotations

from kamal_dev.config.options import Old

_CLONE = "the source is not cloned from a remote when the container starts, so no token is put on a host"
_DOCKERFILE = "the devcontainer, or its compose file, says what is built"

OLD = (
    Old("registry.username", into="registry.username_env"),
    Old("registry.password", into="registry.password_env"),
    Old("build.devcontainer", into="image.devcontainer"),
    Old("build.dockerfile", reason=_DOCKERFILE),
    Old("build.context", reason=_DOCKERFILE),
    Old("ssh.key_path", into="ssh.keys", suffix=".pub"),
    Old("git.repository", reason=_CLONE),
    Old("git.branch", reason=_CLONE),
    Old("git.workspace_folder", reason="the devcontainer's `workspaceFolder` says it"),
    Old("git.token", reason=_CLONE),
    Old("vms.spread", reason="every stack has a host of its own"),
)
