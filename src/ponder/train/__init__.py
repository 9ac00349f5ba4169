"""Training: the GRPO loop, the policy, batches, guards and the run's own log."""
