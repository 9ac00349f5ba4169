"""Every number of the planner that was measured or assumed, in one place, with its source.

To be fitted again when the engine or the trainer changes: .carry/plan_check.py prints predicted
against measured.
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
MICROBATCHES = (512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Above 16,384 tokens a microbatch saves about 1 % of time."""
CHUNKS = (128, 256, 512, 1024, 2048, 4096)
GOOD_ENOUGH = 1.07
"""Among sizes within 7 % of the fastest update the one with the smallest peak is taken."""

# ---- time: achieved shares of the device's measured speed ---------------------------------------
DECODE_MATMULS = 0.6
"""Products of one token per sequence. Fitted to shared/bench/decode_proto.py on an H100: 6.5 and
7.7 ms a step at context 384 and 640, of which the difference is attention at full bandwidth."""
DECODE_BYTES = 0.9
"""Reading weights and the cache in a decode step. The same source (about 1.0), rounded down."""
LAYER_SECONDS = 40e-6
"""Norms, rotations, cache writes and launches of one layer of a decode step, in a CUDA graph.
The rest of the same 6.5 ms."""
SAMPLING_PASSES = 6
"""Times that a step's float32 logits are read or written by sampling. Assumed."""
PREFILL = 0.5
"""Products of prompts. Assumed to be those of training."""
TRAIN_COMPILED = 0.55
TRAIN_EAGER = 0.4
"""Products of forward and backward passes with and without torch.compile. Assumed; an eager
transformers module spends the rest in norms and activations, which are bound by bytes."""
ATTENTION = 0.4
"""Scores of causal attention, forward and backward. Assumed (flash kernels reach 0.4 to 0.6)."""
BYTES = 0.8
"""Passes over parameters: the optimizer, gradient sums. Assumed."""
LOGIT_WIDTHS = 4 + 4 + 4 + 4 + 3 * 2
"""Bytes moved per logit of an update: written and read in the forward pass (float32), again in the
backward pass, and its gradient written and read twice (bfloat16). Counted in ``algo.logprobs``."""
HOST_BANDWIDTH = 40e9
"""Bytes/s of AdamW on the host's cores. Assumed."""
