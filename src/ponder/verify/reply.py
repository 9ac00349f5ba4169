"""The reply of a judge: one JSON object, read strictly, or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


def read_reply(text: str, fields: Mapping[str, type]) -> dict[str, Any] | None:
    """The object that the whole reply is (after the judge's own thought), or None.

    It must have exactly these fields, each once and of exactly its type; a code fence around it is
    taken off. Nothing is searched for in prose, and nothing is mended.
    """
    _, closed, after = text.rpartition("</think>")
    if not closed and "<think>" in text:
        return None
    body = after.strip()
    fenced = _FENCED.fullmatch(body)
    try:
        reply = json.loads(fenced[1] if fenced else body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict) or reply.keys() != fields.keys():
        return None
    return reply if all(type(reply[name]) is kind for name, kind in fields.items()) else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found
