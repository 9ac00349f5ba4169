"""Ponder: the DeepSeek-R1 system as open software."""

__version__ = "0.1.0"
