//! The files of a report.

use super::contents::{Report, Tested};
use super::rasa;

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// Its name, without a folder.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Which files to write in addition to the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// Messages that were answered wrongly.
    pub errors: bool,
    /// Messages that were answered rightly.
    pub successes: bool,
    /// Drawings.
    pub pictures: bool,
}

impl Default for FileOptions {
    /// Errors and pictures, as in Rasa.
    fn default() -> Self {
        Self { errors: true, successes: false, pictures: true }
    }
}

impl Report<'_> {
    /// All files, `report.html` last, so that the others exist once it does.
    #[must_use]
    pub fn files(&self, options: FileOptions) -> Vec<ReportFile> {
        let mut files = Vec::new();
        let mut add = |name: String, text: String| files.push(ReportFile { name, bytes: text.into_bytes() });
        if let Some(Tested { utterances, predictions, evaluation }) = self.tested {
            let answers = evaluation.answers();
            let wanted = [(options.errors, "errors", false), (options.successes, "successes", true)];
            let wanted = || wanted.into_iter().filter(|(wanted, _, _)| *wanted);
            if self.has_intents() {
                let report = rasa::report(&evaluation.intent.report, evaluation.confusion());
                add("intent_report.json".to_owned(), report);
                for (_, word, right) in wanted() {
                    add(format!("intent_{word}.json"), rasa::intents(utterances, answers, right));
                }
            }
            for part in self.entity_parts() {
                add(format!("{}_report.json", part.stem), rasa::report(part.by_token, part.confusion));
                for (_, word, right) in wanted() {
                    let text = rasa::entities(utterances, predictions, &part, right);
                    add(format!("{}_{word}.json", part.stem), text);
                }
            }
        }
        if !self.curve.is_empty() {
            add("results.json".to_owned(), rasa::results(self.curve));
        }
        let drawings = self.drawings();
        if options.pictures {
            for (name, drawing) in &drawings {
                files.push(ReportFile { name: format!("{name}.svg"), bytes: drawing.to_svg().into_bytes() });
                #[cfg(feature = "png")]
                files.extend(drawing.to_png().map(|bytes| ReportFile { name: format!("{name}.png"), bytes }));
            }
        }
        files.push(ReportFile { name: "report.html".to_owned(), bytes: self.page(&drawings).into_bytes() });
        files
    }
}
