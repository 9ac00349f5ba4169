"""The live view: what it says, what it never does with a model's text, and how tall it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ponder.cli.console import clock_time, shown, styled
from ponder.cli.frame import Frame
from ponder.cli.live import watching
from ponder.cli.sparkline import sparkline
from ponder.cli.watch import Watch, choose_sample
from ponder.train.observer import RunInfo
from ponder.types import Group, Verdict

Play = Callable[..., None]
MakeGroup = Callable[..., Group]


def terminal(width: int, height: int, color: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )


def frame_lines(watch: Watch, width: int, height: int) -> list[str]:
    out = terminal(width, height)
    lines = out.render_lines(Frame(watch), out.options, pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40), (60, 20), (200, 60)])
@pytest.mark.parametrize("lines", [0, 3, 200])
def test_a_frame_fits_the_screen(play: Play, width: int, height: int, lines: int) -> None:
    watch = Watch()
    play(watch, lines=lines)
    frame = frame_lines(watch, width, height)
    assert len(frame) < height
    assert all(len(line) <= width for line in frame)


def test_notes_are_shown(play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    """What was dropped from the problems, say: a run must not keep that to itself."""
    notes = ("3 rows dropped, e.g.", "  row 7: \x1b no answer", "third " * 50)
    watch = Watch()
    play(watch, steps=2)
    assert watch.info is not None
    watch.on_start(replace(watch.info, notes=notes))
    frame = "\n".join(frame_lines(watch, 80, 24))
    assert "note: 3 rows dropped" in frame
    assert "note: row 7: \\x1b no answer" in frame
    with watching(Console(force_terminal=False)) as plain:
        plain.on_start(watch.info)
    said = capsys.readouterr().out.splitlines()
    assert [line[:6] for line in said[1:]] == ["note: "] * 3


def test_a_frame_says_what_matters(play: Play) -> None:
    watch = Watch()
    play(watch, steps=6)
    frame = "\n".join(frame_lines(watch, 100, 40))
    assert "zero-tiny  base-tiny (2.7M parameters, cpu)" in frame
    assert "6/6 steps" in frame
    assert "held-out pass@1   92.0 % ± 5.5" in frame
    assert "before: 16.0 % ± 7.5" in frame
    assert "accuracy          81.7%" in frame
    assert "length            65.0 tokens" in frame
    assert "reflective words  4.47 each" in frame
    assert "alarm: step 3: every group has equal rewards: [/this] step" in frame
    assert "first completion: correct, reward 2, " in frame
    assert "Calculate 9 - 8 + 4 + 2 ." in frame
    assert "</think> <answer>7</answer>" in frame


def test_a_long_completion_keeps_its_start_and_its_end(play: Play) -> None:
    watch = Watch()
    play(watch, lines=100)
    frame = "\n".join(frame_lines(watch, 80, 24))
    assert "<think> Line 0" in frame
    assert " lines ..." in frame
    assert "</answer>" in frame


def test_text_of_a_model_is_never_markup_nor_control(play: Play) -> None:
    watch = Watch()
    play(watch)
    frame = "\n".join(frame_lines(watch, 140, 40))
    assert "[bold red]1[/bold red]" in frame
    assert ":smile:" in frame
    assert "\x1b" not in frame
    assert "\\x1b[31mcheck[/" in frame


def test_characters_that_do_not_print_are_shown_as_escapes() -> None:
    assert shown("a\tb\nc") == "a\tb\nc"
    assert shown("\x1b]0;title\x07") == "\\x1b]0;title\\x07"
    assert shown("\u202eabc") == "\\u202eabc"
    assert shown("12 ÷ 4 = 三 \ufffd") == "12 ÷ 4 = 三 \ufffd"


def parts(completion: str) -> tuple[str, str]:
    """The dim part of a styled completion and the bright one."""
    text = styled(completion)
    by_style = {str(span.style): text.plain[span.start : span.end] for span in text.spans}
    assert text.plain == completion
    return by_style.get("dim", ""), by_style.get("bold", "")


@pytest.mark.parametrize(
    ("completion", "thought", "answer"),
    [
        ("<think> a </think> b", "<think> a </think>", " b"),
        ("a </think> b", "a </think>", " b"),
        ("<think> a", "<think> a", ""),
        ("just text", "", "just text"),
        ("<think>a</think>b</think>c", "<think>a</think>b</think>", "c"),
    ],
)
def test_the_thought_is_dim_and_the_answer_bright(
    completion: str, thought: str, answer: str
) -> None:
    assert parts(completion) == (thought, answer)


def test_the_sample_is_chosen_without_a_look_at_the_outcome(group: MakeGroup) -> None:
    broken, wrong, right = (
        group("error", Verdict.ERROR),
        group("wrong", Verdict.INCORRECT),
        group("right", Verdict.CORRECT),
    )
    sample = choose_sample(4, [broken, wrong, right])
    assert sample is not None
    assert (sample.step, sample.rollout.completion.text) == (4, "wrong")
    assert choose_sample(4, [broken]) is None


def test_elsewhere_each_event_is_one_plain_line(play: Play) -> None:
    out = Console(file=io.StringIO(), width=40)
    with watching(out) as watch:
        play(watch, steps=6)
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert lines[0].startswith("zero-tiny: base-tiny, 2.7M parameters on cpu, steps 0 to 6, runs/")
    assert lines[1].startswith("held-out problems at step 0: pass@1 16.0 % ± 7.5  tokens 20.0")
    assert [line.split("  ")[0] for line in lines if "/6 steps" in line] == [
        f"{n}/6 steps" for n in range(1, 7)
    ]
    assert "accuracy 0.150  reward 0.400  tokens 15.0  reflective 0.30" in lines[2]
    assert [line for line in lines if line.startswith("alarm: step 3: every group")]
    assert len(lines) == 10
    assert "\x1b" not in out.file.getvalue()


def test_a_live_view_leaves_its_last_frame_on_the_screen(play: Play) -> None:
    out = terminal(80, 24)
    with watching(out) as watch:
        play(watch, steps=6)
    assert isinstance(out.file, io.StringIO)
    assert "finished" in out.file.getvalue()


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_eta_by_hand() -> None:
    """An evaluation of 6 s, then steps of 10 s: after 2 of 5 steps 3 x 10 + 6 s remain."""
    clock = Clock()
    watch = Watch(clock=clock)
    watch.on_start(RunInfo("a", Path("r"), "m", 1, "cpu", 0, 5, 1, 2, 1, 8))
    watch.on_phase(0, "evaluate")
    clock.now += 6
    watch.on_eval(0, None)  # type: ignore[arg-type]
    for step in range(2):
        watch.on_phase(step, "rollout")
        assert watch.eta is None or step
        clock.now += 10
        watch.on_step(step, {}, [])
    assert watch.eta == pytest.approx(36)
    clock.now += 4
    assert watch.eta == pytest.approx(32)
    assert watch.elapsed == pytest.approx(30)


def test_a_sparkline_by_hand() -> None:
    assert sparkline([0.0, 0.5, 1.0], 10, 0.0, 1.0) == "▁▅█"
    assert sparkline([0.0, 0.0, 1.0, 1.0], 2, 0.0, 1.0) == "▁█"
    assert sparkline([-5.0, 5.0], 10, 0.0, 1.0) == "▁█"
    assert sparkline([3.0, 3.0], 10, 0.0, 3.0) == "██"
    assert sparkline([0.0], 10, 0.0, 0.0) == "▁"
    assert sparkline([], 10, 0.0, 1.0) == ""


def test_clock_times() -> None:
    assert clock_time(5) == "0:05"
    assert clock_time(125.4) == "2:05"
    assert clock_time(3725) == "1:02:05"
