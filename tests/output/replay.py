"""Show the recorded deploy on this terminal, part after part, each once its file exists in a folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kamal_dev.output import Output
from kamal_dev.output.live import LiveView
from kamal_dev.output.symbols import is_ascii_locale
from tests.output import recorded


def main(folder: Path) -> None:
    """Show the parts; their files are numbered from 0."""
    view = LiveView(is_ascii=is_ascii_locale(os.environ))
    for number, part in enumerate(recorded.PARTS):
        while not (folder / str(number)).exists():
            time.sleep(0.01)
        part(Output(view))
    view.close()


main(Path(sys.argv[1]))
