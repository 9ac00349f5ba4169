"""Rollouts: problems become scored groups; written once, used by training and evaluation."""
