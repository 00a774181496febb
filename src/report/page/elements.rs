//! The elements of the page: tables, tiles, bars, drawings.

use maud::{Markup, PreEscaped, Render, html};

use super::Drawings;
use crate::metrics::{Interval, Prf};

/// Rows that are shown at once; the rest is folded.
const MOST_ROWS: usize = 40;

/// A row of a table: a name, numbers and, optionally, a remark at its end.
pub(super) struct Row {
    cells: String,
    has_remark: bool,
}

impl Row {
    /// A row with only its first cell.
    pub(super) fn new(name: impl Render) -> Self {
        let cells = html! { td.name { (name) } }.into_string();
        Self { cells, has_remark: false }
    }

    /// The row with one more cell.
    pub(super) fn cell(mut self, content: impl Render) -> Self {
        html! { td { (content) } }.render_to(&mut self.cells);
        self
    }

    /// The row with a cell for each share, in percent.
    pub(super) fn shares<const COUNT: usize>(self, shares: [f64; COUNT]) -> Self {
        shares.into_iter().fold(self, |row, share| row.cell(in_percent(share)))
    }

    /// The row with a cell of secondary text, aligned to the left.
    pub(super) fn remark(mut self, content: impl Render) -> Self {
        html! { td.left { (soft(content)) } }.render_to(&mut self.cells);
        self.has_remark = true;
        self
    }
}

impl Render for Row {
    fn render_to(&self, buffer: &mut String) {
        html! { tr { (PreEscaped(&self.cells)) } "\n" }.render_to(buffer);
    }
}

/// A table with its head.
pub(super) fn table(head: &[&str], rows: &[Row]) -> Markup {
    let remark = rows.first().filter(|row| row.has_remark).map(|_| head.len() - 1);
    let class = |column: usize| match column {
        0 => Some("name"),
        _ => (remark == Some(column)).then_some("left"),
    };
    html! {
        .scroll {
            table {
                thead {
                    tr { @for (column, name) in head.iter().enumerate() { th class=[class(column)] { (name) } } }
                }
                tbody { @for row in rows { (row) } }
            }
        }
    }
}

/// A table; the end of a long one is folded.
pub(super) fn folded(head: &[&str], rows: &[Row]) -> Markup {
    let (first, rest) = rows.split_at(rows.len().min(MOST_ROWS));
    html! {
        (table(head, first))
        @if !rest.is_empty() {
            details { summary { (rest.len()) " more" } (table(head, rest)) }
        }
    }
}

/// Rows of labels, the lowest score first; where scores are equal, the order stays.
pub(super) fn lowest_first(mut rows: Vec<(f64, Row)>) -> Vec<Row> {
    rows.sort_by(|one, other| one.0.total_cmp(&other.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A share as a number with a bar behind it.
pub(super) fn bar(share: f64) -> Markup {
    let share = in_percent(share.clamp(0.0, 1.0));
    html! { span.bar style={ "--share:" (share) "%" } { (share) } }
}

/// Secondary text.
pub(super) fn soft(content: impl Render) -> Markup {
    html! { span.soft { (content) } }
}

/// A large number with a name and a remark.
pub(super) fn tile(name: &str, value: impl Render, remark: impl Render) -> Markup {
    html! {
        .tile {
            .what { (name) }
            .value { (value) }
            .remark { (remark) }
        }
    }
}

/// One of the drawings, if there is one of that name.
pub(super) fn drawing(drawings: &Drawings, name: &str) -> Option<Markup> {
    drawings.iter().find(|(other, _)| *other == name).map(|(_, drawing)| drawing.to_inline_svg())
}

/// Precision, recall and F1, in the order of the columns.
pub(super) fn scores(found: Prf) -> [f64; 3] {
    [found.precision, found.recall, found.f1]
}

/// A share in percent with one decimal, for a column that says so.
pub(super) fn in_percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A share in percent with one decimal and the sign.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// From the lower to the upper end; empty where the interval is not known.
pub(super) fn range(interval: Option<Interval>) -> String {
    interval
        .map_or_else(String::new, |found| format!("{:.1} – {:.1} %", 100.0 * found.low, 100.0 * found.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_their_cell() {
        assert!(
            bar(7.0).into_string().contains("--share:100.0%") && bar(-1.0).into_string().contains(">0.0<")
        );
    }

    #[test]
    fn long_tables_are_folded_and_remarks_have_their_column() {
        let rows = |count: usize| -> Vec<Row> { (0..count).map(|row| Row::new(row).remark("<b>")).collect() };
        let short = folded(&["number", "remark"], &rows(MOST_ROWS)).into_string();
        assert!(short.contains("<th class=\"left\">remark</th>") && short.contains("&lt;b&gt;"), "{short}");
        assert!(!short.contains("<details>") && !short.contains("<b>"));
        let long = folded(&["number", "remark"], &rows(MOST_ROWS + 2)).into_string();
        assert!(long.contains("<summary>2 more</summary>") && long.matches("<table>").count() == 2, "{long}");
    }
}
