"""Data points of histograms as OTLP has them, and what is wrong with some. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import inf, isfinite, log2
from typing import ClassVar, Self

from quarterdeck.core.histogram import (
    DEFAULT_SCALE,
    HIGHEST_SCALE,
    LOWEST_SCALE,
    Histogram,
    index_of,
    index_range,
)

MAX_GIVEN = 4096
"""Buckets of one point, empty ones included."""
MAX_COUNT = 1 << 53
PARTS = 64
"""Into how many equal parts a fixed bucket is divided when its values are spread."""


class PointRejected(Exception):
    """A data point that cannot be counted: where, and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Exponential:
    """Buckets of an ExponentialHistogram: index to count."""

    kind: ClassVar[str] = "exponential"
    is_exact: ClassVar[bool] = True

    scale: int
    zero_count: int
    buckets: Mapping[int, int]

    @classmethod
    def read(cls, scale: int, zero_count: int, offset: int, counts: Sequence[int]) -> Self:
        """Check what a point says.

        Raises:
            ValueError: it cannot be so.
        """
        if not LOWEST_SCALE <= scale <= HIGHEST_SCALE:
            raise ValueError(f"scale must be from {LOWEST_SCALE} to {HIGHEST_SCALE}")
        if len(counts) > MAX_GIVEN:
            raise ValueError(f"more than {MAX_GIVEN} buckets")
        _check_counts([zero_count, *counts])
        buckets = {offset + place: count for place, count in enumerate(counts) if count}
        first, last = index_range(scale)
        if buckets and (min(buckets) < first or max(buckets) > last):
            raise ValueError("positive.offset is beyond all numbers")
        return cls(scale, zero_count, buckets)

    @property
    def size(self) -> int:
        """How many numbers it keeps."""
        return len(self.buckets)

    @property
    def total(self) -> int:
        """Values in all buckets."""
        return self.zero_count + sum(self.buckets.values())

    def minus(self, before: Self) -> Self | None:
        """What came since; None if this is no continuation."""
        shift = before.scale - self.scale
        if shift < 0 or self.zero_count < before.zero_count:
            return None
        left = dict(self.buckets)
        for index, count in before.buckets.items():
            left[index >> shift] = left.get(index >> shift, 0) - count
        if min(left.values(), default=0) < 0:
            return None
        buckets = {index: count for index, count in left.items() if count}
        return replace(self, zero_count=self.zero_count - before.zero_count, buckets=buckets)

    def histogram(self, factor: float, total: float | None) -> Histogram:
        """In seconds. A `factor` other than 1 moves values by half a bucket at most."""
        shift = round(log2(factor) * 2.0**self.scale)
        first, last = index_range(self.scale)
        buckets: dict[int, int] = {}
        for index, count in self.buckets.items():
            moved = min(max(index + shift, first), last)
            buckets[moved] = buckets.get(moved, 0) + count
        made = Histogram.of_buckets(self.scale, buckets, self.zero_count, total)
        if made.scale > DEFAULT_SCALE:
            made.downscale(DEFAULT_SCALE)
        return made


@dataclass(frozen=True, slots=True)
class Explicit:
    """Counts of values up to each bound, and beyond the last one."""

    kind: ClassVar[str] = "explicit"
    is_exact: ClassVar[bool] = False

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def read(cls, bounds: Sequence[float], counts: Sequence[int]) -> Self:
        """Check what a point says.

        Raises:
            ValueError: it cannot be so.
        """
        if len(counts) > MAX_GIVEN:
            raise ValueError(f"more than {MAX_GIVEN} buckets")
        if not bounds:
            raise ValueError("explicitBounds are missing; without buckets nothing can be told")
        if len(counts) != len(bounds) + 1:
            raise ValueError("bucketCounts must be one more than explicitBounds")
        if not all(map(isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("explicitBounds must be finite numbers that rise")
        _check_counts(counts)
        if any(count and bound < 0 for bound, count in zip(bounds, counts, strict=False)):
            raise ValueError("a duration is below zero")
        return cls(tuple(bounds), tuple(counts))

    @property
    def size(self) -> int:
        """How many numbers it keeps."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Values in all buckets."""
        return sum(self.counts)

    def minus(self, before: Self) -> Self | None:
        """What came since; None if this is no continuation."""
        if self.bounds != before.bounds:
            return None
        left = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return None if min(left) < 0 else replace(self, counts=left)

    def histogram(self, factor: float, total: float | None) -> Histogram:
        """In seconds: values are taken to lie evenly between the bounds, or on the last one."""
        buckets: dict[int, int] = {}
        zeros = 0
        lows = (0.0, *(max(0.0, bound) for bound in self.bounds))
        for low, high, count in zip(lows, (*self.bounds, inf), self.counts, strict=True):
            if not count:
                continue
            if max(low, 0.0 if high == inf else high) <= 0.0:
                zeros += count
                continue
            taken = 0
            for index, share in _cells(low * factor, high * factor):
                until = (2 * count * share + PARTS) // (2 * PARTS)
                buckets[index] = buckets.get(index, 0) + until - taken
                taken = until
        return Histogram.of_buckets(DEFAULT_SCALE, buckets, zeros, total)


Shape = Exponential | Explicit


@dataclass(frozen=True, slots=True)
class Point:
    """One data point. None is unknown."""

    path: str
    start_ns: int
    """0: unknown."""
    time_ns: int
    total: float | None
    least: float | None
    most: float | None
    attributes: Mapping[str, object]
    shape: Shape

    def minus(self, before: "Point") -> "Point | None":
        """What came since an earlier one of the same series; None after a reset."""
        here, there = self.shape, before.shape
        if isinstance(here, Exponential) and isinstance(there, Exponential):
            shape: Shape | None = here.minus(there)
        elif isinstance(here, Explicit) and isinstance(there, Explicit):
            shape = here.minus(there)
        else:
            shape = None
        if shape is None:
            return None
        total = None
        if self.total is not None and before.total is not None:
            total = max(0.0, self.total - before.total)
        return replace(
            self, start_ns=before.time_ns, total=total, least=None, most=None, shape=shape
        )

    def histogram(self, factor: float) -> Histogram:
        """In seconds; `factor` is how many one unit has."""
        total = None if self.total is None else self.total * factor
        made = self.shape.histogram(factor, total)
        if self.least is not None and made.min <= self.least * factor <= made.max:
            made.min = self.least * factor
        if self.most is not None and made.min <= self.most * factor <= made.max:
            made.max = self.most * factor
        return made


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one resource that we use, with its points, good and bad."""

    path: str
    resource: Mapping[str, object]
    name: str
    unit: str
    temporality: int
    """As in OTLP: 1 delta, 2 cumulative."""
    points: Iterable[Point | PointRejected]


def checked(point: Point, count: int) -> Point:
    """The point, if its numbers agree.

    Raises:
        PointRejected: they do not.
    """
    if not 0 < point.time_ns < 1 << 62:
        raise PointRejected(f"{point.path}.timeUnixNano", "must say when it was measured")
    if not 0 <= point.start_ns <= point.time_ns:
        raise PointRejected(f"{point.path}.startTimeUnixNano", "must not be after timeUnixNano")
    if point.shape.total != count:
        raise PointRejected(f"{point.path}.count", "is not the sum of the buckets' counts")
    for name, value in (("sum", point.total), ("min", point.least), ("max", point.most)):
        if value is not None and not 0.0 <= value < inf:
            raise PointRejected(f"{point.path}.{name}", "must be a finite number, not negative")
    return point


def _check_counts(counts: Iterable[int]) -> None:
    if any(not 0 <= count < MAX_COUNT for count in counts):
        raise ValueError("a count is negative or beyond 2^53")


@lru_cache(4096)
def _cells(low: float, high: float) -> tuple[tuple[int, int], ...]:
    """Our buckets between two bounds, each with how many `PARTS` of the values lie up to it."""
    if high == inf:
        return ((index_of(low), PARTS),)
    cells: dict[int, int] = {}
    for part in range(PARTS):
        cells[index_of(low + (high - low) * (part + 0.5) / PARTS)] = part + 1
    return tuple(cells.items())
