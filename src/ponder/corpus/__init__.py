"""The text that the bundled base model reads: worked problems, right and wrong, in many styles."""

from ponder.corpus.documents import Document, DocumentWriter, StyleShares

__all__ = ["Document", "DocumentWriter", "StyleShares"]
