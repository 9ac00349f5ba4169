"""What the kinds that open a model share."""

from __future__ import annotations

from pathlib import Path

from ponder.errors import PonderError
from ponder.models.source import find_source
from ponder.pipeline.kinds import Sources

MODEL_CODE = (
    "ponder.algo",
    "ponder.generate",
    "ponder.models",
    "ponder.problems",
    "ponder.rollout",
    "ponder.text",
    "ponder.verify",
)
"""What sampling and scoring follow from."""


def local_model(spec: str) -> dict[str, Path]:
    """The files of a model that is on this machine, to be hashed; none of a hub id.

    A model that cannot be found is the stage's own complaint, when it runs.
    """
    try:
        source, options = find_source(spec)
    except PonderError:
        return {}
    path = Path(source, options.get("gguf_file", ""))  # beside a GGUF file lies other code
    return {"model": path} if path.exists() else {}


def expected_model(sources: Sources, otherwise: str) -> str:
    """A model of the shape that a stage will open: its input's, or the one its config names."""
    for source in sources.get("model", ()):
        if source.path is not None:
            return str(source.path)
        if source.estimate.model is not None:
            return source.estimate.model
    return otherwise
