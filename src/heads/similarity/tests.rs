use candle_nn::Init;
use candle_nn::ops::log_softmax;

use super::loss::softplus;
use super::*;
use crate::nn::testing::{assert_gradients, input, seeded};

const GOLD: [u32; 5] = [0, 2, 1, 2, 2];
const CANDIDATES: Candidates<'static> = Candidates { gold: &GOLD, identity: &[10, 11, 12] };

fn configs() -> Vec<SimilarityConfig> {
    let default = SimilarityConfig { negatives: 4, ..Default::default() };
    let margin = SimilarityConfig { loss_type: LossType::Margin, ..default.clone() };
    vec![
        default.clone(),
        SimilarityConfig { constrain: true, ..default.clone() },
        SimilarityConfig { similarity_type: SimilarityType::Cosine, ..default.clone() },
        SimilarityConfig { negatives: 0, label_smoothing: 0.1, ..default },
        SimilarityConfig { use_maximum_negative: false, ..margin.clone() },
        SimilarityConfig { negatives: 0, ..margin.clone() },
        margin,
    ]
}

#[test]
fn every_parameter_has_the_right_gradient() -> Result<()> {
    for config in configs() {
        let (parameters, vb) = seeded();
        let head = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
        let inputs = vb.get_with_hints((5, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || Ok(head.loss(&inputs, &labels, CANDIDATES, 3)?.loss))?;
    }
    Ok(())
}

#[test]
fn readings_learn_from_each_other_as_differences_of_their_divergence_say() -> Result<()> {
    let (parameters, vb) = seeded();
    let config = SimilarityConfig { negatives: 0, r_drop: 0.7, ..Default::default() };
    let plain = SimilarityConfig { r_drop: 0.0, ..config.clone() };
    let twins = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
    let plain = Similarity { config: plain, ..twins.clone() };
    let inputs = vb.get_with_hints((4, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
    let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
    let candidates = Candidates { gold: &[0, 2, 0, 2], ..CANDIDATES };
    let sets: [&[u32]; 4] = [&[0, 1], &[2], &[0, 1], &[2]];
    let scores = || twins.scores(&inputs, &labels);
    // What the other reading says, as it is now.
    let others = |all: &Tensor| Tensor::cat(&[all.narrow(0, 2, 2)?, all.narrow(0, 0, 2)?], 0);
    let softmax = others(&log_softmax(&scores()?, 1)?.exp()?)?.detach();
    let sigmoid = others(&softplus(&scores()?.neg()?)?.neg()?.exp()?)?.detach();
    for multi_label in [false, true] {
        let loss = |head: &Similarity, inputs: &Tensor| {
            let found = if multi_label {
                head.multi_label_loss(inputs, &labels, &sets)
            } else {
                head.loss(inputs, &labels, candidates, 3)
            };
            Ok::<_, candle_core::Error>(found?.loss)
        };
        let frozen = || -> Result<f64> {
            let all = scores()?;
            let cross = if multi_label {
                (softplus(&all)? - (&sigmoid * all)?)?.mean_all()?
            } else {
                (&softmax * log_softmax(&all, 1)?)?.sum(1)?.neg()?.mean_all()?
            };
            (loss(&plain, &inputs)? + (cross * 0.7)?)?.to_scalar()
        };
        let gradients = loss(&twins, &inputs)?.backward()?;
        for (name, var) in parameters.all() {
            let found = gradients.get(&var).unwrap().flatten_all()?.to_vec1::<f64>()?;
            for (found, slope) in found.iter().zip(crate::nn::testing::central_differences(&var, frozen)?) {
                assert!((found - slope).abs() < 1e-6, "{name}: {found}, but differences say {slope}");
            }
        }
        let first = inputs.narrow(0, 0, 2)?;
        let same = Tensor::cat(&[&first, &first], 0)?;
        let apart = |inputs: &Tensor| (loss(&twins, inputs)? - loss(&plain, inputs)?)?.to_scalar::<f64>();
        assert!(apart(&same)?.abs() < 1e-12 && apart(&inputs)? > 0.0);
    }
    Ok(())
}

const SETS: [&[u32]; 5] = [&[0], &[], &[0, 1, 2], &[1, 2], &[2]];

#[test]
fn every_parameter_has_the_right_gradient_with_sets_of_labels() -> Result<()> {
    for similarity_type in [SimilarityType::Inner, SimilarityType::Cosine] {
        let (parameters, vb) = seeded();
        let config = SimilarityConfig { similarity_type, ..Default::default() };
        let head = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
        let inputs = vb.get_with_hints((5, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || Ok(head.multi_label_loss(&inputs, &labels, &SETS)?.loss))?;
    }
    Ok(())
}

#[test]
fn the_loss_over_sets_is_the_mean_binary_cross_entropy() -> Result<()> {
    let (_, vb) = seeded();
    let head = Similarity::new(7, 3, 4, SimilarityConfig::default(), vb)?;
    let (inputs, labels) = (input((5, 7))?, input((3, 3))?);
    let scores = head.scores(&inputs, &labels)?.to_vec2::<f64>()?;
    let (mut expected, mut right) = (0.0, 0);
    for (row, set) in scores.iter().zip(SETS) {
        let mut all = true;
        for (label, score) in row.iter().enumerate() {
            let (member, share) = (set.contains(&(label as u32)), 1.0 / (1.0 + (-score).exp()));
            expected -= if member { share.ln() } else { (1.0 - share).ln() } / 15.0;
            all &= member == (share > 0.5);
        }
        right += usize::from(all);
    }
    let found = head.multi_label_loss(&inputs, &labels, &SETS)?;
    assert!((found.loss.to_scalar::<f64>()? - expected).abs() < 1e-12);
    assert_eq!(found.correct, right);
    assert!(head.multi_label_loss(&inputs, &labels, &SETS[1..]).is_err());
    assert!(head.multi_label_loss(&inputs, &labels, &[&[3], &[], &[], &[], &[]]).is_err());
    Ok(())
}

#[test]
fn large_similarities_are_a_large_loss_and_still_a_number() -> Result<()> {
    let (_, vb) = seeded();
    let head = Similarity::new(7, 3, 4, SimilarityConfig::default(), vb)?;
    for scale in [1e3, 1e8] {
        let inputs = (input((5, 7))? * scale)?;
        let loss = head.multi_label_loss(&inputs, &input((3, 3))?, &SETS)?.loss.to_scalar::<f64>()?;
        assert!(loss.is_finite() && loss > scale / 1e3, "{loss}");
    }
    Ok(())
}

#[test]
fn all_labels_is_the_softmax_cross_entropy() -> Result<()> {
    let (_, vb) = seeded();
    let config = SimilarityConfig { negatives: 0, ..Default::default() };
    let head = Similarity::new(7, 3, 4, config, vb)?;
    let (inputs, labels) = (input((5, 7))?, input((3, 3))?);
    let scores = head.scores(&inputs, &labels)?.to_vec2::<f64>()?;
    let loss =
        |(row, gold): (&Vec<f64>, &u32)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*gold as usize];
    let expected = scores.iter().zip(&GOLD).map(loss).sum::<f64>() / 5.0;
    let found = head.loss(&inputs, &labels, CANDIDATES, 3)?.loss.to_scalar::<f64>()?;
    assert!((found - expected).abs() < 1e-12);
    Ok(())
}

#[test]
fn the_margin_loss_without_draws_compares_with_every_other_label_and_input() -> Result<()> {
    let (_, vb) = seeded();
    let config = SimilarityConfig { negatives: 0, loss_type: LossType::Margin, ..Default::default() };
    let head = Similarity::new(7, 3, 4, config, vb)?;
    let (inputs, labels) = head.embed(&input((5, 7))?, &input((3, 3))?)?;
    let cosines = |a: &Tensor, b: &Tensor| a.matmul(&b.t()?)?.to_vec2::<f64>();
    let of_labels = cosines(&inputs, &labels)?;
    let (among_labels, among_inputs) = (cosines(&labels, &labels)?, cosines(&inputs, &inputs)?);
    let hinge = |x: f64| x.max(0.0);
    let mut expected = 0.0;
    for (at, gold) in GOLD.iter().map(|gold| *gold as usize).enumerate() {
        let closest = |values: Vec<f64>| hinge(values.into_iter().fold(-1e9, f64::max) - 0.4);
        let labels = || (0..3).filter(|label| *label != gold);
        let inputs = || (0..5).filter(|input| GOLD[*input] as usize != gold);
        let others = closest(inputs().map(|input| of_labels[input][gold]).collect())
            + closest(labels().map(|label| among_labels[gold][label]).collect())
            + closest(inputs().map(|input| among_inputs[at][input]).collect());
        let wrong = closest(labels().map(|label| of_labels[at][label]).collect());
        expected += (hinge(0.8 - of_labels[at][gold]) + wrong + 0.8 * others) / 5.0;
    }
    let found = head.loss(&input((5, 7))?, &input((3, 3))?, CANDIDATES, 3)?.loss.to_scalar::<f64>()?;
    assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    Ok(())
}

#[test]
fn a_label_that_stands_twice_is_not_a_wrong_answer_for_itself() -> Result<()> {
    let (_, vb) = seeded();
    let head = Similarity::new(7, 3, 4, SimilarityConfig { negatives: 0, ..Default::default() }, vb)?;
    let candidates = Candidates { gold: &[0, 1, 0, 1, 0], identity: &[9, 9] };
    let found = head.loss(&input((5, 7))?, &input((2, 3))?, candidates, 1)?;
    assert!(found.loss.to_scalar::<f64>()?.abs() < 1e-12);
    Ok(())
}

#[test]
fn a_draw_of_the_same_label_weighs_nothing() -> Result<()> {
    // One label only: every draw is an accident, and the right answer has all of the softmax.
    let (_, vb) = seeded();
    let head = Similarity::new(7, 3, 4, SimilarityConfig { constrain: false, ..Default::default() }, vb)?;
    let candidates = Candidates { gold: &[0; 5], identity: &[9] };
    let found = head.loss(&input((5, 7))?, &input((1, 3))?, candidates, 1)?;
    assert!(found.loss.to_scalar::<f64>()?.abs() < 1e-12);
    assert_eq!(found.correct, 5);
    Ok(())
}
