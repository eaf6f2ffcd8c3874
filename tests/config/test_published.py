"""Example, manual and JSON Schema say what the loader does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from kamal_dev import config
from kamal_dev.config import schema
from kamal_dev.config.jsonschema import fragment
from kamal_dev.config.kinds import Kind
from kamal_dev.config.loading import layout
from kamal_dev.config.manual import example
from kamal_dev.config.options import shape
from kamal_dev.config.provider import PROVIDERS
from kamal_dev.errors import ConfigError
from tests.config.publish import ROOT, published
from tests.config.test_load import FULL

EXAMPLE = (ROOT / "kamal_dev" / "templates" / "dev.yml.example").read_text()


def is_valid(text: str) -> bool:
    data: Any = YAML(typ="safe", pure=True).load(text)
    return bool(jsonschema.Draft7Validator(schema()).is_valid(data))


def test_published_files_are_up_to_date() -> None:
    for path, text in published().items():
        assert path.read_text() == text, f"run `python -m tests.config.publish`: {path.relative_to(ROOT)}"


def test_copies_at_the_top_of_the_repository_are_the_templates() -> None:
    templates = ROOT / "kamal_dev" / "templates"
    assert (ROOT / "config/dev.yml.example").read_bytes() == (templates / "dev.yml.example").read_bytes()
    assert (ROOT / ".kamal/secrets.example").read_bytes() == (templates / "secrets.example").read_bytes()


def test_the_example_loads_clean() -> None:
    read = config.load(EXAMPLE, "config/dev.yml", environment={})
    assert read.notices == ()
    assert example() == EXAMPLE


def test_every_option_is_in_the_example_with_its_explanation() -> None:
    flat = " ".join(line.strip().removeprefix("# ") for line in EXAMPLE.splitlines())
    leaves = [*layout().leaves, *(leaf for row in PROVIDERS.values() for leaf in shape(row.options, "provider").leaves)]
    for leaf in leaves:
        assert leaf.option.doc in flat, leaf.path
        name = leaf.path.rpartition(".")[2]
        assert re.search(rf"(?m)^ *(# )?{name}:", EXAMPLE), leaf.path


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_every_option_of_the_example_can_be_set(provider: str) -> None:
    lines = EXAMPLE.splitlines()
    own = set(shape(PROVIDERS[provider].options).children)
    start, end = lines.index("provider:"), lines.index("placement:")
    kept, section = [], provider
    for number, line in enumerate(lines):
        if named := re.match(r"  # With `type: (\w+)`", line):
            section = named[1]
        # Two providers may have an option of the same name.
        is_foreign = start < number < end and section != provider and re.match(r"  # [a-z_]+: \S", line)
        if not is_foreign:
            kept.append(line)
    # A key in a comment stands alone at the end of its paragraph; prose does not look like one.
    text = re.sub(r"(?m)^( *)# ([a-z_]+: \S.*)$(?=\n(?:\n|\S|\Z))", r"\1\2", "\n".join(kept) + "\n")
    text = text.replace("type: docker\n", f"type: {provider}\n")
    read = config.load(text, "config/dev.yml", environment={})

    wanted = {leaf.path for leaf in layout().leaves} | {f"provider.{name}" for name in own}
    assert wanted <= set(read.where)
    assert is_valid(text)


def test_every_option_is_in_the_manual_and_in_the_schema() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    published_schema = json.loads((ROOT / "docs" / "dev.schema.json").read_text())
    for leaf in layout().leaves:
        assert f"| `{leaf.path}` |" in page or leaf.path == "provider"
        node = published_schema
        for part in leaf.path.split("."):
            node = node["properties"][part] if "properties" in node else node["oneOf"][1]["properties"][part]
        assert node["description"] == leaf.option.doc


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        "service: a\n",
        "service: a\nssh:\nimage: b\nbuild: {cache: true, platform: linux/amd64}\n",
        "service: a\nregistry: {username: A, password: B}\nvms: {spread: true}\ngit: {token: A}\n",
        "service: a\nprovider: {type: docker, cpus: 2, memory: 2g}\n",
        "service: a\nprovider: {cpus: 2}\n",
    ],
)
def test_loader_and_schema_accept_the_same(text: str) -> None:
    config.load(text, "config/dev.yml", environment={})
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "image: a\n",
        "service: A\n",
        "service: 1\n",
        "service: a\nimages: b\n",
        "service: a\nregistry: {sever: b}\n",
        "service: a\nregistry: {server: 'https://b.c'}\n",
        "service: a\nbuild: {cache: {type: x}}\n",
        "service: a\nbuild: {cache: {mode: max}}\n",
        "service: a\nbuild: {args: [a]}\n",
        "service: a\nbuild: {platform: amd64}\n",
        "service: a\nsecrets: [A, A]\n",
        "service: a\nsecrets: [a b]\n",
        "service: a\nvms: {count: 0}\n",
        "service: a\nvms: {count: 10000}\n",
        "service: a\nssh: {config: 'true'}\n",
        "service: a\nssh: {known_hosts: never}\n",
        "service: a\ndefaults: {memory: lots}\n",
        "service: a\ndeploy: {window: -1}\n",
        "service: a\nprovider: {type: hetzner}\n",
        "service: a\nprovider: {type: static}\n",
        "service: a\nprovider: {type: docker, hosts: [a]}\n",
        "service: a\nprovider: {type: static, hosts: [{name: a}]}\n",
    ],
)
def test_loader_and_schema_refuse_the_same(text: str) -> None:
    with pytest.raises(ConfigError):
        config.load(text, "config/dev.yml", environment={})
    assert not is_valid(text)


def test_every_kind_must_be_published() -> None:
    with pytest.raises(NotImplementedError):
        fragment(Kind())


def test_importing_the_row_stays_light() -> None:
    heavy = "{'ruamel', 'ruamel.yaml', 'dotenv', 'yaml', 'jsonschema', 'subprocess'}"
    code = f"import sys, kamal_dev.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
