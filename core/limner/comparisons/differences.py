"""Differences between the variants of a comparison, paired by seed, with Student's interval.

With the differences d₁ ... dₙ of n seeds, their mean d̄ and standard deviation s, the 95 % interval of the expected
difference is (Student 1908, The probable error of a mean)

    d̄ ± t s / √n,

where t is the 97.5 % quantile of Student's distribution with n - 1 degrees of freedom: 12.7 for two seeds, 4.3 for
three, 2.8 for five. Pairing takes out what a seed does to both variants. If 0 lies within the interval, then chance,
that is the choice of seeds, can explain the difference. With many scores or variants, one interval in twenty misses
by chance alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import mean, stdev

import pandas as pd

from limner.comparisons.bar_chart import Chart, interval_chart
from limner.errors import LimnerError, nearest
from limner.models.report import markdown_table, markdown_text

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """How far a variant is from another in one score, over the seeds that both have.

    `low` and `high` bound the 95 % interval; they are infinite for a single seed.
    """

    metric: str
    variant: str
    other: str
    mean: float
    low: float
    high: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0, so that the choice of seeds alone hardly explains the difference."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        how = f"{abs(self.mean):.3f} {_side(self.mean)}" if self.mean else "equal to"
        what = f"{self.metric}: {self.variant} is {how} {self.other}"
        if self.seeds == 1:
            return f"{what} with one seed; whether that is chance cannot be told."
        found = f"{what} (95 % interval {self.low:+.3f} to {self.high:+.3f}, {self.seeds} seeds)"
        return f"{found}." if self.clear else f"{found}: the seeds alone can explain this."

    @classmethod
    def of(cls, metric: str, variant: str, other: str, pairs: Sequence[float]) -> "Difference":
        """The mean and the interval of the differences `pairs`, one for each seed."""
        center, half = mean(pairs), inf
        if len(pairs) > 1:
            from scipy.stats import t  # takes a second to import

            half = float(t.ppf((1 + LEVEL) / 2, len(pairs) - 1)) * stdev(pairs) / sqrt(len(pairs))
        return cls(metric, variant, other, center, center - half, center + half, len(pairs))


@dataclass(frozen=True)
class Differences(Sequence[Difference]):
    """Differences of variants to one of them; shows itself in a notebook, and prints as a sentence for each."""

    found: list[Difference]

    @classmethod
    def of(cls, runs: pd.DataFrame, metrics: Sequence[str], to: str | None = None) -> "Differences":
        """The differences of all variants to one; those without a common seed are left out.

        Args:
            runs: a row for each run, with "variant", "seed" and the scores.
            metrics: the names of scores.
            to: the variant that the others are compared with; by default the first.

        Raises:
            LimnerError: if there is no variant of that name.
        """
        variants = [str(name) for name in runs["variant"].unique()]
        base = variants[0] if to is None else to
        if base not in variants:
            raise LimnerError(f"There is no variant '{base}'{nearest(base, variants)}; there is {', '.join(variants)}.")
        found = []
        for metric in metrics:
            scores = {name: runs[runs["variant"] == name].set_index("seed")[metric].dropna() for name in variants}
            for name in variants:
                pairs = (scores[name] - scores[base]).dropna().tolist() if name != base else []
                if pairs:
                    found.append(Difference.of(metric, name, base, pairs))
        return cls(found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.found[index]

    def __str__(self) -> str:
        return "\n".join(map(str, self.found))

    def rows(self) -> list[list[str]]:
        """A row for each difference: score, variant, difference, interval, and what it means."""
        return [[one.metric, one.variant, f"{one.mean:+.3f}", _interval(one), _meaning(one)] for one in self.found]

    def markdown(self) -> list[str]:
        """The paragraphs of a page: what is compared, and the table."""
        if not self.found:
            return []
        base = markdown_text(self.found[0].other)
        text = f"Difference to {base}, paired by seed. Where the interval holds 0, the seeds alone can explain it:"
        return [text, markdown_table(["score", "variant", "difference", "95 % interval", ""], self.rows())]

    def plot(self) -> Chart:
        """A chart that shows itself in a notebook: for each score a panel, with a line for each interval.

        Raises:
            LimnerError: if there is no difference, or no interval because there is one seed only.
        """
        drawn = [one for one in self.found if one.seeds > 1]
        if not drawn:
            raise LimnerError("There is no interval to draw: it takes two variants, and two seeds of each.")
        frame = pd.DataFrame([vars(one) for one in drawn])
        return interval_chart(frame, f"difference to {drawn[0].other}, paired by seed: mean and 95 % interval")

    def _repr_html_(self) -> str:
        frame = pd.DataFrame(self.rows(), columns=["score", "variant", "difference", "95 % interval", ""])
        return frame.to_html(index=False, border=0)


def _side(difference: float) -> str:
    return "above" if difference > 0 else "below"


def _interval(one: Difference) -> str:
    return "unknown: one seed" if one.seeds == 1 else f"{one.low:+.3f} to {one.high:+.3f}"


def _meaning(one: Difference) -> str:
    if one.clear:
        return "higher" if one.mean > 0 else "lower"
    return "may be chance"
