"""What BuildKit prints is folded to the step that it is at."""

from __future__ import annotations

import pytest

from kamal_dev.output.build_log import BuildStep, build_step, failed_step, fetched

FAILING = """\
#0 building with "default" instance using docker driver
#7 [app 2/9] RUN apt-get update
#7 0.345 Get:1 http://deb.debian.org
#7 DONE 0.4s
#8 [app 3/9] RUN bundle install
#8 0.401 Fetching gem metadata
#8 1.207 Could not find gem 'rails'
#8 ERROR: process "/bin/sh -c bundle install" did not complete successfully: exit code: 7
------
 > [app 3/9] RUN bundle install:
1.207 Could not find gem 'rails'
------
ERROR: failed to solve: process "/bin/sh -c bundle install" did not complete successfully: exit code: 7
"""


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("#8 [app 3/9] RUN  bundle   install", BuildStep("[app 3/9] RUN bundle install", 3, 9)),
        ("#5 [2/3] COPY . .", BuildStep("[2/3] COPY . .", 2, 3)),
        ("#3 [internal] load build context", BuildStep("[internal] load build context")),
        ("#9 exporting to image", BuildStep("exporting to image")),
        ("#8 0.401 Fetching gem metadata", None),
        ("#8 DONE 0.4s", None),
        ("[app 3/9] RUN bundle install", None),
    ],
)
def test_a_line_that_begins_a_step_names_it(line: str, step: BuildStep | None) -> None:
    assert build_step(line) == step


def test_the_bytes_of_a_layer_are_read() -> None:
    line = "#5 sha256:4abcf2066143 10.49MB / 30.44MB 0.3s"
    assert fetched(line) == (10_490_000, 30_440_000)
    assert fetched("#5 sha256:4abcf2066143 done") is None


def test_a_build_that_fails_is_unfolded_to_the_step_that_failed() -> None:
    assert failed_step(FAILING) == [
        "[app 3/9] RUN bundle install",
        "Fetching gem metadata",
        "Could not find gem 'rails'",
        'ERROR: process "/bin/sh -c bundle install" did not complete successfully: exit code: 7',
    ]
    assert failed_step("#7 DONE 0.4s") == []


def test_lines_that_the_devcontainer_cli_puts_the_time_before_are_read_too() -> None:
    timed = "".join(f"[2026-01-31T12:00:0{number}.408Z] {line}\n" for number, line in enumerate(FAILING.splitlines()))
    assert failed_step(timed) == failed_step(FAILING)
    assert build_step("[2026-01-31T12:00:00.408Z] #7 [app 2/9] RUN x") == BuildStep("[app 2/9] RUN x", 2, 9)
