"""Latencies as counts in buckets that grow by a constant factor: small, mergeable, 1.1 % exact.

The buckets are those of OTLP's ExponentialHistogram: bucket `i` of scale `s` holds the values in
(b^i, b^(i+1)] with b = 2^(2^-s). A histogram of another scale is merged by adding neighbours, which
is exact, so the order of merging does not matter. Averages of percentiles mean nothing; a
percentile of merged histograms is the percentile of all their values.
"""

from bisect import bisect_left
from collections.abc import Mapping
from math import ceil, exp2, frexp, inf, isqrt, ldexp, log2
from sys import float_info
from typing import Self

DEFAULT_SCALE = 5
"""Buckets grow by 2.2 %: a quantile is wrong by 1.083 % at most."""
MAX_BUCKETS = 640
"""Buckets that are not empty: 20 doublings at scale 5, from 10 microseconds to 10 seconds."""
LOWEST_SCALE, HIGHEST_SCALE = -10, 20
"""Those of OpenTelemetry's SDKs. At -10 all finite numbers are in three buckets."""
_GREATEST = float_info.max
_LOWEST_EXPONENT, _HIGHEST_EXPONENT = -1075, 1024


def _bounds(scale: int) -> list[float]:
    """Lower bounds of the buckets between 0.5 and 1.

    All but the first are irrational: a float is below one exactly if it is not above the float
    before it, which `isqrt` gives exactly and `2.0 ** x` does not.
    """
    bounds = []
    for part in range(1 << scale):
        bound = 1 << ((52 << scale) + part)
        for _ in range(scale):
            bound = isqrt(bound)
        bounds.append(ldexp(bound, -53))
    return bounds


_BOUNDS = _bounds(DEFAULT_SCALE)


def index_of(value: float, scale: int = DEFAULT_SCALE) -> int:
    """The bucket of a positive finite number: ceil(log2(value) * 2^scale) - 1.

    Exact up to the default scale; above it exact at powers of two, which is what OTLP asks for.
    """
    mantissa, exponent = frexp(value)
    if scale <= DEFAULT_SCALE:
        fine = ((exponent - 1) << DEFAULT_SCALE) + bisect_left(_BOUNDS, mantissa) - 1
        return fine >> (DEFAULT_SCALE - scale)
    first = (exponent - 1) << scale
    if mantissa == 0.5:
        return first - 1
    part = ceil(log2(2 * mantissa) * (1 << scale)) - 1
    return first + min(max(part, 0), (1 << scale) - 1)


def lower_bound(index: int, scale: int) -> float:
    """Where a bucket begins, itself not in it; 0 or infinity beyond what a float can say."""
    if scale <= 0:
        exponent, fraction = index << -scale, 0.0
    else:
        exponent, fraction = index >> scale, (index & (1 << scale) - 1) / (1 << scale)
    return inf if exponent >= _HIGHEST_EXPONENT else ldexp(2.0**fraction, exponent)


class Histogram:
    """Counts of values, none of them negative; with their number, sum, least and greatest exact."""

    __slots__ = ("buckets", "count", "max", "max_buckets", "min", "scale", "sum", "zero_count")

    def __init__(self, scale: int = DEFAULT_SCALE, max_buckets: int = MAX_BUCKETS) -> None:
        if not LOWEST_SCALE <= scale <= HIGHEST_SCALE:
            raise ValueError(f"scale: {LOWEST_SCALE} to {HIGHEST_SCALE}")
        if max_buckets < 4:
            raise ValueError("max_buckets: at least 4")
        self.scale = scale
        self.max_buckets = max_buckets
        self.buckets: dict[int, int] = {}
        """Index to count; none is zero."""
        self.zero_count = 0
        self.count = 0
        self.sum = 0.0
        self.min = inf
        """The least value, or a bound below it; infinity while there is none."""
        self.max = -inf
        """The greatest value, or a bound above it; minus infinity while there is none."""

    @classmethod
    def of_buckets(
        cls, scale: int, buckets: Mapping[int, int], zero_count: int = 0, total: float | None = None
    ) -> Self:
        """From counts by index; without `total`, the sum is that of the buckets' middles.

        `min` and `max` are the outer bounds; set them if they are known better.

        Raises:
            ValueError: a scale, index or count that is none.
        """
        made = cls(scale)
        made.buckets = {index: count for index, count in buckets.items() if count}
        if zero_count < 0 or min(made.buckets.values(), default=0) < 0:
            raise ValueError("a count is negative")
        made.zero_count = zero_count
        made.count = zero_count + sum(made.buckets.values())
        if made.buckets:
            made._take_bounds()
        if zero_count:
            made.min, made.max = 0.0, max(0.0, made.max)
        if total is None:
            total = sum(count * made.middle(index) for index, count in made.buckets.items())
        made.sum = total
        made._fit()
        return made

    def add(self, value: float, count: int = 1) -> None:
        """Count a value, `count` times.

        Raises:
            ValueError: it is negative, infinite or not a number.
        """
        if 0.0 < value < inf:
            mantissa, exponent = frexp(value)
            if self.scale <= DEFAULT_SCALE:  # `index_of`, without the call
                index = ((exponent - 1) << DEFAULT_SCALE) + bisect_left(_BOUNDS, mantissa) - 1
                index >>= DEFAULT_SCALE - self.scale
            else:
                index = index_of(value, self.scale)
            buckets = self.buckets
            if index in buckets:
                buckets[index] += count
            else:
                buckets[index] = count
                if len(buckets) > self.max_buckets:
                    self._fit()
        elif value == 0.0:
            self.zero_count += count
        else:
            raise ValueError(f"a histogram holds finite numbers from 0 on, not {value}")
        self.count += count
        self.sum += value * count
        # `min()` and `max()` would cost a third more.
        if value < self.min:  # noqa: PLR1730
            self.min = value
        if value > self.max:  # noqa: PLR1730
            self.max = value

    def merge(self, other: "Histogram") -> None:
        """Add all that another one has counted; it stays as it is."""
        if other.scale < self.scale:
            self.downscale(other.scale)
        shift = other.scale - self.scale
        buckets = self.buckets
        for index, count in other.buckets.items():
            coarse = index >> shift
            buckets[coarse] = buckets.get(coarse, 0) + count
        self.zero_count += other.zero_count
        self.count += other.count
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)
        self._fit()

    def copy(self) -> "Histogram":
        """Another one with the same counts."""
        twin = Histogram(self.scale, self.max_buckets)
        twin.merge(self)
        return twin

    def downscale(self, scale: int) -> None:
        """Add neighbouring buckets until they are those of `scale`, which is not above ours."""
        if not LOWEST_SCALE <= scale <= self.scale:
            raise ValueError(f"scale: {LOWEST_SCALE} to {self.scale}")
        shift = self.scale - scale
        coarse: dict[int, int] = {}
        for index, count in self.buckets.items():
            coarse[index >> shift] = coarse.get(index >> shift, 0) + count
        self.buckets, self.scale = coarse, scale

    def limit(self, buckets: int) -> None:
        """Have no more buckets than that, by a lower scale."""
        while len(self.buckets) > buckets and self.scale > LOWEST_SCALE:
            self.downscale(self.scale - 1)

    def middle(self, index: int) -> float:
        """The value whose greatest relative distance to those of a bucket is the least."""
        # Of (l, u] it is 2lu/(l+u), at most (u-l)/(u+l) away: 1.083 % at scale 5.
        return lower_bound(index, self.scale) * (2.0 / (1.0 + exp2(-(2.0**-self.scale))))

    def quantile(self, q: float) -> float | None:
        """The value of nearest rank, such as 0.99; None of no values.

        Wrong by 1.083 % at most, at scale 5; by (b-1)/(b+1) at any.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError("q: 0 to 1")
        if not self.count:
            return None
        # 0.07 * 100 is a little over 7, and its rank is 7 all the same.
        rank = max(1, ceil(round(q * self.count, 6)))
        seen = self.zero_count
        value = 0.0
        for index in sorted(self.buckets):
            if seen >= rank:
                break
            seen += self.buckets[index]
            value = self.middle(index)
        return min(max(value, self.min), self.max)

    @property
    def average(self) -> float | None:
        """Sum by count; None of no values."""
        if not self.count:
            return None
        # Adding rounds: the mean of equal values must not be a little above all of them.
        return min(max(self.sum / self.count, self.min), self.max)

    def dense(self) -> tuple[int, list[int]]:
        """OTLP's `offset` and `bucket_counts`: all buckets from the first to the last."""
        if not self.buckets:
            return 0, []
        first, last = min(self.buckets), max(self.buckets)
        return first, [self.buckets.get(index, 0) for index in range(first, last + 1)]

    def _fit(self) -> None:
        self.limit(self.max_buckets)

    def _take_bounds(self) -> None:
        first, last = min(self.buckets), max(self.buckets)
        lowest, highest = index_range(self.scale)
        if first < lowest or last > highest:
            raise ValueError(f"no number is in bucket {first if first < lowest else last}")
        self.min = lower_bound(first, self.scale)
        self.max = min(lower_bound(last + 1, self.scale), _GREATEST)


def index_range(scale: int) -> tuple[int, int]:
    """The first and the last bucket that hold numbers a float can say."""
    if scale <= 0:
        return _LOWEST_EXPONENT >> -scale, (_HIGHEST_EXPONENT - 1) >> -scale
    return _LOWEST_EXPONENT << scale, (_HIGHEST_EXPONENT << scale) - 1
