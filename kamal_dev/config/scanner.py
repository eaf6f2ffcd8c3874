"""The scanner of YAML texts, with a bound that ruamel's own lacks."""

from __future__ import annotations

from ruamel.yaml.scanner import Scanner, ScannerError

MAX_DEPTH = 100


class TooDeep(ScannerError):
    """A flow collection is inside too many others."""


class Bounded(Scanner):
    """Scan as the class above does, flow collections to a depth: it takes time by the square of that."""

    def fetch_flow_collection_start(self, TokenClass: type, to_push: str) -> None:  # noqa: N803 # ruamel's name
        """Begin a flow collection. Raises TooDeep."""
        if len(self.flow_context) >= MAX_DEPTH:
            raise TooDeep(None, None, f"is nested more than {MAX_DEPTH} levels deep", self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)
