"""The arguments of every command. Nothing heavy is imported to read them."""

from __future__ import annotations

import argparse
import re
import textwrap
from itertools import groupby
from pathlib import Path

from ponder import __version__

_TRAIN = """\
Train a model as a recipe says: RL, or pretraining of the bundled base model.

RECIPE is a name that `ponder recipes` lists or a path to a .toml file. Any knob can be set after
it, e.g. `ponder train zero-tiny seed=1 problems.task=gcd out=runs/gcd`; `--explain` prints all.
Ctrl-C finishes the step and writes a checkpoint; Ctrl-C again quits at once."""

_DISTIL = """\
Distil TEACHER into STUDENT: two models as `ponder eval` names them (a run's folder, say).

method=off_policy (the paper's) samples the teacher, keeps right and readable answers and fine-tunes
the student on them; method=on_policy lets the student write and brings it nearer to the teacher's
probabilities, token by token (one tokenizer for both). Problems are those of --recipe, or
    ponder distil runs/zero-1 base-tiny problems.task=products collect.num_problems=500
It ends with a table: the student before and after, the teacher. Ctrl-C stops where nothing is lost
(--resume RUN goes on); Ctrl-C again quits at once, which loses little."""

_PLAN = """\
Predict the memory and time of a step, and the sizes that a run would choose; nothing is run.

RECIPE and settings are those of `ponder train`. Without --gpu the plan is for this machine's GPU;
where there is none, for an H100 if the recipe asks for CUDA, else for this machine's CPU. A run
that cannot fit is refused with the setting that would mend it (exit code 2), as `train` does."""

_PIPELINE = """\
Run the stages of R1 as one graph, each resumable, each done once.

    ponder pipeline run RECIPE            what is done is skipped, what changed is done again
    ponder pipeline run RUN               go on with an interrupted pipeline
    ponder pipeline status RUN            where every stage stands, and why it would run
    ponder pipeline report RUN            write RUN/report.html: tables, charts, the graph
    ponder pipeline compare RUN RUN ...   means and errors over runs of several seeds"""

_PIPELINE_RUN = """\
Run every stage of a pipeline that is not done.

RECIPE is a name, a .toml file of kind "pipeline", or the folder RUN of a pipeline to go on with.
Settings after it are STAGE.key.sub=value, or common.key=value for every stage that has such a key.
A stage is done anew if its settings, its inputs, a file that it reads or its code changed, with all
that follow it; the old outputs are kept until --prune. Ctrl-C finishes the step and writes a
checkpoint; Ctrl-C again quits at once. Either way the next run goes on inside the stage."""

_PIPELINE_COMPARE = """\
The stage table of several runs of one pipeline with other seeds: means over the runs, and the
standard error of those means.

    ponder pipeline compare runs/a runs/b runs/c --difference R1 Zero"""

_PIPELINE_STATUS = """\
Where every stage of a pipeline stands, and why it would run. Changes nothing."""

_EVAL = """\
Sample K completions for each problem and verify them: pass@1, pass@k and cons@k.

MODEL is a bundled model (base-tiny, base-bilingual), a folder, a run folder (its last checkpoint)
or a hub id.
SPEC is a reasoning-gym task, with settings if need be (chain_sum:min_terms=3,max_terms=4), a
.jsonl, .csv or .parquet file, hub:ID, or a name: gsm8k, math, math500, aime25, amc23, svamp, cmath,
aqua, mmlu_stem, knights_knaves, mbpp, humaneval, from the hub or a copy (math500:path=FOLDER)."""

_AUDIT = """\
Verify every reference answer of a problem source against itself, and that nonsense earns nothing.

DATASET is what `ponder eval --problems` takes: a named source (math500, or math500:path=FOLDER), a
.jsonl, .csv or .parquet file (with a verifier: data.jsonl:verifier=math), hub:ID or a
reasoning-gym task. Exit code 1 if anything failed."""

_CHAT = """\
Talk to a model. Each line is a question of its own; end with Ctrl-D. Reads a pipe, too:
    echo "Calculate 3 + 4 - 5." | ponder chat runs/zero-tiny-20260101-120000"""

_JUDGE = """\
Run a program against its tests inside the sandbox; what they expect never enters the program.

TESTS has one JSON object a line: {"stdin": "1 2", "stdout": "3"}, {"call": "f", "args": [1, 2],
"expected": 3} or {"assert": "assert f(1, 2) == 3"}. The exit code is 0 whatever the verdict."""

_GRADE = """\
A verdict for every line of a file: {"gold": ..., "completion": ...} in, the same line with
`verdict`, `answer`, `reason` and `milliseconds` out, in order, none missing. A line that cannot
be judged has the verdict "error" and the reason. Other fields go to the verifier as metadata."""

_SANDBOX = """\
Say what this machine has to isolate the programs that models write, and what is missing.
With --doctor, also run programs that try to break out. Exit code 0 only if all are blocked."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Where the terminal is narrow, paragraphs are filled anew; indented lines stay lines."""
        lines: list[str] = []
        for is_alone, some in groupby(text.splitlines(), lambda line: line[:1] in ("", " ")):
            for line in some if is_alone else [" ".join(some)]:
                head = re.match(r" +\S.*?  +| *", line)
                hanging = " " * (len(head[0]) if head else 0)
                lines += textwrap.wrap(line, width, subsequent_indent=hanging) or [""]
        return "\n".join(indent + line for line in lines)


def build_parser() -> argparse.ArgumentParser:
    """The parser; each command puts the module that runs it under ``command``."""
    parser = argparse.ArgumentParser(
        prog="ponder",
        description="Reasoning by reinforcement learning on answers that can be checked.",
        epilog="Start with: ponder train zero-tiny",
    )
    parser.add_argument("--version", action="version", version=f"ponder {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train(_command(commands, "train", "train a model as a recipe says", _TRAIN))
    _add_distil(_command(commands, "distil", "teach a model what another can", _DISTIL))
    _add_plan(_command(commands, "plan", "predict memory and time of a step", _PLAN))
    _command(commands, "recipes", "list the recipes", "List the recipes that ship with Ponder.")
    _add_pipeline(_command(commands, "pipeline", "run the stages of R1", _PIPELINE))
    _add_eval(_command(commands, "eval", "measure a model on problems", _EVAL))
    _add_audit(_command(commands, "audit", "verify a data set's references", _AUDIT))
    _add_chat(_command(commands, "chat", "talk to a model", _CHAT))
    _add_judge(_command(commands, "judge", "put a program to its tests", _JUDGE))
    _add_grade(_command(commands, "grade", "judge the completions in a file", _GRADE))
    _add_report(_command(commands, "report", "write a run's report", "Write RUN/report.html."))
    _add_doctor(_command(commands, "doctor", "say what this machine can do", "Look around."))
    _add_sandbox(_command(commands, "sandbox", "say how safely programs can run", _SANDBOX))
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    short: str,
    description: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=short, description=description, formatter_class=_Formatter
    )
    parser.set_defaults(command=f"ponder.cli.{name}", overrides=None)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="a name or a .toml file")
    parser.add_argument("overrides", metavar="key.sub=value", nargs="*", help="settings on top")
    parser.set_defaults(overrides=[])
    parser.add_argument("--resume", metavar="RUN", type=Path, help="go on with an interrupted run")
    parser.add_argument(
        "--explain", action="store_true", help="print every knob and where it came from; do not run"
    )


def _add_distil(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("teacher", metavar="TEACHER", nargs="?", help="who is learnt from")
    parser.add_argument("student", metavar="STUDENT", nargs="?", help="who learns")
    parser.add_argument("overrides", metavar="key.sub=value", nargs="*", help="settings on top")
    parser.set_defaults(overrides=[])
    parser.add_argument(
        "--recipe", default="distil", metavar="RECIPE", help='of kind "distil" (default: distil)'
    )
    parser.add_argument(
        "--out", metavar="RUN", type=Path, help="the folder (default: runs/NAME-TIME)"
    )
    parser.add_argument("--resume", metavar="RUN", type=Path, help="go on with an interrupted run")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what it would take; do not run"
    )
    parser.add_argument(
        "--explain", action="store_true", help="print every knob and where it came from; do not run"
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="a name or a .toml file")
    parser.add_argument("overrides", metavar="key.sub=value", nargs="*", help="settings on top")
    parser.set_defaults(overrides=[])
    parser.add_argument("--gpu", metavar="NAME", help="h100, h200, a100, l40s, rtx4090, ...")
    parser.add_argument(
        "--prompt-tokens", type=_count, metavar="N", help="length of a prompt (default 256)"
    )
    parser.add_argument(
        "--mean-tokens", type=_count, metavar="N", help="mean of a completion (default: the limit)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the plan here")
    parser.add_argument(
        "--no-measure", action="store_true", help="on a CPU: no time, no seconds of measuring"
    )


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    run = actions.add_parser(
        "run",
        help="run what is not done",
        description=_PIPELINE_RUN,
        formatter_class=_Formatter,
    )
    run.add_argument("recipe", metavar="RECIPE", help="a name, a .toml file, or a folder RUN")
    run.add_argument("overrides", metavar="STAGE.key=value", nargs="*", help="settings on top")
    run.set_defaults(overrides=[])
    run.add_argument("--out", metavar="RUN", type=Path, help="the folder (default: runs/NAME-TIME)")
    run.add_argument(
        "--from", metavar="STAGE", dest="start", help="do STAGE and all that follow it again"
    )
    run.add_argument("--only", metavar="STAGE", help="this stage alone; its inputs must be done")
    run.add_argument("--yes", action="store_true", help="never wait for a person")
    run.add_argument(
        "--dry-run", action="store_true", help="print every stage and what it takes; do not run"
    )
    run.add_argument(
        "--no-measure", action="store_true", help="--dry-run on a CPU: no seconds of measuring"
    )
    run.add_argument("--prune", action="store_true", help="at the end delete outdated outputs")
    run.add_argument(
        "--any-code", action="store_true", help="what older code made counts as done as it is"
    )
    status = actions.add_parser(
        "status",
        help="say where every stage stands",
        description=_PIPELINE_STATUS,
        formatter_class=_Formatter,
    )
    status.add_argument("recipe", metavar="RUN", help="a pipeline's folder")
    status.add_argument("--any-code", action="store_true", help="as for run")
    report = actions.add_parser(
        "report",
        help="write its report",
        description="Write RUN/report.html from the folder as it is now, as `run` does at its end.",
        formatter_class=_Formatter,
    )
    report.add_argument("recipe", metavar="RUN", help="a pipeline's folder")
    compare = actions.add_parser(
        "compare",
        help="mean over several runs",
        description=_PIPELINE_COMPARE,
        formatter_class=_Formatter,
    )
    compare.set_defaults(command="ponder.cli.compare")
    compare.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="pipelines' folders")
    compare.add_argument(
        "--difference",
        nargs=2,
        action="append",
        default=[],
        metavar=("COLUMN", "COLUMN"),
        help="also the first minus the second, each run against itself (again for more)",
    )
    compare.add_argument("--markdown", action="store_true", help="print tables for a document")
    compare.add_argument("--json", type=Path, metavar="PATH", help="also write every figure here")


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--problems", metavar="SPEC", required=True)
    parser.add_argument("--k", type=_count, default=4, help="samples per problem (default 4)")
    parser.add_argument("--num-problems", type=_count, default=128, metavar="N", help="default 128")
    _add_sampling(parser)
    parser.add_argument(
        "--unsafe", action="store_true", help="run programs even where they cannot be isolated"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the result here")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET")
    parser.add_argument(
        "--num", type=_count, metavar="N", help="first N problems (default: all; of a task 500)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the result here")


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    _add_sampling(parser)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temperature", type=float, default=0.6, help="default 0.6; 0 is greedy")
    parser.add_argument("--top-p", type=float, default=0.95, help="default 0.95; 1 is off")
    parser.add_argument(
        "--max-completion-tokens", type=_count, metavar="N", help="default: the run's own, or 1024"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--template",
        choices=("r1_zero", "chat", "plain"),
        help="default: the run's own; else chat if the model has one (bundled: r1_zero)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--program", metavar="FILE", type=Path, required=True)
    parser.add_argument("--tests", metavar="TESTS", type=Path, required=True)
    parser.add_argument(
        "--time-seconds", metavar="S", type=float, default=2.0, help="per test, default 2"
    )
    parser.add_argument(
        "--memory-mb", metavar="MIB", type=_count, default=256, help="per test, default 256"
    )
    parser.add_argument("--language", choices=("python", "cpp"), default="python")
    parser.add_argument(
        "--unsafe", action="store_true", help="run even where this machine cannot isolate it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_grade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind", metavar="VERIFIER", required=True, help="which verifier judges, e.g. math"
    )
    parser.add_argument(
        "--in", dest="input", metavar="FILE", required=True, help="JSON lines; - is standard input"
    )
    parser.add_argument(
        "--out", dest="output", metavar="FILE", required=True, help="- is standard output"
    )
    parser.add_argument("--workers", type=_count, metavar="N", help="default: one per core")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--doctor", action="store_true", help="try to break out")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value
