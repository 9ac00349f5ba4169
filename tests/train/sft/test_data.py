"""Files become samples: templates, end tokens, limits, held-out prompts, and files that are bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from ponder.config.sft import SFTConfig
from ponder.errors import PonderError
from ponder.models.tiny import byte_level_tokenizer
from ponder.rollout.prompts import PromptMaker
from ponder.train.sft.data import SampleReader, split_heldout
from ponder.train.sft.store import Samples
from ponder.types import Problem

TOKENIZER = byte_level_tokenizer()
END = TOKENIZER.eos_token_id


def reader(max_tokens: int = 1000, tokenizer: Any = TOKENIZER, **settings: Any) -> SampleReader:
    return SampleReader(SFTConfig.model_validate(settings), tokenizer, max_tokens)


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_prompt_is_taken_as_it_is_and_a_question_gets_the_template(tmp_path: Path) -> None:
    rows = (
        {"prompt": "Two and two?", "completion": " Four."},
        {"question": "Two and two?", "completion": " Four."},
        {"prompt": "P", "question": "Q", "completion": "C", "id": "a", "domain": "math"},
    )
    read = reader(template={"name": "r1_zero"})
    samples = read.read(write(tmp_path / "a.jsonl", *rows), "data.path", tmp_path / "s").samples
    assert len(samples) == 3
    assert TOKENIZER.decode(samples[0].prompt_ids) == "Two and two?"
    assert samples[0].completion_ids == [*TOKENIZER.encode(" Four."), END]
    prompt = PromptMaker(read.config.template, TOKENIZER)(Problem("x", "Two and two?", ""))
    assert samples[1].prompt_ids == list(prompt.token_ids)
    assert samples[1].completion_ids == samples[0].completion_ids
    assert TOKENIZER.decode(samples[2].prompt_ids) == "P"
    assert samples.lengths.tolist() == [samples[i].num_tokens for i in range(3)]


def test_an_end_token_that_is_there_is_not_doubled(tmp_path: Path) -> None:
    row = {"prompt": "a", "completion": f"b{TOKENIZER.eos_token}"}
    samples = reader().read(write(tmp_path / "a.jsonl", row), "data.path", tmp_path / "s").samples
    assert samples[0].completion_ids == [*TOKENIZER.encode("b"), END]


def test_chat_prompts_bring_their_special_tokens(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
    )
    row = {"question": "Hi", "completion": "Yo"}
    same = {"prompt": "<|user|>Hi<|assistant|>", "completion": "Yo"}
    chat = reader(tokenizer=tokenizer, template={"name": "chat"})
    samples = chat.read(write(tmp_path / "a.jsonl", row, same), "data.path", tmp_path / "s").samples
    assert samples[0] == samples[1]
    assert tokenizer.decode(samples[0].prompt_ids) == "<|user|>Hi<|assistant|>"


class Beginning:
    """A tokenizer that puts a begin token before every text, as Llama's does."""

    bos_token_id, eos_token, eos_token_id = 300, TOKENIZER.eos_token, END

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ids = [300] if text.startswith("<bos>") else []
        ids += TOKENIZER.encode(text.removeprefix("<bos>"))
        return [300, *ids] if add_special_tokens else ids

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [self.encode(text, add_special_tokens) for text in texts]}


def test_one_begin_token_before_a_prompt_and_none_before_a_completion(tmp_path: Path) -> None:
    rows = ({"prompt": text, "completion": "c"} for text in ("p", "<bos>p"))
    read = reader(tokenizer=Beginning())
    samples = read.read(write(tmp_path / "a.jsonl", *rows), "data.path", tmp_path / "s").samples
    assert samples[0].prompt_ids == samples[1].prompt_ids == [300, *TOKENIZER.encode("p")]
    assert samples[0].completion_ids == [*TOKENIZER.encode("c"), END]


def test_too_long_is_dropped_or_cut_and_counted(tmp_path: Path) -> None:
    rows = ({"prompt": "ab", "completion": "x" * n} for n in (3, 7, 8))  # 2 + n + 1 tokens
    path = write(tmp_path / "a.jsonl", *rows, {"prompt": "p" * 10, "completion": "x"})
    dropped = reader(10).read(path, "data.path", tmp_path / "s")
    assert [len(dropped.samples), dropped.num_dropped, dropped.num_truncated] == [2, 2, 0]
    assert dropped.samples.lengths.tolist() == [6, 10]
    note = "2 of 4 samples of a.jsonl are left out (longer than 10 tokens)"
    assert dropped.notes(Path("a.jsonl"), 10) == [note]
    cut = reader(10, data={"too_long": "truncate"}).read(path, "data.path", tmp_path / "s")
    assert [len(cut.samples), cut.num_dropped, cut.num_truncated] == [3, 1, 1]
    assert cut.samples[2].completion_ids == TOKENIZER.encode("x" * 8)
    with pytest.raises(PonderError, match=r"data.max_tokens = 3: all 4 samples of .* are longer"):
        reader(3).read(path, "data.path", tmp_path / "s")


def test_compressed_files_and_many_rows(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(700)]
    plain = write(tmp_path / "a.jsonl", *rows)
    packed = tmp_path / "a.jsonl.zst"
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    ours = reader().read(plain, "data.path", tmp_path / "s").samples
    theirs = reader().read(packed, "data.path", tmp_path / "s").samples
    assert ours.fingerprint() == theirs.fingerprint()
    assert TOKENIZER.decode(ours[699].completion_ids[:-1]) == "c699"
    assert ours.take(np.array([1, 0])).fingerprint() != ours.take(np.array([0, 1])).fingerprint()


class Forbidden:
    """A tokenizer that must not be asked."""

    def __getattr__(self, name: str) -> Any:
        if name == "eos_token_id":
            return END
        raise LookupError(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise LookupError("called")


def test_a_second_reading_of_the_same_file_takes_what_is_there(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": "c" * n} for n in range(1, 30)]
    path, folder = write(tmp_path / "a.jsonl", *rows), tmp_path / "s"
    first = reader(20).read(path, "data.path", folder)
    again = reader(20, Forbidden()).read(path, "data.path", folder)
    assert again.samples.fingerprint() == first.samples.fingerprint()
    assert again[1:] == first[1:] == (first.num_dropped, 0)
    assert first.num_dropped > 0
    other = reader(21).read(path, "data.path", folder)  # another limit
    assert len(other.samples) == len(first.samples) + 1
    assert first.samples[0] == other.samples[0]  # what was open stays whole
    (folder / "meta.json").unlink()  # killed while it was written
    with pytest.raises(LookupError):
        reader(21, Forbidden()).read(path, "data.path", folder)
    reader(21).read(path, "data.path", folder)
    write(path, *rows[:-20], {"prompt": "q", "completion": "c"})
    with pytest.raises(LookupError):
        reader(21, Forbidden()).read(path, "data.path", folder)


def test_held_out_prompts_are_not_trained_on(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n % 20}", "completion": f"c{n}"} for n in range(60)]
    samples = reader().read(write(tmp_path / "a.jsonl", *rows), "data.path", tmp_path / "s").samples
    train, heldout = split_heldout(samples, 10, seed=0)
    assert heldout is not None
    assert (len(train), len(heldout)) == (48, 12)
    assert not prompts(train) & prompts(heldout)
    assert prompts(train) | prompts(heldout) == prompts(samples)
    other = split_heldout(samples, 10, seed=1)[1]
    assert other is not None
    assert prompts(other) != prompts(heldout)
    assert split_heldout(samples, 0, seed=0) == (samples, None)
    with pytest.raises(PonderError, match=r"there are only 60 samples \(20 prompts\)"):
        split_heldout(samples, 60, seed=0)


def prompts(samples: Samples) -> set[tuple[int, ...]]:
    return {tuple(samples[i].prompt_ids) for i in range(len(samples))}


GOOD = '{"prompt": "p", "completion": "c"}'
BAD = {
    '{"prompt": "p"': r"a.jsonl:2 = .*: this line is not JSON \(.*\); mend or remove it",
    "[1]": r"a.jsonl:2 = \[1\]: each line must be an object",
    '{"completion": "c", "id": "7"}': (
        r"a.jsonl:2: prompt = None: this line has no field .prompt. \(or .question.\) \(it has "
        r"completion, id\); add it"
    ),
    '{"question": "q"}': r"a.jsonl:2: completion = None: this line has no field .completion.",
    '{"prompt": "p", "completion": ""}': r"a.jsonl:2: completion = '': is empty",
    '{"prompt": "p", "completion": " \\n"}': r"a.jsonl:2: completion = .*: is empty",
    '{"prompt": "", "completion": "c"}': r"a.jsonl:2: prompt = '': is empty",
    '{"prompt": "p", "completion": 4}': r"a.jsonl:2: completion = 4: must be a text",
    '{"prompt": "p", "completion": "\\ud800"}': r"a.jsonl:2: completion = .*: is no valid Unicode",
}


@pytest.mark.parametrize("line", BAD)
def test_what_is_wrong_with_a_line(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, line, GOOD)
    with pytest.raises(PonderError, match=BAD[line]):
        reader().read(path, "data.path", tmp_path / "s")


def test_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    def says(path: Path, message: str) -> None:
        with pytest.raises(PonderError, match=message) as error:
            reader().read(path, "data.path", tmp_path / "s")
        assert path.name in str(error.value)

    says(tmp_path / "no.jsonl", "^data.path = .*: there is no such file")
    says(write(tmp_path / "a.csv", "x"), "^data.path = .*: the name must end in .jsonl or")
    says(write(tmp_path / "empty.jsonl", ""), "^data.path = .*: the file has no rows")
    write(tmp_path / "b.jsonl.part", GOOD)
    says(tmp_path / "b.jsonl", "half-written")
    says(tmp_path / "b.jsonl.part", "^data.path")
    (tmp_path / "cut.jsonl").write_text(f"{GOOD}\n{GOOD[:20]}")
    says(tmp_path / "cut.jsonl", r"cut.jsonl:2 = .*: the file ends inside this line")
    (tmp_path / "whole.jsonl").write_text(f"{GOOD}\n{GOOD}")
    assert len(reader().read(tmp_path / "whole.jsonl", "data.path", tmp_path / "s").samples) == 2
    packed = zstandard.compress(f"{GOOD}\n".encode() * 500)
    (tmp_path / "cut.jsonl.zst").write_bytes(packed[:-5])
    says(tmp_path / "cut.jsonl.zst", "^data.path = .*the file ends in the middle")
    (tmp_path / "torn.jsonl.zst").write_bytes(b"not zstd at all")
    says(tmp_path / "torn.jsonl.zst", "^data.path = .*damaged")
