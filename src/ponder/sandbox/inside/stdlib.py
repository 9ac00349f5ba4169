"""The standard library, importable after the user change, whatever folder it lives in.

A Python under /root (pyenv, uv) cannot be read once the user has changed: every folder of the
path is checked for search permission. Names relative to the working folder are checked from there
on only, so the zygote changes into the library while it may, and imports by relative names.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType

# What most programs import, loaded once; the rest is loaded by the program that wants it. Each
# megabyte here costs every run 0.1 ms (a fork copies page tables). Extensions that need a shared
# library of the system (zlib, ctypes) can be loaded only here; hashlib does without OpenSSL.
PRELOADED = """
collections collections.abc copy ctypes datetime decimal functools heapq itertools bisect json math
operator os random re resource signal site socket string sys threading time typing zlib array
encodings.latin_1
"""

_HIDDEN = {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo"}


def preload() -> None:
    """Import what programs use; a module that this Python was built without stays missing."""
    for name in PRELOADED.split():
        with suppress(ImportError):
            importlib.import_module(name)


def folder() -> str:
    """Where this Python's own library is."""
    return os.path.dirname(os.path.realpath(os.__file__))


def readable_entries() -> list[str]:
    """The library's files and packages, without what others installed beside them."""
    found = folder()
    entries = [os.path.join(found, n) for n in sorted(os.listdir(found)) if n not in _HIDDEN]
    return entries + [path for path in sys.path if path and not _is_below(path, found)]


def enter() -> None:
    """Change into the library and import from there on by relative names."""
    found = folder()
    os.chdir(found)
    sys.path[:] = [_relative(path, found) for path in sys.path if path and os.path.isdir(path)]
    sys.path_hooks.insert(0, _RelativeFinder)
    sys.path_importer_cache.clear()
    for module in list(sys.modules.values()):
        places = getattr(module, "__path__", None)
        if isinstance(places, list):
            places[:] = [_relative(place, found) for place in places]
    # The finders read their folders now: the library's own folder cannot be listed later.
    with suppress(ImportError):
        importlib.import_module("no_module_of_this_name")


class _RelativeFinder(FileFinder):
    """A finder that keeps its folder relative; the usual one makes it absolute."""

    def __init__(self, path: str) -> None:
        if not path.startswith("."):
            raise ImportError("not a relative path")
        super().__init__(
            path,
            (_RelativeExtension, EXTENSION_SUFFIXES),
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
        self.path = path


class _RelativeExtension(ExtensionFileLoader):
    """A loader that opens a shared object by its relative name."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        spec.origin = _relative(os.path.abspath(self.path), os.getcwd())
        return super().create_module(spec)


def _is_below(path: str, found: str) -> bool:
    return os.path.realpath(path) == found or os.path.realpath(path).startswith(found + os.sep)


def _relative(path: str, found: str) -> str:
    if not _is_below(path, found):
        return path
    rest = os.path.relpath(os.path.realpath(path), found)
    return rest if rest == "." else os.path.join(".", rest)
