"""The model that judges, against the reference answer, what no rule can compare with it."""

from __future__ import annotations

from ponder.config.preference import JUDGE
from ponder.config.rl import RLConfig
from ponder.errors import PonderError
from ponder.generate.endpoint import EndpointGenerator
from ponder.seeds import derive_seed
from ponder.text.asking import as_message
from ponder.types import Sampling
from ponder.verify.llm_judge import JudgeSettings, LLMJudge

REPLY = Sampling(temperature=0.0, max_completion_tokens=1024)
"""One vote, the most probable one; a verdict is short JSON, and a judge may think before it."""


def open_judge(config: RLConfig) -> dict[str, LLMJudge]:
    """The judge of the problems whose verifier is "judge", by that name; nothing if there are none.

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
    settings = JudgeSettings(seed=derive_seed(config.seed, JUDGE))
    return {JUDGE: LLMJudge(EndpointGenerator(config.judge), as_message, REPLY, settings)}
