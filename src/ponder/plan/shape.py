"""What the planner knows of a model: how many numbers, where, and what a token does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight that tokens are multiplied by.

    ``copies`` is the number of experts that hold one each (1: no mixture), ``uses`` how many of
    them a token goes through.
    """

    name: str
    inputs: int
    outputs: int
    copies: int = 1
    uses: int = 1

    @property
    def numbers(self) -> int:
        return self.inputs * self.outputs * self.copies

    @property
    def flops_per_token(self) -> int:
        """Of a forward pass: a multiplication and an addition for each number used."""
        return 2 * self.inputs * self.outputs * self.uses


@dataclass(frozen=True, slots=True)
class Attention:
    """Widths of attention, in numbers per token and layer.

    ``cache_numbers`` is what the engine keeps of a token: of grouped-query attention the keys and
    values of ``kv_heads``, of multi-head latent attention the latent and the rotated part.
    """

    heads: int
    key_dim: int
    value_dim: int
    kv_heads: int
    cache_numbers: int
    has_qk_norm: bool = False

    @property
    def query_numbers(self) -> int:
        return self.heads * self.key_dim

    @property
    def output_numbers(self) -> int:
        return self.heads * self.value_dim

    @property
    def trained_numbers(self) -> int:
        """Keys and values of a token in training, where a latent is expanded to all heads."""
        return self.kv_heads * (self.key_dim + self.value_dim)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder: its parameters (counted exactly) and its widths.

    ``matrices`` are those of the decoder layers, the head's apart. ``windows`` has one entry per
    layer: the length of its sliding window, or None for full attention.
    """

    name: str
    kind: str
    num_parameters: int
    hidden: int
    vocabulary: int
    context_tokens: int | None
    matrices: tuple[Matrix, ...]
    attention: Attention
    windows: tuple[int | None, ...]

    @property
    def num_layers(self) -> int:
        return len(self.windows)

    @property
    def head_numbers(self) -> int:
        """Of the language-model head (tied to the embedding or not)."""
        return self.vocabulary * self.hidden

    @property
    def matrix_numbers(self) -> int:
        """Parameters in the matrices of the decoder layers: what 4 bits can hold."""
        return sum(matrix.numbers for matrix in self.matrices)

    @property
    def layer_flops(self) -> int:
        """Of a token's forward pass through all decoder layers, attention's scores left out."""
        return sum(matrix.flops_per_token for matrix in self.matrices)

    @property
    def head_flops(self) -> int:
        """Of a token's forward pass through the head."""
        return 2 * self.head_numbers

    @property
    def wide_numbers(self) -> int:
        """What a token's MLPs put out before their activation (gate and up), mean over layers."""
        wide = [m for m in self._mlp() if m.inputs == self.hidden]
        return sum(m.outputs * m.uses for m in wide) // self.num_layers

    @property
    def product_numbers(self) -> int:
        """What enters the last matrix of a token's MLPs (down), mean over layers."""
        narrow = [m for m in self._mlp() if m.inputs != self.hidden]
        return sum(m.inputs * m.uses for m in narrow) // self.num_layers

    def cache_numbers(self) -> int:
        """What the engine keeps of one token, all layers together."""
        return self.attention.cache_numbers * self.num_layers

    def _mlp(self) -> list[Matrix]:
        return [matrix for matrix in self.matrices if not _is_of_attention(matrix.name)]

    def adapter_numbers(self, rank: int, targets: str | Sequence[str]) -> int:
        """Parameters of low-rank adapters: rank x (inputs + outputs) of each adapted matrix.

        Mixtures of experts are not adapted (PEFT's "all-linear" means modules, not stacked
        experts). A regular expression is taken as if it meant every matrix: an upper bound.
        """
        single = [matrix for matrix in self.matrices if matrix.copies == 1]
        if not isinstance(targets, str):
            names = tuple(targets)
            single = [m for m in single if m.name.removesuffix(".weight").endswith(names)]
        return rank * sum(matrix.inputs + matrix.outputs for matrix in single)


def _is_of_attention(name: str) -> bool:
    return "attn" in name or "attention" in name
