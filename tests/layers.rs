//! The map in `ARCHITECTURE.md` is true: who imports whom, who may be unsafe, print or open files.
//!
//! Comments and strings do not count. Code for tests (`#[cfg(test)]`) may import what the last column of
//! the table adds, and may print and open files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn modules_import_only_what_the_map_allows() {
    let map = Map::parse(&read("ARCHITECTURE.md"));
    let sources = sources();
    assert_no(&map.forbidden(&sources), "import as ARCHITECTURE.md allows, or change its table and say why");
}

#[test]
fn the_map_names_exactly_the_modules_there_are() {
    let map = Map::parse(&read("ARCHITECTURE.md"));
    let library = Source::new("src/lib.rs", &read("src/lib.rs"));
    let modules =
        library.tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.clone());
    let (there, told): (BTreeSet<_>, BTreeSet<_>) = (modules.collect(), map.rules.keys().cloned().collect());
    assert_eq!(there, told, "left: the modules of src/lib.rs; right: the table of ARCHITECTURE.md");
}

#[test]
fn the_map_itself_points_one_way() {
    let map = Map::parse(&read("ARCHITECTURE.md"));
    for (module, rule) in &map.rules {
        for import in &rule.imports {
            let rank = map.rules.get(import).map(|other| other.rank);
            let neighbours = [module, import].map(String::as_str);
            let fine =
                rank < Some(rule.rank) || matches!(neighbours, ["pipeline", "error"] | ["error", "pipeline"]);
            assert!(
                rank.is_some() && fine,
                "`{module}` of rank {} may import `{import}`: {rank:?}",
                rule.rank
            );
        }
    }
}

#[test]
fn only_kernels_and_files_are_unsafe() {
    let found = outside(&["src/kernels/", "src/files/"], |tokens| tokens[0].text == "unsafe");
    assert_no(&found, "`unsafe` belongs in src/kernels and src/files/");
}

#[test]
fn only_the_program_prints_exits_and_reads_flags() {
    let speaks = |tokens: &[Token]| {
        matches!(
            [0, 1, 2].map(|at| tokens.get(at).map_or("", |token| &token.text)),
            ["println" | "eprintln" | "print" | "eprint" | "dbg", "!", _]
                | ["stdout" | "stderr", "(", _]
                | ["process", "::", "exit" | "abort"]
                | ["env", "::", "args" | "args_os"]
        )
    };
    let found = outside(&["src/bin/"], |tokens| !tokens[0].test && speaks(tokens));
    assert_no(&found, "printing, exiting and reading flags belong in src/bin");
}

#[test]
fn only_readers_bundles_and_the_program_open_files() {
    let opens = |tokens: &[Token]| ["fs", "File", "OpenOptions"].contains(&&*tokens[0].text);
    let allowed = ["src/data/read/", "src/bundle/", "src/embed/", "src/files/", "src/bin/"];
    let found = outside(&allowed, |tokens| !tokens[0].test && opens(tokens));
    assert_no(
        &found,
        "opening files belongs in src/data/read, src/bundle, src/embed, src/files/ and src/bin",
    );
}

#[test]
fn what_answers_knows_no_tensor_library() {
    let answers = ["src/infer/", "src/diet/answer/", "src/embed/pretrained/network.rs"];
    let tensors = |tokens: &[Token]| !tokens[0].test && tokens[0].text.starts_with("candle_");
    let found = sources().into_iter().flat_map(|source| source.at(tensors));
    let found: Vec<String> =
        found.filter(|place| answers.iter().any(|folder| place.starts_with(folder))).collect();
    assert_no(&found, "candle is for learning");
}

/// The first test would be worth nothing if it overlooked a way to write an import.
#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    let map = Map::parse(
        "| 0 | `low` | nothing of ours | `side` |\n| 0 | `side` | nothing of ours | |\n| 1 | `high` | ranks 0–0 | |",
    );
    let check = |code: &str| map.forbidden(&[Source::new("src/low/part.rs", code)]);
    let bad = [
        "use crate::high::Thing;",
        "use crate::{low::A, high};",
        "use super::super::high;",
        "use super::{B, super::{low::C, high::D as E}};",
        "mod inner { use super::super::super::high::F; }",
        "fn f<'a>(x: &'a str) -> crate::high::G<'a> { g('\"', x) }",
        "use crate::side::H;",
        "use crate::nowhere::I;",
        "#[cfg(test)] mod tests { use crate::high::J; }",
        "#[cfg(test)] mod tests { use crate::side::K; } fn f() { crate::side::l() }",
        "#[cfg(not(test))] use crate::side::M;",
    ];
    for code in bad {
        let found = check(&format!("//! first line\n{code}"));
        assert_eq!(found.len(), 1, "{code}");
        assert!(found[0].starts_with("src/low/part.rs:2: `low` may not import `"), "{}", found[0]);
    }
    let good = [
        "use crate::low::A;",
        "use super::B; use self::C; pub(crate) fn f() {} pub(in crate::low) fn g() {}",
        "//! See [`high`](crate::high).\n/* use crate::high; /* nested */ still */",
        "const S: &str = \"use crate::high; \\\" crate::high::x\"; const R: &str = r#\"crate::high::y \"\"#;",
        "#[cfg(test)] mod tests { use crate::side::D; use super::*; }",
        "#[cfg(test)] use crate::side::E;",
    ];
    for code in good {
        assert_eq!(check(code), Vec::<String>::new(), "{code}");
    }
}

/// What the table of `ARCHITECTURE.md` says.
#[derive(Debug, Default)]
struct Map {
    rules: BTreeMap<String, Rule>,
}

#[derive(Debug)]
struct Rule {
    rank: usize,
    imports: BTreeSet<String>,
    /// What code for tests may import on top.
    tests: BTreeSet<String>,
}

impl Map {
    /// Reads the rows that begin with a rank and name a module, not a path.
    fn parse(page: &str) -> Self {
        let cells =
            |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let rows: Vec<Vec<String>> = page.lines().filter(|line| line.starts_with('|')).map(cells).collect();
        let rows = rows.iter().filter_map(|row| Some((row[0].parse::<usize>().ok()?, row)));
        let rows: Vec<_> = rows.filter(|(_, row)| !row[1].contains('/')).collect();

        // `a`, `b` or ranks 0–4, `c`
        let modules = |cell: &str| -> BTreeSet<String> {
            let mut modules: BTreeSet<_> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            if let Some((_, range)) = cell.split_once("ranks ") {
                let range = range.split([',', ' ']).next().and_then(|range| range.split_once('–'));
                let (first, last) = range.expect("ranks are written as `ranks 0–4`");
                let range = first.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap();
                let within = rows.iter().filter(|(rank, _)| range.contains(rank));
                modules.extend(
                    within.flat_map(|(_, row)| row[1].split('`').skip(1).step_by(2)).map(str::to_owned),
                );
            }
            modules
        };
        let rule = |(rank, row): &(usize, &Vec<String>)| {
            let rule = Rule { rank: *rank, imports: modules(&row[2]), tests: modules(&row[3]) };
            (row[1].trim_matches('`').to_owned(), rule)
        };
        let rules: BTreeMap<_, _> = rows.iter().map(rule).collect();
        assert!(!rules.is_empty(), "ARCHITECTURE.md has no table of ranks");
        Self { rules }
    }

    /// Every import that the table does not allow, as `file:line: …`.
    fn forbidden(&self, sources: &[Source]) -> Vec<String> {
        let library = sources.iter().find(|source| source.path == Path::new("src/lib.rs"));
        let shortcuts = library.map_or_else(BTreeMap::new, Source::re_exports);
        let mut found = Vec::new();
        for source in sources.iter().filter(|source| !source.path.starts_with("src/bin")) {
            let Some(own) = source.module.first() else { continue };
            let Some(rule) = self.rules.get(own) else {
                found.push(format!("{}:1: the map has no module `{own}`", source.path.display()));
                continue;
            };
            for Import { name, line, test } in source.imports() {
                let name = shortcuts.get(&name).unwrap_or(&name);
                if name != own && !rule.imports.contains(name) && !(test && rule.tests.contains(name)) {
                    let place = format!("{}:{line}", source.path.display());
                    found.push(format!("{place}: `{own}` may not import `{name}`"));
                }
            }
        }
        found
    }
}

/// One file, without its comments and strings.
struct Source {
    path: PathBuf,
    /// `["nn", "linear"]` for `src/nn/linear.rs`.
    module: Vec<String>,
    tokens: Vec<Token>,
}

/// A word, `::`, or a single sign.
#[derive(Clone, Debug, Default)]
struct Token {
    text: String,
    line: usize,
    /// Whether it is compiled for tests only.
    test: bool,
    /// The modules of this file that it stands in.
    inside: Vec<String>,
}

/// A path that leads to this module at the root of the crate.
struct Import {
    name: String,
    line: usize,
    test: bool,
}

impl Source {
    fn new(path: &str, code: &str) -> Self {
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        let module = module.filter(|part| !["mod", "lib"].contains(part)).map(str::to_owned).collect();
        Self { path: path.into(), module, tokens: place(tokens(code)) }
    }

    /// Where the tokens from there on are what we look for, as `file:line`.
    fn at(&self, wanted: impl Fn(&[Token]) -> bool) -> Vec<String> {
        let found = (0..self.tokens.len()).filter(|at| wanted(&self.tokens[*at..]));
        found.map(|at| format!("{}:{}", self.path.display(), self.tokens[at].line)).collect()
    }

    /// The files that this one declares for tests only: `#[cfg(test)] mod name;`.
    fn test_files(&self) -> Vec<Vec<String>> {
        let declares = |tokens: &&[Token]| tokens[0].text == "mod" && tokens[2].text == ";" && tokens[0].test;
        let path =
            |tokens: &[Token]| [&self.module[..], &tokens[0].inside, &[tokens[1].text.clone()]].concat();
        self.tokens.windows(3).filter(declares).map(path).collect()
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let token = &self.tokens[at];
            let begins = ["crate", "super", "self"].contains(&&*token.text) && self.text(at + 1) == "::";
            if begins && (at == 0 || self.text(at - 1) != "::") {
                let mut paths = Vec::new();
                let home = [&self.module[..], &token.inside].concat();
                at = self.paths(at, home, &mut paths);
                let names =
                    paths.into_iter().filter_map(|(line, path)| Some((line, path.into_iter().next()?)));
                imports.extend(names.map(|(line, name)| Import { name, line, test: token.test }));
            } else {
                at += 1;
            }
        }
        imports
    }

    /// Follows a path and its `{…}` from a token on; returns where it ends.
    fn paths(&self, mut at: usize, mut path: Vec<String>, found: &mut Vec<(usize, Vec<String>)>) -> usize {
        loop {
            match self.text(at) {
                "crate" => path.clear(),
                "self" => {}
                "super" => drop(path.pop()),
                "{" => {
                    while !["}", ""].contains(&self.text(at)) {
                        at = self.paths(at + 1, path.clone(), found);
                        while ![",", "}", ""].contains(&self.text(at)) {
                            at += 1; // `as name`
                        }
                    }
                    return at + 1;
                }
                "}" => return at, // after the last comma
                name => path.push(name.to_owned()),
            }
            let next = self.text(at + 2);
            let goes_on = next.starts_with(|c: char| c.is_alphabetic() || "_{*".contains(c));
            if self.text(at + 1) != "::" || !goes_on {
                found.push((self.tokens[at].line, path));
                return at + 1;
            }
            at += 2;
        }
    }

    /// What `pub use module::Name` in `lib.rs` lets others reach as `crate::Name`.
    fn re_exports(&self) -> BTreeMap<String, String> {
        let mut paths = Vec::new();
        for (at, _) in self.tokens.iter().enumerate().filter(|(_, token)| token.text == "use") {
            self.paths(at + 1, Vec::new(), &mut paths);
        }
        paths
            .into_iter()
            .filter_map(|(_, path)| Some((path.last()?.clone(), path.first()?.clone())))
            .collect()
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }
}

/// Cuts code into tokens and leaves out comments, strings and characters.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let starts = |at: usize, sign: &str| chars[at..].iter().copied().take(sign.len()).eq(sign.chars());
    let find = |from: usize, sign: &str| (from..chars.len()).find(|at| starts(*at, sign));
    let after = |from: usize, sign: &str| find(from, sign).map_or(chars.len(), |at| at + sign.len());

    let mut tokens = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    while at < chars.len() {
        line += chars[counted..at].iter().filter(|c| **c == '\n').count();
        counted = at;
        if starts(at, "//") {
            at = after(at, "\n");
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                depth = if starts(at, "/*") { depth + 1 } else { depth - usize::from(starts(at, "*/")) };
                at += if starts(at, "/*") || starts(at, "*/") { 2 } else { 1 };
                if depth == 0 {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars[at..]) {
            let opened = after(at, "\"");
            at = after(opened, &format!("\"{}", "#".repeat(hashes)));
        } else if chars[at] == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if starts(at, "'\\") {
            at = after(at + 3, "'");
        } else if chars[at] == '\'' {
            at += if chars.get(at + 2) == Some(&'\'') { 3 } else { 1 }; // a character, or a lifetime
        } else if chars[at].is_whitespace() {
            at += 1;
        } else {
            let word = chars[at..].iter().take_while(|c| is_word(c)).count();
            let length = if starts(at, "::") { 2 } else { word.max(1) };
            let text = chars[at..at + length].iter().collect();
            tokens.push(Token { text, line, ..Default::default() });
            at += length;
        }
    }
    tokens
}

/// The number of `#` if a raw string begins here: `r"`, `r#"`, `br##"`, …
fn raw_string(chars: &[char]) -> Option<usize> {
    let prefix = chars.iter().take_while(|c| "bcr".contains(**c)).count();
    if !(1..=2).contains(&prefix) || chars[prefix - 1] != 'r' {
        return None;
    }
    let hashes = chars[prefix..].iter().take_while(|c| **c == '#').count();
    (chars.get(prefix + hashes) == Some(&'"')).then_some(hashes)
}

/// Notes for each token in which modules of the file it stands, and whether it is for tests only.
fn place(mut tokens: Vec<Token>) -> Vec<Token> {
    let texts: Vec<String> = tokens.iter().map(|token| token.text.clone()).collect();
    let follows = |at: usize, wanted: &[&str]| texts[at..].iter().take(wanted.len()).eq(wanted);
    let mut scopes: Vec<(Option<String>, bool)> = Vec::new(); // one per open brace
    let mut gated = false; // after `#[cfg(test)]`, until the item ends or its body begins
    for at in 0..tokens.len() {
        let test_only =
            [&["#", "[", "cfg", "(", "test", ")", "]"][..], &["#", "[", "cfg", "(", "all", "(", "test"]];
        gated |= test_only.iter().any(|wanted| follows(at, wanted));
        let inside_test = scopes.last().is_some_and(|(_, test)| *test);
        tokens[at].test = gated || inside_test;
        tokens[at].inside = scopes.iter().filter_map(|(name, _)| name.clone()).collect();
        match &*texts[at] {
            "{" => {
                let is_module = at >= 2 && texts[at - 2] == "mod";
                scopes.push((is_module.then(|| texts[at - 1].clone()), gated || inside_test));
                gated = false;
            }
            "}" => drop(scopes.pop()),
            ";" => gated = false,
            _ => {}
        }
    }
    tokens
}

/// Every file under `src`, those that are for tests only marked throughout.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 20, "these are not all the files");
    sources.sort_by(|a, b| a.path.cmp(&b.path));

    let for_tests: Vec<_> = sources.iter().flat_map(Source::test_files).collect();
    let is_for_tests = |source: &Source| for_tests.iter().any(|path| source.module.starts_with(path));
    let marked = sources.iter_mut().filter(|source| is_for_tests(source));
    marked.flat_map(|source| &mut source.tokens).for_each(|token| token.test = true);
    sources
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Where outside of these folders the tokens are what we look for.
fn outside(folders: &[&str], wanted: impl Fn(&[Token]) -> bool) -> Vec<String> {
    let found = sources().into_iter().flat_map(|source| source.at(&wanted));
    found.filter(|place| !folders.iter().any(|folder| place.starts_with(folder))).collect()
}

fn assert_no(found: &[String], advice: &str) {
    assert!(found.is_empty(), "\n{}\n\n{advice}\n", found.join("\n"));
}
