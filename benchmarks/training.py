"""What ``train.py`` and ``step.py`` share: the config, the policy, and padded updates by peers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sides import Job, Row


@dataclass(frozen=True, slots=True)
class TrainWorkload:
    """An update on ``prompts`` x ``group_size`` sequences of ``prompt_tokens`` + ``new_tokens``."""

    name: str
    shape: str
    prompts: int
    group_size: int
    prompt_tokens: int
    new_tokens: int

    @property
    def limits(self) -> list[list[int]]:
        return [[self.new_tokens] * self.group_size for _ in range(self.prompts)]

    @property
    def num_tokens(self) -> int:
        """Of all sequences, the prompt counted with each: what a user sees."""
        return self.prompts * self.group_size * (self.prompt_tokens + self.new_tokens)

    def token_ids(self, seed: int, vocabulary: int) -> list[tuple[list[int], list[list[int]]]]:
        """(prompt, its completions) of random ids, for each prompt."""
        draw, top = random.Random(seed), min(vocabulary, 40_000)

        def some(count: int) -> list[int]:
            return [draw.randrange(10, top) for _ in range(count)]

        return [
            (some(self.prompt_tokens), [some(self.new_tokens) for _ in range(self.group_size)])
            for _ in range(self.prompts)
        ]


def make_config(job: Job, workload: TrainWorkload) -> Any:
    """An RLConfig of the workload's sizes; ``job["settings"]`` are laid over it."""
    from ponder.config.layers import unflatten
    from ponder.config.overrides import parse_overrides
    from ponder.config.rl import RLConfig

    values: dict[str, Any] = {
        "model": workload.shape,
        "device": job["device"],
        "dtype": job["dtype"],
        "batch.prompts_per_step": workload.prompts,
        "batch.group_size": max(2, workload.group_size),
        "sampling.max_completion_tokens": workload.new_tokens,
    }
    return RLConfig.model_validate(unflatten(values | parse_overrides(RLConfig, job["settings"])))


def make_policy(model: Any, config: Any, workload: TrainWorkload) -> Any:
    """The trainer's policy as a run makes it: sizes by plan, adapters where asked for."""
    from ponder.plan.demand import demand_of
    from ponder.plan.devices import this_gpu
    from ponder.plan.plan import make_plan
    from ponder.plan.read import shape_of
    from ponder.train.rl.policy import Policy
    from ponder.train.sizes import resolve_sizes

    if config.lora.rank:
        from ponder.models.lora import add_lora

        add_lora(model, config.lora, 0)
    plan, gpu = None, this_gpu() if model.device.type == "cuda" else None
    if gpu is not None:
        demand = demand_of(config, workload.prompt_tokens)
        plan = make_plan(demand, shape_of(model.config, workload.shape), gpu)
    return Policy(model, resolve_sizes(config, plan))


def settings_of(config: Any) -> Row:
    """What the trainer ran with, for the JSON."""
    return {
        "batch": config.batch.model_dump(),
        "optimizer": config.optimizer.model_dump(),
        "lora": config.lora.model_dump(),
        "engine": config.engine.model_dump(),
    }


class PaddedTrainer:
    """transformers' model in train mode as most trainers run it: padded microbatches, sdpa,
    gradient checkpointing, torch's fused AdamW on bfloat16 weights (no float32 copies)."""

    def __init__(self, model: Any, rows: int) -> None:
        import torch

        self.model = model.train()
        model.gradient_checkpointing_enable({"use_reentrant": False})
        self._rows = rows
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def update(self, sequences: Sequence[Sequence[int]], new_tokens: int) -> None:
        """Policy gradient with advantages of +-1 on the last ``new_tokens`` of each sequence."""
        import torch

        ids = torch.tensor(sequences, device=self.model.device)
        for start in range(0, len(ids), self._rows):
            part = ids[start : start + self._rows]
            logits = self.model(
                part,
                attention_mask=torch.ones_like(part),
                logits_to_keep=new_tokens + 1,
                use_cache=False,
            ).logits[:, :-1]
            targets = part[:, -new_tokens:]
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), targets.flatten(), reduction="none"
            ).view(targets.shape)
            signs = 1.0 - 2.0 * (torch.arange(len(part), device=part.device) % 2)
            ((loss * signs[:, None]).sum() / (len(ids) * new_tokens)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
