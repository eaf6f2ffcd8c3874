"""Show the recorded deploy on this terminal, at a pace that leaves time to resize it."""

from __future__ import annotations

import sys
import time

from kamal_dev.output import Output
from kamal_dev.output.live import LiveView
from kamal_dev.output.symbols import is_ascii_locale
from tests.output import recorded


def main(seconds: float) -> None:
    """Show each part, and wait so many seconds after it."""
    import os

    view = LiveView(is_ascii=is_ascii_locale(os.environ))
    for part in recorded.PARTS:
        part(Output(view))
        time.sleep(seconds)
    view.close()


main(float(sys.argv[1]))
