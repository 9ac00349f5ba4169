"""Rows of Hugging Face datasets: by hub id, or a folder that ``save_to_disk`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from ponder.errors import PonderError
from ponder.problems.rows import Row


def is_saved_dataset(path: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote this folder."""
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def read_saved(path: Path, split: str | None, field: str = "problems.split") -> Iterator[Row]:
    """The rows of a saved dataset, None: of all splits; one without is the split "train"."""
    datasets = _library("problems.path", path)
    loaded = datasets.load_from_disk(str(path))
    splits = loaded if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    if split is None:
        return chain.from_iterable(_rows(splits[name], f"{path.name}/{name}") for name in splits)
    if split not in splits:
        raise PonderError(field, split, f"{path} has the splits {', '.join(splits)}")
    return _rows(splits[split], f"{path.name}/{split}")


def read_hub(
    hub: str, config: str | None, split: str, field: str = "problems.split"
) -> Iterator[Row]:
    """The rows of a split of a hub dataset, downloaded or from the local cache."""
    datasets = _library("problems.hub", hub)
    try:
        loaded = datasets.load_dataset(hub, config, split=split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        fix = (
            f"could not load config {config!r}, {field} {split!r} ({reason}); "
            "check the names and the network, or give a downloaded copy as problems.path"
        )
        raise PonderError("problems.hub", hub, fix) from error
    return _rows(loaded, f"{hub}/{split}")


def _library(field: str, value: object) -> Any:
    try:
        import datasets
        import datasets.exceptions
    except ImportError as error:
        fix = 'this needs the datasets library: pip install "ponder[hub]"'
        raise PonderError(field, str(value), fix) from error
    return datasets


def _rows(dataset: Any, place: str) -> Iterator[Row]:
    for number, fields in enumerate(dataset, start=1):
        yield Row(f"{place}:{number}", fields)
