"""The part of a completion that a user reads: what stands after its thought."""

from __future__ import annotations

from ponder.text.templates import opens_thought

_TAGS = ("<answer>", "</answer>")


def final_answer(completion: str, prompt: str = "") -> str:
    """What stands after the last ``</think>``, without the ``<answer>`` tags around it.

    A thought that was never closed (begun in the completion, or by ``prompt``) has no answer: "".
    A completion without any thought is all answer.
    """
    _, closed, after = completion.rpartition("</think>")
    if not closed and opens_thought(prompt):
        return ""
    answer = after.partition("<think>")[0]
    for tag in _TAGS:
        answer = answer.replace(tag, "")
    return answer.strip()
