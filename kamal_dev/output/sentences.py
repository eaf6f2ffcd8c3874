"""Turn events into sentences for people. One table for all phases."""

from __future__ import annotations

from typing import NamedTuple, get_args

from kamal_dev.model import short
from kamal_dev.output.event import Event, Phase
from kamal_dev.output.units import amount, duration


class Wording(NamedTuple):
    """Hold the words for a phase while it runs and when it is done; `{}` is replaced by the subject.

    `subject` is the default for events without one.
    """

    doing: str
    done: str
    subject: str = ""


WORDS: dict[Phase, Wording] = {
    "checking": Wording("Checking {}", "Checked {}"),
    "initializing": Wording("Running {} on this machine", "Ran {}"),
    "hook": Wording("Running hook {}", "Ran hook {}"),
    "building": Wording("Building {}", "Built {}"),
    "packing": Wording("Packing {}", "Packed {}"),
    "registry": Wording("Starting a registry on {}", "Started a registry on {}"),
    "pushing": Wording("Pushing {}", "Pushed {}"),
    "provisioning": Wording("Creating host {}", "Created host {}"),
    "connecting": Wording("Connecting {}", "Connected {}"),
    "bootstrapping": Wording("Installing {}", "Installed {}"),
    "pulling": Wording("Pulling {}", "Pulled {}", "images"),
    "transferring": Wording("Sending {}", "Sent {}"),
    "sending_source": Wording("Sending the source {}", "Sent the source {}"),
    "fetching": Wording("Fetching changes from the workspace {}", "Fetched changes {}"),
    "copying": Wording("Copying {}", "Copied {}"),
    "uploading": Wording("Uploading the release {}", "Uploaded the release {}"),
    "creating": Wording("Creating containers {}", "Created containers {}"),
    "starting": Wording("Starting containers {}", "Started containers {}"),
    "observing": Wording("Waiting for containers to become healthy {}", "Containers are healthy {}"),
    "lifecycle": Wording("Running {}", "Ran {}"),
    "stopping": Wording("Stopping containers {}", "Stopped containers {}"),
    "rolling_back": Wording("Rolling back to {}", "Rolled back to {}", "the last good release"),
    "locking": Wording("Waiting for {}", "Released the lock of {}"),
    "deploying": Wording("Deploying {}", "Deployed {}"),
    "restarting": Wording("Restarting {}", "Restarted {}", "services"),
    "scaling": Wording("Scaling {}", "Scaled {}", "services"),
    "removing": Wording("Removing {}", "Removed {}"),
    "pruning": Wording("Pruning {}", "Pruned {}"),
    "backing_up": Wording("Backing up {}", "Backed up {}", "volumes"),
    "restoring": Wording("Restoring {}", "Restored {}", "the data"),
    "moving": Wording("Moving {}", "Moved {}"),
    "opening": Wording("Opening {}", "Opened {}"),
    "forwarding": Wording("Forwarding ports {}", "Forwarded ports {}"),
    "recording": Wording("Recording {}", "Recorded {}"),
}
assert set(WORDS) == set(get_args(Phase))

# For events about all stacks; the subject is their number.
_ALL: dict[Phase, str] = {"rolling_back": "Rolled back {}", "starting": "Started {}", "stopping": "Stopped {}"}
# For phases that had nothing to do.
_SKIPPED: dict[Phase, str] = {
    "pushing": "Already pushed {}",
    "deploying": "Version {} is already running",
    "removing": "Nothing to remove of {}",
    "sending_source": "The source is up to date {}",
    "building": "Nothing to build {}",
}
_NAMED = ("building", "packing", "pushing", "pulling", "transferring", "copying", "initializing", "hook")


def sentence(event: Event, *, full: bool = False) -> str:
    """Return the event as a sentence, without the stack; `full` does not shorten images and versions."""
    if event.status in ("output", "step", "info", "warning"):
        return event.message
    if event.status == "failed":
        return event.message or _filled(f"{WORDS[event.phase].doing} failed", event, full)
    pattern = _pattern(event)
    text = _filled(pattern, event, full)
    return f"{text} ({event.message})" if event.message else text


def _pattern(event: Event) -> str:
    if event.status == "skipped":
        return _SKIPPED.get(event.phase, f"Skipped: {WORDS[event.phase].doing}")
    if event.status == "done":
        return WORDS[event.phase].done if event.stack else _ALL.get(event.phase, WORDS[event.phase].done)
    return WORDS[event.phase].doing


def _filled(pattern: str, event: Event, full: bool) -> str:
    subject = event.subject if full else short(event.subject)
    if subject and event.phase in _NAMED and " " not in subject:
        subject = f"`{subject}`"
    return " ".join(pattern.format(subject or WORDS[event.phase].subject).split())


def progress(event: Event) -> str:
    """Return the progress of a phase: `34 of 120 MB`, `3 of 7 layers`; empty if unknown."""
    if event.current is None:
        return ""
    if event.unit == "bytes":
        return amount(event.current, event.total)
    total = f"/{event.total}" if event.total is not None else ""
    is_one = event.total is None and event.current == 1
    return f"{event.current}{total} {event.unit.removesuffix('s') if is_one else event.unit}".rstrip()


def line(event: Event, *, full: bool = False) -> str:
    """Return an event as one line: the stack, what happened, how long it took."""
    where = f"{event.stack}: " if event.stack and event.status != "step" else ""
    is_timed = event.seconds is not None and event.status != "skipped"
    took = f" in {duration(event.seconds or 0.0)}" if is_timed else ""
    return f"{where}{sentence(event, full=full)}{took}"
