//! `talkformer completions` and `talkformer man`, both generated from the flags.

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::args::{Args, Completions, Manual};
use super::output::say;

/// Writes the script that completes commands and flags in a shell.
pub(crate) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "talkformer", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

/// Writes the manual: the page of the program, or one page for each command into a folder.
pub(crate) fn manual(args: &Manual) -> anyhow::Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Args::command()).render(&mut page)?;
        return Ok(std::io::stdout().write_all(&page)?);
    };
    let failed = || format!("{}: the pages cannot be written", folder.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(Args::command(), folder).with_context(failed)?;
    say(&format!("the pages are in {}", folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Command, Parser as _};

    use super::*;

    /// The words of a command as a shell would split them, up to a pipe or a redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                '>' | '<' | '|' if !quoted => break,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn examples(command: &Command) -> Vec<String> {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("  "));
        lines.filter_map(|line| Some(line[line.find("talkformer ")?..].to_owned())).collect()
    }

    fn check(command: &Command, path: &str) {
        let found = examples(command);
        assert!(!found.is_empty(), "`{path} --help` has no example");
        for example in found {
            let parsed = Args::try_parse_from(words(&example));
            parsed.unwrap_or_else(|error| panic!("in `{path} --help`: {example}\n{error}"));
            assert!(example.starts_with(path), "`{path} --help` shows another command: {example}");
        }
        for own in command.get_subcommands() {
            check(own, &format!("{path} {}", own.get_name()));
        }
    }

    #[test]
    fn every_help_has_examples_that_parse() {
        Args::command().debug_assert();
        check(&Args::command(), "talkformer");
    }

    #[test]
    fn a_command_line_splits_as_in_a_shell() {
        let line = "talkformer similar --input faq.txt 'how > what' < /dev/null";
        assert_eq!(words(line), ["talkformer", "similar", "--input", "faq.txt", "how > what"]);
    }

    #[test]
    fn the_manual_has_the_flags_and_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        manual(&Manual { out: Some(folder.path().join("man")) }).unwrap();
        let page = std::fs::read_to_string(folder.path().join("man/talkformer-train-nlu.1")).unwrap();
        assert!(page.contains("finetune"), "{page}");
    }
}
