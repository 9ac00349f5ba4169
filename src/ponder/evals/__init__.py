"""Evaluation: pass@1 with its error, pass@k and cons@k of a generator on held-out problems."""
