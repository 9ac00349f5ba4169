"""The tags of a completion: a thought and what follows it, written as another stage wants them."""

from __future__ import annotations

from ponder.config.sampling_stage import Shape
from ponder.text.final import final_answer
from ponder.text.parsing import parse_completion
from ponder.text.templates import THINK, opens_thought


def parts_of(prompt: str, completion: str) -> tuple[str, str] | None:
    """The thought and the text after it, without tags; None without a thought that was closed."""
    thought = parse_completion(completion).thought
    return None if thought is None else (thought, final_answer(completion, prompt))


def shaped(prompt: str, thought: str, answer: str, shape: Shape) -> str:
    """A completion of ``prompt``. ``r1`` has R1-Zero's tags, the others a thought and plain text.

    Where the prompt opens the thought (R1's chat template does), the completion does not.
    """
    opened = opens_thought(prompt)
    if shape == "r1":
        begin = "" if opened else f" {THINK} "
        return f"{begin}{thought} </think> <answer> {answer} </answer>"
    begin = "" if opened else f"{THINK}\n"
    return f"{begin}{thought}\n</think>\n\n{answer}"


def reshaped(prompt: str, completion: str, shape: Shape) -> str:
    """The completion in another shape; one without a closed thought stays what it is."""
    if shape == "as_sampled":
        begun = completion.lstrip()
        twice = opens_thought(prompt) and begun.startswith(THINK)
        return begun.removeprefix(THINK).lstrip("\n") if twice else completion
    parts = parts_of(prompt, completion)
    return completion if parts is None else shaped(prompt, *parts, shape)
