import json
import math
from pathlib import Path

import pytest

from ponder.errors import PonderError
from ponder.runlog import MetricsWriter, append_alarm, read_alarms, read_metrics, truncate_after


def _write(path: Path, steps: range) -> None:
    with MetricsWriter(path) as writer:
        for step in steps:
            writer.write(step, {"loss/kl": step / 8, "rollout/max_tokens": 100 + step})


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _write(path, range(3))
    assert read_metrics(path)[2] == {"step": 2, "loss/kl": 0.25, "rollout/max_tokens": 102}
    assert path.read_text().splitlines()[1] == (
        '{"step": 1, "loss/kl": 0.125, "rollout/max_tokens": 101}'
    )


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    truncate_after(tmp_path / "metrics.jsonl", 0)


def test_non_finite_numbers_are_kept_and_the_file_is_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsWriter(path) as writer:
        writer.write(0, {"loss/kl": math.nan, "loss/ratio_max": math.inf, "loss/total": -math.inf})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(path.read_text(), parse_constant=refuse)
    (row,) = read_metrics(path)
    assert math.isnan(row["loss/kl"])
    assert row["loss/ratio_max"] == math.inf
    assert row["loss/total"] == -math.inf


def test_a_key_without_an_area_is_refused(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path / "metrics.jsonl") as writer, pytest.raises(ValueError, match="kl"):
        writer.write(0, {"kl": 1.0})
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_every_cut_of_the_last_line_is_tolerated(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    _write(whole, range(2))
    data = whole.read_bytes()
    first = data.index(b"\n") + 1
    for cut in range(first, len(data)):
        path = tmp_path / "metrics.jsonl"
        path.write_bytes(data[:cut])
        assert [row["step"] for row in read_metrics(path)] == [0]
        _write(path, range(1, 2))
        assert path.read_bytes() == data


def test_a_last_line_of_zeros_is_dropped(tmp_path: Path) -> None:
    """Some file systems leave zeros at the end of a file after a power loss."""
    path = tmp_path / "metrics.jsonl"
    _write(path, range(2))
    path.write_bytes(path.read_bytes() + b"\0" * 40 + b"\n")
    assert [row["step"] for row in read_metrics(path)] == [0, 1]


def test_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"st\n{"step": 2}\n')
    with pytest.raises(PonderError, match="line 2 is damaged"):
        read_metrics(path)


def test_truncate_keeps_the_steps_before(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _write(path, range(5))
    path.write_bytes(path.read_bytes() + b'{"step": 5, "lo')
    truncate_after(path, next_step=3)
    _write(path, range(3, 5))
    whole = tmp_path / "whole.jsonl"
    _write(whole, range(5))
    assert path.read_bytes() == whole.read_bytes()


def test_alarms(tmp_path: Path) -> None:
    path = tmp_path / "alarms.jsonl"
    assert read_alarms(path) == []
    append_alarm(path, 4, "zero_variance", "all groups have equal rewards\nlook at the reward")
    append_alarm(path, 7, "ratio", "1.2")
    assert [alarm["step"] for alarm in read_alarms(path)] == [4, 7]
    truncate_after(path, 5)
    assert [alarm["name"] for alarm in read_alarms(path)] == ["zero_variance"]
