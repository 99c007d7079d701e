"""Plants a fault: a one-line diff of a source file, applied in memory when that file is imported.

The file on disk is never touched, and no stale bytecode can hide the change. Valid on Python 3.6.
"""

import importlib.machinery
import importlib.util
import linecache
import os
import sys
from typing import Any, Dict, List


class PatchError(ValueError):
    """The diff does not apply exactly once."""


def patched(source: str, patch: Dict[str, str]) -> str:
    """`source` with `patch["old"]` replaced by `patch["new"]`; the old text has to occur exactly once."""
    count = source.count(patch["old"])
    if count != 1:
        raise PatchError(
            "the text {!r} occurs {} times in {}, it has to occur exactly once".format(
                patch["old"], count, patch["file"]
            )
        )
    return source.replace(patch["old"], patch["new"])


def text_with(path: str, patches: List[Dict[str, str]]) -> str:
    """The file's text with several diffs, each applied to what the one before left."""
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for patch in patches:
        source = patched(source, patch)
    return source


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the patched text; no bytecode is read or written."""

    patches = []  # type: List[Dict[str, str]]

    def get_code(self, fullname: str) -> Any:
        source = text_with(self.path, self.patches)
        # AutoGraph compiles a function anew from the text that linecache has under the name of its file. Under
        # the file's own name that text is read from the disk, without the fault: hence a name of its own.
        name = self.path + " (patched)"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        return compile(source, name, "exec", dont_inherit=True)


class _Finder(object):
    """Serves exactly one file; every other import goes on to the usual finders."""

    def __init__(self, patch: Dict[str, str], root: str):
        self.patches = [patch]
        self.path = os.path.join(root, *patch["file"].split("/"))
        name = patch["file"][: -len(".py")].replace("/", ".")
        self.is_package = name.endswith(".__init__")
        self.name = name[: -len(".__init__")] if self.is_package else name

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        loader = _Loader(fullname, self.path)
        loader.patches = self.patches
        return importlib.util.spec_from_file_location(
            fullname,
            self.path,
            loader=loader,
            submodule_search_locations=[os.path.dirname(self.path)] if self.is_package else None,
        )


def plant(patch: Dict[str, str], root: str) -> None:
    """From now on `patch["file"]` (relative to `root`) is imported with its text replaced.

    Raises PatchError at once where the diff does not apply, and where the file was imported already.
    """
    if not patch["file"].endswith(".py"):
        raise PatchError("{} is no Python file".format(patch["file"]))
    finder = _Finder(patch, root)
    if not os.path.isfile(finder.path):
        raise PatchError("there is no file {} in {}".format(patch["file"], root))
    others = [one for one in sys.meta_path if isinstance(one, _Finder) and one.path == finder.path]
    text_with(finder.path, [*(others[0].patches if others else []), patch])
    if finder.name in sys.modules:
        raise PatchError("{} was imported before the patch".format(patch["file"]))
    if others:  # of two finders of one file, the first would serve it alone
        others[0].patches.append(patch)
    else:
        sys.meta_path.insert(0, finder)


def uproot() -> None:
    """Forget every planted fault, and unload the programs, the adapters and the shim: they are imported anew."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in list(sys.modules):
        package, _, child = name.rpartition(".")
        if (package.startswith("impls.") and package != "impls.worker") or name == "impls.shim":
            del sys.modules[name]
            if package in sys.modules:
                vars(sys.modules[package]).pop(child, None)  # `from package import child` asks the package first
