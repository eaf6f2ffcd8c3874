"""The state of stacks as metrics in the text format of OpenMetrics 1.0.

Only with what older readers of Prometheus' own format take, too: the textfile collector knows no type `info`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from kamal_dev.commands.stacks import Usage
from kamal_dev.model import Container
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.values import dataclass

Labels = Mapping[str, str]


@dataclass(frozen=True)
class MetricFamily:
    """Hold a metric and its samples: their labels and values, `None` where a value is unknown."""

    name: str
    kind: str
    text: str
    unit: str = ""
    samples: list[tuple[Labels, float | None]] = field(default_factory=list)

    @property
    def lines(self) -> Iterator[str]:
        """The lines of the format; none if no value is known."""
        known = [(labels, value) for labels, value in self.samples if value is not None]
        if not known:
            return
        yield f"# TYPE {self.name} {self.kind}"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        yield f"# HELP {self.name} {self.text}"
        suffix = "_total" if self.kind == "counter" else ""
        for labels, value in known:
            words = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{suffix}{{{words}}} {value:.15g}"


def exposition(stacks: Iterable[StackStatus]) -> str:
    """Return the metrics of all stacks, without a newline at the end."""
    stacks = list(stacks)
    families = (*_of_stacks(stacks), *_of_containers(stacks), _of_volumes(stacks))
    return "\n".join((*(line for family in families for line in family.lines), "# EOF"))


def _of_stacks(stacks: list[StackStatus]) -> Iterator[MetricFamily]:
    named = [({"stack": stack.name}, stack) for stack in stacks]
    about = [({**name, "version": stack.version, "state": stack.state}, 1.0) for name, stack in named]
    yield MetricFamily("kamal_dev_stack_info", "gauge", "The version and the state of a stack.", samples=[*about])
    text = "Whether a stack is up, stopped on purpose, or absent."
    yield MetricFamily("kamal_dev_stack_healthy", "gauge", text, samples=[(name, it.is_fine) for name, it in named])


def _of_containers(stacks: list[StackStatus]) -> Iterator[MetricFamily]:
    containers = [(stack, container, stack.usage_of(container)) for stack in stacks for container in stack.containers]
    labels = [_labels(stack, container) for stack, container, _ in containers]

    def family(name: str, kind: str, text: str, values: Iterable[float | None], unit: str = "") -> MetricFamily:
        return MetricFamily(f"kamal_dev_container_{name}", kind, text, unit, [*zip(labels, values, strict=True)])

    yield MetricFamily(
        "kamal_dev_container_info",
        "gauge",
        "The image and the state of a container.",
        samples=[*map(_about, containers)],
    )
    yield family(
        "healthy", "gauge", "Whether a container is as its release has it.", (it.is_fine for _, it, _ in containers)
    )
    yield family(
        "drift", "gauge", "Whether a container differs from its release.", (it.drift for _, it, _ in containers)
    )
    yield family(
        "restarts",
        "counter",
        "How often the engine restarted a container.",
        (it.restarts if it.id else None for _, it, _ in containers),
    )
    started = (it.started_at.timestamp() if it.started_at else None for _, it, _ in containers)
    yield family("start_time_seconds", "gauge", "When a container was started.", started, "seconds")
    used = (usage.cpu_seconds if usage else None for *_, usage in containers)
    yield family("cpu_seconds", "counter", "Processor time that a container used.", used, "seconds")
    memory = (usage.memory if usage else None for *_, usage in containers)
    yield family("memory_bytes", "gauge", "Memory that a container uses.", memory, "bytes")


def _of_volumes(stacks: list[StackStatus]) -> MetricFamily:
    samples = [({"stack": stack.name, "volume": name}, size) for stack in stacks for name, size in stack.disk.items()]
    return MetricFamily("kamal_dev_volume_size_bytes", "gauge", "Disk space of a volume.", "bytes", [*samples])


def _labels(stack: StackStatus, container: Container) -> Labels:
    return {"stack": stack.name, "service": container.service, "container": container.name}


def _about(measured: tuple[StackStatus, Container, Usage | None]) -> tuple[Labels, float]:
    stack, container, _ = measured
    more = {"image": container.image, "state": container.state, "health": container.health or "none"}
    return {**_labels(stack, container), **more}, 1


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
