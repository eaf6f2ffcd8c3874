"""Deploy many versions in a row: `python -m tests.faults.many --times 20`.

The disk use of the host must stay flat: after the last as after the sixth, within five percent.
"""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.faults.stand import all_of_it
from tests.faults.standing import DOCKERFILE, POSTGRES, Standing

SETTLED, LEEWAY = 6, 1.05
# Never the same twice: the message, which is copied before it, is another each time.
LAYER = "RUN busybox head -c 5000000 /dev/urandom >/blob\n"


def used(standing: Standing) -> int:
    """Return the kilobytes that the engine and the home folder use on the host."""
    told = standing.host.run("sync; df -k --output=used /var/lib/docker /root/.kamal-dev | tail -n 2").split()
    return sum(map(int, told))


def deploy(standing: Standing) -> int:
    """Deploy a version with megabytes of its own; returns what is used afterwards."""
    standing.change({".devcontainer/message": secrets.token_hex(8), ".devcontainer/Dockerfile": DOCKERFILE + LAYER})
    standing.converges()
    return used(standing)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    with all_of_it(POSTGRES) as standing:
        found = []
        for number in range(1, options.times + 1):
            found.append(deploy(standing))
            print(f"{number:3} {found[-1] / 1024:8.1f} MB", flush=True)
    settled = found[min(SETTLED, len(found)) - 1]
    is_flat = found[-1] <= settled * LEEWAY
    word = "flat" if is_flat else "GROWING"
    print(f"{word}: {settled / 1024:.1f} MB after {SETTLED}, {found[-1] / 1024:.1f} MB at the end")
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
