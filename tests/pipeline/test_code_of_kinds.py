"""A kind of stage names all modules of ours that its outputs follow from, so that none changes
unseen: those of ``pipeline/stages`` that it leads to are found by their imports."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

import ponder.pipeline.stages
import ponder.train
from ponder.pipeline.stages import KINDS

STAGES = "ponder.pipeline.stages"
FOLDER = Path(ponder.pipeline.stages.__file__).parent
NO_OUTPUTS = {"distillation_estimate", "held", "models", "sampling_estimate", "texts", "timed"}
"""What a stage will take, before it runs, and where models are."""


def imported(module: str) -> set[str]:
    """The modules beside it that one imports, wherever in the file it does."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    names = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
    }
    return {n.removeprefix(f"{STAGES}.") for n in names if n.startswith(f"{STAGES}.")} - NO_OUTPUTS


def reached(modules: Iterable[str]) -> set[str]:
    """The modules that some lead to, themselves included."""
    found: set[str] = set()
    left = list(modules)
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += imported(module)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_that_a_kind_leads_to_is_part_of_its_code(kind: str) -> None:
    code = KINDS[kind].code
    named = {name.removeprefix(f"{STAGES}.") for name in code if name.startswith(f"{STAGES}.")}
    run = KINDS[kind].run.__module__.removeprefix(f"{STAGES}.")
    assert reached([run]) == named
    assert len(set(code)) == len(code)


def trainers_reached(modules: Iterable[str]) -> set[str]:
    """Of ``ponder.train``: the folders that modules lead to; "*" is what all trainers share."""
    package = Path(ponder.train.__file__).parent
    left, found = list(modules), set()
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        path = package.parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            left += [
                name
                for name in names
                if name.startswith("ponder.train.")
                and package.parent.joinpath(*name.split(".")[1:]).with_suffix(".py").is_file()
            ]
    inside = [name.split(".")[2:] for name in found if name.startswith("ponder.train.")]
    return {parts[0] if len(parts) > 1 else "*" for parts in inside}


@pytest.mark.parametrize("kind", ["rl", "sft", "reward_model", "distil"])
def test_every_trainer_that_a_kind_leads_to_is_part_of_its_code(kind: str) -> None:
    code = KINDS[kind].code
    named = {name.split(".")[2] for name in code if name.startswith("ponder.train.")}
    steps = reached([KINDS[kind].run.__module__.removeprefix(f"{STAGES}.")])
    assert trainers_reached(f"{STAGES}.{step}" for step in steps) == named
