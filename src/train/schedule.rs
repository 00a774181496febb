//! The learning rate over the course of training.

use serde::{Deserialize, Serialize};

/// What becomes of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It stays, as in Rasa.
    #[default]
    Constant,
    /// It falls in a straight line to zero.
    Linear,
    /// It falls to zero along half a cosine ([Loshchilov and Hutter, 2017](https://arxiv.org/abs/1608.03983)).
    Cosine,
}

/// Rises in a straight line to `peak`, then decays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The largest learning rate.
    pub peak: f64,
    /// Share of all work during which it rises, in `[0, 1)`.
    pub warm_up: f64,
    /// How it decays afterwards.
    pub decay: Decay,
}

impl Schedule {
    /// The learning rate when a share `done` of all work is done.
    #[must_use]
    pub fn rate(&self, done: f64) -> f64 {
        if done < self.warm_up {
            return self.peak * (done / self.warm_up).max(0.01);
        }
        let after = ((done - self.warm_up) / (1.0 - self.warm_up).max(f64::EPSILON)).clamp(0.0, 1.0);
        self.peak
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Linear => 1.0 - after,
                Decay::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * after).cos(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let at = |decay, done| Schedule { peak: 2.0, warm_up: 0.2, decay }.rate(done);
        assert!((at(Decay::Linear, 0.1) - 1.0).abs() < 1e-12);
        assert!((at(Decay::Linear, 0.2) - 2.0).abs() < 1e-12);
        assert!((at(Decay::Linear, 0.6) - 1.0).abs() < 1e-12);
        assert!((at(Decay::Cosine, 0.6) - 1.0).abs() < 1e-12);
        assert!(at(Decay::Cosine, 1.0).abs() < 1e-12);
        assert!((at(Decay::Constant, 1.0) - 2.0).abs() < 1e-12);
        let flat = Schedule { peak: 2.0, warm_up: 0.0, decay: Decay::Constant };
        assert!((flat.rate(0.0) - 2.0).abs() < 1e-12);
    }
}
