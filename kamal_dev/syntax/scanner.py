"""Scan YAML texts with a limited depth, and accept tabs where Compose does and ruamel.yaml does not.

The rule for tabs is libyaml's, which Compose's reader follows: a tab separates, but never indents.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import Scanner, ScannerError

MAX_DEPTH = 100

_BREAKS = "\r\n\x85\u2028\u2029"
_ENDS = "\0" + _BREAKS
_DOCUMENT = ("---", "...")


class TooDeep(ScannerError):
    """A flow collection is inside too many others."""


class BoundedScanner(Scanner):
    """Scan like ruamel.yaml, except for depth and tabs."""

    def fetch_flow_collection_start(self, TokenClass: type, to_push: str) -> None:  # noqa: N803 # ruamel's name
        """Begin a flow collection. Raises TooDeep: the scanner takes quadratic time in the depth."""
        if len(self.flow_context) >= MAX_DEPTH:
            raise TooDeep(None, None, f"is nested more than {MAX_DEPTH} levels deep", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)

    def scan_to_next_token(self) -> None:
        """Skip blanks, comments and line breaks."""
        reader = self.reader
        if reader.index == 0 and reader.peek() == "\ufeff":
            reader.forward()
        while True:
            while reader.peek() == " " or (reader.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                reader.forward()
            if reader.peek() == "#":
                while reader.peek() not in _ENDS:
                    reader.forward()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str] | None:
        """Return the meaning of the blanks after a word if another word follows; None at a document's end."""
        reader = self.reader
        length = 0
        while reader.peek(length) in (" ", "\t"):
            length += 1
        blanks = reader.prefix(length)
        reader.forward(length)
        if reader.peek() not in _BREAKS:
            return [blanks] if blanks else []
        first = self.scan_line_break()
        self.allow_simple_key = True
        breaks: list[str] = []
        while not self._is_at_document():
            if reader.peek() in (" ", "\t"):
                self._refuse_indenting_tab(indent, start_mark)
                reader.forward()
            elif reader.peek() in _BREAKS:
                breaks.append(self.scan_line_break())
            else:
                return [*([first] if first != "\n" else [] if breaks else [" "]), *breaks]
        return None

    def _is_at_document(self) -> bool:
        is_first = self.reader.column == 0
        return is_first and self.reader.prefix(3) in _DOCUMENT and self.reader.peek(3) in _ENDS + " \t"

    def _refuse_indenting_tab(self, indent: int, start_mark: Any) -> None:
        if self.reader.peek() == "\t" and self.reader.column < indent:
            message = "found a tab character that violates indentation"
            raise ScannerError("while scanning a plain scalar", start_mark, message, self.reader.get_mark())
