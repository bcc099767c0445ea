"""The histogram against exact percentiles, and its laws."""

import math
import random
from collections.abc import Callable
from decimal import Decimal, getcontext
from sys import float_info

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.histogram import Histogram, index_of, index_range, lower_bound

getcontext().prec = 60
LIMIT = 0.011


def lognormal(r: random.Random) -> float:
    return r.lognormvariate(-3, 1) * (20 if r.random() < 0.01 else 1)


SHAPES: dict[str, Callable[[random.Random], float]] = {
    "lognormal_with_tail": lognormal,
    "uniform": lambda r: r.uniform(0.001, 2.0),
    "constant": lambda r: 0.0421,
    "bimodal": lambda r: r.gauss(0.005, 0.0003) if r.random() < 0.9 else r.gauss(1.5, 0.1),
    "microseconds_to_minutes": lambda r: 10 ** r.uniform(-6, 2),
}

durations = st.one_of(
    st.floats(0, 1e6), st.floats(1e-6, 100), st.sampled_from([0.0, 0.5, 1.0, 2.0])
)
values = st.lists(durations, max_size=60)


def of(numbers: list[float], scale: int = 5, most: int = 640) -> Histogram:
    histogram = Histogram(scale, most)
    for number in numbers:
        histogram.add(number)
    return histogram


def same(one: Histogram, other: Histogram) -> bool:
    return (
        (one.scale, one.buckets, one.zero_count, one.count, one.min, one.max)
        == (other.scale, other.buckets, other.zero_count, other.count, other.min, other.max)
    ) and math.isclose(one.sum, other.sum, rel_tol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_are_within_the_bound_of_exact_percentiles(shape: str) -> None:
    r = random.Random(7)
    numbers = [SHAPES[shape](r) for _ in range(50_000)]
    histogram = of(numbers, most=1200)
    numbers.sort()
    for q in (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
        exact = numbers[max(1, math.ceil(round(q * len(numbers), 6))) - 1]
        found = histogram.quantile(q)
        assert found is not None
        assert abs(found - exact) / exact <= LIMIT, q
    assert histogram.average == pytest.approx(sum(numbers) / len(numbers), rel=1e-12)


def test_constant_values_have_their_quantiles_exactly() -> None:
    histogram = of([0.0421] * 1000)
    assert histogram.quantile(0.99) == histogram.average == 0.0421


@pytest.mark.parametrize("scale", range(-10, 21))
def test_powers_of_two_close_their_bucket(scale: int) -> None:
    for exponent in (-1074, -1022, -10, -1, 0, 1, 9, 1023):
        power = math.ldexp(1.0, exponent)
        closing = (exponent << scale if scale >= 0 else exponent >> -scale) - 1
        if scale < 0 and exponent % (1 << -scale):
            closing += 1  # this power is inside of a bucket
        assert index_of(power, scale) == closing
        if exponent < 1023:
            above = index_of(math.nextafter(power, math.inf), scale)
            opened = exponent << scale if scale >= 0 else exponent >> -scale
            assert above == opened or exponent == -1074


@pytest.mark.parametrize("part", range(1, 32))
def test_floats_beside_a_bound_are_on_their_sides(part: int) -> None:
    bound = Decimal(2) ** (Decimal(part) / 32)
    near = float(bound)
    for value in (near, math.nextafter(near, 0), math.nextafter(near, 9)):
        assert index_of(value) == (part - 1 if Decimal(value) <= bound else part)


@given(st.floats(min_value=5e-324, allow_infinity=False), st.integers(-10, 20))
def test_index_is_in_range_and_its_bucket_holds_the_value(value: float, scale: int) -> None:
    index = index_of(value, scale)
    first, last = index_range(scale)
    assert first <= index <= last
    slack = 1 + 1e-12
    assert lower_bound(index, scale) <= value * slack
    if lower_bound(index + 1, scale) > 1e-300:
        assert value <= lower_bound(index + 1, scale) * slack


@given(values, values, values)
def test_merging_is_associative_and_commutative(
    a: list[float], b: list[float], c: list[float]
) -> None:
    left = of(a, most=8)
    left.merge(of(b, most=8))
    left.merge(of(c, most=8))
    right = of(c, most=8)
    right.merge(of(b, most=8))
    turned = of(a, most=8)
    turned.merge(right)
    assert same(left, turned)
    assert same(left, of([*c, *a, *b], most=8))


@given(values, values, st.integers(-10, 5), st.integers(-10, 5))
def test_merging_scales_equals_counting_at_the_lower(
    a: list[float], b: list[float], one: int, other: int
) -> None:
    merged = of(a, one)
    merged.merge(of(b, other))
    assert same(merged, of(a + b, min(one, other)))


@given(values, st.integers(-10, 5))
def test_downscaling_keeps_counts(numbers: list[float], scale: int) -> None:
    histogram = of(numbers)
    histogram.downscale(scale)
    assert histogram.count == len(numbers)
    assert histogram.zero_count + sum(histogram.buckets.values()) == len(numbers)
    assert same(histogram, of(numbers, scale))


@given(values)
def test_copy_and_dense_form_hold_the_same(numbers: list[float]) -> None:
    histogram = of(numbers)
    offset, counts = histogram.dense()
    again = Histogram.of_buckets(
        5, {offset + n: count for n, count in enumerate(counts)}, histogram.zero_count
    )
    assert again.buckets == histogram.buckets == histogram.copy().buckets
    assert (again.count, again.scale) == (histogram.count, 5)


@settings(max_examples=50)
@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=200))
def test_buckets_never_exceed_their_limit(numbers: list[float]) -> None:
    histogram = of(numbers, most=4)
    assert len(histogram.buckets) <= 4
    assert histogram.count == len(numbers)
    quantile = histogram.quantile(0.5)
    assert quantile is not None
    assert min(numbers) <= quantile <= max(numbers)


def test_many_magnitudes_lower_the_scale() -> None:
    histogram = of([2.0**exponent for exponent in range(-40, 40)], most=20)
    assert histogram.scale < 0
    assert histogram.count == 80


def test_largest_floats_are_counted() -> None:
    histogram = of([float_info.max, float_info.max, 5e-324])
    assert histogram.quantile(1.0) == pytest.approx(float_info.max, rel=LIMIT)
    assert histogram.average == float_info.max  # the sum is beyond floats, the mean is not


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, -math.inf], ids=str)
def test_what_is_no_duration_is_refused(value: float) -> None:
    histogram = Histogram()
    with pytest.raises(ValueError, match="finite numbers from 0 on"):
        histogram.add(value)
    assert histogram.count == 0


@pytest.mark.parametrize(
    ("scale", "buckets", "zero"),
    [(21, {}, 0), (-11, {}, 0), (5, {0: -1}, 0), (5, {}, -1), (5, {1 << 40: 1}, 0),
     (5, {-(1 << 40): 1}, 0)],
    ids=["scale_high", "scale_low", "negative", "negative_zeros", "index_high", "index_low"],
)  # fmt: skip
def test_impossible_buckets_are_refused(scale: int, buckets: dict[int, int], zero: int) -> None:
    with pytest.raises(ValueError, match=r"scale|negative|no number"):
        Histogram.of_buckets(scale, buckets, zero)


def test_nothing_has_neither_quantile_nor_average() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().average is None


@pytest.mark.parametrize(("scale", "most"), [(21, 640), (-11, 640), (5, 3)], ids=str)
def test_impossible_limits_are_refused(scale: int, most: int) -> None:
    with pytest.raises(ValueError, match=r"scale|max_buckets"):
        Histogram(scale, most)
