//! `talkformer attention`

use std::fs;
use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use serde::Serialize;
use talkformer::embed::AttentionMaps;
use talkformer::ndarray;
use talkformer::report::{AttentionPanel, attention};
use talkformer::text::CharOffsets;

use super::args::Attention;
use crate::output::json_line;

pub(crate) fn run(args: &Attention) -> anyhow::Result<()> {
    let maps = args.encoder.open(&args.encoder.options())?.attention(&args.text)?;
    let number = args.layer.map_or(maps.layers.len(), usize::from);
    let Some(layer) = number.checked_sub(1).and_then(|at| maps.layers.get(at)) else {
        bail!("there is no layer {number}; the encoder has {}", maps.layers.len());
    };
    let heads = layer.len_of(Axis(0));
    let head = args.head.map(usize::from);
    if let Some(head) = head.filter(|head| *head > heads) {
        bail!("there is no head {head}; a layer has {heads}");
    }
    if let Some(path) = &args.svg {
        let svg = draw(args, &maps, layer.view(), number);
        fs::write(path, svg).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    if args.json {
        return json_line(&Json::new(&args.text, &maps));
    }
    let weights = match head {
        Some(head) => layer.index_axis(Axis(0), head - 1).to_owned(),
        None => layer.mean_axis(Axis(0)).unwrap_or_default(),
    };
    let which =
        head.map_or_else(|| format!("mean of {heads} heads"), |head| format!("head {head} of {heads}"));
    print(&maps.labels, &weights, &format!("layer {number} of {}, {which}", maps.layers.len()))
}

fn draw(args: &Attention, maps: &AttentionMaps, layer: ArrayView3<'_, f32>, number: usize) -> String {
    let panels: Vec<AttentionPanel<'_>> = layer
        .outer_iter()
        .zip(1_u16..)
        .filter(|(_, head)| args.head.is_none_or(|wanted| wanted == *head))
        .map(|(weights, head)| AttentionPanel { title: format!("head {head}"), weights })
        .collect();
    attention(&maps.labels, &panels, &format!("{} – layer {number}", args.text)).to_svg()
}

/// A row for each query, a column for each key, in percent.
fn print(labels: &[String], weights: &Array2<f32>, title: &str) -> anyhow::Result<()> {
    const NARROW: usize = 5;
    let mut out = io::stdout().lock();
    let width = |label: &String| label.chars().count();
    let first = labels.iter().map(width).max().unwrap_or(0);
    writeln!(out, "{title}, in percent: each row attends to the columns")?;
    write!(out, "{:first$}", "")?;
    labels.iter().try_for_each(|label| write!(out, " {label:>width$}", width = width(label).max(NARROW)))?;
    writeln!(out)?;
    for (label, row) in labels.iter().zip(weights.outer_iter()) {
        write!(out, "{label:first$}")?;
        for (weight, label) in row.iter().zip(labels) {
            write!(out, " {:>width$.0}", 100.0 * weight, width = width(label).max(NARROW))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Json<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    /// `[layer][head][query][key]`
    layers: Vec<Vec<Vec<Vec<f32>>>>,
}

#[derive(Serialize)]
struct Token<'a> {
    piece: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Json<'a> {
    fn new(text: &'a str, maps: &'a AttentionMaps) -> Self {
        let offsets = CharOffsets::new(text);
        let token = |(label, span): (&'a String, &talkformer::text::Span)| {
            let (start, end) = offsets.to_chars(*span);
            Token { piece: label, start, end }
        };
        let rows = |head: ArrayView2<'_, f32>| head.outer_iter().map(|row| row.to_vec()).collect();
        Self {
            text,
            tokens: maps.labels.iter().zip(&maps.spans).map(token).collect(),
            layers: maps.layers.iter().map(|layer| layer.outer_iter().map(rows).collect()).collect(),
        }
    }
}
