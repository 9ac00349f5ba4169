"""A reward model: a decoder whose last hidden state becomes one number.

Saved as a Hugging Face folder (the decoder without its language head; ``AutoModel`` opens it) with
``reward_head.safetensors`` and ``reward_head.json`` beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ponder.errors import PonderError
from ponder.models.device import resolve_device
from ponder.models.linear import use_onednn_linears
from ponder.models.load import load_model
from ponder.models.packed import packed_hidden
from ponder.models.packed_layout import PackedLayout
from ponder.runlog import read_json, write_json_atomic

HEAD_WEIGHTS = "reward_head.safetensors"
HEAD_FACTS = "reward_head.json"


@dataclass(frozen=True, slots=True)
class RewardFacts:
    """What a reward model was trained for.

    Attributes:
        objective: pairwise: a score means something next to another one only; pointwise: it is the
            log-odds of being good.
        scored: the completion's final answer only, or the whole completion with its thought.
        mean, std: of the scores on held-out texts (pairwise), for ``normalised``.
    """

    objective: Literal["pairwise", "pointwise"]
    scored: Literal["answer", "whole"]
    mean: float = 0.0
    std: float = 1.0

    def normalised(self, score: float) -> float:
        """The score in [0, 1], the range of a rule reward.

        Pairwise: the logistic function of the z-score, 0.5 for the held-out mean. Pointwise: the
        probability of being good. Both are bounded, so that no score outweighs every rule.
        """
        z = score if self.objective == "pointwise" else (score - self.mean) / self.std
        return float(torch.sigmoid(torch.tensor(z, dtype=torch.float64)))


class RewardModel(nn.Module):
    """A decoder with a scalar head. The head computes in float32 whatever the decoder's type."""

    def __init__(self, base: PreTrainedModel, facts: RewardFacts, seed: int = 0) -> None:
        super().__init__()
        self.base = base
        self.facts = facts
        self.head = nn.Linear(base.config.hidden_size, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            std = (base.config.hidden_size + 1) ** -0.5
            self.head.weight.normal_(0.0, std, generator=generator)
            self.head.bias.zero_()
        self.head.to(base.device)

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def scores(
        self,
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Sequence[int]],
        prompt_index: Sequence[int],
        recompute: bool = False,
    ) -> Tensor:
        """[B] float32: the score of each completion at its last token, in one packed forward pass.

        Arguments as for ``PackedLayout.build``: a prompt that completions share is computed once.
        """
        # A last token predicts nothing, and so is not fed: give each completion one more.
        fed = [[*ids, 0] for ids in completions]
        layout = PackedLayout.build(prompts, fed, prompt_index, self.device)
        hidden = packed_hidden(self.base, layout, recompute)
        last = hidden.index_select(0, layout.lengths.cumsum(0) - 1)
        scores: Tensor = self.head(last.float())[:, 0]
        return scores

    def save(self, path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write the folder; ``open_reward_model`` reads it."""
        path.mkdir(parents=True, exist_ok=True)
        self.base.save_pretrained(path)
        tokenizer.save_pretrained(path)
        save_file(
            {name: value.detach().cpu() for name, value in self.head.state_dict().items()},
            path / HEAD_WEIGHTS,
        )
        write_json_atomic(path / HEAD_FACTS, asdict(self.facts))


Opened = tuple[RewardModel, PreTrainedTokenizerBase]


def new_reward_model(
    spec: str, facts: RewardFacts, seed: int, device: str = "auto", dtype: str = "float32"
) -> Opened:
    """A model of ``load_model`` with a new head, whose weights follow from ``seed``."""
    model, tokenizer = load_model(spec, device, dtype)
    return RewardModel(model.base_model, facts, seed), tokenizer


def open_reward_model(path: Path, device: str = "auto", dtype: str = "float32") -> Opened:
    """What ``RewardModel.save`` wrote, in eval mode.

    Raises:
        PonderError: there is no reward model in that folder.
    """
    for name in (HEAD_FACTS, HEAD_WEIGHTS):
        if not (path / name).is_file():
            fix = f"this folder holds no reward model (it has no {name})"
            raise PonderError("reward_model", str(path), fix)
    place = resolve_device(device)
    base = AutoModel.from_pretrained(path, dtype=getattr(torch, dtype)).to(place).eval()
    if place.type == "cpu":
        use_onednn_linears(base)
    model = RewardModel(base, RewardFacts(**read_json(path / HEAD_FACTS)))
    model.head.load_state_dict(load_file(path / HEAD_WEIGHTS, device=str(place)))
    return model.eval(), AutoTokenizer.from_pretrained(path)
