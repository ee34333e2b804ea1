from __future__ import annotations

import numpy as np
import pytest

from residency.intervals import holm, mcnemar, paired_bootstrap, wilson


def test_wilson_agrees_with_a_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263.
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_wilson_stays_inside_zero_and_one() -> None:
    assert wilson(0, 10, 0.95)[0] == 0
    assert wilson(10, 10, 0.95)[1] == 1


def test_the_bootstrap_agrees_with_drawing_question_by_question() -> None:
    differences = [1] * 30 + [-1] * 12 + [0] * 158
    drawn = np.random.default_rng(1).choice(differences, size=(20_000, 200)).mean(axis=1)
    names = [str(number) for number in range(200)]
    found = paired_bootstrap(differences, names, resamples=20_000, confidence=0.9, seed=2)
    assert found == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.006)


def test_the_bootstrap_draws_whole_groups() -> None:
    differences = [1, 1, 1, 1, -1, -1, -1, -1]
    alone = paired_bootstrap(differences, list("abcdefgh"), resamples=2000, confidence=0.9, seed=0)
    together = paired_bootstrap(
        differences, list("aaaabbbb"), resamples=2000, confidence=0.9, seed=0
    )
    assert together == (-1, 1)
    assert -1 < alone[0] < alone[1] < 1


def test_the_bootstrap_of_equal_models_is_zero() -> None:
    assert paired_bootstrap([0, 0], ["a", "b"], resamples=100, confidence=0.9, seed=0) == (0, 0)


def test_the_bootstrap_repeats_with_its_seed() -> None:
    differences = [1, 0, -1, 1, 1, 0] * 5
    names = [str(number) for number in range(30)]
    first, again, other = (
        paired_bootstrap(differences, names, resamples=300, confidence=0.95, seed=seed)
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_mcnemar_counts_only_questions_on_which_the_models_differ() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 6) == pytest.approx(2 * 0.5**6)


def test_holm_corrects_as_in_the_books() -> None:
    # Holm's step-down: 4 * 0.005, 3 * 0.01, 2 * 0.03, then never less than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
