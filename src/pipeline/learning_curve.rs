//! How scores grow with the number of examples.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::{Nlu, PipelineConfig, PipelineError, TrainingOptions};
use crate::data::{HoldOut, TrainingData, stratified_split};
use crate::error::Result;
use crate::text::fold;
use crate::train::{Event, Stopped};

/// Share of the data that is tested on in each run, as in Rasa.
const TEST_SHARE: f64 = 0.2;

/// Which models to train. In each run a fifth of the data is held out anew, and of the rest, shares of it are
/// learnt from. What is held out is tested unless its text is learnt as well, in whatever case.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LearningCurve {
    /// How much of the training part is left out, in percent below 100, as Rasa counts it.
    pub percentages: Vec<u8>,
    /// How often this is repeated with other parts.
    pub runs: usize,
    /// Decides the parts of the first run; further runs count on from it.
    pub seed: u64,
}

impl Default for LearningCurve {
    /// Three runs without 0, 25, 50 and 75 % of the data.
    fn default() -> Self {
        Self { percentages: vec![0, 25, 50, 75], runs: 3, seed: 0 }
    }
}

/// One trained model and its scores on the part that was held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CurvePoint {
    /// The run, counted from 0.
    pub run: usize,
    /// How much of the training part was left out, in percent.
    pub percentage: u8,
    /// Examples learnt from.
    pub examples: usize,
    /// Share of right intents.
    pub accuracy: f64,
    /// Mean F1 of the intents, each counting by its messages.
    pub weighted_f1: f64,
    /// F1 of the entities by exact span; `None` where the data has none.
    pub exact_span_f1: Option<f64>,
}

/// The points of one pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CurveSeries {
    /// The name of the pipeline.
    pub name: String,
    /// In the order they were made: run by run.
    pub points: Vec<CurvePoint>,
}

/// Means over the runs with one share of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurveMean {
    /// How much of the training part was left out, in percent.
    pub percentage: u8,
    /// Runs.
    pub runs: usize,
    /// Examples learnt from.
    pub examples: f64,
    /// Share of right intents.
    pub accuracy: f64,
    /// Mean F1 of the intents, each counting by its messages.
    pub weighted_f1: f64,
    /// F1 of the entities by exact span; `None` where a run has none.
    pub exact_span_f1: Option<f64>,
}

impl CurveSeries {
    /// The means of all runs for each percentage, in order of the percentages.
    #[must_use]
    pub fn means(&self) -> Vec<CurveMean> {
        let mean_of = |group: Vec<CurvePoint>| {
            let mean =
                |score: fn(&CurvePoint) -> f64| group.iter().map(score).sum::<f64>() / group.len() as f64;
            let has_entities = group.iter().all(|point| point.exact_span_f1.is_some());
            CurveMean {
                percentage: group[0].percentage,
                runs: group.len(),
                examples: mean(|point| point.examples as f64),
                accuracy: mean(|point| point.accuracy),
                weighted_f1: mean(|point| point.weighted_f1),
                exact_span_f1: has_entities.then(|| mean(|point| point.exact_span_f1.unwrap_or(0.0))),
            }
        };
        self.by_share().into_iter().map(mean_of).collect()
    }

    /// The points of all runs for each percentage, in order of the percentages.
    #[must_use]
    pub fn by_share(&self) -> Vec<Vec<CurvePoint>> {
        let mut groups: Vec<Vec<CurvePoint>> = Vec::new();
        for point in &self.points {
            match groups.iter_mut().find(|group| group[0].percentage == point.percentage) {
                Some(group) => group.push(*point),
                None => groups.push(vec![*point]),
            }
        }
        groups.sort_by_key(|group| group[0].percentage);
        groups
    }
}

impl LearningCurve {
    setters! { percentages: Vec<u8>, runs: usize, seed: u64 }

    /// Trains and scores; all pipelines given the same `self` meet the same parts.
    ///
    /// `observe` hears of every step, with the run and the percentage.
    ///
    /// # Errors
    ///
    /// If a percentage is not below 100 or there is none, no run, or too little data to hold some out; if
    /// `options.stop` was raised; and as [`Nlu::train`].
    pub fn run(
        &self,
        name: &str,
        pipeline: &PipelineConfig,
        data: &TrainingData,
        options: &TrainingOptions,
        mut observe: impl FnMut(usize, u8, Event),
    ) -> Result<CurveSeries> {
        if self.runs == 0 || self.percentages.is_empty() {
            return Err(PipelineError::NoRuns.into());
        }
        if let Some(&percentage) = self.percentages.iter().find(|percentage| **percentage >= 100) {
            return Err(PipelineError::Percentage { percentage }.into());
        }
        let mut points = Vec::new();
        for run in 0..self.runs {
            let seed = self.seed.wrapping_add(run as u64);
            let (learnt, mut tested) = stratified_split(&data.utterances, HoldOut::Share(TEST_SHARE), seed);
            // A text that is learnt as well says nothing of new ones.
            let known: HashSet<String> = learnt.iter().map(|one| fold(&one.text)).collect();
            tested.retain(|one| !known.contains(&fold(&one.text)));
            if tested.is_empty() {
                return Err(PipelineError::NothingToHoldOut.into());
            }
            let tested: Vec<_> = tested.into_iter().cloned().collect();
            for &percentage in &self.percentages {
                let left_out = HoldOut::Share(f64::from(percentage) / 100.0);
                let part = data.only(stratified_split(&learnt, left_out, seed).0);
                let (nlu, training) =
                    Nlu::train_with(pipeline, &part, options, |event| observe(run, percentage, event))?;
                if training.outcome.stopped == Stopped::Interrupted || options.stop.load(Ordering::Relaxed) {
                    let during = format!("run {} without {percentage} % of the data", run + 1);
                    return Err(PipelineError::Stopped { during }.into());
                }
                let found = nlu.evaluate(&tested)?;
                points.push(CurvePoint {
                    run,
                    percentage,
                    examples: part.utterances.len(),
                    accuracy: found.intent.accuracy,
                    weighted_f1: found.intent.weighted_f1,
                    exact_span_f1: (found.entity.entities > 0).then_some(found.entity.exact_span.f1),
                });
            }
        }
        Ok(CurveSeries { name: name.to_owned(), points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Utterance;

    fn data() -> TrainingData {
        let message = |at: usize| match at % 2 {
            0 => Utterance::new(format!("hello dear friend {at}"), Some("greet")),
            _ => Utterance::new(format!("cancel that order {at}"), Some("cancel")),
        };
        (0..20).map(message).collect()
    }

    fn run(curve: &LearningCurve) -> Result<CurveSeries> {
        let config = "
pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
- name: DIETClassifier
  epochs: 20
  batch_size: 8
  transformer_size: 16
  number_of_attention_heads: 2
  number_of_transformer_layers: 1
";
        let config = PipelineConfig::from_yaml(config, "config.yml").unwrap();
        let options = TrainingOptions { threads: 1, ..TrainingOptions::default() };
        curve.run("tiny", &config, &data(), &options, |_, _, _| {})
    }

    #[test]
    fn each_run_leaves_out_what_was_asked_for() {
        let curve = LearningCurve { percentages: vec![50, 0], runs: 2, seed: 3 };
        let found = run(&curve).unwrap();
        let sizes: Vec<_> =
            found.points.iter().map(|point| (point.run, point.percentage, point.examples)).collect();
        assert_eq!(sizes, [(0, 50, 8), (0, 0, 16), (1, 50, 8), (1, 0, 16)]);
        assert!(found.points.iter().all(|point| point.accuracy > 0.9 && point.exact_span_f1.is_none()));
        let groups: Vec<_> =
            found.by_share().iter().map(|group| (group[0].percentage, group.len())).collect();
        assert_eq!(groups, [(0, 2), (50, 2)]);
        let means: Vec<_> =
            found.means().iter().map(|mean| (mean.percentage, mean.runs, mean.examples as usize)).collect();
        assert_eq!(means, [(0, 2, 16), (50, 2, 8)]);
        let accuracy = f64::midpoint(found.points[0].accuracy, found.points[2].accuracy);
        assert!((found.means()[1].accuracy - accuracy).abs() < 1e-12);
        assert_eq!(found, run(&curve).unwrap());
    }

    #[test]
    fn a_text_that_is_learnt_is_not_tested() {
        let texts = ["Hello", "hello", " hello ", "HELLO", "heLLo"];
        let data: TrainingData = texts.map(|text| Utterance::new(text, Some("greet"))).into_iter().collect();
        let config = PipelineConfig::from_yaml("pipeline:\n- name: WhitespaceTokenizer\n- name: CountVectorsFeaturizer\n- name: DIETClassifier\n", "c.yml").unwrap();
        let error =
            LearningCurve::default().run("x", &config, &data, &TrainingOptions::default(), |_, _, _| {});
        assert!(error.unwrap_err().to_string().contains("two examples of different texts"));
    }

    #[test]
    fn nonsense_is_an_error() {
        let problem = |percentages: &[u8], runs| {
            run(&LearningCurve { percentages: percentages.to_vec(), runs, seed: 0 }).unwrap_err().to_string()
        };
        assert!(problem(&[100], 1).contains("below 100"));
        assert!(problem(&[], 1).contains("at least one"));
        assert!(problem(&[0], 0).contains("at least one"));
    }
}
