"""The reward models of a run: which it needs, opened once, told apart from others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.models.reward import HEAD_FACTS, HEAD_WEIGHTS, open_reward_model
from ponder.text.templates import render
from ponder.types import PREFERENCES, Problem
from ponder.verify.preference import Preference


def reward_model_paths(config: RLConfig) -> dict[str, Path]:
    """The folder of each reward model that the problems ask for, by verifier.

    Raises:
        PonderError: one is missing, is in nobody's use, or is no reward model.
    """
    asked = {entry.get("verifier") for entry in config.problems.mixture or ()}
    found: dict[str, Path] = {}
    for name in PREFERENCES:
        field, path = f"preference.{name}", getattr(config.preference, name)
        if path is None and name in asked:
            fix = (
                f'problems of the mixture have verifier = "{name}": name the folder of a trained '
                f"reward model (in a pipeline: the input {name} of the stage)"
            )
            raise PonderError(field, None, fix)
        if path is not None and name not in asked:
            fix = f'no entry of problems.mixture has verifier = "{name}": add one, or remove this'
            raise PonderError(field, str(path), fix)
        if path is not None:
            found[name] = path.expanduser()
    for name, path in found.items():
        if not all((path / part).is_file() for part in (HEAD_FACTS, HEAD_WEIGHTS)):
            fix = f"this folder holds no reward model (it has no {HEAD_FACTS} and {HEAD_WEIGHTS})"
            raise PonderError(f"preference.{name}", str(path), fix)
    return found


def open_preferences(
    config: RLConfig, paths: Mapping[str, Path], tokenizer: Any
) -> dict[str, Preference]:
    """The reward models on the run's device, by verifier; ``tokenizer`` is the policy's, whose
    template the prompts are of."""

    def prompt_text(problem: Problem) -> str:
        return render(config.template, problem.question, tokenizer)

    return {
        name: Preference(*open_reward_model(path, config.device, config.dtype), prompt_text)
        for name, path in paths.items()
    }


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """What tells each reward model from all others: its head, which every update changes."""
    return {
        name: hashlib.sha256(
            (path / HEAD_WEIGHTS).read_bytes() + (path / HEAD_FACTS).read_bytes()
        ).hexdigest()
        for name, path in paths.items()
    }


def check_same(paths: Mapping[str, Path], now: Mapping[str, str], then: Mapping[str, str]) -> None:
    """A resumed run must be rewarded by the models it began with. PonderError if it is not."""
    for name, path in paths.items():
        if now[name] != then.get(name):
            fix = (
                "this is not the reward model that the run began with: put that one back, or start "
                "a new run with this one"
            )
            raise PonderError(f"preference.{name}", str(path), fix)
