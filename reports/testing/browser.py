"""A page in a browser, with everything that it should not have done."""

from __future__ import annotations

import shutil
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FOUND = next((path for name in BROWSERS if (path := shutil.which(name))), None)
OPEN = "document.querySelectorAll('details').forEach((box) => (box.open = true))"


class Visit:
    """An open page and everything that it should not have done; `context` are the options of a browser's context."""

    def __init__(self, browser: Any, address: str = "about:blank", **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.surprises: list[str] = []
        self.address = address
        for event in ("console", "pageerror", "dialog"):
            self.page.on(event, lambda found, event=event: self.surprises.append(f"{event}: {found}"))
        self.page.on("request", lambda request: self._requested(request.url))
        self.page.goto(address)

    def goto(self, address: str) -> None:
        """Load `address` as a visitor does who had another page open: nothing of the last one is left."""
        self.page.goto("about:blank")
        self.address = address
        self.page.goto(address)

    def _requested(self, url: str) -> None:
        if url.split("#")[0] != self.address.split("#")[0] and not url.startswith("data:"):
            self.surprises.append(f"request: {url}")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert not self.surprises

    def column(self, table: str, number: int) -> list[str]:
        """The texts of a column, from the top, of the rows that are shown."""
        cells = self.page.locator(f"#{table} tbody tr:not([hidden]) > :nth-child({number})")
        return [text.strip() for text in cells.all_text_contents()]
