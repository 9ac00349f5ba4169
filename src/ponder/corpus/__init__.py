"""The text that base models read: worked problems, right and wrong, in many styles."""

from typing import Protocol

from ponder.corpus.bilingual import BilingualDocument, BilingualWriter, LanguageShares
from ponder.corpus.documents import Document, DocumentWriter, StyleShares

__all__ = [
    "BilingualDocument",
    "BilingualWriter",
    "Document",
    "DocumentWriter",
    "LanguageShares",
    "StyleShares",
    "Writer",
]


class Writer(Protocol):
    """Writes document ``index`` of a corpus, always the same one. Must be picklable."""

    def document(self, index: int) -> Document: ...
