//! The charts of a report.

use super::drawing::{Anchor, Drawing, Paint, Point, SMALL, Shape, shortened, text_width};
use crate::metrics::{Calibration, Confusion};
use crate::pipeline::CurveSeries;

/// More labels than this are not readable beside each other.
const MOST_LABELS: usize = 40;
/// Bins of a histogram, as in Rasa.
const HISTOGRAM_BINS: usize = 25;

/// Which label was taken for which: gold labels down, predictions across, stronger in colour for a higher count.
///
/// Of more than 40 labels those with the most mistakes are shown, and a note says so. `labels` is what the note calls
/// them. `None` without messages.
#[must_use]
pub fn confusion_matrix(confusion: &Confusion, title: &str, labels: &str) -> Option<Drawing> {
    let all = confusion.labels();
    if all.is_empty() {
        return None;
    }
    let shown = most_confused(confusion, &all);
    let missing = all.iter().any(|gold| confusion.count(gold, None) > 0);
    let columns: Vec<Option<&str>> =
        shown.iter().map(|label| Some(*label)).chain(missing.then_some(None)).collect();
    let cell = match shown.len() {
        0..=10 => 40.0,
        11..=20 => 28.0,
        21..=30 => 22.0,
        _ => 18.0,
    };
    let font = if cell > 20.0 { SMALL } else { 10.0 };
    let name = |label: &str| shortened(label, 30);
    let longest =
        columns.iter().map(|label| text_width(&name(label.unwrap_or("(none)")), font)).fold(60.0, f32::max);
    let (left, top) = (longest + 40.0, 56.0 + longest * 0.72);
    let (width, height) = (cell * columns.len() as f32, cell * shown.len() as f32);
    let most =
        shown.iter().flat_map(|gold| columns.iter().map(|column| confusion.count(gold, *column))).max();
    let most = most.unwrap_or(1).max(1) as f32;

    let note = if shown.len() < all.len() {
        format!("the {} of {} {labels} that are mistaken most", shown.len(), all.len())
    } else {
        format!("{} {labels}; the right one down, the answer across", all.len())
    };
    let mut drawing =
        Drawing::titled(title, note, (left + width + longest * 0.72 + 16.0).max(420.0), top + height + 34.0);
    for (at, label) in columns.iter().enumerate() {
        let x = left + (at as f32 + 0.5) * cell;
        drawing.turned_text((x + 2.0, top - 6.0), name(label.unwrap_or("(none)")), font, -45.0);
    }
    for (row, gold) in shown.iter().enumerate() {
        let y = top + row as f32 * cell;
        drawing.text((left - 8.0, y + cell / 2.0 + font * 0.35), name(gold), font, Anchor::End, Paint::Ink);
        for (column, found) in columns.iter().enumerate() {
            let (x, count) = (left + column as f32 * cell, confusion.count(gold, *found));
            let paint = if Some(*gold) == *found { Paint::Right } else { Paint::Wrong };
            if count == 0 {
                drawing.rectangle((x + 0.5, y + 0.5), (cell - 1.0, cell - 1.0), Paint::Line, 0.25);
                continue;
            }
            let opacity = 0.15 + 0.85 * (1.0 + count as f32).ln() / (1.0 + most).ln();
            drawing.rectangle((x + 0.5, y + 0.5), (cell - 1.0, cell - 1.0), paint, opacity);
            let text = count.to_string();
            let size = font.min((cell - 3.0) / text_width(&text, 1.0));
            let paint = if opacity > 0.55 { Paint::Paper } else { Paint::Ink };
            drawing.text((x + cell / 2.0, y + cell / 2.0 + size * 0.36), text, size, Anchor::Middle, paint);
        }
    }
    drawing.text(
        (left, top + height + 20.0),
        "the stronger the colour, the more messages (logarithmic)",
        SMALL,
        Anchor::Start,
        Paint::Soft,
    );
    Some(drawing)
}

/// All labels or, where those are too many, the ones with most mistakes, in alphabetical order.
fn most_confused<'a>(confusion: &Confusion, all: &[&'a str]) -> Vec<&'a str> {
    if all.len() <= MOST_LABELS {
        return all.to_vec();
    }
    let mut mistakes: Vec<usize> = vec![0; all.len()];
    for (row, gold) in all.iter().enumerate() {
        for (label, count) in confusion.confused_with(gold, usize::MAX) {
            mistakes[row] += count;
            let column = label.and_then(|label| all.iter().position(|other| *other == label));
            column.into_iter().for_each(|column| mistakes[column] += count);
        }
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(mistakes[*at]));
    order.truncate(MOST_LABELS);
    order.sort_unstable();
    order.into_iter().map(|at| all[at]).collect()
}

/// How many answers were right and how many wrong at each confidence: wrong ones to the left, right ones to the right,
/// each side on its own scale. `None` without answers.
#[must_use]
pub fn histogram(right: &[f32], wrong: &[f32], title: &str) -> Option<Drawing> {
    if right.is_empty() && wrong.is_empty() {
        return None;
    }
    let counts = |confidences: &[f32]| {
        let mut bins = [0_usize; HISTOGRAM_BINS];
        for confidence in confidences {
            // What is not a number becomes 0.
            bins[((confidence * HISTOGRAM_BINS as f32) as usize).min(HISTOGRAM_BINS - 1)] += 1;
        }
        bins
    };
    let (half, height, top, middle) = (200.0, 350.0, 84.0, 280.0);
    let bar = height / HISTOGRAM_BINS as f32;
    let note = "answers by confidence; each side on its own scale";
    let mut drawing = Drawing::titled(title, note, 2.0 * middle, top + height + 46.0);
    for (confidences, sign, paint, word, anchor) in [
        (wrong, -1.0, Paint::Wrong, "wrong", Anchor::End),
        (right, 1.0, Paint::Right, "right", Anchor::Start),
    ] {
        let bins = counts(confidences);
        let most = bins.iter().copied().max().unwrap_or(0).max(1);
        let edge = middle + sign * 26.0;
        drawing.text((edge, top - 12.0), format!("{} {word}", confidences.len()), SMALL, anchor, paint);
        let step = nice_step(most as f32, 3.0).max(1.0);
        for tick in 0..=(most as f32 / step) as usize {
            let x = edge + sign * half * tick as f32 * step / most as f32;
            drawing.line((x, top), (x, top + height), Paint::Line, 1.0);
            let text = (tick as f32 * step).to_string();
            drawing.text((x, top + height + 16.0), text, 10.0, Anchor::Middle, Paint::Soft);
        }
        for (at, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            let long = (half * *count as f32 / most as f32).max(1.0);
            let x = if sign < 0.0 { edge - long } else { edge };
            let y = top + height - (at as f32 + 1.0) * bar;
            drawing.rectangle((x, y + 0.75), (long, bar - 1.5), paint, 0.9);
        }
    }
    for tenth in [0_u8, 2, 4, 6, 8, 10] {
        let y = top + height * (1.0 - f32::from(tenth) / 10.0) + 3.5;
        drawing.text((middle, y), format!("{} %", tenth * 10), 10.0, Anchor::Middle, Paint::Soft);
    }
    drawing.text((middle, top + height + 34.0), "messages", SMALL, Anchor::Middle, Paint::Soft);
    Some(drawing)
}

/// The share of right answers at each confidence, with the diagonal where both are equal, and below it how many answers
/// there were. `None` without answers.
#[must_use]
pub fn reliability(calibration: &Calibration, title: &str) -> Option<Drawing> {
    if calibration.messages == 0 {
        return None;
    }
    let (side, left, top, low) = (300.0, 64.0, 64.0, 60.0);
    let error = 100.0 * calibration.expected_calibration_error;
    let note = format!("expected calibration error {error:.1} %, over {} answers", calibration.messages);
    let mut drawing = Drawing::titled(title, note, left + side + 36.0, top + side + low + 126.0);
    let place = |x: f64, y: f64| (left + side * x as f32, top + side * (1.0 - y as f32));
    percent_axes(&mut drawing, (left, top), side);
    let most = calibration.bins.iter().map(|bin| bin.messages).max().unwrap_or(1).max(1) as f32;
    let floor = top + side + 18.0 + low;
    for bin in calibration.bins.iter().filter(|bin| bin.messages > 0) {
        let (x, wide) = (place(bin.from, 0.0).0 + 1.5, side / calibration.bins.len() as f32 - 3.0);
        let (accuracy, confidence) = (place(0.0, bin.accuracy).1, place(0.0, bin.confidence).1);
        drawing.rectangle((x, accuracy), (wide, top + side - accuracy), Paint::Accent, 0.8);
        let (upper, lower) = (accuracy.min(confidence), accuracy.max(confidence));
        drawing.rectangle((x, upper), (wide, lower - upper), Paint::Wrong, 0.35);
        let high = low * bin.messages as f32 / most;
        drawing.rectangle((x, floor - high), (wide, high.max(0.75)), Paint::Soft, 0.55);
        let count = bin.messages.to_string();
        drawing.text((x + wide / 2.0, floor + 12.0), count, 9.0, Anchor::Middle, Paint::Soft);
    }
    let through = vec![place(0.0, 0.0), place(1.0, 1.0)];
    drawing.shapes.push(Shape::Line { through, paint: Paint::Ink, width: 1.0, dashed: true });
    let middle = left + side / 2.0;
    drawing.text((middle, floor + 32.0), "confidence, and answers at it", SMALL, Anchor::Middle, Paint::Soft);
    for (at, (paint, opacity, text)) in [
        (Paint::Accent, 0.8, "share of right answers"),
        (Paint::Wrong, 0.35, "apart from the confidence"),
        (Paint::Soft, 0.55, "how many answers"),
    ]
    .into_iter()
    .enumerate()
    {
        let y = floor + 58.0 + at as f32 * 18.0;
        drawing.rectangle((left, y - 9.0), (11.0, 11.0), paint, opacity);
        drawing.text((left + 17.0, y), text, SMALL, Anchor::Start, Paint::Ink);
    }
    Some(drawing)
}

/// Frame, grid and shares of both axes of a square.
fn percent_axes(drawing: &mut Drawing, (left, top): Point, side: f32) {
    for tenth in [0_u8, 2, 4, 6, 8, 10] {
        let share = f32::from(tenth) / 10.0;
        let (x, y) = (left + side * share, top + side * (1.0 - share));
        drawing.line((left, y), (left + side, y), Paint::Line, 1.0);
        drawing.text((left - 8.0, y + 3.5), format!("{} %", tenth * 10), 10.0, Anchor::End, Paint::Soft);
        drawing.text((x, top + side + 14.0), (tenth * 10).to_string(), 10.0, Anchor::Middle, Paint::Soft);
    }
}

/// How a score grows with the number of examples, one line for each pipeline: means of the runs, with a stroke from the
/// worst to the best. `None` without points.
#[must_use]
pub fn learning_curve(
    series: &[CurveSeries],
    score: impl Fn(&crate::pipeline::CurvePoint) -> f64,
    title: &str,
) -> Option<Drawing> {
    const PAINTS: [Paint; 4] = [Paint::Accent, Paint::Wrong, Paint::Right, Paint::Second];
    let points = || series.iter().flat_map(|one| &one.points);
    let most = points().map(|point| point.examples).max()?.max(1) as f32;
    let lowest = points().map(&score).fold(1.0, f64::min);
    let floor = ((lowest * 20.0).floor() / 20.0 - 0.05).clamp(0.0, 0.9) as f32;
    let (left, top, width, height) = (64.0, 64.0, 480.0, 300.0);
    let note = "mean of the runs, from the worst to the best";
    let legend = 20.0 * series.len() as f32;
    let mut drawing = Drawing::titled(title, note, left + width + 40.0, top + height + 64.0 + legend);
    let place = |examples: f32, share: f32| {
        (left + width * examples / most, top + height * (1.0 - (share - floor) / (1.0 - floor)))
    };
    // From the top down, so that lines are at round percents.
    let step = nice_step(100.0 * (1.0 - floor), 5.0);
    for percent in
        (0..).map(|tick| 100.0 - tick as f32 * step).take_while(|percent| *percent >= 100.0 * floor)
    {
        let share = percent / 100.0;
        let y = place(0.0, share).1;
        drawing.line((left, y), (left + width, y), Paint::Line, 1.0);
        drawing.text((left - 8.0, y + 3.5), format!("{percent:.0} %"), 10.0, Anchor::End, Paint::Soft);
    }
    let step = nice_step(most, 6.0).max(1.0);
    for tick in 0..=(most / step) as usize {
        let x = place(tick as f32 * step, 0.0).0;
        let text = (tick as f32 * step).to_string();
        drawing.text((x, top + height + 16.0), text, 10.0, Anchor::Middle, Paint::Soft);
    }
    let middle = left + width / 2.0;
    drawing.text((middle, top + height + 36.0), "examples learnt from", SMALL, Anchor::Middle, Paint::Soft);
    for (at, one) in series.iter().enumerate() {
        let paint = PAINTS[at % PAINTS.len()];
        let mut through = Vec::new();
        for group in one.by_share() {
            let scores: Vec<f32> = group.iter().map(|point| score(point) as f32).collect();
            let examples = group.iter().map(|point| point.examples as f32).sum::<f32>() / group.len() as f32;
            let (worst, best) = scores
                .iter()
                .fold((1.0_f32, 0.0_f32), |(low, high), &score| (low.min(score), high.max(score)));
            drawing.line(place(examples, worst), place(examples, best), paint, 2.0);
            let middle = place(examples, scores.iter().sum::<f32>() / scores.len() as f32);
            drawing.shapes.push(Shape::Dot { at: middle, radius: 4.0, paint });
            through.push(middle);
        }
        through.sort_by(|one, other| one.0.total_cmp(&other.0));
        drawing.shapes.push(Shape::Line { through, paint, width: 1.5, dashed: false });
        let y = top + height + 58.0 + 20.0 * at as f32;
        drawing.shapes.push(Shape::Dot { at: (left + 5.0, y - 4.0), radius: 4.0, paint });
        drawing.text((left + 16.0, y), shortened(&one.name, 60), SMALL, Anchor::Start, Paint::Ink);
    }
    Some(drawing)
}

/// 1, 2 or 5 times a power of ten, so that about `steps` of them make `most`.
fn nice_step(most: f32, steps: f32) -> f32 {
    let rough = most / steps;
    let power = 10.0_f32.powf(rough.max(f32::MIN_POSITIVE).log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| *digit >= rough / power * 0.999);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(drawing: &Drawing) -> Vec<&str> {
        let mut texts = Vec::new();
        for shape in &drawing.shapes {
            if let Shape::Text { text, .. } = shape {
                texts.push(text.as_str());
            }
        }
        texts
    }

    fn many(labels: usize) -> Confusion {
        let mut confusion = Confusion::default();
        for label in 0..labels {
            let wrong = format!("intent {}", label % 7);
            confusion.add(&format!("intent {label}"), Some(&format!("intent {label}")));
            (0..label).for_each(|_| confusion.add(&format!("intent {label}"), Some(&wrong)));
        }
        confusion
    }

    #[test]
    fn a_matrix_shows_every_count() {
        let mut confusion = Confusion::default();
        (0..12).for_each(|_| confusion.add("a", Some("a")));
        (0..3).for_each(|_| confusion.add("a", Some("b")));
        confusion.add("b", None);
        let drawing = confusion_matrix(&confusion, "Intents", "intents").unwrap();
        for wanted in ["12", "3", "1", "(none)", "a", "b"] {
            assert!(texts(&drawing).contains(&wanted), "{wanted}");
        }
        assert_eq!(confusion_matrix(&Confusion::default(), "Intents", "intents"), None);
    }

    #[test]
    fn many_labels_stay_readable() {
        let drawing = confusion_matrix(&many(150), "Intents", "intents").unwrap();
        assert!(texts(&drawing).contains(&"the 40 of 150 intents that are mistaken most"));
        assert!(texts(&drawing).contains(&"intent 149") && texts(&drawing).contains(&"intent 3"));
        assert!(!texts(&drawing).contains(&"intent 90"));
        assert!(drawing.size.0 < 1200.0 && drawing.size.1 < 1200.0, "{:?}", drawing.size);
    }

    #[test]
    fn bars_are_as_long_as_counts_and_right_ones_go_right() {
        let drawing = histogram(&[0.99, 1.0, 0.98, f32::NAN], &[0.5], "Confidence").unwrap();
        let bars: Vec<(f32, f32)> = drawing
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Rectangle { at, size, .. } => Some((at.0, size.0)),
                _ => None,
            })
            .collect();
        assert_eq!(bars.len(), 3);
        assert!(bars[0].0 < 280.0 && bars[1].0 > 280.0);
        assert!((bars[2].1 - 3.0 * bars[1].1).abs() < 0.01);
        assert_eq!(histogram(&[], &[], ""), None);
    }

    #[test]
    fn nice_steps_are_round() {
        for (most, steps, wanted) in
            [(100.0, 5.0, 20.0), (7.0, 3.0, 5.0), (1200.0, 6.0, 200.0), (1.0, 3.0, 0.5)]
        {
            assert_eq!(nice_step(most, steps), wanted);
        }
        assert!(nice_step(0.0, 3.0).is_finite());
    }
}
