"""Pretraining a small base model on the corpus: next-token prediction only."""
