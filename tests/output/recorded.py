"""A deploy to three stacks as a recorded stream of events: one host fails, and a build before it."""

from __future__ import annotations

from kamal_dev.errors import ServiceFailed
from kamal_dev.model import Host
from kamal_dev.output import Output

COMMIT = "9f3c2a1b4d5e6f708192a3b4c5d6e7f809a1b2c3"
IMAGE = f"registry.example.com/acme/blog-dev:{COMMIT}"
ONE, TWO, THREE = (Host(f"blog-{number}", f"10.0.0.{number}") for number in (1, 2, 3))


def building(output: Output) -> None:
    output.warn("config/dev.yml:3: `vms` is the old name of `stacks`")
    output.start("building", IMAGE)
    output.line("building", "#5 [app 2/9] RUN apt-get update", subject=IMAGE)
    output.line("building", "#5 0.345 Get:1 http://deb.debian.org", subject=IMAGE)
    output.start("bootstrapping", "Docker", ONE)
    output.start("pulling", "postgres:15", TWO)
    output.line("building", "#8 [app 3/9] RUN bundle install", subject=IMAGE)


def pushing(output: Output) -> None:
    output.done("building", IMAGE, seconds=31.2)
    output.start("pushing", IMAGE)
    output.progress("pushing", 3, 7, "layers", subject=IMAGE)
    output.progress("pulling", 34_200_000, 120_000_000, "bytes", TWO)
    output.done("bootstrapping", "Docker 28.2.2, Compose 2.40.0", ONE, seconds=41.0)
    output.start("sending_source", "", THREE)


def applying(output: Output) -> None:
    output.done("pushing", IMAGE, seconds=8.4)
    output.done("pulling", "postgres:15", TWO, seconds=12.5)
    output.done("sending_source", "", THREE, seconds=1.1)
    for host in (ONE, TWO, THREE):
        output.start("starting", "", host)
    output.start("observing", "", ONE)
    output.line("lifecycle", "Bundle complete! 12 Gemfile dependencies", TWO)
    error = ServiceFailed(
        "blog-3",
        "service `app` is in a crash loop",
        hint="fix the service and deploy again",
        left_behind="the containers were stopped",
    )
    output.fail("deploying", error, THREE, log=["app: restarted 3 times (restarting, exit code 1)", "  no such table"])


def ending(output: Output) -> None:
    output.done("deploying", "", ONE, seconds=52.3)
    output.skip("deploying", "", TWO, seconds=2.0)


PARTS = (building, pushing, applying, ending)
