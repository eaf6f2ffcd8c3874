"""Links of the docs lead somewhere, and the messages that they quote are those of the code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
_MESSAGE = re.compile(r"^(?:error: |hint: |.*left behind: |✗ [^:]+: )(.+)$")
_SHELL_TEXT = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"")
_EXPANSION = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|\$\w+")
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_COMMAND = re.compile(r"(?:KAMAL_\w+=\S+ )?(?:dev|docker|git|ssh|apt|tail|cd|systemctl|journalctl|npm|sudo)\b")
# Messages of Docker and the kernel.
OTHERS = ("repository name must be lowercase", "no space left on device", "port is already allocated")
FEWEST_WORDS = 3


# --- links


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's titles."""
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> Iterator[str]:
    for path, anchor in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield f"{page.relative_to(TOP)}: {path}{'#' if anchor else ''}{anchor}"


def test_relative_links_and_anchors_exist() -> None:
    assert [link for page in PAGES for link in broken(page)] == []


def test_a_broken_link_and_a_broken_anchor_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_docs.TOP", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# One title\n[a](#one-title) [b](#other) [c](page.md#one-title) [d](gone.md) [e](https://a.b/c#d)\n"
    )
    assert list(broken(page)) == ["page.md: #other", "page.md: gone.md"]


# --- messages


def python_texts(source: str) -> Iterator[list[str]]:
    """Yield the strings of a module, each as the pieces between what is filled in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            pieces = [""]
            for value in node.values:
                if isinstance(value, ast.Constant):
                    pieces[-1] += str(value.value)
                else:
                    pieces.append("")
            yield pieces
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.split(r"\{\w*\}|%s", node.value)


def shell_texts(source: str) -> Iterator[list[str]]:
    for single, double in _SHELL_TEXT.findall(source):
        yield _EXPANSION.split(single or double.replace("\\`", "`"))


@functools.cache
def patterns() -> list[re.Pattern[str]]:
    texts: list[list[str]] = []
    for path in sorted((TOP / "kamal_dev").rglob("*")):
        if path.suffix == ".py":
            texts += python_texts(path.read_text(encoding="utf-8"))
        elif path.suffix == ".sh":
            texts += shell_texts(path.read_text(encoding="utf-8"))
    long = {tuple(filter(None, pieces)) for pieces in texts if words_of(pieces) >= FEWEST_WORDS}
    return [re.compile(".*".join(map(re.escape, pieces))) for pieces in sorted(long)]


def words_of(pieces: list[str]) -> int:
    return sum(len(re.findall(r"\w+", piece)) for piece in pieces)


def quoted(page: Path) -> Iterator[str]:
    """Yield the messages in blocks of a page, but for the summary, which has no words of its own."""
    for block in _FENCED.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if (match := _MESSAGE.match(line.strip())) and not match.group(1).startswith("Deployed"):
                yield match.group(1)


def quoted_inline(page: Path) -> Iterator[str]:
    """Yield the messages between backticks in pieces, parted by `…` and numbers; no commands, no messages of others."""
    for span in _INLINE.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        text = " ".join(span.split())
        if not _COMMAND.match(text) and not any(words in text for words in OTHERS):
            yield from (piece.strip(" :;,") for piece in re.split(r"…|\d+|\bN\b|localhost:", text))


def is_long(text: str) -> bool:
    return len(text.split()) >= FEWEST_WORDS


def test_quoted_messages_are_in_the_code() -> None:
    known, page = patterns(), TOP / "docs" / "troubleshooting.md"
    lines = [line for line in quoted(page) if is_long(line)]
    assert len(lines) > 50
    assert [line for line in lines if not any(pattern.search(line) for pattern in known)] == []


def test_messages_quoted_in_sentences_are_in_the_code() -> None:
    pieces = [piece for piece in quoted_inline(TOP / "docs" / "troubleshooting.md") if is_long(piece)]
    assert len(pieces) > 20
    sources = [path for path in (TOP / "kamal_dev").rglob("*") if path.suffix in (".py", ".sh", ".pl")]
    code = "\n".join(path.read_text(encoding="utf-8").replace("\\`", "`") for path in sources)
    known = patterns()
    assert [piece for piece in pieces if piece not in code and not any(each.search(piece) for each in known)] == []


def test_a_message_that_is_not_in_the_code_is_found() -> None:
    known = patterns()
    assert any(pattern.search("the build of app failed (compose.yaml:3):") for pattern in known)
    assert not any(pattern.search("the construction of app went wrong") for pattern in known)
