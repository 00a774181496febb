//! Which label was taken for which, and how that prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::counts::{Counts, share};

/// Up to this many labels print as a grid; more would not fit across a terminal.
const WIDEST_GRID: usize = 16;
/// How a missing prediction prints.
const NOTHING: &str = "(none)";

/// Counts of (gold label, predicted label), gathered one message at a time.
///
/// A prediction may be missing: then the message was answered with no label, which is an error under its
/// gold label and a false positive of none. Labels need no registration; one that is only ever predicted
/// has no gold messages.
///
/// It prints as a grid, gold labels down and predictions across, or beyond 16 labels as a list of the
/// labels that were mistaken for others.
///
/// # Example
///
/// ```
/// use talkformer::metrics::Confusion;
///
/// let mut confusion = Confusion::default();
/// confusion.add("greet", Some("greet"));
/// confusion.add("greet", Some("bye"));
/// confusion.add("bye", None);
///
/// assert_eq!(confusion.count("greet", Some("bye")), 1);
/// assert_eq!(confusion.confused_with("greet", 2), [(Some("bye"), 1)]);
/// assert_eq!(confusion.to_string(), "\
/// gold     1  2  (none)
/// 1 bye    .  .  1
/// 2 greet  1  1  .
/// ");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    rows: BTreeMap<String, BTreeMap<Option<String>, usize>>,
}

impl Confusion {
    /// Notes one message.
    pub fn add(&mut self, gold: &str, predicted: Option<&str>) {
        let predicted = predicted.map(str::to_owned);
        *self.rows.entry(gold.to_owned()).or_default().entry(predicted).or_default() += 1;
    }

    /// How many messages there were.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rows.values().flat_map(BTreeMap::values).sum()
    }

    /// How many messages of the label `gold` there were.
    #[must_use]
    pub fn support(&self, gold: &str) -> usize {
        self.rows.get(gold).map_or(0, |row| row.values().sum())
    }

    /// How many messages of the label `gold` were answered with `predicted`.
    #[must_use]
    pub fn count(&self, gold: &str, predicted: Option<&str>) -> usize {
        let row = self.rows.get(gold);
        row.and_then(|row| row.get(&predicted.map(str::to_owned))).copied().unwrap_or(0)
    }

    /// The labels that occur as gold, in alphabetical order.
    pub fn gold_labels(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Right and wrong per gold label, in alphabetical order.
    ///
    /// A prediction of a label without gold messages is a false negative of the label it missed, and has
    /// no entry of its own.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, Counts> {
        let mut counts: BTreeMap<&str, Counts> =
            self.gold_labels().map(|label| (label, Counts::default())).collect();
        for (gold, predicted, count) in self.cells() {
            if predicted == Some(gold) {
                counts.entry(gold).or_default().true_positives += count;
                continue;
            }
            counts.entry(gold).or_default().false_negatives += count;
            if let Some(wrong) = predicted.and_then(|label| counts.get_mut(label)) {
                wrong.false_positives += count;
            }
        }
        counts
    }

    /// The share of messages whose prediction is the gold label; 0 without messages.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right = self.counts().values().map(|counts| counts.true_positives).sum();
        share(right, self.total())
    }

    /// The wrong answers to messages of the label `gold`, most frequent first and at most `limit` of
    /// them. Among equals the alphabet decides; a missing prediction, `None`, comes before the labels.
    #[must_use]
    pub fn confused_with(&self, gold: &str, limit: usize) -> Vec<(Option<&str>, usize)> {
        let row = self.rows.get(gold).into_iter().flatten();
        let mut wrong: Vec<(Option<&str>, usize)> = row
            .map(|(predicted, &count)| (predicted.as_deref(), count))
            .filter(|&(predicted, _)| predicted != Some(gold))
            .collect();
        wrong.sort_by_key(|&(_, count)| std::cmp::Reverse(count)); // stable: equals stay alphabetical
        wrong.truncate(limit);
        wrong
    }

    /// All labels, gold and predicted, in alphabetical order.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        self.all_labels().into_iter().collect()
    }

    /// Every filled cell: gold, predicted, count.
    fn cells(&self) -> impl Iterator<Item = (&str, Option<&str>, usize)> {
        self.rows.iter().flat_map(|(gold, row)| {
            row.iter().map(move |(predicted, &count)| (gold.as_str(), predicted.as_deref(), count))
        })
    }

    /// Gold labels and predicted ones, in alphabetical order.
    fn all_labels(&self) -> BTreeSet<&str> {
        self.cells().flat_map(|(gold, predicted, _)| [Some(gold), predicted]).flatten().collect()
    }

    fn write_grid(&self, labels: &BTreeSet<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = (1..=labels.len()).map(|number| number.to_string()).collect();
        let last = numbers.last().map_or(0, String::len);
        let mut columns: Vec<(Option<&str>, &str)> =
            labels.iter().map(|&label| Some(label)).zip(numbers.iter().map(String::as_str)).collect();
        if self.cells().any(|(_, predicted, _)| predicted.is_none()) {
            columns.push((None, NOTHING));
        }
        let mut lines = vec![vec!["gold".to_owned()]];
        lines[0].extend(columns.iter().map(|&(_, head)| head.to_owned()));
        for (&gold, number) in labels.iter().zip(&numbers) {
            let mut line = vec![format!("{number:>last$} {gold}")];
            line.extend(columns.iter().map(|&(predicted, _)| cell(self.count(gold, predicted))));
            lines.push(line);
        }
        write_aligned(&lines, f)
    }

    fn write_list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["gold", "right", "of", "mistaken for"].map(str::to_owned).to_vec()];
        for gold in self.gold_labels() {
            let wrong = self.confused_with(gold, 3);
            if wrong.is_empty() {
                continue;
            }
            let wrong: Vec<String> =
                wrong.iter().map(|(label, count)| format!("{} {count}", label.unwrap_or(NOTHING))).collect();
            let right = self.count(gold, Some(gold)).to_string();
            lines.push(vec![gold.to_owned(), right, self.support(gold).to_string(), wrong.join(", ")]);
        }
        write_aligned(&lines, f)
    }
}

impl fmt::Display for Confusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.all_labels();
        if labels.len() <= WIDEST_GRID { self.write_grid(&labels, f) } else { self.write_list(f) }
    }
}

/// A count in the grid, where zeros are shown as dots.
fn cell(count: usize) -> String {
    if count == 0 { ".".to_owned() } else { count.to_string() }
}

/// Writes lines of cells in columns that are as wide as their widest cell, without blanks at the end.
fn write_aligned(lines: &[Vec<String>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```text
    ///        a  b  c  d  nothing
    /// a      5  2  0  1  1
    /// b      1  3  2  0  0
    /// c      0  0  4  0  0
    /// ```
    fn three_classes() -> Confusion {
        let mut confusion = Confusion::default();
        let cells: &[(&str, Option<&str>, usize)] = &[
            ("a", Some("a"), 5),
            ("a", Some("b"), 2),
            ("a", Some("d"), 1),
            ("a", None, 1),
            ("b", Some("a"), 1),
            ("b", Some("b"), 3),
            ("b", Some("c"), 2),
            ("c", Some("c"), 4),
        ];
        for &(gold, predicted, count) in cells {
            (0..count).for_each(|_| confusion.add(gold, predicted));
        }
        confusion
    }

    #[test]
    fn counts_by_hand() {
        let confusion = three_classes();
        let counts = |true_positives, false_positives, false_negatives| Counts {
            true_positives,
            false_positives,
            false_negatives,
        };
        let wanted = [("a", counts(5, 1, 4)), ("b", counts(3, 2, 3)), ("c", counts(4, 2, 0))];
        assert_eq!(confusion.counts(), BTreeMap::from(wanted)); // no entry for `d`
        assert_eq!((confusion.total(), confusion.support("a"), confusion.support("d")), (19, 9, 0));
        assert_eq!(confusion.count("a", None), 1);
        assert_eq!(confusion.count("d", Some("a")), 0);
        assert!((confusion.accuracy() - 12.0 / 19.0).abs() < 1e-15);
    }

    #[test]
    fn the_most_frequent_mistakes_come_first() {
        let confusion = three_classes();
        assert_eq!(confusion.confused_with("a", 9), [(Some("b"), 2), (None, 1), (Some("d"), 1)]);
        assert_eq!(confusion.confused_with("a", 1), [(Some("b"), 2)]);
        assert_eq!(confusion.confused_with("c", 9), []);
        assert_eq!(confusion.confused_with("d", 9), []);
    }

    #[test]
    fn few_labels_print_as_a_grid() {
        let grid = "\
gold  1  2  3  4  (none)
1 a   5  2  .  1  1
2 b   1  3  2  .  .
3 c   .  .  4  .  .
4 d   .  .  .  .  .
";
        assert_eq!(three_classes().to_string(), grid);
        assert_eq!(Confusion::default().to_string(), "gold\n");
    }

    #[test]
    fn many_labels_print_as_a_list_of_mistakes() {
        let mut confusion = three_classes();
        for label in 'e'..='z' {
            confusion.add(&label.to_string(), Some(&label.to_string()));
        }
        let list = "\
gold  right  of  mistaken for
a     5      9   b 2, (none) 1, d 1
b     3      6   c 2, a 1
";
        assert_eq!(confusion.to_string(), list);
    }

    #[test]
    fn no_messages_are_no_accuracy() {
        assert_eq!(Confusion::default().accuracy().to_bits(), 0.0_f64.to_bits());
        assert!(Confusion::default().counts().is_empty());
    }
}
