"""The JSON form of arguments and results; one codec for both sides."""

from ponder.sandbox.inside.values import MAX_DEPTH, decode, encode

__all__ = ["MAX_DEPTH", "decode", "encode"]
