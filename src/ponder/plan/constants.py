"""Every number of the planner that was measured or assumed, in one place, with its source.

To be fitted again when the engine or the trainer changes: ``tests/gpu/test_plan.py`` holds
predicted peaks against measured ones.
"""

from __future__ import annotations

GIB = 2**30

# ---- memory -------------------------------------------------------------------------------------
RUNTIME_BYTES = 1.0 * GIB
"""Of a process: CUDA's context, cuBLAS workspaces, captured graphs. Assumed; most of it is not in
``torch.cuda.max_memory_allocated``."""
MARGIN = 0.03
"""Share of a GPU's memory left free, for fragmentation and what is not counted. Assumed."""
NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256)
"""Of a weight in NF4 with double quantization (QLoRA 2305.14314, section 3): 4 bits, and of every
64 weights a scale in 8 bits, of every 256 scales one in float32."""
PREFILL_TOKENS = 8192
"""Prompt tokens in one forward pass of the engine. Assumed."""
SAMPLING_BUFFERS = 3
"""Float32 [slots, vocabulary] buffers of the engine's sampling: logits, probabilities, sorted."""

# ---- sizes that are tried -----------------------------------------------------------------------
MICROBATCHES = (512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384,
                32768, 65536)  # fmt: skip
"""Of a 1.5B shape 32,768 tokens save 3 % of the time of 16,384 (measured); smaller models, whose
passes wait for the host, gain more."""
CHUNKS = (128, 256, 512, 1024, 2048, 4096)
GOOD_ENOUGH = 1.07
"""Among sizes within 7 % of the fastest update the one with the smallest peak is taken."""

# ---- time: achieved shares of the device's measured speed ---------------------------------------
DECODE_MATMULS = 0.65
"""Products of one token per sequence. This and the next three were fitted to rollouts of 64 x 8
sequences on an H100 (docs/log.md): 1.5B shape 128 + 256 tokens in 1.46 s, 128 + 512 in 3.08 s."""
DECODE_BYTES = 0.9
"""Reading weights and the cache in a decode step. The same source."""
LAYER_SECONDS = 25e-6
"""Norms, rotations, cache writes and launches of one layer of a decode step, in a CUDA graph."""
SAMPLING_PASSES = 2
"""Times that a step's float32 logits are read or written: by the head and by the sampler."""
PREFILL = 0.5
"""Products of prompts. Assumed to be those of training."""
TRAIN_COMPILED = 0.72
TRAIN_EAGER = 0.5
"""Products of forward and backward passes with and without torch.compile. Compiled: fitted to
microbatches of 8,672 and 15,176 tokens of the 1.5B shape on an H100, with and without recomputing
(177, 208, 303 and 352 ms). Eager: the ratio of both at 4,336 tokens."""
LAUNCH_SECONDS = 3.6e-3
"""What the host needs to launch one layer's two passes: a microbatch can't be faster.
Microbatches of 1,400 tokens on the same machine: 96 to 113 ms for 28 layers, compiled or not."""
CHUNK_SECONDS = 1e-4
"""What the host needs to launch a chunk of log-probabilities, forward and backward. Assumed."""
ATTENTION = 0.65
"""Scores of causal attention, forward and backward. cuDNN's kernel for single long sequences
reaches 0.69 to 0.81 of an H100's speed, FlashAttention-2 0.40 to 0.44: only long ones matter."""
BYTES = 0.8
"""Passes over parameters: the optimizer, gradient sums. Assumed."""
LOGIT_WIDTHS = 4 + 4 + 4 + 4 + 3 * 2
"""Bytes moved per logit of an update: written and read in the forward pass (float32), again in the
backward pass, and its gradient written and read twice (bfloat16). Counted in ``algo.logprobs``."""
HOST_BANDWIDTH = 40e9
"""Bytes/s of AdamW on the host's cores. Assumed."""

FIRST_CALL_SECONDS = 10.0
"""What an engine's first call compiles and captures: 7 to 15 s on an H100 with one number of rows,
33 to 42 s where a batch shrinks through 14 (docs/engine.md)."""
