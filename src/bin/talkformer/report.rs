//! Writes the files of a report, or says that the report is incomplete.

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

/// The folder of the report, or `None` where none is wanted. It is created at once, so that a folder that cannot be
/// written is noticed before a long training.
pub(crate) fn folder(args: &TestNlu) -> anyhow::Result<Option<PathBuf>> {
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None if args.no_report || args.json => return Ok(None),
        None => PathBuf::from(FOLDER),
    };
    fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be created", folder.display()))?;
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
    // Otherwise an incomplete report would lie beside the page of an earlier one.
    match fs::remove_file(folder.join(PAGE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
    .and_then(|()| {
        AtomicFile::write_files(folder, files.iter().map(|file| (&file.name[..], &file.bytes[..])))
    })
    .with_context(|| format!("the report in {} is incomplete", folder.display()))?;
    say(&format!("{} files in {}; open {}", files.len(), folder.display(), folder.join(PAGE).display()));
    Ok(())
}
