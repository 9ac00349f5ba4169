"""A linear layer with the norm before it and the gate or the residual sum behind it, in one.

It is the operator ``ponder::joined_product``: on CUDA one kernel, elsewhere the clear version.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ponder.generate.device.launch import dependent_launch

LINE_BYTES = 128
"""Of a line of the GPU's second-level cache."""


class Blocks(NamedTuple):
    """How a product is cut into programs: numbers of rows, columns, depth; warps; stages."""

    rows: int
    width: int
    depth: int
    warps: int
    stages: int


def clear_product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm_weight: Tensor | None,
    epsilon: float,
    residual: Tensor | None,
    gated: bool,
) -> Tensor:
    """residual + act(norm(x) @ weight.T + bias), each part where there is one.

    Args:
        x: [..., K]; weight: [N, K]; bias: [N]; all of one dtype, as the others.
        norm_weight: [K], of a root-mean-square norm with ``epsilon``.
        residual: [..., N].
        gated: the first half of the columns, through SiLU, times the second: [..., N / 2].
    """
    if norm_weight is not None:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        x = norm_weight * wide.to(x.dtype)
    y = F.linear(x, weight, bias)
    if gated:
        gate, up = y.chunk(2, -1)
        y = F.silu(gate) * up
    return y if residual is None else residual + y


def blocks_for(num_rows: int, width: int, depth: int, gated: bool) -> Blocks:
    """Blocks that fill 132 multiprocessors about once with a batch of some hundred rows."""
    rows = 16 if num_rows <= 16 else 32 if num_rows <= 32 else 64
    programs = -(-num_rows // rows) * -(-width // 64)
    narrow = programs < 100 or rows < 64
    deep = 128 if depth % 128 == 0 and not gated else 64
    return Blocks(rows, 32 if narrow else 64, deep, 4, 3 if deep == 128 or gated else 4)


def product_by_kernel(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm_weight: Tensor | None,
    epsilon: float,
    residual: Tensor | None,
    gated: bool,
    blocks: Blocks | None = None,
) -> Tensor:
    """``clear_product`` by ``product_kernels``. K must be a multiple of 64."""
    from ponder.generate.device import product_kernels

    depth = weight.shape[1]
    width = weight.shape[0] // (2 if gated else 1)
    x = x.contiguous()
    num_rows = x.numel() // depth
    if residual is not None:
        residual = residual.contiguous()
    y = x.new_empty(*x.shape[:-1], width)
    chosen = blocks or blocks_for(num_rows, width, depth, gated)
    early = dependent_launch()
    grid = (-(-width // chosen.width), -(-num_rows // chosen.rows))
    given: list[Any] = [weight if part is None else part for part in (norm_weight, bias, residual)]
    product_kernels.joined_product[grid](
        x, given[0], weight, given[1], given[2], y, epsilon, num_rows,
        WIDTH=width, DEPTH=depth, NORM=norm_weight is not None, BIAS=bias is not None,
        GATED=gated, ADD=residual is not None, BLOCK_ROWS=chosen.rows, BLOCK_WIDTH=chosen.width,
        BLOCK_DEPTH=chosen.depth, LINE=LINE_BYTES // x.itemsize, DEPENDENT=bool(early),
        PRECISION="ieee" if x.dtype is torch.float32 else "tf32",
        num_warps=chosen.warps, num_stages=chosen.stages, **early,
    )  # fmt: skip
    return y


joined_product = torch.library.custom_op("ponder::joined_product", clear_product, mutates_args=())
joined_product.register_kernel("cuda", lambda *args: product_by_kernel(*args))


@joined_product.register_fake
def _(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    gated = rest[-1]
    return x.new_empty(*x.shape[:-1], weight.shape[0] // (2 if gated else 1))
