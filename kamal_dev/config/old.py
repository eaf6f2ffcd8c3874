"""The keys that only kamal-dev 0.3 knows, and what becomes of each. Reads nothing."""

from __future__ import annotations

from kamal_dev.config.options import Old

_CLONE = "the source is not cloned when the container starts, so hosts need no token"
_DOCKERFILE = "builds are defined by the devcontainer or its compose file"

OLD = (
    Old("registry.username", into="registry.username_env"),
    Old("registry.password", into="registry.password_env"),
    Old("build.devcontainer", into="image.devcontainer"),
    Old("build.dockerfile", reason=_DOCKERFILE),
    Old("build.context", reason=_DOCKERFILE),
    Old("ssh.key_path", into="ssh.keys", suffix=".pub"),
    Old("git.repository", reason=_CLONE),
    Old("git.branch", reason=_CLONE),
    Old("git.workspace_folder", reason="use `workspaceFolder` in devcontainer.json"),
    Old("git.token", reason=_CLONE),
    Old("vms.spread", reason="every stack runs on its own host"),
)
