"""Every knob of preference data: who is sampled on what, who judges, what is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.endpoint import EndpointConfig
from ponder.config.rl import EngineConfig, ProblemsConfig, SamplingConfig, TemplateConfig
from ponder.errors import PonderError

GUIDELINES = (
    "It must not help anyone to hurt people or to break the law, must not insult or look down on "
    "people for what they are, must not spread private matters of others, and must not tell "
    "falsehoods that endanger who believes them."
)


class JudgeConfig(Config):
    """Who says which completion is better, or which is good."""

    by: Literal["rule", "endpoint", "model"] = "endpoint"
    """A rule; a model at [judge.endpoint]; or a local model with a chat template."""
    rule: str = ""
    """by = "rule": a verifier's name or "module:function", its score decides; "": the problem's."""
    endpoint: EndpointConfig = EndpointConfig()
    model: str = "smollm2"
    """by = "model": a bundled model, "smollm2", a folder, or a hub id."""
    votes: int = Field(default=4, ge=2)
    """Pairwise: judgements per pair, half of them with the order swapped (the paper: 4)."""
    label_votes: int = Field(default=3, ge=1)
    """Pointwise: judgements per completion, an odd number; more than half decide."""
    least_margin: float = Field(default=1.0, ge=0, lt=2)
    """Pairwise: only pairs with a mean margin above it are kept, on a scale to 2 (the paper: 1)."""
    guidelines: str = GUIDELINES
    """Pointwise: what a good completion must not do (the paper's are not printed)."""
    temperature: float = Field(default=0.6, ge=0)
    """Of the judge."""
    max_completion_tokens: int = Field(default=2048, ge=1)
    """Limit of a reply of the judge, its own thought included."""

    @model_validator(mode="after")
    def _votes_decide(self) -> JudgeConfig:
        if self.votes % 2:
            fix = "half of the votes are of the swapped order: use 2, 4, 6, ..."
            raise PonderError("judge.votes", self.votes, fix)
        if self.label_votes % 2 == 0:
            fix = "an even number of votes can tie: use 1, 3, 5, ..."
            raise PonderError("judge.label_votes", self.label_votes, fix)
        if self.rule and self.by != "rule":
            raise PonderError("judge.rule", self.rule, 'only asked with judge.by = "rule"')
        return self


class PreferencesConfig(Config):
    """General prompts -> several completions each -> judged pairs, or labelled completions."""

    kind: Literal["preferences"] = "preferences"
    """What this stage does."""
    name: str = "preferences"
    """Name of the stage."""
    model: str = "base-tiny"
    """A bundled base, "smollm2", a folder, or a hub id; an input "model" goes before."""
    objective: Literal["pairwise", "pointwise"] = "pairwise"
    """pairwise: pairs for helpfulness; pointwise: labels for safety."""
    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of parameters and compute."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores."""
    unsafe: bool = False
    """Run programs that the model writes even where this machine cannot isolate them."""
    num_prompts: int = Field(default=1000, ge=1)
    """Most training problems of [problems], drawn by seed, none twice."""
    group_size: int = Field(default=4, ge=1)
    """Completions per prompt."""
    pairs_per_prompt: int = Field(default=2, ge=1)
    """Pairwise: most pairs of a prompt, no completion in two."""
    balance_lengths: bool = True
    """Pairwise: among pairs whose lengths differ alike, as many longer as shorter are chosen."""
    length_step: float = Field(default=0.1, gt=0)
    """Alike: |log(length of chosen / of rejected)| within one such step."""
    balance_labels: bool = False
    """Pointwise: as many good as bad completions; the surplus leaves, drawn by seed."""
    chunk_prompts: int = Field(default=64, ge=1)
    """Prompts sampled and judged together; a kill loses at most so many."""
    problems: ProblemsConfig = ProblemsConfig()
    template: TemplateConfig = TemplateConfig()
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = EngineConfig()
    judge: JudgeConfig = JudgeConfig()

    @model_validator(mode="after")
    def _pairs_need_two(self) -> PreferencesConfig:
        if self.objective == "pairwise" and self.group_size < 2 * self.pairs_per_prompt:
            fix = f"{self.pairs_per_prompt} pairs of a prompt need {2 * self.pairs_per_prompt}"
            raise PonderError("group_size", self.group_size, f"{fix} completions (or ask for less)")
        return self
