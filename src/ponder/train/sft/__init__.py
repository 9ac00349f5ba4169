"""Supervised fine-tuning: rows become samples, samples are packed, each update learns a batch."""
