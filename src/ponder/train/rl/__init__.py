"""Reinforcement learning: R1-Zero, R1 and all that GRPO's descendants need. Begin at ``loop``."""
