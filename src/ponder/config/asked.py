"""A model that is asked for something beside completions of problems: a rewriting, a verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ponder.config.base import Config
from ponder.config.endpoint import EndpointConfig


class AskedConfig(Config):
    """Who is asked, and how."""

    by: Literal["none", "model", "endpoint"] = "none"
    """Who is asked."""
    model: str = "smollm2"
    """A local model with a chat template (by = "model")."""
    endpoint: EndpointConfig = EndpointConfig()
    temperature: float = Field(default=0.6, ge=0)
    """Its temperature."""
    max_completion_tokens: int = Field(default=1024, ge=1)
    """Limit of each of its replies."""

    def who(self) -> str:
        """Its name."""
        return self.model if self.by == "model" else self.endpoint.model
