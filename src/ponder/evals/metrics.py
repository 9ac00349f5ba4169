"""Numbers of an evaluation: pass@1 with its standard error, pass@k, cons@k.

Everything takes counts or short lists of one problem and is averaged over problems, so a problem
with fewer valid samples (an ``error`` verdict leaves) weighs as much as the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Chance that at least one of k samples, drawn without replacement, is correct.

    The unbiased estimator 1 - C(n - c, k) / C(n, k) of Chen et al. 2021 (arXiv 2107.03374, eq. 1).
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} of {num_correct} correct among {num_samples} is not defined")
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def cons_at_k(answers: Sequence[str | None], correct: Sequence[bool]) -> float:
    """1 if the majority answer is correct, 0 if not; a tie shares the point among the tied.

    Samples without an answer don't vote. All answers that were judged correct are one candidate,
    however they are written; the others are told apart by their text without case and spacing.
    """
    wrong = Counter(
        " ".join(answer.casefold().split())
        for answer, is_correct in zip(answers, correct, strict=True)
        if answer is not None and not is_correct
    )
    right = sum(correct)
    most_wrong = max(wrong.values(), default=0)
    if right != most_wrong or right == 0:
        return float(right > most_wrong)
    return 1.0 / (1 + sum(votes == most_wrong for votes in wrong.values()))


def mean_and_stderr(scores: Sequence[float]) -> tuple[float, float]:
    """Mean over problems and its standard error, sqrt(sum (s - mean)^2 / (n (n - 1))).

    ``scores`` holds one number per problem (its mean over samples): samples of one problem are
    not independent, so the problems are the clusters (Miller 2024, arXiv 2411.00640, section 2.2).
    The error of a single problem is unknown: nan. Raises ValueError where there is none.
    """
    n = len(scores)
    if n == 0:
        raise ValueError("no problem has a valid sample")
    mean = math.fsum(scores) / n
    if n == 1:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((s - mean) ** 2 for s in scores) / (n * (n - 1)))


def powers_of_two(k: int) -> list[int]:
    """1, 2, 4, ... up to k, and k itself: the ks that pass@k is reported at."""
    return sorted({2**i for i in range(k.bit_length())} | {k})
