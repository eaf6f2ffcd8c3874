"""A short run of what the commands do at length."""

from __future__ import annotations

import random

from tests.faults.kills import kill, length
from tests.faults.standing import Standing


def test_a_deploy_that_is_killed_at_any_moment_must_be_gone_on_from(standing: Standing) -> None:
    most = length(standing)
    dice = random.Random()
    for _ in range(2):
        after = dice.uniform(0, most)
        print(f"after {after:.3f} s: {kill(standing, after)}")
