"""Every knob of a teacher or judge that is asked over an OpenAI-compatible endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.errors import PonderError

OURS = ("model", "messages", "n", "stream", "temperature", "top_p", "max_tokens", "seed")


class EndpointConfig(Config):
    """An endpoint, how hard it may be asked, and what it costs."""

    url: str = "http://localhost:8000/v1"
    """Base address, up to and with /v1 where the endpoint has one."""
    model: str = "default"
    """The model's name there."""
    api_key_env: str = ""
    """The environment variable that holds the key; empty: the endpoint asks for none."""
    system: str | None = None
    """A system message before every prompt (DeepSeek-R1 wants none)."""
    reasoning: Literal["join", "drop", "require"] = "join"
    """What is done with ``reasoning_content``: join writes <think>...</think> before the answer;
    require also refuses an endpoint that gives none."""
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint calls the limit of a completion."""
    send_seed: bool = False
    """Send a seed with each request (vLLM and OpenAI take one, DeepSeek does not)."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """More fields of the request's body, e.g. {top_k = 20} for vLLM."""
    concurrency: int = Field(default=16, ge=1)
    """Most requests under way at a time."""
    attempts: int = Field(default=6, ge=1)
    """Most tries of a request that meets a busy, broken or silent endpoint."""
    backoff_seconds: float = Field(default=1.0, ge=0)
    """Longest wait before the second try; doubles with each, and is drawn from [half, whole]."""
    backoff_most_seconds: float = Field(default=60.0, ge=0)
    """No wait is longer, not even one that the endpoint asks for."""
    timeout_seconds: float = Field(default=600.0, gt=0)
    """A request that takes longer counts as failed."""
    cache: Path | None = None
    """File of all completions ever paid for; a request that stands in it is not sent again."""
    prompt_price: float = Field(default=0.0, ge=0)
    """Price of a million prompt tokens, in any currency."""
    completion_price: float = Field(default=0.0, ge=0)
    """Price of a million completion tokens, reasoning included."""
    most_cost: float = Field(default=0.0, ge=0)
    """No request is sent once this much has been spent in this process; 0: no limit."""

    @model_validator(mode="after")
    def _extra_is_extra(self) -> EndpointConfig:
        if taken := [key for key in self.extra if key in (*OURS, self.limit_field, "stop")]:
            fix = "these are set by the prompts and the sampling: leave them out"
            raise PonderError("endpoint.extra", taken, fix)
        return self

    @model_validator(mode="after")
    def _a_limit_needs_prices(self) -> EndpointConfig:
        if self.most_cost and not (self.prompt_price or self.completion_price):
            fix = "without endpoint.prompt_price and completion_price nothing is ever spent"
            raise PonderError("endpoint.most_cost", self.most_cost, fix)
        return self
