"""`ponder eval`: pass@1 with its standard error, pass@k and cons@k on problems."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from ponder.cli.console import console
from ponder.cli.figures import result_rows
from ponder.cli.opened import MAX_BATCH_SIZE, OpenModel, open_model
from ponder.cli.outfile import check_can_be_file, write_json
from ponder.cli.specs import parse_problems
from ponder.config.rl import ProblemsConfig, RewardConfig, RLConfig
from ponder.errors import PonderError
from ponder.evals.evaluate import result_of
from ponder.evals.result import EvalResult
from ponder.problems.kinds import same_source
from ponder.problems.measured import heldout_problems, measured_problems
from ponder.rollout.rollout import rollout
from ponder.rollout.scorer import RuleScorer
from ponder.types import Group, Problem
from ponder.verify.verifier_pool import VerifierPool


def run(arguments: Namespace) -> int:
    """Sample, verify, print, and write the JSON if one was asked for."""
    if arguments.json is not None:
        check_can_be_file("--json", arguments.json)
    config = parse_problems(arguments.problems)
    opened = open_model(arguments)
    problems, which = choose_problems(config, opened.run_config, arguments.num_problems)
    out = console()
    with VerifierPool() as pool:
        warnings = pool.prepare(problems, arguments.unsafe)
        result = measure(opened, problems, arguments.k, arguments.seed, out, pool)
    title = f"{arguments.model} on {len(problems)} {which}, {arguments.k} samples each"
    out.print(Text(title, style="bold"), soft_wrap=True)
    out.print(_table(result))
    for warning in warnings:
        out.print(Text(warning, style="bold red"), soft_wrap=True)
    if arguments.json is not None:
        told = {
            "model": arguments.model,
            "problems_spec": arguments.problems,
            "which_problems": which,
            "warnings": warnings,
            "template": opened.make_prompt.template.model_dump(mode="json"),
        }
        write_json(arguments.json, told | result.to_json())
        out.print(Text(f"written to {arguments.json}"), soft_wrap=True)
    return 0


def choose_problems(
    config: ProblemsConfig, trained: RLConfig | None, num_problems: int
) -> tuple[list[Problem], str]:
    """At most ``num_problems`` problems, and which ones they are, in words.

    Of a task, of a source with a held-out split, and of whatever the model was trained on
    (``trained``: the run's config) these are held-out problems; otherwise, and of benchmarks, all
    rows count.
    """
    seen = trained is not None and same_source(config, trained.problems)
    name = config.task or config.name or config.hub or str(config.path)
    if seen:
        problems, held_out = heldout_problems(config, num_problems), True
    else:
        problems, held_out = measured_problems(config, num_problems, all_rows=True)
    if not problems:
        raise PonderError("--problems", name, "it has no held-out problems")
    return problems, f"held-out problems of {name}" if held_out else f"problems of {name}"


def measure(
    opened: OpenModel,
    problems: Sequence[Problem],
    k: int,
    seed: int,
    out: Console,
    pool: VerifierPool,
    max_batch_size: int = MAX_BATCH_SIZE,
) -> EvalResult:
    """Sample and verify, about ``max_batch_size`` completions at a time (with the same result)."""
    sampling = opened.sampling_for(problems)
    size = max(1, max_batch_size // k)
    chunks = [problems[i : i + size] for i in range(0, len(problems), size)]
    groups: list[Group] = []
    scorer = RuleScorer(RewardConfig(), sampling.max_completion_tokens, pool)
    for chunk in track(
        chunks, "sampling", console=out, transient=True, disable=not out.is_terminal
    ):
        groups += rollout(chunk, opened.generator, scorer, opened.make_prompt, k, sampling, seed)
    return result_of(groups, k, sampling, seed)


def _table(result: EvalResult) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    for name, value in result_rows(result.figures()).items():
        table.add_row(Text(name), Text(value))
    sampling = result.sampling
    how = f"{sampling.temperature:g}, top-p {sampling.top_p:g}, seed {result.seed}"
    table.add_row(Text("temperature"), Text(how))
    return table
