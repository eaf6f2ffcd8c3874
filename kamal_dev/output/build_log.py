"""Parse the output of BuildKit (`--progress plain`) into build steps."""

from __future__ import annotations

from kamal_dev.output.units import in_bytes
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

# The devcontainer CLI prefixes each chunk that it reads with the time, so only some lines have it.
_TIME = pattern(r"^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] ")
_STEP = pattern(r"^#(\d+) (\[(?!internal|auth)[^\]]*\d+/\d+\] .*|\[internal\] load .*|exporting .*)$")
_NUMBERED = pattern(r"^\[.*?(\d+)/(\d+)\]")
_PREFIX = pattern(r"^#(\d+) (?:\d+\.\d+ )?")
_ERROR = pattern(r"^#(\d+) ERROR:")
_BYTES = pattern(r"^#\d+ sha256:\S+ ([\d.]+(?:B|kB|MB|GB)) / ([\d.]+(?:B|kB|MB|GB))")


@dataclass(frozen=True)
class BuildStep:
    """Name the current step of a build, with its number and the total if the line has them."""

    text: str
    current: int | None = None
    total: int | None = None


def build_step(line: str) -> BuildStep | None:
    """Return the step that starts with a line of BuildKit's output; None for any other line."""
    if (match := _STEP.match(_TIME.sub("", line))) is None:
        return None
    numbered = _NUMBERED.match(match[2])
    text = " ".join(match[2].split())
    return BuildStep(text, int(numbered[1]), int(numbered[2])) if numbered else BuildStep(text)


def fetched(line: str) -> tuple[int, int] | None:
    """Return how many bytes of how many have arrived of a layer, if a line says so."""
    match = _BYTES.match(_TIME.sub("", line))
    return (in_bytes(match[1]), in_bytes(match[2])) if match else None


def failed_step(output: str) -> list[str]:
    """Return the output of the failed step; empty if no step is reported as failed."""
    lines = [_TIME.sub("", text) for text in output.splitlines()]
    numbers = [match[1] for text in lines if (match := _ERROR.match(text))]
    if not numbers:
        return []
    own = [text for text in lines if (match := _PREFIX.match(text)) and match[1] == numbers[-1]]
    return [text.strip() for text in (_PREFIX.sub("", text) for text in own) if text.strip()]
