//! Writes a report, whole or with a word that it is not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use talkformer::report::{FileOptions, Report, ReportFile};

use super::args::TestNlu;
use super::output::say;

/// Where files go unless the user says so, as in Rasa.
const FOLDER: &str = "results";
/// The last file that is written.
const PAGE: &str = "report.html";

/// The folder of the report, or `None` where none is wanted. It is made now: better to hear before a long training
/// that it cannot be written.
pub(crate) fn folder(args: &TestNlu) -> anyhow::Result<Option<PathBuf>> {
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None if args.no_report || args.json => return Ok(None),
        None => PathBuf::from(FOLDER),
    };
    fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    Ok(Some(folder))
}

/// Writes the files of a report.
pub(crate) fn write(report: &Report<'_>, folder: &Path, args: &TestNlu) -> anyhow::Result<()> {
    let options = FileOptions { errors: !args.no_errors, successes: args.successes, pictures: !args.no_plot };
    let files = report.files(options);
    // The page of an earlier report must not speak for files of this one.
    match fs::remove_file(folder.join(PAGE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .and_then(|()| files.iter().try_for_each(|file| replace(folder, file)))
    .with_context(|| format!("the report in {} is incomplete", folder.display()))?;
    say(&format!("{} files in {}; open {}", files.len(), folder.display(), folder.join(PAGE).display()));
    Ok(())
}

/// Writes beside the place and moves there, so that no file is ever half.
fn replace(folder: &Path, file: &ReportFile) -> std::io::Result<()> {
    let place = folder.join(&file.name);
    let beside = folder.join(format!(".{}.{}", file.name, std::process::id()));
    let written = fs::write(&beside, &file.bytes).and_then(|()| fs::rename(&beside, &place));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
