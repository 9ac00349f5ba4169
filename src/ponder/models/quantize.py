"""Frozen linear layers in 4 bits (NF4, QLoRA 2305.14314 section 3), through bitsandbytes."""

from __future__ import annotations

import importlib
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from ponder.errors import PonderError
from ponder.models.layers import decoder_layers


def quantize_nf4(model: PreTrainedModel) -> None:
    """Replace the linear layers of the decoder, where they are, by NF4 ones with double
    quantization; they compute in the model's type. Embeddings, head and norms stay.

    transformers' own quantizer is not used: it would have to load the model anew, and it refuses
    to save merged weights. Raises PonderError where bitsandbytes is missing.
    """
    linear_4bit = _bitsandbytes().nn.Linear4bit
    layers = decoder_layers(model)
    for name, linear in list(layers.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        weight = linear.weight.detach()
        small = linear_4bit(
            linear.in_features,
            linear.out_features,
            bias=False,
            compute_dtype=weight.dtype,
            quant_type="nf4",
            device="meta",
        )
        small.weight = _bitsandbytes().nn.Params4bit(
            weight.contiguous(), requires_grad=False, quant_type="nf4", module=small
        )
        small.bias = linear.bias
        # Its packed kernel for some CPUs is for inference only: weights it has packed can't train.
        small.support_avx512bf16_for_cpu = False
        parent, _, last = name.rpartition(".")
        setattr(layers.get_submodule(parent), last, small.to(weight.device))


def is_quantized(module: nn.Module) -> bool:
    """Whether ``quantize_nf4`` made it."""
    return type(module).__name__ == "Linear4bit"


def dense_weight(linear: nn.Module) -> Tensor:
    """The weight [out, in] of a linear layer, quantized or not."""
    weight: Any = linear.weight
    if not is_quantized(linear):
        return weight.detach()  # type: ignore[no-any-return]
    dense: Tensor = _bitsandbytes().functional.dequantize_4bit(weight.data, weight.quant_state)
    return dense


def _bitsandbytes() -> Any:
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError as error:
        fix = "4-bit weights need bitsandbytes, an extra: pip install 'ponder[qlora]'"
        raise PonderError("lora.quantize", "nf4", fix) from error
