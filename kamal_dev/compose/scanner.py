"""Tabs between the words of a compose file, where Compose takes them and ruamel.yaml does not.

The rule is libyaml's, which Compose's reader follows: a tab separates, but never indents.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import ScannerError

from kamal_dev.config.scanner import Bounded

_BREAKS = "\r\n\x85\u2028\u2029"
_ENDS = "\0" + _BREAKS
_DOCUMENT = ("---", "...")


class Tabs(Bounded):
    """Scan as the class above does, tabs apart."""

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
        """Return what the blanks after a word amount to where another word follows; None at a document's end."""
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
