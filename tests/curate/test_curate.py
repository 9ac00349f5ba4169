"""The pass: what it drops and why, kill -9 at random moments, a full disk, changed inputs."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.curate.corpus import SECRET, make_rows, write
from tests.forks import CHANGES, begun, die_before, exit_code, forked

from ponder.config.curate import CurateConfig, DedupeConfig, FilterConfig
from ponder.curate.curate import curate
from ponder.curate.evaluation import EvaluationText
from ponder.curate.rows import Row, part_path, read_rows
from ponder.curate.state import hits_path, summary_path, work_folder
from ponder.errors import PonderError

SECRETS = [EvaluationText("test", "item 3", SECRET)]
CONFIG = CurateConfig(workers=1, checkpoint_rows=400)
OUTPUTS: list[Callable[[Path], Path]] = [lambda out: out, summary_path, hits_path]


def outputs(out: Path) -> list[bytes]:
    return [path(out).read_bytes() for path in OUTPUTS]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_bad_row_is_dropped_for_its_reason(tmp_path: Path, workers: int) -> None:
    rows, wrong = make_rows(3000)
    inputs = [
        write(tmp_path / "a.jsonl", rows[:1000]),
        write(tmp_path / "b.jsonl.zst", rows[1000:]),
    ]
    config = CONFIG.model_copy(update={"workers": workers})
    out = tmp_path / "out.jsonl.zst"
    summary = curate(inputs, out, config, SECRETS)
    assert summary.dropped == dict(sorted(Counter(wrong.values()).items()))
    assert [row for row in rows if row.id not in wrong] == list(read_rows(out))
    assert summary.num_read == 3000
    assert summary.num_kept == 3000 - len(wrong)
    assert summary.domains == {"math": [3000, summary.num_kept]}
    hits = [json.loads(line) for line in hits_path(out).read_text().splitlines()]
    assert {hit["id"] for hit in hits} == {
        name for name, why in wrong.items() if why == "contaminated"
    }
    assert hits[0]["item"] == "item 3"
    assert hits[0]["words"] == " ".join(SECRET.split()[:10])
    assert not work_folder(out).exists()


def test_a_finished_pass_is_not_done_again_and_a_changed_one_is(tmp_path: Path) -> None:
    rows, _ = make_rows(300)
    path, out = write(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl"
    first = curate([path], out, CONFIG)
    before = out.stat().st_mtime_ns
    assert curate([path], out, CONFIG) == first
    assert out.stat().st_mtime_ns == before
    other = CONFIG.model_copy(update={"filters": FilterConfig(format="any")})
    assert curate([path], out, other).num_kept > first.num_kept
    assert curate([path], out, other, SECRETS).dropped["contaminated"] > 0


def _killed(work: Callable[[], object], seconds: float) -> int:
    """Exit status of the work, killed after some time unless it was done before."""
    child = begun(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return exit_code(child)


def test_killed_at_random_moments_no_row_is_lost_or_repeated(tmp_path: Path) -> None:
    rows, _ = make_rows(4000, num_words=60)
    inputs = [
        write(tmp_path / "a.jsonl.zst", rows[:2500]),
        write(tmp_path / "b.jsonl", rows[2500:]),
    ]
    config = CONFIG.model_copy(update={"checkpoint_rows": 100})
    began = time.monotonic()
    curate(inputs, tmp_path / "whole.jsonl.zst", config, SECRETS)
    lasted = time.monotonic() - began
    expected = outputs(tmp_path / "whole.jsonl.zst")
    chance = random.Random(0)
    num_kills = 0
    for trial in range(3):
        out = tmp_path / str(trial) / "out.jsonl.zst"
        while True:
            seconds = chance.uniform(0.05, 0.4 * lasted)
            status = _killed(partial(curate, inputs, out, config, SECRETS), seconds)
            assert status in (0, -signal.SIGKILL)
            num_kills += status != 0
            if status == 0:
                break
            assert not (out.exists() and part_path(out).exists())
        assert outputs(out) == expected
    assert num_kills >= 3


def test_killed_with_workers_and_gone_on_with(tmp_path: Path) -> None:
    rows, _ = make_rows(6000, num_words=60)
    inputs, out = [write(tmp_path / "a.jsonl", rows)], tmp_path / "out.jsonl"
    config = CurateConfig(workers=2, checkpoint_rows=500)
    curate(inputs, tmp_path / "whole.jsonl", config.model_copy(update={"workers": 1}), SECRETS)
    ready, told = os.pipe()

    def tell(num_read: int, _: int) -> None:
        os.write(told, b"x" * (num_read > 2000))

    child = begun(partial(curate, inputs, out, config, SECRETS, on_progress=tell))
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    assert exit_code(child) == -signal.SIGKILL
    assert json.loads((work_folder(out) / "state.json").read_text())["summary"]["num_read"] > 0
    assert curate(inputs, out, config, SECRETS).num_read == 6000
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


def test_killed_before_each_rename_and_removal(tmp_path: Path) -> None:
    rows, _ = make_rows(60)
    path = write(tmp_path / "a.jsonl", rows)
    curate([path], tmp_path / "whole.jsonl", CONFIG, SECRETS)
    expected = outputs(tmp_path / "whole.jsonl")

    def work(out: Path, number: int) -> None:
        die_before(number, CHANGES - {"os.mkdir"})
        curate([path], out, CONFIG, SECRETS)

    status, number = 1, 0
    while status != 0:
        number += 1
        out = tmp_path / str(number) / "out.jsonl"
        status = forked(partial(work, out, number))
        assert status in (0, -signal.SIGKILL)
        curate([path], out, CONFIG, SECRETS)
        assert outputs(out) == expected, f"killed before event {number}"
        assert not work_folder(out).exists()
    assert number > 8


def test_a_full_disk_is_said_and_the_earlier_output_stays(tmp_path: Path) -> None:
    rows, _ = make_rows(2000)
    path, out = write(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl"
    curate([path], tmp_path / "whole.jsonl", CONFIG, SECRETS)
    out.write_bytes(b"earlier\n")

    def limited(num_bytes: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
        with pytest.raises(PonderError, match="no space left"):
            curate([path], out, CONFIG, SECRETS)

    for num_bytes in (1_000, 60_000, 500_000, 900_000):
        assert forked(partial(limited, num_bytes)) == 0
        assert out.read_bytes() == b"earlier\n"
    curate([path], out, CONFIG, SECRETS)
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


def _interrupt(path: Path, out: Path, config: CurateConfig = CONFIG) -> None:
    def stop(num_read: int, _: int) -> None:
        if num_read > 800:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curate([path], out, config, on_progress=stop)


def test_a_changed_input_or_config_is_said(tmp_path: Path) -> None:
    rows, _ = make_rows(1500)
    path, out = write(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl"
    _interrupt(path, out)
    other = CONFIG.model_copy(update={"dedupe": DedupeConfig(exact=False)})
    with pytest.raises(PonderError, match=r"config.*start again"):
        curate([path], out, other)
    write(path, rows[:-1])
    with pytest.raises(PonderError, match=r"input .*a\.jsonl.*was interrupted"):
        curate([path], out, CONFIG)
    assert curate([path], out, CONFIG, restart=True).num_read == 1499


def test_a_bad_line_is_named_and_what_was_done_is_kept(tmp_path: Path) -> None:
    rows, _ = make_rows(900)
    path, out = write(tmp_path / "a.jsonl", rows), tmp_path / "out.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:699]) + b"\n" + lines[700][:80] + b"\n")
    for workers in (1, 2):
        config = CONFIG.model_copy(update={"workers": workers})
        with pytest.raises(PonderError, match=r"a\.jsonl:701.*not valid JSON"):
            curate([path], out, config)
    assert not out.exists()


def test_half_written_and_missing_inputs(tmp_path: Path) -> None:
    part_path(tmp_path / "a.jsonl").touch()
    with pytest.raises(PonderError, match="half-written"):
        curate([tmp_path / "a.jsonl"], tmp_path / "out.jsonl", CONFIG)
    with pytest.raises(PonderError, match="no such file"):
        curate([tmp_path / "b.jsonl"], tmp_path / "out.jsonl", CONFIG)


@pytest.mark.parametrize("question", ["", "another question"])
def test_a_prompt_that_is_not_its_question_is_looked_at(tmp_path: Path, question: str) -> None:
    rows = [
        Row("told", f"User: {SECRET}", "<think> a </think> b", metadata={"question": question}),
        Row("clean", "User: q", "<think> a </think> b", metadata={"question": "q"}),
    ]
    curate([write(tmp_path / "a.jsonl", rows)], tmp_path / "out.jsonl", CONFIG, SECRETS)
    assert [row.id for row in read_rows(tmp_path / "out.jsonl")] == ["clean"]
    (hit,) = map(json.loads, hits_path(tmp_path / "out.jsonl").read_text().splitlines())
    assert (hit["id"], hit["part"]) == ("told", "prompt")


def test_near_duplicates_by_the_completion_alone(tmp_path: Path) -> None:
    question = " ".join(f"word{n}" for n in range(400))
    rows = [
        Row(str(n), question, " ".join(f"{n}x{i}" for i in range(30)), "math") for n in range(5)
    ]
    path, kept = write(tmp_path / "a.jsonl", rows), {}
    for text in ("row", "completion"):
        dedupe = DedupeConfig.model_validate({"near_text": text})
        config = CurateConfig(workers=1, dedupe=dedupe, filters=FilterConfig(format="any"))
        kept[text] = curate([path], tmp_path / "out.jsonl", config).num_kept
    assert kept == {"row": 1, "completion": 5}
