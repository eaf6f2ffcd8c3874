"""Write what is published from the schema: `python -m tests.config.publish`. Tests tell when it is due."""

from __future__ import annotations

from pathlib import Path

from kamal_dev.config import schema_text
from kamal_dev.config.manual import example, tables

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- options: begin -->\n", "<!-- options: end -->\n"


def published() -> dict[Path, str]:
    """Return the text that each published file should have."""
    templates = ROOT / "kamal_dev" / "templates"
    page = ROOT / "docs" / "configuration.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        templates / "dev.yml.example": example(),
        ROOT / "config" / "dev.yml.example": example(),
        ROOT / ".kamal" / "secrets.example": (templates / "secrets.example").read_text(),
        ROOT / "docs" / "dev.schema.json": schema_text(),
        page: f"{before}{BEGIN}\n{tables()}\n{END}{after}",
    }


def main() -> None:
    for path, text in published().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
