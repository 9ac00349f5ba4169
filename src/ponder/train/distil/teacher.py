"""The teacher of a distillation: opened, checked against the student, and measured once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ponder.config.distil import DistilConfig
from ponder.errors import PonderError
from ponder.models.load import Loaded, load_model
from ponder.models.packed import check_trainable
from ponder.models.source import find_source

PROBE = "<think>\nWait, 12 x 34 = 408; let me check.\n</think>\n答案是 \\boxed{408}. café\t\n"
"""Tokenizers of one vocabulary may still split text or normalise it in their own ways."""


def teacher_of(config: DistilConfig) -> str:
    """The teacher that the config names.

    Raises:
        PonderError: it names none, or the student itself.
    """
    if config.teacher is None:
        fix = "name the model to learn from: teacher=FOLDER, a bundled model or a hub id"
        raise PonderError("teacher", None, fix)
    if _place(config.teacher, "teacher") == _place(config.model, "model"):
        fix = (
            "is the student itself, which has nothing to learn from it; to learn from one's own "
            "right answers use rejection sampling (stage kinds reject and sft)"
        )
        raise PonderError("teacher", config.teacher, fix)
    return config.teacher


def open_teacher(
    config: DistilConfig, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """The teacher, frozen, where the student is.

    Raises:
        PonderError: it cannot be opened or scored, or has another tokenizer than the student.
    """
    spec = teacher_of(config)
    model, others = load_named(spec, config, "teacher")
    check_same_tokens(tokenizer, others, spec)
    try:
        check_trainable(model)
    except PonderError as error:
        raise PonderError("teacher", spec, error.fix) from error
    return model.requires_grad_(False).to(student.device)


def load_named(spec: str, config: DistilConfig, field: str) -> Loaded:
    """A model by its name; errors name the config's ``field``."""
    try:
        return load_model(spec, config.device, config.dtype)
    except PonderError as error:
        raise PonderError(field, error.value, error.fix) from error


def check_same_tokens(
    student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase, spec: str
) -> None:
    """Both must read the same tokens in a text: the teacher scores the student's token by token.

    Raises:
        PonderError: they don't; it says where they part.
    """
    why = _difference(student, teacher)
    if why is not None:
        fix = (
            f"its tokenizer is not the student's ({why}), and on-policy distillation goes token by "
            "token; use method=off_policy, which goes by text, or a teacher of the same family"
        )
        raise PonderError("teacher", spec, fix)


def _difference(student: Any, teacher: Any) -> str | None:
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if ours != theirs:
        unlike = sorted(t for t in ours.keys() | theirs.keys() if ours.get(t) != theirs.get(t))
        return f"{len(theirs):,} tokens to {len(ours):,}, {len(unlike):,} of them unlike"
    if student.eos_token_id != teacher.eos_token_id:
        return f"it ends texts with {teacher.eos_token!r}, the student with {student.eos_token!r}"
    if student.encode(PROBE) != teacher.encode(PROBE):
        return "the same vocabulary, but it splits a text into other tokens"
    return None


def _place(spec: str, field: str) -> str:
    """What tells two models apart: the folder, or the hub id."""
    try:
        source, _ = find_source(spec)
    except PonderError as error:
        raise PonderError(field, error.value, error.fix) from error
    path = Path(source)
    return str(path.resolve()) if path.is_dir() else source
