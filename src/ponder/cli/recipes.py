"""`ponder recipes`: the recipes that ship."""

from __future__ import annotations

from argparse import Namespace

from rich.table import Table
from rich.text import Text

from ponder.cli.console import console
from ponder.config.pipeline import load_pipeline
from ponder.config.pretrain import PretrainConfig
from ponder.config.recipes import load_recipe, pipeline_names, preset_names, recipe_names


def run(arguments: Namespace) -> int:
    """Print the table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("recipe", "model", "extends", "what it is"):
        table.add_column(column, overflow="fold", no_wrap=column == "recipe")
    for name in recipe_names():
        recipe = load_recipe(name)
        config = recipe.config
        model = "(makes one)" if isinstance(config, PretrainConfig) else config.model
        parent = recipe.lineage[-2].split()[-1] if len(recipe.lineage) > 1 else ""
        table.add_row(*map(Text, (name, model, parent, recipe.about)))
    out = console()
    out.print(table)
    out.print()
    for name in pipeline_names():
        out.print(Text(f"Pipeline {name}: {load_pipeline(name).about}"))
    out.print(f"Presets that a recipe may extend: {', '.join(preset_names())}.")
    out.print("All knobs of one: ponder train RECIPE --explain. Your own: ponder train FILE.toml")
    return 0
