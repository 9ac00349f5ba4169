"""The model that judges, against the reference answer, what no rule can compare with it."""

from __future__ import annotations

from pathlib import Path

from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.generate.endpoint import EndpointGenerator
from ponder.seeds import derive_seed
from ponder.text.asking import as_message
from ponder.types import JUDGE, Sampling
from ponder.verify.llm_judge import JudgeSettings, LLMJudge

CACHE = "judge_cache.jsonl"
REPLY = Sampling(temperature=0.0, max_completion_tokens=1024)
"""One vote, the most probable one; a verdict is short JSON, and a judge may think before it."""


def open_judge(config: RLConfig, folder: Path | None = None) -> dict[str, LLMJudge]:
    """The judge of the problems whose verifier is "judge", by that name; nothing if there are none.

    Args:
        folder: where its verdicts are kept if the config names no file, so that a step that was
            killed is not paid for twice.

    Raises:
        PonderError: such problems and no [judge], or the other way round.
    """
    asked = {entry.get("verifier") for entry in config.problems.mixture or ()}
    is_asked = JUDGE in asked | {config.problems.verifier}
    if config.judge is None and is_asked:
        fix = 'there are problems with verifier = "judge": name an endpoint, [judge] url and model'
        raise PonderError("judge", None, fix)
    if config.judge is not None and not is_asked:
        fix = (
            'no problem has verifier = "judge": give an entry of the mixture it, or remove [judge]'
        )
        raise PonderError("judge", config.judge.url, fix)
    if config.judge is None:
        return {}
    kept = config.judge
    if kept.cache is None and folder is not None:
        kept = kept.model_copy(update={"cache": folder / CACHE})
    settings = JudgeSettings(seed=derive_seed(config.seed, JUDGE))
    return {JUDGE: LLMJudge(EndpointGenerator(kept, JUDGE), as_message, REPLY, settings)}
