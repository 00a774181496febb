//! How much the transformer and the linear path weigh in the decision on an intent.

/// Scores of messages whose intent is known, by a model that has not learnt from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unseen {
    /// By the transformer: `[message, label]`.
    pub(super) similarities: Vec<f32>,
    /// By the linear path: `[message, label]`; empty where there is none.
    pub(super) linear: Vec<f32>,
    /// The right label of each message.
    pub(super) gold: Vec<u32>,
    /// Number of labels.
    pub(super) labels: usize,
}

/// Weights of the two kinds of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scales {
    pub(super) transformer: f32,
    pub(super) linear: f32,
}

impl Unseen {
    /// The weights under which the right labels are likeliest: the minimum of the mean negative log-likelihood of
    /// `softmax(transformer · similarities + linear · scores)`, neither weight below zero.
    ///
    /// With one kind of scores this is temperature scaling ([Guo et al., 2017](https://arxiv.org/abs/1706.04599)), the
    /// weight being one over the temperature; with two it is stacking as well. The function is convex, and Newton's
    /// method finds its minimum in a few steps.
    pub(super) fn fit(&self, start: Scales) -> Scales {
        let mut at = start;
        let mut value = self.loss(at).0;
        for _ in 0..50 {
            let (_, [g0, g1], [h00, h01, h11]) = self.loss(at);
            let ridge = 1e-6;
            let (h00, h11) = (h00 + ridge, h11 + ridge);
            let determinant = h00 * h11 - h01 * h01;
            let step = if determinant > 1e-12 {
                [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant]
            } else {
                [g0, g1]
            };
            let mut share = 1.0;
            let mut moved = false;
            while share > 1e-4 {
                let next = Scales {
                    transformer: (at.transformer - (share * step[0]) as f32).max(0.0),
                    linear: (at.linear - (share * step[1]) as f32).max(0.0),
                };
                let found = self.loss(next).0;
                if found < value - 1e-9 {
                    (at, value, moved) = (next, found, true);
                    break;
                }
                share /= 2.0;
            }
            if !moved {
                break;
            }
        }
        at
    }

    /// Mean negative log-likelihood, its gradient and its second derivatives.
    pub(super) fn loss(&self, scales: Scales) -> (f64, [f64; 2], [f64; 3]) {
        let (mut loss, mut gradient, mut curvature) = (0.0, [0.0; 2], [0.0; 3]);
        let mut weights = vec![0.0_f64; self.labels];
        for (message, gold) in self.gold.iter().enumerate() {
            let row = message * self.labels..(message + 1) * self.labels;
            let kinds = |label: usize| {
                let linear = self.linear.get(row.start + label).copied().unwrap_or(0.0);
                [f64::from(self.similarities.get(row.start + label).copied().unwrap_or(0.0)), f64::from(linear)]
            };
            let score = |label: usize| {
                let [similarity, linear] = kinds(label);
                f64::from(scales.transformer) * similarity + f64::from(scales.linear) * linear
            };
            let top = (0..self.labels).map(score).fold(f64::NEG_INFINITY, f64::max);
            let mut sum = 0.0;
            for (label, weight) in weights.iter_mut().enumerate() {
                *weight = (score(label) - top).exp();
                sum += *weight;
            }
            let gold = *gold as usize;
            loss += top + sum.ln() - score(gold);
            let (mut mean, mut square) = ([0.0; 2], [0.0; 3]);
            for (label, weight) in weights.iter().enumerate() {
                let (share, [a, b]) = (weight / sum, kinds(label));
                mean = [mean[0] + share * a, mean[1] + share * b];
                square = [square[0] + share * a * a, square[1] + share * a * b, square[2] + share * b * b];
            }
            let own = kinds(gold);
            gradient = [gradient[0] + mean[0] - own[0], gradient[1] + mean[1] - own[1]];
            curvature = [
                curvature[0] + square[0] - mean[0] * mean[0],
                curvature[1] + square[1] - mean[0] * mean[1],
                curvature[2] + square[2] - mean[1] * mean[1],
            ];
        }
        let count = self.gold.len().max(1) as f64;
        (loss / count, gradient.map(|x| x / count), curvature.map(|x| x / count))
    }
}
