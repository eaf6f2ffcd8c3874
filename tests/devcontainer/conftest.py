import json
from pathlib import Path

import pytest

from kamal_dev import devcontainer
from kamal_dev.errors import DevcontainerError

ROOT = Path("/home/me/site")
FILE = ROOT / ".devcontainer/devcontainer.json"
ENVIRONMENT = {"HOME": "/home/me", "USER": "me", "EMPTY": ""}


@pytest.fixture
def load():
    """Return a function that loads a devcontainer.json from a value or a text."""

    def load_it(value, path: Path = FILE, **options):
        text = value if isinstance(value, str) else json.dumps(value)
        settings = {"root": ROOT, "environment": ENVIRONMENT, "display": "devcontainer.json", "devcontainer_id": "id0"}
        return devcontainer.load(text, path, **{**settings, **options})

    return load_it


@pytest.fixture
def refusal(load):
    """Return a function that loads and returns the lines of the error."""

    def refuse(value, **options) -> list[str]:
        with pytest.raises(DevcontainerError) as caught:
            load(value, **options)
        assert caught.value.exit_code == 2
        assert caught.value.hint
        return str(caught.value).splitlines()

    return refuse
