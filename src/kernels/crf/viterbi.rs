//! The best legal tag sequence (Viterbi 1967).

use super::Rules;
use crate::kernels::Real;

/// The likeliest legal tags of one sequence (`logits`: `[row, tag]`); of equals, the smaller tag.
pub(crate) fn best_path<T: Real>(rules: &Rules, logits: &[T], transitions: &[T]) -> Vec<u32> {
    let tags = rules.tags;
    let len = logits.len() / tags;
    if len == 0 {
        return Vec::new();
    }
    let blocked = |legal: bool, score: T| if legal { score } else { T::neg_infinity() };
    let moves: Vec<T> =
        transitions.iter().zip(&rules.follows).map(|(score, legal)| blocked(*legal, *score)).collect();
    let mut best: Vec<T> = (0..tags).map(|tag| blocked(rules.begins[tag], logits[tag])).collect();
    let mut came_from = vec![0_u32; len * tags];
    let mut next = vec![T::zero(); tags];
    for t in 1..len {
        let back = &mut came_from[t * tags..(t + 1) * tags];
        step(&best, &moves, &mut next, back);
        for (score, logit) in next.iter_mut().zip(&logits[t * tags..]) {
            *score += *logit;
        }
        std::mem::swap(&mut best, &mut next);
    }
    let ending = best.iter().enumerate().map(|(tag, score)| blocked(rules.ends[tag], *score));
    let last = ending
        .enumerate()
        .fold((0, T::neg_infinity()), |top, (tag, score)| if score > top.1 { (tag, score) } else { top });
    let mut path = vec![last.0 as u32; len];
    for t in (1..len).rev() {
        path[t - 1] = came_from[t * tags + path[t] as usize];
    }
    path
}

widest! {
    /// For each tag the best score of arriving from any other, and from which.
    fn step<T: Real>(best: &[T], moves: &[T], next: &mut [T], back: &mut [u32]) {
        next.fill(T::neg_infinity());
        for (from, (score, moves)) in best.iter().zip(moves.chunks_exact(best.len())).enumerate() {
            for ((next, back), step) in next.iter_mut().zip(back.iter_mut()).zip(moves) {
                let arriving = *score + *step;
                let better = arriving > *next;
                *next = if better { arriving } else { *next };
                *back = if better { from as u32 } else { *back };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{enumerate, numbers, rules};
    use super::*;

    #[test]
    fn the_best_path_is_the_best_of_all_legal_paths() {
        let rules = rules();
        for salt in 0..50 {
            let (logits, transitions) = (numbers(20, salt, 2.0), numbers(16, salt + 100, 2.0));
            let all = enumerate(&rules, &logits, &transitions);
            let best = all.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            assert_eq!(best_path(&rules, &logits, &transitions), best.0);
        }
        assert!(best_path::<f64>(&rules, &[], &[0.0; 16]).is_empty());
    }
}
