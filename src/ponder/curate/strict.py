"""Lines of JSON as any other program would read them: no NaN, and only text that can be written."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_line(line: bytes) -> Any:
    """What a line says.

    Raises:
        ValueError: it is no JSON, is nested too deeply, has a NaN or an infinity, or half of a pair
            of surrogates (what no UTF-8 file and no tokenizer can hold).
    """
    try:
        found = _DECODER.decode(line.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if rb"\ud" in line or rb"\uD" in line:
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"no valid Unicode: {error.reason}") from error
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON; write null")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
