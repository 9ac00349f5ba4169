"""rollouts/step_000003.jsonl.zst: every group of a step, one JSON object a line, compressed.

Read one from a shell with ``zstdcat FILE | head -1``. A file appears whole or not at all, and equal
groups give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import zstandard

from ponder.errors import PonderError
from ponder.runlog.durable import fsync_folder, remove_stale, write_atomic
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

_NAME = re.compile(r"step_(\d{6,})\.jsonl\.zst")
_LEVEL = 6


def rollouts_path(folder: Path, step: int) -> Path:
    """The file of one step."""
    return folder / f"step_{step:06d}.jsonl.zst"


def write_rollouts(folder: Path, step: int, groups: Sequence[Group]) -> Path:
    """Write the groups of a step, atomically; an earlier file of that step is replaced."""
    lines = [json.dumps(_group_to_row(step, group), sort_keys=True) + "\n" for group in groups]
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    path = rollouts_path(folder, step)
    write_atomic(path, compressor.compress("".join(lines).encode()))
    return path


def read_rollouts(path: Path) -> list[Group]:
    """The groups of one file, as they were written (metadata as JSON has it: tuples are lists).

    Raises:
        PonderError: there is no such file, or it is damaged.
    """
    try:
        text = zstandard.ZstdDecompressor().decompress(path.read_bytes()).decode()
        return [_group_from_row(json.loads(line)) for line in text.split("\n") if line]
    except FileNotFoundError as error:
        raise PonderError("rollouts", str(path), "there is no such file") from error
    except (zstandard.ZstdError, ValueError, KeyError) as error:
        fix = f"this file is damaged ({error}); delete it, or restore it from a copy"
        raise PonderError("rollouts", str(path), fix) from error


def list_steps(folder: Path) -> list[int]:
    """The steps whose rollouts are there, ascending."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def drop_after(folder: Path, next_step: int) -> None:
    """Delete the rollouts of steps from ``next_step`` on: a resumed run writes them again."""
    if not folder.is_dir():
        return
    for step in list_steps(folder):
        if step >= next_step:
            rollouts_path(folder, step).unlink()
    remove_stale(folder)
    fsync_folder(folder)


def _group_to_row(step: int, group: Group) -> dict[str, Any]:
    problem = group.problem
    return {
        "step": step,
        "problem": {
            "id": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "verifier": problem.verifier,
            "metadata": _plain(problem.metadata),
        },
        "prompt": group.prompt.text,
        "prompt_token_ids": list(group.prompt.token_ids),
        "rollouts": [_rollout_to_row(rollout) for rollout in group.rollouts],
    }


def _rollout_to_row(rollout: Rollout) -> dict[str, Any]:
    completion, judgement = rollout.completion, rollout.judgement
    return {
        "sample_index": completion.sample_index,
        "text": completion.text,
        "token_ids": completion.token_ids,
        "sampler_logprobs": completion.sampler_logprobs,
        "finish_reason": completion.finish_reason,
        "verdict": judgement.verdict.value,
        "answer": judgement.answer,
        "reason": judgement.reason,
        "score": judgement.score,
        "reward": rollout.reward,
        "reward_parts": rollout.reward_parts,
        "advantage": rollout.advantage,
        "num_tokens": rollout.num_tokens,
    }


def _group_from_row(row: dict[str, Any]) -> Group:
    problem = Problem(**row["problem"])
    return Group(
        problem=problem,
        prompt=Prompt(problem.id, row["prompt"], tuple(row["prompt_token_ids"])),
        rollouts=[_rollout_from_row(problem.id, item) for item in row["rollouts"]],
    )


def _rollout_from_row(problem_id: str, row: dict[str, Any]) -> Rollout:
    completion = Completion(
        problem_id=problem_id,
        sample_index=row["sample_index"],
        token_ids=row["token_ids"],
        text=row["text"],
        sampler_logprobs=row["sampler_logprobs"],
        finish_reason=row["finish_reason"],
        counted_tokens=None if row["token_ids"] else row["num_tokens"] or None,
    )
    judgement = Judgement(
        Verdict(row["verdict"]), row["answer"], row["reason"], row.get("score")
    )  # files of version 0.1.0 have no score
    return Rollout(completion, judgement, row["reward_parts"], row["reward"], row["advantage"])


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numbers of numpy become Python's, anything unknown its str."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
