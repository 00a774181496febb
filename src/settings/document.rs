//! The table of options for the documentation.

use super::{OptionEntry, Rule, Settings};

/// All options of a configuration with their values and what these may be, as a table in Markdown.
pub(crate) fn markdown(settings: &impl Settings) -> String {
    let head = "| Option | Default | May be |\n| --- | --- | --- |\n".to_owned();
    settings.table().into_iter().fold(head, |table, entry| table + &line(&entry))
}

fn line(OptionEntry { name, value, rule }: &OptionEntry) -> String {
    let rule = match rule {
        Rule::Any => String::new(),
        Rule::Range(range) => range.to_string(),
        Rule::WithoutEffect(why) => format!("without effect: {why}"),
    };
    format!("| `{name}` | `{value}` | {rule} |\n")
}
