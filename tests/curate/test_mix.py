"""Mixtures: counts, weights, order, repeats; and the data card of what came out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from ponder.config.curate import MixConfig, MixPartConfig
from ponder.curate import mix as mixing
from ponder.curate.card import make_card, write_card
from ponder.curate.mix import mix
from ponder.curate.rows import Row, RowWriter, read_rows
from ponder.errors import PonderError


def write(path: Path, domain: str, count: int, words: int = 3) -> Path:
    with RowWriter(path) as writer:
        for number in range(count):
            question = "问题是什么" if number % 4 == 0 else "what is it"
            row = Row(f"{domain}{number}", question, "w " * words, domain, f"made {domain}")
            writer.write(row)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "m.jsonl", "math", 300), write(tmp_path / "g.jsonl.zst", "general", 100)


def taken(path: Path) -> Counter[str]:
    return Counter(row.domain for row in read_rows(path))


def config(files: tuple[Path, Path], **fields: object) -> MixConfig:
    parts = [{"path": path} | part for path, part in zip(files, fields.pop("parts"), strict=True)]  # type: ignore[call-overload]
    return MixConfig.model_validate({"parts": parts} | fields)


def test_counts_and_weights(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    summary = mix(config(files, parts=[{}, {"count": 30}]), out)
    assert summary.taken == [300, 30]
    assert taken(out) == {"math": 300, "general": 30}
    mix(config(files, parts=[{"weight": 3.0}, {"weight": 1.0}], total=103), out)
    assert taken(out) == {"math": 77, "general": 26}
    assert len({row.id for row in read_rows(out)}) == 103
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "g.jsonl.zst",
        "m.jsonl",
        "out.jsonl",
    ]


def test_the_seed_decides_and_the_order_is_mixed(files: tuple[Path, Path], tmp_path: Path) -> None:
    parts = [{"count": 100}, {}]
    names = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{number}.jsonl"
        mix(config(files, parts=parts, seed=seed), out)
        names.append([row.id for row in read_rows(out)])
    assert names[0] == names[1] != names[2]
    first_half = Counter(name.rstrip("0123456789") for name in names[0][:100])
    assert 30 <= first_half["math"] <= 70
    picked = [int(name[4:]) for name in names[0] if name.startswith("math")]
    assert picked != sorted(picked)
    assert 110 < sum(picked) / len(picked) < 190


def test_many_buckets_lose_nothing(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "_BUCKET_BYTES", 2000)
    mix(config(files, parts=[{}, {}]), tmp_path / "out.jsonl")
    found = [row.id for row in read_rows(tmp_path / "out.jsonl")]
    assert sorted(found) == sorted(row.id for path in files for row in read_rows(path))


def test_repeats_are_even_and_asked_for(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(PonderError, match=r"g\.jsonl\.zst has only 100 rows.*allow_repeats"):
        mix(config(files, parts=[{}, {"count": 250}]), out)
    mix(config(files, parts=[{"count": 0}, {"count": 250}], allow_repeats=True), out)
    rows = list(read_rows(out))
    assert len({row.id for row in rows}) == 250
    copies = Counter(row.id.partition("#")[0] for row in rows)
    assert Counter(copies.values()) == {2: 50, 3: 50}


def test_wrong_configs() -> None:
    part = MixPartConfig(path=Path("a.jsonl"), weight=1.0)
    with pytest.raises(PonderError, match=r"mix\.total"):
        MixConfig(parts=[part])
    with pytest.raises(PonderError, match=r"mix\.total"):
        MixConfig(parts=[MixPartConfig(path=Path("a.jsonl"))], total=5)
    with pytest.raises(PonderError, match="not both"):
        MixConfig(parts=[part.model_copy(update={"count": 3})], total=5)


def test_a_card_counts_by_domain(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    longer = write(tmp_path / "l.jsonl", "math", 100, words=13)
    mix(MixConfig(parts=[MixPartConfig(path=path) for path in (*files, longer)]), out)

    def count(texts: object) -> list[int]:
        return [len(text.split()) for text in texts]  # type: ignore[attr-defined]

    card = make_card(out, count, num_read=900, dropped={"loop": 400}, notes={"seed": 3})
    assert (card.total.rows, card.domains["math"].rows, card.domains["general"].rows) == (
        500,
        400,
        100,
    )
    assert card.domains["math"].mean_completion_tokens == pytest.approx((300 * 3 + 100 * 13) / 400)
    assert card.domains["general"].mean_tokens == pytest.approx(3 + 0.25 * 1 + 0.75 * 3)
    assert card.total.max_tokens == 16
    assert card.total.total_tokens == round(500 * (card.total.mean_tokens or 0))
    assert card.languages == {"en": 375, "zh": 125}
    assert card.sources == {"made math": 400, "made general": 100}
    write_card(card, out)
    read = json.loads((tmp_path / "out.jsonl.card.json").read_text())
    assert read["domains"]["math"]["rows"] == 400
    page = (tmp_path / "out.jsonl.card.md").read_text()
    assert "| math | 400 | 1.0 | 8.0 |" in page
    assert "| **Total** | 500 |" in page
    assert "Of 900 rows 500 were kept." in page
    assert "| loop | 400 |" in page
    assert make_card(out).total.mean_tokens is None
