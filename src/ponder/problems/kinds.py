"""Which kind of source a config names, and which keys mean something for it."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError

_ONLY_FOR = {
    "settings": ("task",),
    "split": ("path", "hub", "name"),
    "heldout_split": ("path", "hub", "name"),
    "question_field": ("path", "hub"),
    "answer_field": ("path", "hub"),
    "metadata_fields": ("path", "hub"),
    "hub_config": ("hub", "name"),
}
"""Keys of [problems] and the sources that they mean something for."""


def source_kind(config: ProblemsConfig) -> str:
    """ "task", "mixture", "name", "path" or "hub".

    Raises PonderError if there is none, or for a key that means nothing for this kind.
    """
    kind = _kind(config)
    for key, kinds in _ONLY_FOR.items():
        value = getattr(config, key)
        default = ProblemsConfig.model_fields[key].get_default(call_default_factory=True)
        if value != default and kind not in kinds:
            fix = f"means nothing for problems.{kind}; remove it"
            raise PonderError(f"problems.{key}", value, fix)
    return kind


def _kind(config: ProblemsConfig) -> str:
    for key in ("task", "mixture", "name", "path", "hub"):
        if getattr(config, key) is not None:
            return key
    fix = 'give one of task, mixture, path, hub, name, e.g. task = "chain_sum"'
    raise PonderError("problems", None, fix)
