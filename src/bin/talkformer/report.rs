//! Writes a report, whole or with a word that it is not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use talkformer::files::AtomicFile;
use talkformer::report::{FileOptions, Report};

use super::output::say;
use super::test::args::TestNlu;

/// Where files go unless the user says so, as in Rasa.
const FOLDER: &str = "results";
/// The last file that is written.
const PAGE: &str = "report.html";

/// The folder of the report, or `None` where none is wanted. It is made now: better to hear before a long training
/// that it cannot be written.
pub(crate) fn folder(args: &TestNlu) -> anyhow::Result<Option<PathBuf>> {
    let folder = match &args.report.out {
        Some(folder) => folder.clone(),
        None if args.report.no_report || args.json => return Ok(None),
        None => PathBuf::from(FOLDER),
    };
    fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    Ok(Some(folder))
}

/// Writes the files of a report.
pub(crate) fn write(report: &Report<'_>, folder: &Path, args: &TestNlu) -> anyhow::Result<()> {
    let options = FileOptions {
        errors: !args.report.no_errors,
        successes: args.report.successes,
        pictures: !args.report.no_plot,
    };
    let files = report.files(options);
    // The page of an earlier report must not speak for files of this one.
    match fs::remove_file(folder.join(PAGE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .and_then(|()| {
        files.iter().try_for_each(|file| AtomicFile::write_to(&folder.join(&file.name), &file.bytes))
    })
    .with_context(|| format!("the report in {} is incomplete", folder.display()))?;
    say(&format!("{} files in {}; open {}", files.len(), folder.display(), folder.join(PAGE).display()));
    Ok(())
}
