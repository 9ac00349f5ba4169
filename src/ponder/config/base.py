"""What every config class shares: frozen, no unknown keys, finite numbers, documented fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of all configs: immutable; unknown keys, nan and infinity are errors; field docstrings
    are kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )
