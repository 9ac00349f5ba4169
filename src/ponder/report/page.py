"""What each page is put together with: our own files, and a policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

_SLOT = re.compile(r"\{\{(\w+)\}\}")


def asset(name: str) -> str:
    """One of the files that pages are made of."""
    return (files("ponder.report") / "assets" / name).read_text(encoding="utf-8").strip()


def joined_scripts(names: Sequence[str]) -> str:
    """Scripts as one, with no name of theirs outside."""
    return "(() => {\n'use strict';\n" + "\n".join(map(asset, names)) + "\n})();"


def fill_page(template: str, slots: Mapping[str, str], script: str, style: str) -> str:
    """A template with its ``{{slots}}`` filled, its script and style in it and no others allowed.

    What stands in ``slots`` is HTML: text from a run must have been escaped.
    """
    whole = {"policy": _policy(script, style), "style": style, "script": script, **slots}
    return _SLOT.sub(lambda slot: whole[slot[1]], asset(template))


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
