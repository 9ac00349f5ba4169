"""A million synthetic rows through filters, duplicates and decontamination: rows a second, memory.

Rows are like what R1-Zero writes for school mathematics: a question, a thought of many short lines
with words and numbers, an answer; lengths are lognormal. Of them 5 % repeat an earlier row exactly,
1 % nearly (two words changed), 1 % hold ten words or more of an evaluation set, 1 % each lack a
tag, end in a loop or mix languages. What was planted is held against what was dropped.

Run: `python benchmarks/curate.py --out curate.json` (about six minutes on 2 cores, half of them to
make the rows; 2 GB of disk).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import psutil
from machine import machine_facts

from ponder.config.curate import CurateConfig
from ponder.curate.curate import curate
from ponder.curate.evaluation import EvaluationText
from ponder.curate.rows import Row, RowWriter
from ponder.curate.state import hits_path, summary_path

ROWS = "rows.jsonl.zst"
SHARES = {
    "duplicate": 0.05,
    "near duplicate": 0.01,
    "contaminated": 0.01,
    "format": 0.01,
    "loop": 0.01,
    "mixed languages": 0.01,
}
_TEXT = """
the of and to we so is that first then number total each find add subtract multiply divide
wait check because answer equals half twice remaining apples dollars hours per cost let x y
this gives next therefore but again verify now have need know problem says left over sum
"""
WORDS = _TEXT.split()
CHINESE = "所以我们先求出总数然后再除以二得到答案检查一下"


class Corpus:
    """Rows of known kinds; the source of a repeated row is among the last few thousand."""

    def __init__(self, num_rows: int, mean_words: float, seed: int) -> None:
        self.num_rows, self.mean_words = num_rows, mean_words
        self.chance = random.Random(seed)
        self.words = [*WORDS, *(f"{self._name()}" for _ in range(3000))]
        self.secrets = [" ".join(self._words(60)) for _ in range(2000)]
        self.planted: Counter[str] = Counter()

    def evaluation(self) -> list[EvaluationText]:
        return [EvaluationText("planted", str(n), text) for n, text in enumerate(self.secrets)]

    def write(self, path: Path) -> int:
        """Bytes of text written."""
        recent: deque[Row] = deque(maxlen=5000)
        size = 0
        with RowWriter(path) as writer:
            for number in range(self.num_rows):
                row = self._row(f"row-{number}", recent)
                size += len(row.prompt) + len(row.completion)
                writer.write(row)
        return size

    def _row(self, name: str, recent: deque[Row]) -> Row:
        kinds, weights = [*SHARES, ""], [*SHARES.values(), 1 - sum(SHARES.values())]
        kind = self.chance.choices(kinds, weights)[0] if len(recent) > 10 else ""
        if kind:
            self.planted[kind] += 1
        if "duplicate" in kind:
            old = recent[self.chance.randrange(len(recent))]
            text = old.completion if kind == "duplicate" else self._changed(old.completion)
            return Row(name, old.prompt, text, old.domain, old.source, old.metadata)
        question = " ".join(self._words(self.chance.randint(15, 60))) + "?"
        row = Row(
            name,
            f"<|User|>{question}<|Assistant|>",
            self._completion(kind),
            self.chance.choice(("math", "code", "stem", "logic")),
            "benchmark",
            {"question": question, "problem_id": name},
        )
        if not kind:
            recent.append(row)
        return row

    def _completion(self, kind: str) -> str:
        num_words = max(20, int(self.chance.lognormvariate(0, 0.7) / 1.28 * self.mean_words))
        words = self._words(num_words)
        lines = [" ".join(words[i : i + 14]) for i in range(0, len(words), 14)]
        if kind == "contaminated":
            secret = self.chance.choice(self.secrets).split()
            start = self.chance.randrange(40)
            lines.insert(len(lines) // 2, " ".join(secret[start : start + 12]))
        if kind == "mixed languages":
            lines.append(CHINESE * (1 + num_words // 40))
        thought = ".\n".join(lines)
        if kind == "loop":
            return f"<think>\n{thought}\n</think>\n" + "so the answer is 7 " * 40
        if kind == "format":
            return f"<think>\n{thought}"
        return f"<think>\n{thought}\n</think>\nThe answer is {self.chance.randint(0, 9999)}."

    def _changed(self, text: str) -> str:
        lines = text.split("\n")
        place = len(lines) // 2 if len(lines) > 4 else 1
        lines[place] = f"{lines[place]} {self._name()}"
        return "\n".join(lines)

    def _words(self, count: int) -> list[str]:
        """Of the vocabulary, with every sixth a number."""
        words = self.chance.choices(self.words, k=count)
        for place in range(0, count, 6):
            words[place] = str(self.chance.randrange(10_000))
        return words

    def _name(self) -> str:
        return "".join(self.chance.choices("abcdefghiklmnoprstuvw", k=self.chance.randint(3, 9)))


class TreeMemory(threading.Thread):
    """Most MiB that this process and its children had at once: resident, and not shared (PSS)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_rss = self.peak_pss = self.peak_own = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(1.0):
            own = psutil.Process()
            infos = [info for one in [own, *own.children(True)] if (info := _memory(one))]
            self.peak_own = max(self.peak_own, own.memory_info().rss / 2**20)
            self.peak_rss = max(self.peak_rss, sum(info.rss for info in infos) / 2**20)
            self.peak_pss = max(self.peak_pss, sum(info.pss for info in infos) / 2**20)

    def end(self) -> dict[str, float]:
        self._ended.set()
        self.join()
        return {
            "peak_mib": round(self.peak_rss, 1),
            "peak_pss_mib": round(self.peak_pss, 1),
            "peak_mib_of_the_main_process": round(self.peak_own, 1),
        }


def _memory(process: psutil.Process) -> Any:
    try:
        return process.memory_full_info()
    except psutil.Error:
        return None


def make_corpus(arguments: argparse.Namespace, folder: Path) -> tuple[Corpus, dict[str, Any]]:
    """The rows in ``folder``, made if they are not there; and what is known of them."""
    corpus = Corpus(arguments.rows, arguments.mean_words, arguments.seed)
    facts = {"rows": arguments.rows, "mean_words": arguments.mean_words, "seed": arguments.seed}
    path = folder / "corpus.json"
    if path.exists() and facts.items() <= (known := json.loads(path.read_text())).items():
        return corpus, known
    began = time.perf_counter()
    known = facts | {"bytes": corpus.write(folder / ROWS), "planted": corpus.planted}
    path.write_text(json.dumps(known))
    print(f"{arguments.rows:,} rows made in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return corpus, known


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One pass over one corpus."""
    corpus, known = make_corpus(arguments, folder)
    if arguments.only_make:
        return known
    out = folder / f"out-{os.getpid()}.jsonl.zst"
    memory = TreeMemory()
    memory.start()
    began = time.perf_counter()
    config = CurateConfig(workers=arguments.workers)
    summary = curate([folder / ROWS], out, config, corpus.evaluation())
    seconds = time.perf_counter() - began
    for path in (out, summary_path(out), hits_path(out)):
        path.unlink()
    return {
        "rows": arguments.rows,
        "text_mib": round(known["bytes"] / 2**20, 1),
        "mean_characters": round(known["bytes"] / arguments.rows),
        "workers": arguments.workers or os.cpu_count(),
        "seconds": round(seconds, 1),
        "rows_per_second": round(arguments.rows / seconds),
        "mib_per_second": round(known["bytes"] / 2**20 / seconds, 2),
        **memory.end(),
        "planted": known["planted"],
        "dropped": summary.dropped,
        "kept": summary.num_kept,
        "evaluation": summary.evaluation,
    }


def main() -> None:
    """Print the figures, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--mean-words", type=float, default=180.0)
    parser.add_argument("--workers", type=int, default=0, help="0: one per core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", type=Path, help="where the rows are kept for the next time")
    parser.add_argument("--only-make", action="store_true", help="make the rows and no more")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = {"benchmark": "curate", **measure(arguments, folder)}
    result["machine"] = machine_facts()
    text = json.dumps(result, indent=1)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
