"""Every knob of a teacher or judge that is asked over an OpenAI-compatible endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from ponder.config.base import Config

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
    """Of ``reasoning_content``: join writes it as <think>; require: join, and refuse without it."""
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

    # ValueError, because only pydantic knows in which section this one stands
    @field_validator("extra")
    @classmethod
    def _extra_is_extra(cls, extra: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if taken := [key for key in extra if key in (*OURS, info.data.get("limit_field"), "stop")]:
            raise ValueError(f"{taken} are set by the prompts and the sampling: leave them out")
        return extra

    @field_validator("most_cost")
    @classmethod
    def _a_limit_needs_prices(cls, most_cost: float, info: ValidationInfo) -> float:
        if most_cost and not (info.data.get("prompt_price") or info.data.get("completion_price")):
            raise ValueError("nothing is ever spent without prompt_price and completion_price")
        return most_cost
