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
    SourceFileLoader,
    SourcelessFileLoader,
)

# What programs use, loaded once. Extensions that need a shared library of the system (hashing,
# compression, foreign functions) can be loaded only here.
PRELOADED = """
__future__ abc argparse array ast asyncio atexit base64 binascii bisect bz2 calendar cmath codecs
collections collections.abc concurrent.futures contextlib contextvars copy csv ctypes dataclasses
datetime decimal difflib enum fnmatch fractions functools gc getpass glob hashlib heapq hmac html
inspect io ipaddress itertools json keyword linecache locale logging lzma math numbers operator os
pickle platform pprint queue random re reprlib secrets select shlex signal site socket
stat statistics string struct subprocess sys tempfile textwrap threading time timeit tokenize
traceback types typing unicodedata unittest urllib.parse uuid warnings weakref xml.etree.ElementTree
zlib zoneinfo encodings.idna encodings.latin_1 encodings.ascii
""".split()

_HIDDEN = {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo"}


def preload() -> None:
    """Import what programs use; a module that this Python was built without stays missing."""
    for name in PRELOADED:
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
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
        self.path = path


def _is_below(path: str, found: str) -> bool:
    return os.path.realpath(path) == found or os.path.realpath(path).startswith(found + os.sep)


def _relative(path: str, found: str) -> str:
    if not _is_below(path, found):
        return path
    rest = os.path.relpath(os.path.realpath(path), found)
    return rest if rest == "." else os.path.join(".", rest)
