"""Hugging Face datasets, from local copies."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from ponder.config.rl import ProblemsConfig
from ponder.errors import PonderError
from ponder.problems.hub import read_hub, read_saved
from ponder.problems.split import build_problems

TRAIN = datasets.Dataset.from_list([{"q": f"what is {i}?", "a": float(i)} for i in range(40)])
TEST = datasets.Dataset.from_list([{"q": f"what is {i}?", "a": float(i)} for i in range(30, 50)])


def test_saved_splits(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": TRAIN, "test": TEST}).save_to_disk(str(tmp_path / "both"))
    config = ProblemsConfig(
        path=tmp_path / "both", heldout_split="test", question_field="q", answer_field="a"
    )
    made = build_problems(config, 0)
    assert [made.train[i].answer for i in range(len(made.train))] == [str(i) for i in range(30)]
    assert made.num_overlapping == 10
    assert len(made.heldout) == 20
    assert made.train[0].id == "both/train:1"


def test_a_saved_dataset_without_splits_is_train(tmp_path: Path) -> None:
    TRAIN.save_to_disk(str(tmp_path / "one"))
    assert len(list(read_saved(tmp_path / "one", "train"))) == 40
    with pytest.raises(PonderError, match="has the splits train"):
        list(read_saved(tmp_path / "one", "test"))


def test_the_hub_reader_reads_a_folder_of_jsonl(tmp_path: Path) -> None:
    """The datasets library takes a local folder for a hub id."""
    TRAIN.to_json(str(tmp_path / "train.jsonl"))
    TEST.to_json(str(tmp_path / "test.jsonl"))
    config = ProblemsConfig(
        hub=str(tmp_path), heldout_split="test", question_field="q", answer_field="a"
    )
    made = build_problems(config, 0)
    assert (len(made.train), len(made.heldout), made.num_overlapping) == (30, 20, 10)
    with pytest.raises(PonderError, match="nothere"):
        list(read_hub(str(tmp_path), None, "nothere"))


def test_a_dataset_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PonderError, match=r"problems\.hub.*give a downloaded copy") as caught:
        list(read_hub(str(tmp_path / "nowhere" / "at" / "all"), None, "train"))
    assert caught.value.field == "problems.hub"
