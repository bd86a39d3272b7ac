"""Orders of rows: permutations, functions of seed, stream and epoch alone, and well mixed."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.order import BlockOrder, batch_positions, cut_blocks, shuffled


@given(step=st.integers(0, 10**6), rows=st.integers(1, 50), data=st.data())
def test_batches_follow_each_other_without_gap_or_overlap(step: int, rows: int, data: st.DataObject) -> None:
    batch = data.draw(st.integers(1, rows))
    pieces = batch_positions(step, batch, rows)
    positions = [epoch * rows + at for epoch, start, stop in pieces for at in range(start, stop)]
    assert positions == list(range(step * batch, (step + 1) * batch))


@settings(max_examples=60)
@given(
    segments=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    block=st.integers(1, 200),
    group=st.integers(1, 2000),
    epoch=st.integers(0, 5),
)
def test_a_block_order_is_a_permutation_and_repeats_itself(
    segments: list[int], block: int, group: int, epoch: int
) -> None:
    segment = np.repeat(np.arange(len(segments), dtype=np.int32), segments)
    if not len(segment):
        return
    starts = cut_blocks(segment, [10.0] * len(segments), block)
    for first, last in itertools.pairwise(starts):
        assert len(set(segment[first:last])) == 1
        assert (last - first) * 10 <= max(10, block)
    sizes = np.diff(starts) * 10.0
    first_time, again = (BlockOrder(starts, sizes, group, 1, "main", epoch) for _ in range(2))
    rows = np.concatenate([first_time.rows_of(number)[0] for number in range(len(first_time.groups))])
    assert sorted(rows) == list(range(len(segment)))
    np.testing.assert_array_equal(
        rows, np.concatenate([again.rows_of(number)[0] for number in range(len(again.groups))])
    )
    for position in (0, len(rows) // 2, len(rows) - 1):
        number = first_time.group_at(position)
        at = position - first_time.group_starts[number]
        assert first_time.rows_of(number)[0][at] == rows[position]


def test_rows_of_a_group_come_from_many_blocks_of_all_files() -> None:
    segment = np.repeat(np.arange(10, dtype=np.int32), 1000)
    starts = cut_blocks(segment, [100.0] * 10, 1000)  # blocks of 10 rows
    order = BlockOrder(starts, np.diff(starts) * 100.0, 100_000, 1, "main", 0)  # groups of 1000 rows
    assert len(order.groups) == 10
    batch, _ = order.rows_of(0)
    assert len(np.unique(segment[batch[:100]])) >= 8
    neighbours = np.abs(np.diff(batch)) == 1
    assert neighbours.mean() < 0.05


def test_shuffled_positions_are_spread_evenly() -> None:
    mean = np.mean([np.argsort(shuffled(1000, 1, "main", epoch))[:10] for epoch in range(200)], axis=0)
    assert np.abs(mean - 499.5).max() < 5 * 288.7 / np.sqrt(200)
