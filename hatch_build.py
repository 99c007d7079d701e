"""Makes the dependencies and extras of the package from the dependency groups of pyproject.toml, their one place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class GroupsHook(MetadataHookInterface):
    """The metadata hook that `[tool.hatch.metadata.hooks.custom]` names."""

    def update(self, metadata: dict[str, Any]) -> None:
        content = tomllib.loads(Path(self.root, "pyproject.toml").read_text(encoding="utf-8"))
        groups, packaged = content["dependency-groups"], content["tool"]["triptych"]
        metadata["dependencies"] = packages_of(packaged["base"], groups)
        metadata["optional-dependencies"] = {
            extra: packages_of(names, groups) for extra, names in packaged["extras"].items()
        }


def packages_of(names: list[str], groups: dict[str, list[Any]]) -> list[str]:
    """The packages of these groups, included groups resolved, each once and sorted."""
    found: set[str] = set()
    for name in names:
        for item in groups[name]:
            found |= set(packages_of([item["include-group"]], groups)) if isinstance(item, dict) else {item}
    return sorted(found)
