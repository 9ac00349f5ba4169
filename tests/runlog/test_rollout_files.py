from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zstandard

from ponder.errors import PonderError
from ponder.runlog import drop_after, list_steps, read_rollouts, write_rollouts
from ponder.types import Completion, Group, Judgement, Problem, Prompt, Rollout, Verdict

_TEXT = "<think>2 + 3\n= 5\t\u2028</think> <answer>５ \x00 \ud800 é</answer>"


def _group(problem_id: str = "chain_sum-0", **metadata: object) -> Group:
    problem = Problem(problem_id, "What is 2 + 3?", "5", "gym", metadata)
    rollouts = [
        Rollout(
            Completion(problem_id, 0, [5, 6, 2], _TEXT, [-0.1, -1e-9, -2.5], "stop"),
            Judgement(Verdict.CORRECT, "5", "equal"),
            {"accuracy": 1.0, "format": 0.0},
            1.0,
            0.1 + 0.2,
        ),
        Rollout(
            Completion(problem_id, 1, [], "", [], "length"),
            Judgement(Verdict.ERROR, None, "timeout"),
            {},
            None,
        ),
    ]
    return Group(problem, Prompt(problem_id, "User: What is 2 + 3?", (1, 2)), rollouts)


def test_groups_come_back_equal(tmp_path: Path) -> None:
    groups = [_group("a", difficulty={"terms": 2}), _group("b", level=None, tags=["x"])]
    path = write_rollouts(tmp_path, 3, groups)
    assert path == tmp_path / "step_000003.jsonl.zst"
    assert read_rollouts(path) == groups


def test_a_line_holds_one_group(tmp_path: Path) -> None:
    path = write_rollouts(tmp_path, 3, [_group("a"), _group("b")])
    lines = zstandard.ZstdDecompressor().decompress(path.read_bytes()).decode("ascii").split("\n")
    assert len(lines) == 3
    assert lines[2] == ""
    assert '"num_tokens": 3' in lines[0]


def test_equal_groups_give_equal_bytes(tmp_path: Path) -> None:
    one = write_rollouts(tmp_path / "", 1, [_group("a", x=1, y=2)]).read_bytes()
    other = write_rollouts(tmp_path, 1, [_group("a", y=2, x=1)]).read_bytes()
    assert one == other


def test_metadata_that_json_does_not_know(tmp_path: Path) -> None:
    group = _group("a", pair=(1, 2), n=np.int64(7), x=np.float32(0.5), f=Fraction(1, 2), d={1: 2})
    (read,) = read_rollouts(write_rollouts(tmp_path, 0, [group]))
    assert read.problem.metadata == {"pair": [1, 2], "n": 7, "x": 0.5, "f": 0.5, "d": {"1": 2}}


def test_steps_and_drop(tmp_path: Path) -> None:
    assert list_steps(tmp_path / "none") == []
    drop_after(tmp_path / "none", 0)
    for step in (2, 0, 1_000_000, 1):
        write_rollouts(tmp_path, step, [_group()])
    (tmp_path / ".step_000003.jsonl.zst.99.tmp").write_bytes(b"half")
    assert list_steps(tmp_path) == [0, 1, 2, 1_000_000]
    drop_after(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step_000000.jsonl.zst",
        "step_000001.jsonl.zst",
    ]


@pytest.mark.parametrize("position", [0, 20, -5])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, position: int) -> None:
    path = write_rollouts(tmp_path, 0, [_group()])
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(PonderError, match=r"step_000000\.jsonl\.zst.*damaged"):
        read_rollouts(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match="no such file"):
        read_rollouts(tmp_path / "step_000000.jsonl.zst")


def test_the_score_comes_back_and_files_without_one_are_read(tmp_path: Path) -> None:
    group = _group()
    group.rollouts[0].judgement = Judgement(Verdict.INCORRECT, "5", "2 of 4 tests passed", 0.5)
    path = write_rollouts(tmp_path, 1, [group])
    assert read_rollouts(path) == [group]
    text = zstandard.ZstdDecompressor().decompress(path.read_bytes())
    assert b'"score": 0.5, ' in text
    old = text.replace(b'"score": 0.5, ', b"").replace(b'"score": null, ', b"")
    path.write_bytes(zstandard.ZstdCompressor().compress(old))
    (read,) = read_rollouts(path)
    assert [rollout.judgement.score for rollout in read.rollouts] == [None, None]
