//! What an option may be.

use std::fmt;

use serde_json::Value;

/// What an option may be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// Whatever its type can hold.
    Any,
    /// A number in this range. Where an option has several numbers, this holds for each.
    Range(Range),
    /// Accepted because Rasa's files have it, without effect here; and why.
    WithoutEffect(&'static str),
}

/// An interval of finite numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    lowest: f64,
    highest: f64,
    includes_lowest: bool,
    includes_highest: bool,
}

impl Range {
    /// From this number on.
    #[must_use]
    pub const fn at_least(lowest: f64) -> Self {
        Self { lowest, highest: f64::INFINITY, includes_lowest: true, includes_highest: false }
    }

    /// All numbers above this one.
    #[must_use]
    pub const fn above(lowest: f64) -> Self {
        Self { includes_lowest: false, ..Self::at_least(lowest) }
    }

    /// Between these numbers, or one of them.
    #[must_use]
    pub const fn between(lowest: u32, highest: u32) -> Self {
        Self::at_least(lowest as f64).at_most(highest as f64)
    }

    /// A share, such as that of what dropout takes: from 0, below 1.
    pub const SHARE: Self = Self { highest: 1.0, ..Self::at_least(0.0) };

    /// The same, but up to this number.
    #[must_use]
    pub const fn at_most(self, highest: f64) -> Self {
        Self { highest, includes_highest: true, ..self }
    }

    /// Whether each number of a JSON value lies in it. What is not finite is `null` in JSON, and lies in no range.
    #[must_use]
    pub fn holds(self, value: &Value) -> bool {
        match value {
            Value::Array(values) => values.iter().all(|value| self.holds(value)),
            Value::Object(values) => values.values().all(|value| self.holds(value)),
            value => value.as_f64().is_some_and(|number| self.contains(number)),
        }
    }

    fn contains(self, number: f64) -> bool {
        let high_enough = if self.includes_lowest { number >= self.lowest } else { number > self.lowest };
        let low_enough = if self.includes_highest { number <= self.highest } else { number < self.highest };
        high_enough && low_enough
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lowest, highest, .. } = self;
        if self.includes_lowest && self.includes_highest {
            return write!(f, "between {lowest} and {highest}");
        }
        write!(f, "{} {lowest}", if self.includes_lowest { "at least" } else { "above" })?;
        if highest.is_infinite() {
            return Ok(());
        }
        write!(f, " and {} {highest}", if self.includes_highest { "at most" } else { "below" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn borders_belong_to_a_range_or_not_and_it_says_so() {
        let ranges = [Range::SHARE, Range::above(0.0).at_most(1.0), Range::between(0, 1), Range::above(0.0)];
        let holds = ranges.map(|range| [0.0, 0.5, 1.0].map(|x| range.holds(&json!(x))));
        assert_eq!(
            holds,
            [[true, true, false], [false, true, true], [true, true, true], [false, true, true]]
        );
        let said = ranges.map(|range| range.to_string());
        assert_eq!(said, ["at least 0 and below 1", "above 0 and at most 1", "between 0 and 1", "above 0"]);
    }

    #[test]
    fn every_number_counts_and_what_is_not_finite_is_nowhere() {
        let range = Range::between(1, 9);
        assert!(range.holds(&json!({"text": [1, 9], "label": []})));
        assert!(!range.holds(&json!({"text": [1, 10], "label": []})));
        assert!(!range.holds(&json!(f64::NAN)) && !Range::at_least(0.0).holds(&json!(f64::INFINITY)));
    }
}
