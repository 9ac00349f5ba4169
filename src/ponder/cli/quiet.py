"""Libraries that print on their own account."""

from __future__ import annotations


def quiet_transformers() -> None:
    """No progress bars and no advice of transformers; its errors still come as exceptions."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
