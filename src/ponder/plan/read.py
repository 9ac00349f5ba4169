"""Reading a model's shape: from its config alone, by building it where tensors have no memory.

torch's meta device gives every parameter its name and shape and nothing else, so the count is
exact for any decoder that transformers has, in some 20 ms, and no architecture is described twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ponder.errors import PonderError
from ponder.plan.shape import Attention, Matrix, ModelShape

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel


def read_shape(spec: str) -> ModelShape:
    """The shape of a model by its name: "base-tiny", "smollm2", a folder or a hub id.

    Reads its config and no weights. Raises PonderError where there is no such model, or where it
    is no decoder.
    """
    from transformers import AutoConfig

    from ponder.models.source import find_source

    source, options = find_source(spec)
    try:
        config = AutoConfig.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        line = str(error).strip().splitlines()[0][:200]
        raise PonderError("model", spec, f"its config cannot be read: {line}") from error
    return shape_of(config, spec)


def shape_of(config: PretrainedConfig, name: str) -> ModelShape:
    """The shape that ``config`` describes; ``name`` is what to call it."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except ValueError as error:
        fix = "no decoder that transformers knows; give a causal language model"
        raise PonderError("model", config.model_type, fix) from error
    return _shape(model, config.get_text_config(), name)


def _shape(model: PreTrainedModel, config: Any, name: str) -> ModelShape:
    from ponder.models.layers import decoder_layers

    layers = decoder_layers(model)
    embedding = model.get_input_embeddings().weight
    return ModelShape(
        name=name,
        kind=config.model_type,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        hidden=embedding.shape[1],
        vocabulary=embedding.shape[0],
        context_tokens=getattr(config, "max_position_embeddings", None),
        matrices=tuple(_matrices(layers, config, embedding.shape[1])),
        attention=_attention(layers, config),
        windows=_windows(config),
    )


def _matrices(layers: nn.ModuleList, config: Any, hidden: int) -> list[Matrix]:
    """Every weight of two dimensions, and of three: one for each expert."""
    from transformers.pytorch_utils import Conv1D

    turned = {f"{n}.weight" for n, module in layers.named_modules() if isinstance(module, Conv1D)}
    chosen = int(_first(config, "num_experts_per_tok", "num_experts_per_token") or 1)
    found = []
    for name, parameter in layers.named_parameters():
        shape = tuple(parameter.shape)
        if len(shape) == 2 and name.endswith("weight"):
            inputs, outputs = shape if name in turned else shape[::-1]
            found.append(Matrix(name, inputs, outputs))
        elif len(shape) == 3:
            widths = {"inputs": shape[2], "outputs": shape[1]}
            if hidden not in shape[1:]:
                raise PonderError("model", config.model_type, f"its {name} is of no known kind")
            found.append(Matrix(name, **widths, copies=shape[0], uses=chosen))
    return found


def _attention(layers: nn.ModuleList, config: Any) -> Attention:
    heads = config.num_attention_heads
    kv_heads = _first(config, "num_key_value_heads") or heads
    normed = any("q_norm" in name for name, _ in layers.named_parameters())
    latent = _first(config, "kv_lora_rank")
    if latent:
        key_dim = config.qk_nope_head_dim + config.qk_rope_head_dim
        kept = latent + config.qk_rope_head_dim
        return Attention(heads, key_dim, config.v_head_dim, heads, kept, normed)
    head_dim = _first(config, "head_dim") or config.hidden_size // heads
    return Attention(heads, head_dim, head_dim, kv_heads, 2 * kv_heads * head_dim, normed)


def _windows(config: Any) -> tuple[int | None, ...]:
    window: int | None = _first(config, "sliding_window")
    layers: int = config.num_hidden_layers
    if _first(config, "use_sliding_window") is False:
        window = None
    kinds = _first(config, "layer_types")
    if window is None or kinds is None:
        return (window,) * layers
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _first(config: Any, *names: str) -> Any:
    """The first of these fields that a config has (transformers' configs differ by model)."""
    return next((value for n in names if (value := getattr(config, n, None)) is not None), None)
