"""Verdicts and rewards: what a completion answers, whether that is right, and what it earns."""
