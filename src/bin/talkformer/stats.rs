//! `talkformer data stats`

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::json;
use talkformer::data::TrainingData;

use super::args::Stats;
use super::output::json_line;

pub(crate) fn run(args: &Stats) -> anyhow::Result<()> {
    let mut data = talkformer::data::read(&args.data)?;
    let repeated = data.deduplicate();
    let warnings: Vec<String> =
        data.warnings.iter().chain(&data.validate()).map(ToString::to_string).collect();
    if args.json {
        return json_line(&json!({
            "examples": data.utterances.len(),
            "repeated": repeated,
            "without_intent": data.utterances.iter().filter(|utterance| utterance.intent.is_none()).count(),
            "intents": data.intents(),
            "entities": data.entity_types(),
            "roles": data.roles(),
            "groups": data.groups(),
            "synonyms": data.synonyms.len(),
            "regexes": data.regexes.len(),
            "lookups": data.lookups.len(),
            "responses": data.responses.len(),
            "warnings": warnings,
        }));
    }
    print(&data, repeated, &warnings)
}

fn print(data: &TrainingData, repeated: usize, warnings: &[String]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} different examples, {repeated} repetitions", data.utterances.len())?;
    let mut table = |title: &str, counts: &BTreeMap<&str, usize>| -> anyhow::Result<()> {
        if counts.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{} {title}", counts.len())?;
        let mut rows: Vec<_> = counts.iter().collect();
        rows.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
        for (name, count) in rows {
            writeln!(out, "  {count:>7}  {name}")?;
        }
        Ok(())
    };
    table("intents", &data.intents())?;
    table("entity types", &data.entity_types())?;
    table("roles", &data.roles())?;
    table("groups", &data.groups())?;
    let (synonyms, regexes, lookups) = (data.synonyms.len(), data.regexes.len(), data.lookups.len());
    writeln!(out, "\n{synonyms} synonyms, {regexes} regular expressions, {lookups} lookup tables")?;
    if !data.responses.is_empty() {
        writeln!(out, "{} responses to retrieval intents", data.responses.len())?;
    }
    if !warnings.is_empty() {
        writeln!(out, "\n{} warnings", warnings.len())?;
        warnings.iter().try_for_each(|warning| writeln!(out, "  {warning}"))?;
    }
    Ok(())
}
