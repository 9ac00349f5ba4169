"""The attack suite as a table: what each hostile program got, as root and as an ordinary user.

    python benchmarks/attacks.py            # a table, and what was not beaten
    python benchmarks/attacks.py --json     # one JSON object

The exit code is 0 if every attack was beaten and left nothing behind.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.sandbox.attacks.as_user import obstacle, run_as_user
from tests.sandbox.attacks.runner import chosen, is_healthy, run_attack, secret_file
from tests.sandbox.attacks.traces import Watch

from ponder.sandbox.sandbox import Sandbox


def main() -> int:
    """Run the suite once or twice and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure()
    print(json.dumps(found, indent=1) if arguments.json else table(found))
    return 0 if all(not row["fault"] for run in found["runs"] for row in run["attacks"]) else 1


def measure() -> dict[str, Any]:
    """Both runs; the second says why where it cannot be had."""
    runs = [_run(_as_this_user, f"uid {os.geteuid()}")]
    why = obstacle()
    if not why:
        runs.append(_run(_as_ordinary_user, "uid 65534"))
    return {"runs": runs, "not_run": why}


def _run(attacks: Any, name: str) -> dict[str, Any]:
    start = time.perf_counter()
    rows = attacks()
    return {
        "user": name,
        "seconds": round(time.perf_counter() - start, 1),
        "total": len(rows),
        "beaten": sum(not row["fault"] for row in rows),
        "attacks": rows,
    }


def _as_this_user() -> list[dict[str, Any]]:
    with secret_file(), Sandbox(num_parallel=1) as sandbox:
        is_healthy(sandbox)
        watch = Watch()
        return [asdict(run_attack(one, sandbox, watch)) for one in chosen(is_fast=False)]


def _as_ordinary_user() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="ponder-attacks-") as folder:
        Path(folder).chmod(0o755)
        return run_as_user(Path(folder))


def table(found: dict[str, Any]) -> str:
    """A row for each attack, then the counts by family."""
    lines = []
    for run in found["runs"]:
        lines.append(f"== {run['user']}: {run['beaten']} of {run['total']} beaten, "
                     f"{run['seconds']} s")  # fmt: skip
        for row in run["attacks"]:
            end = f"NOT BEATEN: {row['fault']}" if row["fault"] else "beaten"
            statuses = ",".join(row["statuses"])
            lines.append(f"{row['family']:8}{row['name']:46.45}{statuses:30}{end}")
        families = Counter(row["family"] for row in run["attacks"])
        lines.append("   ".join(f"{name} {count}" for name, count in families.items()))
    if found["not_run"]:
        lines.append(f"not run as an ordinary user: {found['not_run']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
