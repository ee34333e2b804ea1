"""How sure a score is: Wilson's interval, the paired bootstrap, McNemar's exact test and Holm's."""

from __future__ import annotations

from collections.abc import Sequence


def wilson(correct: int, questions: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval for a share (Wilson 1927), as low and high in [0, 1]."""
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    interval = binomtest(correct, questions).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def paired_bootstrap(
    differences: Sequence[float],
    groups: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[float, float]:
    """Percentile interval of the mean difference between two models on the same questions.

    `differences`: -1, 0 or 1 for each question, or any value whose mean's interval is wanted;
    `groups`: its group. Whole groups are drawn, since questions about one case are not independent
    (Miller 2024, arXiv 2411.00640).
    Groups of the same size and sum are interchangeable, so each resample only draws how often
    each such sort occurs: the bootstrap's distribution exactly, at a cost free of the exam's size.
    """
    import numpy as np

    _, group = np.unique(list(groups), return_inverse=True)
    sums = np.bincount(group, weights=differences)
    sizes = np.bincount(group)
    sorts, counts = np.unique(np.stack([sums, sizes]), axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(sizes), counts / len(sizes), size=resamples)
    total, size = sorts @ drawn.T
    low, high = np.quantile(total / size, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mcnemar(won: int, lost: int) -> float:
    """Two-sided exact p of McNemar's test: the discordant questions against a fair coin."""
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for how many there are (Holm 1979, Scand. J. Stat. 6:65), in their order.

    Below alpha, each is significant while the chance that any one of them is so by luck alone
    stays at most alpha, however they depend on each other.
    """
    corrected, least = [1.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda each: ps[each])):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = least
    return corrected
