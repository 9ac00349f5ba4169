"""Which kind of source a config names, and which keys mean something for it."""

from __future__ import annotations

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError

_ONLY_FOR = {
    "settings": ("task",),
    "language": ("task",),
    "split": ("path", "hub", "name"),
    "heldout_split": ("path", "hub", "name"),
    "question_field": ("path", "hub"),
    "answer_field": ("path", "hub"),
    "metadata_fields": ("path", "hub"),
    "hub_config": ("hub", "name"),
}
"""Keys of [problems] and the sources that they mean something for."""

OF_MIXTURES = ("weight", "domain")
"""Keys of a mixture's entries that are not keys of [problems]."""


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


def same_source(config: ProblemsConfig, trained: ProblemsConfig) -> bool:
    """Whether rows of ``config`` are among those that ``trained``, perhaps a mixture, draws from.

    Then only the held-out ones may be measured on. Tasks make other problems for training anyway.
    """
    entries = [{}] if trained.mixture is None else trained.mixture
    for entry in entries:
        keys = {key: value for key, value in entry.items() if key not in OF_MIXTURES}
        part = ProblemsConfig.model_validate(keys) if keys else trained
        if config.path is not None and part.path is not None:
            is_same = config.path.resolve() == part.path.resolve()
        else:
            is_same = config.hub is not None and config.hub == part.hub
        if is_same or (config.name is not None and config.name == part.name):
            return True
    return False
