//! The weights of the intent ensemble: of the transformer, and of the two classifiers of the linear path.

use crate::metrics::Calibration;

/// Parts of the ensemble: similarities after the transformer, then the softmax and the hinge classifier.
pub(super) const PARTS: usize = 3;

/// Scores of messages whose intent is known, by models that have not learnt from them.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldOutScores {
    /// Scores of each part, `[message, label]`; empty where there is no such part.
    pub(super) scores: [Vec<f32>; PARTS],
    /// The right label of each message.
    pub(super) gold: Vec<u32>,
    /// Number of labels.
    pub(super) labels: usize,
}

impl HeldOutScores {
    /// The weights under which the right labels are likeliest, from these weights on: they minimise
    /// `Σ −ln softmax(Σ weight · score)[right] + Σ prior · (weight − start)²`, none below zero. A part with an infinite
    /// prior keeps its weight.
    ///
    /// With one part this is temperature scaling ([Guo et al., 2017](https://arxiv.org/abs/1706.04599)), the
    /// weight being one over the temperature; with several it is stacking as well. The function is convex: Newton's
    /// method on one weight after the other finds its minimum.
    pub(super) fn fit(&self, start: [f32; PARTS], prior: [f64; PARTS]) -> [f32; PARTS] {
        const ROUNDS: usize = 100;
        let mut weights = start;
        for _ in 0..ROUNDS {
            let mut moved = 0.0_f32;
            for part in (0..PARTS).filter(|part| !self.scores[*part].is_empty() && prior[*part].is_finite()) {
                let (slope, curvature) = self.slope(weights, part);
                let off = f64::from(weights[part] - start[part]);
                let step = (slope + 2.0 * prior[part] * off) / (curvature + 2.0 * prior[part]).max(1e-6);
                // Newton's step may overshoot where the curve is flat: no weight more than doubles at once.
                let limit = f64::from(weights[part]).max(0.25);
                let next = (f64::from(weights[part]) - step.clamp(-limit, limit)).max(0.0) as f32;
                moved = moved.max((next - weights[part]).abs() / weights[part].max(0.1));
                weights[part] = next;
            }
            if moved < 1e-4 {
                break;
            }
        }
        weights
    }

    /// First and second derivative of the loss in one weight: a mean and a variance of scores under the softmax.
    fn slope(&self, weights: [f32; PARTS], part: usize) -> (f64, f64) {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (message, gold) in self.gold.iter().enumerate() {
            let shares = self.shares(weights, message);
            let scores = &self.scores[part][message * self.labels..(message + 1) * self.labels];
            let mean: f64 = shares.iter().zip(scores).map(|(share, score)| share * f64::from(*score)).sum();
            let off = |score: &f32| (f64::from(*score) - mean).powi(2);
            curvature += shares.iter().zip(scores).map(|(share, score)| share * off(score)).sum::<f64>();
            slope += mean - f64::from(scores[*gold as usize]);
        }
        (slope, curvature)
    }

    /// `softmax(Σ weight · score)` of one message.
    pub(super) fn shares(&self, weights: [f32; PARTS], message: usize) -> Vec<f64> {
        let mut shares = vec![0.0_f64; self.labels];
        for (scores, weight) in self.scores.iter().zip(weights).filter(|(scores, _)| !scores.is_empty()) {
            let own = &scores[message * self.labels..(message + 1) * self.labels];
            shares.iter_mut().zip(own).for_each(|(share, score)| *share += f64::from(weight * score));
        }
        let top = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        shares.iter_mut().for_each(|share| *share = (*share - top).exp());
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        shares
    }

    /// How the confidence of the best label compares with how often it is right.
    pub(super) fn calibration(&self, weights: [f32; PARTS]) -> Calibration {
        Calibration::new(self.gold.iter().enumerate().map(|(message, gold)| {
            let shares = self.shares(weights, message);
            let best = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
            (shares.get(best).copied().unwrap_or(0.0), best == *gold as usize)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dropout::bits;

    /// Messages whose label is drawn from `softmax(2 · first + 0.5 · third)`; the second part does not matter.
    fn held_out(messages: usize) -> HeldOutScores {
        let uniform = |a: usize, b: usize| (bits(a as u64, b as u64) >> 40) as f32 / (1 << 24) as f32;
        let labels = 5;
        let part = |part: usize| (0..messages * labels).map(|at| 4.0 * uniform(part, at)).collect::<Vec<_>>();
        let mut held_out = HeldOutScores { scores: [part(1), part(2), part(3)], gold: vec![], labels };
        for message in 0..messages {
            let (mut left, mut label) = (f64::from(uniform(9, message)), 0);
            for share in held_out.shares([2.0, 0.0, 0.5], message) {
                if left < share {
                    break;
                }
                (left, label) = (left - share, label + 1);
            }
            held_out.gold.push(label.min(labels as u32 - 1));
        }
        held_out
    }

    #[test]
    fn finds_the_weights_that_the_labels_were_drawn_with() {
        let found = held_out(20_000).fit([1.0; PARTS], [0.0; PARTS]);
        for (found, wanted) in found.into_iter().zip([2.0, 0.0, 0.5]) {
            assert!((found - wanted).abs() < 0.06, "{found} instead of {wanted}");
        }
    }

    #[test]
    fn slopes_are_differences_of_the_loss() {
        let held_out = held_out(50);
        let loss = |weights| -> f64 {
            let right =
                |(message, gold): (usize, &u32)| -held_out.shares(weights, message)[*gold as usize].ln();
            held_out.gold.iter().enumerate().map(right).sum()
        };
        let at = [0.7, 0.3, 1.1];
        for part in 0..PARTS {
            let by = |step: f32| {
                let mut weights = at;
                weights[part] += step;
                weights
            };
            let (slope, curvature) = held_out.slope(at, part);
            let step = f64::from(by(0.01)[part] - by(-0.01)[part]);
            assert!((slope - (loss(by(0.01)) - loss(by(-0.01))) / step).abs() < 1e-2);
            let around = loss(by(0.01)) - 2.0 * loss(at) + loss(by(-0.01));
            assert!((curvature - around / (step / 2.0).powi(2)).abs() < 0.05 * curvature);
        }
    }

    #[test]
    fn a_prior_holds_a_weight() {
        let few = held_out(10);
        assert_eq!(few.fit([1.0, 0.5, 0.2], [f64::INFINITY; PARTS]), [1.0, 0.5, 0.2]);
        let held = few.fit([1.0, 0.5, 0.2], [1e4; PARTS]);
        assert!((held[0] - 1.0).abs() < 0.01);
    }
}
