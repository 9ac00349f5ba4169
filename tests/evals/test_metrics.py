"""Worked numbers for pass@k, cons@k and the clustered standard error."""

from __future__ import annotations

import itertools
import math

import pytest

from ponder.evals.metrics import cons_at_k, mean_and_stderr, pass_at_k, powers_of_two


def test_pass_at_k_by_hand() -> None:
    # 4 samples, 1 correct: two drawn miss it in C(3,2) = 3 of C(4,2) = 6 cases.
    assert pass_at_k(4, 1, 2) == 0.5
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 4) == 1.0
    assert pass_at_k(4, 0, 4) == 0.0
    assert pass_at_k(4, 3, 2) == 1.0


@pytest.mark.parametrize(("n", "c"), [(6, 2), (5, 0), (5, 5), (7, 3)])
def test_pass_at_k_is_the_mean_over_all_subsets(n: int, c: int) -> None:
    samples = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(samples, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 5), (4, 1, 0)])
def test_pass_at_k_refuses_what_is_not_defined(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, c, k)


def test_cons_majority_tie_and_silence() -> None:
    assert cons_at_k(["7", "7", "8"], [True, True, False]) == 1.0
    assert cons_at_k(["7", "8", "8"], [True, False, False]) == 0.0
    assert cons_at_k(["7", "8"], [True, False]) == 0.5
    assert cons_at_k(["7", "8", "9", None], [True, False, False, False]) == pytest.approx(1 / 3)
    assert cons_at_k([None, None], [False, False]) == 0.0
    assert cons_at_k([None, "7"], [False, True]) == 1.0


def test_cons_counts_every_correct_way_of_writing_as_one_candidate() -> None:
    # 1/2 and 0.5 are both correct: 2 votes against 2 for "3": a tie.
    assert cons_at_k(["1/2", "0.5", "3", " 3 "], [True, True, False, False]) == 0.5


def test_stderr_is_clustered_by_problem() -> None:
    # Per-problem accuracies 0, 1/2, 1: mean 1/2, sum of squares 1/2, / (3 * 2).
    mean, stderr = mean_and_stderr([0.0, 0.5, 1.0])
    assert mean == 0.5
    assert stderr == pytest.approx(math.sqrt(0.5 / 6))
    assert math.isnan(mean_and_stderr([0.3])[1])
    with pytest.raises(ValueError, match="no problem"):
        mean_and_stderr([])


def test_powers_of_two() -> None:
    assert powers_of_two(1) == [1]
    assert powers_of_two(4) == [1, 2, 4]
    assert powers_of_two(6) == [1, 2, 4, 6]
