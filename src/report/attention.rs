//! Attention weights as a drawing.

use ndarray::ArrayView2;

use super::drawing::{Anchor, Drawing, Paint, SMALL, TITLE, shortened, text_width};

/// Longer labels are shortened to so many letters.
const LETTERS: usize = 16;
/// Panels beside each other.
const ACROSS: usize = 4;

/// One attention head, or several averaged.
#[derive(Clone, Debug)]
pub struct AttentionPanel<'a> {
    /// What stands above it.
    pub title: String,
    /// `[query, key]`; a query's weights add up to one.
    pub weights: ArrayView2<'a, f32>,
}

/// Which token attends to which: a row for each query, a column for each key, stronger in colour for a larger weight.
/// Several heads stand beside each other.
///
/// # Panics
///
/// If a panel has other rows or columns than there are `labels`.
#[must_use]
pub fn attention(labels: &[String], panels: &[AttentionPanel<'_>], title: &str) -> Drawing {
    let cell = match (panels.len(), labels.len()) {
        (1, 0..=24) => 26.0,
        (_, 0..=16) => 16.0,
        _ => 12.0,
    };
    let font = SMALL.min(cell);
    let names: Vec<String> = labels.iter().map(|label| shortened(label, LETTERS)).collect();
    let longest = names.iter().map(|name| text_width(name, font)).fold(20.0, f32::max);
    let side = cell * labels.len() as f32;
    let (left, top) = (longest + 12.0, longest * 0.72 + 30.0);
    let (width, height) = (left + side + longest * 0.72 + 20.0, top + side + 14.0);
    let across = panels.len().clamp(1, ACROSS);
    let size = (width * across as f32 + 16.0, height * panels.len().div_ceil(across) as f32 + 64.0);
    let note = "each row attends to the columns; the stronger the colour, the larger the weight";
    let mut drawing = Drawing::titled(title, note, size.0.max(text_width(title, TITLE) + 32.0), size.1);
    for (at, panel) in panels.iter().enumerate() {
        let (x, y) = (8.0 + (at % across) as f32 * width, 52.0 + (at / across) as f32 * height);
        drawing.text((x + left, y + 14.0), panel.title.as_str(), SMALL, Anchor::Start, Paint::Soft);
        for (token, name) in names.iter().enumerate() {
            let along = (token as f32 + 0.5) * cell;
            drawing.turned_text((x + left + along + 2.0, y + top - 5.0), name.as_str(), font, -45.0);
            let place = (x + left - 5.0, y + top + along + font * 0.35);
            drawing.text(place, name.as_str(), font, Anchor::End, Paint::Ink);
        }
        for ((query, key), weight) in panel.weights.indexed_iter() {
            let place = (x + left + key as f32 * cell, y + top + query as f32 * cell);
            let inner = (place.0 + 0.5, place.1 + 0.5);
            assert!(query < labels.len() && key < labels.len(), "a label for every row and column");
            drawing.rectangle(inner, (cell - 1.0, cell - 1.0), Paint::Line, 0.3);
            drawing.rectangle(inner, (cell - 1.0, cell - 1.0), Paint::Accent, weight.clamp(0.0, 1.0).sqrt());
        }
    }
    drawing
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::super::Shape;
    use super::*;

    #[test]
    fn every_head_has_its_panel_and_every_weight_its_cell() {
        let weights = array![[0.25, 0.75], [1.0, 0.0]];
        let panel = |title: &str| AttentionPanel { title: title.to_owned(), weights: weights.view() };
        let labels = ["money".to_owned(), "<bank>".to_owned()];
        let drawing = attention(&labels, &[panel("head 1"), panel("head 2")], "layer 1");
        let strength = |shape: &Shape| match shape {
            Shape::Rectangle { paint: Paint::Accent, opacity, .. } => Some(*opacity),
            _ => None,
        };
        let strengths: Vec<f32> = drawing.shapes.iter().filter_map(strength).collect();
        assert_eq!(strengths[..4], [0.5, 0.75_f32.sqrt(), 1.0, 0.0]);
        assert_eq!(strengths.len(), 8);
        let svg = drawing.to_svg();
        assert!(svg.contains("head 2") && svg.contains("&lt;bank&gt;"), "{svg}");
    }
}
