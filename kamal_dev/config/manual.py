"""Write the example and the reference of config/dev.yml from its schema. Writes no file."""

from __future__ import annotations

import textwrap

from kamal_dev.config import provider
from kamal_dev.config.kinds import Kind, Many
from kamal_dev.config.loading import layout
from kamal_dev.config.options import Group, Leaf, Old, shape
from kamal_dev.syntax.emitter import scalar

WIDTH = 88
HEADER = """\
# yaml-language-server: $schema=../.kamal/dev.schema.json
#
# config/dev.yml: how `dev` builds this repository's devcontainer and runs it on hosts.
# Commented keys show their default or an example; uncomment a key to set it.
# Unknown keys are errors, except those that begin with `x-`: use those for anchors.
"""

# The active settings of the example; they need no account and no other machine.
ACTIVE = {
    "service": "my-app",
    "registry.server": "localhost:5555",
    "provider.type": provider.DEFAULT,
    "vms.count": "1",
}


def example() -> str:
    """Return the text of dev.yml.example."""
    parts = [HEADER, *(_part(child) for child in layout().children.values() if not isinstance(child, Old))]
    return "\n".join(part for part in parts if part)


def tables() -> str:
    """Return the reference of every key as Markdown."""
    top = [child for child in layout().children.values() if isinstance(child, Leaf) and child.path != "provider"]
    groups = [child for child in layout().children.values() if isinstance(child, Group) and child.leaves]
    parts = ["### Top level", "", *_table(top)]
    for group in groups:
        parts += ["", f"### `{group.path}`", "", *([group.doc, ""] if group.doc else []), *_table(list(group.leaves))]
    for name, row in provider.PROVIDERS.items():
        leaves = list(provider.group(name).leaves)
        parts += ["", f"### `provider`, `type: {name}`", "", str(row.options.__doc__), "", *_table(leaves)]
    hosts = list(shape(provider.StaticHost).leaves)
    parts += ["", "### An entry of `provider.hosts`, or `provider.manager`, written as a mapping", "", *_table(hosts)]
    return "\n".join([*parts, "", "### Keys of kamal-dev 0.3", "", *_old()]) + "\n"


def _part(node: Leaf | Group) -> str:
    """Return a top-level key with its explanation; empty if it only has keys of kamal-dev 0.3."""
    if isinstance(node, Leaf) and node.path == "provider":
        return _provider(node)
    if isinstance(node, Leaf):
        return _lines(node, "")
    return _group(node, "") if node.leaves else ""


def _group(node: Group, indent: str) -> str:
    head = "\n".join([*_comment(node.doc, indent), f"{indent}{node.path.rpartition('.')[2]}:"])
    children = (child for child in node.children.values() if not isinstance(child, Old))
    below = f"{indent}  "
    return "\n".join(
        (head, *(_lines(item, below) if isinstance(item, Leaf) else _group(item, below) for item in children))
    )


def _provider(node: Leaf) -> str:
    type_leaf = provider.group(provider.DEFAULT).leaves[0]
    head = "\n".join([*_comment(node.option.doc, ""), "provider:"])
    parts = [f"{head}\n{_lines(type_leaf, '  ')}"]
    for name, row in provider.PROVIDERS.items():
        parts.append("\n".join(_comment(f"With `type: {name}`. {row.options.__doc__}", "  ")) + "\n")
        parts += [_lines(leaf, "  ") for leaf in shape(row.options, "provider").leaves]
    return "\n".join(parts)


def _lines(leaf: Leaf, indent: str) -> str:
    """Return the lines of one option: its explanation, then its key, active or commented out."""
    doc = leaf.option.doc + (f" Default: {default(leaf)}." if leaf.option.example and not leaf.is_required else "")
    key = leaf.path.rpartition(".")[2]
    line = f"{key}: {ACTIVE.get(leaf.path) or leaf.option.example or _yaml(leaf.default)}"
    mark = "" if leaf.path in ACTIVE else "# "
    return "\n".join([*_comment(doc, indent), f"{indent}{mark}{line}"]) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False)


def default(leaf: Leaf) -> str:
    """Return an option's default in words."""
    if leaf.is_required:
        return "required"
    if leaf.option.otherwise:
        return leaf.option.otherwise
    return "none" if leaf.default in ((), "", None) else f"`{_yaml(leaf.default)}`"


def _yaml(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else scalar(value)


def _table(leaves: list[Leaf]) -> list[str]:
    rows = [f"| `{leaf.path}` | {_title(leaf.option.kind)} | {default(leaf)} | {leaf.option.doc} |" for leaf in leaves]
    return ["| key | value | default | meaning |", "|---|---|---|---|", *rows]


def _title(kind: Kind) -> str:
    return f"list of: {kind.item.title}" if isinstance(kind, Many) and not kind.or_one else kind.title


def _old() -> list[str]:
    """Say what becomes of each key of kamal-dev 0.3."""
    rows = []
    for child in layout().children.values():
        olds = child.children.values() if isinstance(child, Group) else ()
        for old in (old for old in olds if isinstance(old, Old)):
            effect = f"replaced by `{old.into}`" if old.into else f"ignored with a notice: {old.reason}"
            rows.append(f"| `{old.path}` | {effect} |")
    return ["| key | now |", "|---|---|", *rows]
