//! Which query sees which key.

use std::ops::Range;

/// How far a query sees, in positions: the last query is at the position of the last key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
    pub(super) queries: usize,
    pub(super) keys: usize,
}

/// The keys of one head that count, in the order of their positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys<'a> {
    /// The position of the first one.
    pub(super) first: usize,
    pub(super) count: usize,
    /// The position of each, where some are left out.
    pub(super) positions: Option<&'a [usize]>,
}

impl Keys<'_> {
    fn position(&self, key: usize) -> usize {
        self.positions.map_or(self.first + key, |positions| positions[key])
    }

    /// How many come before a position.
    fn before(&self, position: usize) -> usize {
        match self.positions {
            Some(positions) => positions.partition_point(|at| *at < position),
            None => position.saturating_sub(self.first).min(self.count),
        }
    }
}

impl Mask {
    /// The positions that a query sees.
    pub(super) fn of_query(&self, query: usize) -> Range<usize> {
        // A query may be before the first key.
        let at = query as isize + self.keys as isize - self.queries as isize;
        let clamp = |position: isize| position.clamp(0, self.keys as isize) as usize;
        let window = self.window.map(|window| isize::try_from(window).unwrap_or(isize::MAX));
        let start = window.map_or(0, |window| clamp(at.saturating_sub(window)));
        let forward = if self.causal { Some(0) } else { window };
        let end = forward.map_or(self.keys, |forward| clamp(at.saturating_add(forward).saturating_add(1)));
        start..end.max(start)
    }

    /// The keys that at least one of these queries may see.
    pub(super) fn keys_of(&self, queries: &Range<usize>, keys: &Keys<'_>) -> Range<usize> {
        if queries.is_empty() {
            return 0..0;
        }
        let start = keys.before(self.of_query(queries.start).start);
        let end = keys.before(self.of_query(queries.end - 1).end);
        start..end.max(start)
    }

    /// Whether each of these queries sees each of these keys. Neither range is empty.
    pub(super) fn is_whole(&self, queries: &Range<usize>, among: &Range<usize>, keys: &Keys<'_>) -> bool {
        let (first, last) = (keys.position(among.start), keys.position(among.end - 1));
        self.of_query(queries.end - 1).start <= first && last < self.of_query(queries.start).end
    }

    /// Sets the scores `[key, lane]` that must not be seen to −∞.
    pub(super) fn hide(
        &self,
        queries: &Range<usize>,
        among: &Range<usize>,
        keys: &Keys<'_>,
        scores: &mut [f32],
        lanes: usize,
    ) {
        let ranges: Vec<_> = queries.clone().map(|query| self.of_query(query)).collect();
        for (key, row) in among.clone().zip(scores.chunks_exact_mut(lanes)) {
            let position = keys.position(key);
            // Both ends rise from query to query, so those that see this key are neighbours.
            let start = ranges.partition_point(|range| range.end <= position);
            let end = ranges.partition_point(|range| range.start <= position).max(start);
            row[..start].fill(f32::NEG_INFINITY);
            row[end..].fill(f32::NEG_INFINITY);
        }
    }
}
