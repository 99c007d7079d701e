"""Take the pictures of the page that README and the documentation show: `python docs/tools/picture.py PAGE [NAME ...]`.

Needs Playwright and a Chromium on PATH. Names are those of PICTURES (default: all); take `page` from a quiet machine.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

PAGES = Path(__file__).resolve().parents[1] / "pages"


class Picture(NamedTuple):
    """A window in pixels, its colours, and the part of the page that it shows."""

    width: int
    height: int
    scheme: str
    place: str


PICTURES = {
    "page": Picture(1280, 960, "light", "answer"),
    "page-code": Picture(1440, 900, "dark", "code"),
    "page-phone": Picture(390, 844, "light", "asked"),
}


def main(page: Path, names: Iterable[str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name in names:
            width, height, scheme, place = PICTURES[name]
            view = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            view.goto(f"{page.resolve().as_uri()}#{place}" if place != "answer" else page.resolve().as_uri())
            view.wait_for_load_state("networkidle")
            path = PAGES / f"{name}.png"
            view.screenshot(path=path)
            print(f"wrote {path}")
        browser.close()


if __name__ == "__main__":
    if not sys.argv[1:] or set(sys.argv[2:]) - set(PICTURES):
        sys.exit(f"usage: picture.py report/triptych.html [{' '.join(PICTURES)}]")
    main(Path(sys.argv[1]), sys.argv[2:] or PICTURES)
