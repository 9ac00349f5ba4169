"""What `--problems SPEC` and `MODEL` mean."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from ponder.config.distil import DistilConfig
from ponder.config.overrides import read_toml_value
from ponder.config.recipes import read_config
from ponder.config.reward_model import RewardModelConfig
from ponder.config.rl import NamedProblems, ProblemsConfig, RLConfig, TemplateConfig
from ponder.config.sft import SFTConfig
from ponder.config.translate import translate
from ponder.errors import PonderError
from ponder.runlog.checkpoint import CheckpointStore
from ponder.runlog.folder import RunFolder

FILE_TYPES = (".jsonl", ".json", ".parquet", ".csv", ".gz")
_NAMES = get_args(NamedProblems)


def parse_problems(spec: str, option: str = "--problems") -> ProblemsConfig:
    """``chain_sum:min_terms=3,max_terms=4``, ``gsm8k``, ``hub:ID``, or a path; settings after ":".

    The settings of a task go to the task; those of the others are keys of ``[problems]``
    (``data.jsonl:question_field=q``, ``math500:path=FOLDER``). ``option`` is what errors call it.

    Raises:
        PonderError: settings that are not key=value, or a key that does not exist.
    """
    table = _source_table(spec, option)
    try:
        return ProblemsConfig.model_validate(table)
    except ValidationError as error:
        raise translate(error, ProblemsConfig, lambda key: option) from error


def _source_table(spec: str, option: str) -> dict[str, Any]:
    if spec.startswith("hub:"):
        head, settings = _split(spec.removeprefix("hub:"), option)
        return {"hub": head} | settings
    head, settings = _split(spec, option)
    if head in _NAMES:
        return {"name": head} | settings
    if Path(head).suffix in FILE_TYPES or Path(head).is_dir():
        return {"path": head} | settings
    return {"task": head, "settings": settings}


def _split(spec: str, option: str) -> tuple[str, dict[str, Any]]:
    head, _, text = spec.partition(":")
    if not text:
        return head, {}
    try:
        return head, tomllib.loads(f"value = {{{text}}}")["value"]
    except tomllib.TOMLDecodeError:
        pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(key and equals for key, equals, _ in pairs):
        raise PonderError(option, spec, "write settings as NAME:key=value,key=value")
    return head, {key.strip(): read_toml_value(value) for key, _, value in pairs}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What to load, and of the run it comes from, if it comes from one: the template that it was
    trained with, and the config where it is of reinforcement learning."""

    source: str
    config: RLConfig | None = None
    template: TemplateConfig | None = None


def run_folder(path: Path) -> Path:
    """A run's folder; of a stage's folder in a pipeline the run that counts now.

    Raises:
        PonderError: it is the folder of a whole pipeline.
    """
    if (path / "pipeline.toml").is_file():
        fix = (
            "this is a whole pipeline: name one of its stages, e.g. stages/zero in it (the report "
            "of them all is written by `ponder pipeline report`)"
        )
        raise PonderError("run", str(path), fix)
    current = path / "current"
    return path / current.read_text(encoding="utf-8").strip() if current.is_file() else path


def choose_model(spec: str) -> ModelChoice:
    """A run folder means its newest checkpoint; anything else is for ``load_model``.

    A checkpoint of a run is verified, and knows its run's config, also when named itself.

    Raises:
        PonderError: the run has no checkpoint yet, or its newest one is damaged; it trained a
            reward model, which writes nothing.
    """
    path = run_folder(Path(spec))
    is_checkpoint = path.parent.name == "checkpoints"
    run_path = path.parent.parent if is_checkpoint else path
    if not (run_path / "config.toml").is_file():
        return ModelChoice(spec)
    folder = RunFolder.open(run_path)
    store = CheckpointStore(folder.checkpoints_dir)
    checkpoint = path if is_checkpoint else store.latest()
    if checkpoint is None:
        raise PonderError("MODEL", spec, "this run has no checkpoint yet; let it write one")
    store.verify(checkpoint)
    config = read_config(folder.config_path)
    if isinstance(config, RewardModelConfig):
        fix = "this run trained a reward model, which scores texts and writes none; name another"
        raise PonderError("MODEL", spec, fix)
    if isinstance(config, RLConfig):
        return ModelChoice(str(checkpoint), config, config.template)
    template = config.template if isinstance(config, SFTConfig | DistilConfig) else None
    return ModelChoice(str(checkpoint), template=template)
