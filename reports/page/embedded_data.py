"""What a script unpacks in the browser: the data for downloads, and listings that no table or plot needs."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

LISTING = re.compile(r"<!--pack-->(.*?)<!--/pack-->", re.S)


class Listings(NamedTuple):
    """A page without its packed listings, and these, in the order of their places."""

    text: str
    pack: str


def packed(text: str) -> str:
    """`text` deflated, in base 85 as of RFC 1924, but a comma for the only letter that could end a script."""
    return base64.b85encode(zlib.compress(text.encode(), 9)).decode().replace("<", ",")


def unpacked(pack: str) -> str:
    """The text that was packed."""
    return zlib.decompress(base64.b85decode(pack.replace(",", "<"))).decode()


def listings(text: str) -> Listings:
    """The page with everything between marks of packing, the content of an element of class packed, left out."""
    found = LISTING.findall(text)
    return Listings(LISTING.sub("", text), packed(json.dumps(found, ensure_ascii=False)) if found else "")


def scripts(packs: dict[str, str]) -> str:
    """The packs as elements that no browser runs."""
    return "".join(f'<script type="text/plain" id="pack-{name}">{text}</script>\n' for name, text in packs.items())


def smallest(choices: Iterable[str], limit: int) -> str:
    """The first of `choices` with at most `limit` bytes, else the last one."""
    text = ""
    for text in choices:
        if len(text.encode()) <= limit:
            break
    return text
