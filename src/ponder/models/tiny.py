"""A tiny random model with a byte-level tokenizer, built in code: the fake that ships.

It needs no file and no network, makes real tokens and real gradients, and costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

END_TOKEN = "<|endoftext|>"
PAD_TOKEN = "<|pad|>"

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 splits text before merging: words with one leading space, single digits, symbols."""


def make_tiny_model(
    seed: int,
    family: Literal["qwen2", "llama"] = "qwen2",
    *,
    hidden_size: int = 32,
    num_layers: int = 2,
    num_heads: int = 4,
    num_kv_heads: int = 2,
    intermediate_size: int = 64,
    max_position: int = 2048,
    init_std: float = 0.2,
    words: Sequence[str] = (),
    vocab_size: int | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random fp32 decoder on the CPU, in eval mode, and the tokenizer that fits it.

    The weights follow from ``seed`` alone; torch's global random state is left as it was.

    Args:
        seed: of the weights.
        family: which transformers architecture.
        num_kv_heads: fewer than ``num_heads`` is grouped-query attention.
        init_std: standard deviation of the weights; large, so that outputs are far from uniform.
        words: texts that become one token each (see ``byte_level_tokenizer``).
        vocab_size: rows of the embedding; None is exactly the tokenizer's. Rows past the
            tokenizer's are never valid text, so leave it None unless only speed matters.
    """
    tokenizer = byte_level_tokenizer(words)
    settings: dict[str, Any] = {
        "vocab_size": vocab_size or len(tokenizer),
        "hidden_size": hidden_size,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
        "intermediate_size": intermediate_size,
        "max_position_embeddings": max_position,
        "initializer_range": init_std,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "qwen2":
            model: PreTrainedModel = Qwen2ForCausalLM(Qwen2Config(**settings))
        else:
            model = LlamaForCausalLM(LlamaConfig(**settings))
    return model.float().eval(), tokenizer


def byte_level_tokenizer(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A BPE of the 256 bytes, an end token (id 256) and a pad token (id 257), in that order.

    Any text round-trips exactly. Digits are single tokens. Text is split as Qwen2 does.

    Args:
        words: each becomes one token (and so do its prefixes, the steps of its merges), where the
            split leaves it whole: give them with their leading space, e.g. ``" the"``.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {symbol: index for index, symbol in enumerate(alphabet)}
    vocab |= {END_TOKEN: 256, PAD_TOKEN: 257}
    merges: list[tuple[str, str]] = []
    to_symbols = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in words:
        symbols = "".join(piece for piece, _ in to_symbols.pre_tokenize_str(word))
        for end in range(1, len(symbols)):
            if symbols[: end + 1] not in vocab:
                vocab[symbols[: end + 1]] = len(vocab)
                merges.append((symbols[:end], symbols[end]))
    core = Tokenizer(BPE(vocab=vocab, merges=merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"), to_symbols]
    )
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
        model_max_length=1_000_000,
    )
