"""A module imports only from floors below its own: docs/map.md, held to."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ponder

PACKAGE = Path(ponder.__file__).parent
NOUNS = {"types", "errors", "seeds"}
FLOORS: list[set[str]] = [
    NOUNS | {"config", "runlog"},
    {"algo"},
    {"text", "models", "sandbox"},
    {"verify", "generate", "corpus", "plan"},
    {"problems"},  # floor 2 as well, above verify: reference answers are verified when read
    {"rollout"},
    {"evals", "report", "serve", "curate"},
    {"train"},
    {"pipeline"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield ".".join(("ponder", *parts)), path


def room(module: str) -> str:
    return module.split(".")[1]


def imported_modules(name: str, path: Path) -> Iterator[str]:
    """Absolute names of everything a module imports, wherever in the file it does."""
    package = name.removesuffix(".__init__") if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: 1 - node.level or None], *filter(None, [base])]
                )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def rooms_imported(name: str, path: Path) -> set[str]:
    found = {m.split(".")[1] for m in imported_modules(name, path) if m.startswith("ponder.")}
    return {r for r in found if not r.startswith("__")} - {room(name)}


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name, _ in modules()} <= set(FLOOR)


def test_imports_go_down() -> None:
    wrong = [
        f"{name} (floor {FLOOR[room(name)]}) imports ponder.{other} (floor {FLOOR[other]})"
        for name, path in modules()
        for other in sorted(rooms_imported(name, path))
        if other not in NOUNS and FLOOR[other] >= FLOOR[room(name)]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_nouns_import_nothing_of_ours() -> None:
    for noun in NOUNS:
        assert not rooms_imported(f"ponder.{noun}", PACKAGE / f"{noun}.py")


def test_the_reader_of_imports_sees_every_form(tmp_path: Path) -> None:
    path = tmp_path / "load.py"
    path.write_text(
        "import ponder.text.parsing\n"
        "from ponder import algo\n"
        "from ..generate import local\n"
        "from . import tiny\n"
        "def f():\n    from ponder.cli.main import main\n"
    )
    assert rooms_imported("ponder.models.load", path) == {"text", "algo", "generate", "cli"}


def test_floor_0_and_the_help_do_not_import_torch() -> None:
    """With torch made unimportable, floor 0 loads whole and the help and its recipes print."""
    floor_0 = [name for name, _ in modules() if FLOOR[room(name)] == 0]
    script = (
        "import importlib, sys\n"
        "for heavy in ('torch', 'transformers', 'reasoning_gym'): sys.modules[heavy] = None\n"
        f"for name in {floor_0!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
        "from ponder.cli.main import main\n"
        "assert main(['recipes']) == 0\n"
        "assert main(['train', 'zero-tiny', '--explain']) == 0\n"
        "main(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: ponder" in done.stdout
