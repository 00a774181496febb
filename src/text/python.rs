//! Regular expressions as Python's `re` reads them, written anew for the engines here.
//!
//! One walk from left to right; groups are all that nests, and a stack holds what each of them sets. What Python and
//! the engines read differently is spelled so that nobody can misread it: brackets, `&&` and `--` inside of classes,
//! `\Z`, `\<`, braces that are no counts, octal escapes, flags in the middle, comments. Groups lose their names, which
//! nothing here asks for.

use std::collections::HashMap;
use std::fmt::Write as _;

/// An expression for the engines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// In the syntax that both engines share.
    pub(super) expression: String,
    /// Whether it has a construct that only backtracking can match.
    pub(super) backtracks: bool,
}

/// Why Python would not read an expression either, and at which character.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The number of the character, from 1.
    pub(super) character: usize,
    pub(super) reason: String,
}

/// What flags say about the meaning of what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mode {
    /// Blanks and `#` are for the reader (flag `x`).
    verbose: bool,
    /// `\w`, `\d`, `\s` and `\b` know ASCII only (flag `a`).
    ascii: bool,
}

/// Characters of classes in ASCII, without their brackets.
const WORD: &str = "0-9A-Za-z_";
const DIGIT: &str = "0-9";
const BLANK: &str = r"\x09-\x0D\x20";

/// What the engines know between `[:` and `:]`. Python takes it for a set of letters, which nobody means.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Reads an expression of Python's.
pub(super) fn translate(pattern: &str) -> Result<Translated, Problem> {
    // Flags without a colon count for the whole expression, wherever they are.
    let mut mode = Mode::default();
    loop {
        let mut walk = Walk::new(pattern, mode);
        walk.run()?;
        if walk.global == mode {
            let flags = if walk.flags.is_empty() { String::new() } else { format!("(?{})", walk.flags) };
            return Ok(Translated { expression: flags + &walk.out, backtracks: walk.backtracks });
        }
        mode = walk.global;
    }
}

/// What stands before the place of the walk, for counts to repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Item,
    Count,
}

struct Walk {
    chars: Vec<char>,
    at: usize,
    out: String,
    mode: Mode,
    /// What the groups around set before they began.
    outer: Vec<Mode>,
    before: Before,
    groups: usize,
    names: HashMap<String, usize>,
    backtracks: bool,
    /// Flags `i`, `m` and `s` of the whole expression.
    flags: String,
    /// Flags `x` and `a` of the whole expression.
    global: Mode,
}

impl Walk {
    fn new(pattern: &str, mode: Mode) -> Self {
        Self {
            chars: pattern.chars().collect(),
            at: 0,
            out: String::with_capacity(pattern.len() + 8),
            mode,
            outer: Vec::new(),
            before: Before::Nothing,
            groups: 0,
            names: HashMap::new(),
            backtracks: false,
            flags: String::new(),
            global: mode,
        }
    }

    /// Something is wrong with what begins at this character.
    fn wrong<T>(at: usize, reason: impl Into<String>) -> Result<T, Problem> {
        Err(Problem { character: at + 1, reason: reason.into() })
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn rest_starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.chars.get(self.at + ahead) == Some(&c))
    }

    /// Goes behind this text, where it is next.
    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest_starts_with(text);
        self.at += if found { text.chars().count() } else { 0 };
        found
    }

    /// The text up to this character, which is gone over as well.
    fn until(&mut self, end: char, what: &str) -> Result<String, Problem> {
        let begin = self.at;
        match self.chars[begin..].iter().position(|c| *c == end) {
            Some(length) => {
                self.at += length + 1;
                Ok(self.chars[begin..begin + length].iter().collect())
            }
            None => Self::wrong(begin, format!("{what} does not end with `{end}`")),
        }
    }

    fn item(&mut self, text: &str) {
        self.out.push_str(text);
        self.before = Before::Item;
    }

    fn literal(&mut self, c: char) {
        if regex_syntax::is_meta_character(c) {
            self.out.push('\\');
        }
        self.out.push(c);
        self.before = Before::Item;
    }

    fn run(&mut self) -> Result<(), Problem> {
        while let Some(c) = self.peek() {
            let begin = self.at;
            self.at += 1;
            match c {
                ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' if self.mode.verbose => {}
                '#' if self.mode.verbose => {
                    let line = self.chars[self.at..].iter().position(|c| *c == '\n');
                    self.at = line.map_or(self.chars.len(), |length| self.at + length + 1);
                }
                '\\' => self.escape(begin)?,
                '[' => self.class(begin)?,
                '(' => self.group(begin)?,
                ')' => {
                    let Some(mode) = self.outer.pop() else {
                        return Self::wrong(begin, "`)` closes no group");
                    };
                    self.mode = mode;
                    self.item(")");
                }
                '|' => {
                    self.out.push('|');
                    self.before = Before::Nothing;
                }
                '.' | '^' | '$' => self.item(c.encode_utf8(&mut [0; 4])),
                '*' | '+' | '?' | '{' => self.count(c, begin)?,
                _ => self.literal(c),
            }
        }
        if self.outer.is_empty() {
            Ok(())
        } else {
            Self::wrong(self.chars.len(), "a group is not closed: `)` is missing")
        }
    }

    /// `*`, `+`, `?`, `{2,3}`, and what makes them lazy or possessive.
    fn count(&mut self, sign: char, begin: usize) -> Result<(), Problem> {
        let braces = (sign == '{').then(|| self.braces());
        let count = match braces {
            Some(None) => {
                self.literal('{');
                return Ok(());
            }
            Some(Some(count)) => count,
            None => sign.to_string(),
        };
        if self.before == Before::Nothing {
            return Self::wrong(begin, format!("`{sign}` has nothing to repeat"));
        }
        self.out.push_str(&count);
        if self.skip("?") {
            self.out.push('?');
        } else if self.skip("+") {
            self.out.push('+');
            self.backtracks = true;
        }
        self.before = Before::Count;
        Ok(())
    }

    /// The count behind `{`; `None` where these are just braces.
    fn braces(&mut self) -> Option<String> {
        let end = self.chars[self.at..].iter().position(|c| *c == '}')?;
        let inside: String = self.chars[self.at..self.at + end].iter().collect();
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let count = match inside.split_once(',') {
            Some((least, most)) if digits(least) && digits(most) => {
                format!("{{{},{most}}}", if least.is_empty() { "0" } else { least })
            }
            None if !inside.is_empty() && digits(&inside) => format!("{{{inside}}}"),
            _ => return None,
        };
        self.at += end + 1;
        Some(count)
    }

    fn group(&mut self, begin: usize) -> Result<(), Problem> {
        let mut mode = self.mode;
        if !self.skip("?") {
            self.groups += 1;
            self.out.push('(');
        } else if self.skip("#") {
            return self.until(')', "the comment").map(drop);
        } else if self.rest_starts_with("P<") || self.rest_starts_with("<") && !self.is_look_behind() {
            let _ = self.skip("P");
            self.at += 1;
            let name = self.until('>', "the name of the group")?;
            self.groups += 1;
            if self.names.insert(name.clone(), self.groups).is_some() {
                return Self::wrong(begin, format!("there are two groups with the name `{name}`"));
            }
            self.out.push('(');
        } else if self.skip("P=") {
            let name = self.until(')', "the back-reference")?;
            let Some(group) = self.names.get(&name).copied() else {
                return Self::wrong(
                    begin,
                    format!("the back-reference names a group `{name}` that does not come before it"),
                );
            };
            self.reference(group);
            return Ok(());
        } else if self.skip("(") {
            let name = self.until(')', "the condition")?;
            let group = name.parse().ok().or_else(|| self.names.get(&name).copied());
            let Some(group) = group else {
                return Self::wrong(
                    begin,
                    format!("the condition names a group `{name}` that does not come before it"),
                );
            };
            let _ = write!(self.out, "(?({group})");
            self.backtracks = true;
        } else if let Some(look) =
            [":", "=", "!", "<=", "<!", ">"].into_iter().find(|look| self.rest_starts_with(look))
        {
            self.at += look.len();
            let _ = write!(self.out, "(?{look}");
            self.backtracks |= look != ":";
        } else {
            match self.flags(begin)? {
                Some(inside) => mode = inside,
                None => return Ok(()),
            }
        }
        self.outer.push(self.mode);
        self.mode = mode;
        self.before = Before::Nothing;
        Ok(())
    }

    fn is_look_behind(&self) -> bool {
        self.rest_starts_with("<=") || self.rest_starts_with("<!")
    }

    /// Flags behind `(?`: those of a group, with the mode inside of it; or of the whole expression.
    fn flags(&mut self, begin: usize) -> Result<Option<Mode>, Problem> {
        let (mut mode, mut on, mut letters) = (self.mode, true, String::new());
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                'i' | 'm' | 's' => letters.push(c),
                '-' if on => {
                    on = false;
                    letters.push('-');
                }
                'x' => mode.verbose = on,
                'a' => mode.ascii = on,
                'u' => {}
                ':' => {
                    let _ = write!(self.out, "(?{}:", letters.trim_end_matches('-'));
                    return Ok(Some(mode));
                }
                ')' if on => {
                    self.global = mode;
                    let new =
                        letters.chars().filter(|letter| !self.flags.contains(*letter)).collect::<String>();
                    self.flags.push_str(&new);
                    return Ok(None);
                }
                _ => break,
            }
        }
        Self::wrong(begin, "a group begins with `(?` in a way that Python does not know")
    }

    fn reference(&mut self, group: usize) {
        // In a group of its own, so that a digit behind it is no part of the number.
        self.item(&format!("(?:\\{group})"));
        self.backtracks = true;
    }

    fn escape(&mut self, begin: usize) -> Result<(), Problem> {
        let Some(c) = self.peek() else { return Self::wrong(begin, "`\\` escapes nothing") };
        self.at += 1;
        match c {
            'A' => self.item("\\A"),
            'Z' | 'z' => self.item("\\z"),
            'b' | 'B' if self.mode.ascii => self.item(&format!("(?-u:\\{c})")),
            'b' => self.item("\\b"),
            'B' => self.item("\\B"),
            '1'..='9' if self.octal(c).is_none() => {
                let mut number = c.to_digit(10).unwrap_or_default() as usize;
                if let Some(digit) = self.peek().and_then(|next| next.to_digit(10)) {
                    self.at += 1;
                    number = 10 * number + digit as usize;
                }
                if number > self.groups {
                    return Self::wrong(
                        begin,
                        format!("`\\{number}` refers to a group that does not come before it"),
                    );
                }
                self.reference(number);
            }
            _ => match self.escaped(c, begin)? {
                Element::Character(c) => self.literal(c),
                Element::Set(set) => self.item(&set),
            },
        }
        Ok(())
    }

    /// The character of an octal escape of three digits, of which `first` is gone over and the others are not.
    fn octal(&self, first: char) -> Option<char> {
        let digit = |c: Option<&char>| c.and_then(|c| c.to_digit(8));
        let digits =
            [digit(Some(&first))?, digit(self.chars.get(self.at))?, digit(self.chars.get(self.at + 1))?];
        char::from_u32(digits.into_iter().fold(0, |number, digit| 8 * number + digit))
    }

    /// What means the same inside of a class and outside.
    fn escaped(&mut self, c: char, begin: usize) -> Result<Element, Problem> {
        let ascii = |set: &str, not: bool| Element::Set(format!("[{}{set}]", if not { "^" } else { "" }));
        Ok(match c {
            'w' | 'W' if self.mode.ascii => ascii(WORD, c == 'W'),
            'd' | 'D' if self.mode.ascii => ascii(DIGIT, c == 'D'),
            's' | 'S' if self.mode.ascii => ascii(BLANK, c == 'S'),
            'w' | 'W' | 'd' | 'D' | 's' | 'S' => Element::Set(format!("\\{c}")),
            'p' | 'P' => {
                let name = if self.skip("{") {
                    format!("{{{}}}", self.until('}', "the name of the property")?)
                } else {
                    self.at += 1;
                    self.chars.get(self.at - 1).copied().unwrap_or_default().to_string()
                };
                Element::Set(format!("\\{c}{name}"))
            }
            'a' => Element::Character('\x07'),
            'f' => Element::Character('\x0c'),
            'n' => Element::Character('\n'),
            'r' => Element::Character('\r'),
            't' => Element::Character('\t'),
            'v' => Element::Character('\x0b'),
            'x' if self.skip("{") => {
                let number = self.until('}', "the number of the character")?;
                Element::Character(Self::numbered(&number, begin)?)
            }
            'x' | 'u' | 'U' => {
                let length = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let number: String = self.chars[self.at..].iter().take(length).collect();
                self.at += number.chars().count();
                if number.chars().count() < length {
                    return Self::wrong(begin, format!("`\\{c}` needs {length} digits"));
                }
                Element::Character(Self::numbered(&number, begin)?)
            }
            '0' => {
                let mut number = 0;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    number = 8 * number + digit;
                }
                Element::Character(char::from_u32(number).unwrap_or_default())
            }
            '1'..='9' => match self.octal(c) {
                Some(c) => {
                    self.at += 2;
                    Element::Character(c)
                }
                None => return Self::wrong(begin, format!("`\\{c}` means nothing in a class")),
            },
            c if c.is_ascii_alphanumeric() => {
                return Self::wrong(begin, format!("`\\{c}` means nothing; write `{c}` for the letter"));
            }
            c => Element::Character(c),
        })
    }

    /// The character with this hexadecimal number.
    fn numbered(number: &str, begin: usize) -> Result<char, Problem> {
        let found = u32::from_str_radix(number, 16).ok().and_then(char::from_u32);
        found.map_or_else(
            || Self::wrong(begin, format!("there is no character with the number `{number}`")),
            Ok,
        )
    }

    /// A set of characters, of which `[` is gone over.
    fn class(&mut self, begin: usize) -> Result<(), Problem> {
        let mut class = String::from(if self.skip("^") { "[^" } else { "[" });
        let first = self.at;
        loop {
            let place = self.at;
            match self.peek() {
                None => return Self::wrong(begin, "a set of characters is not closed: `]` is missing"),
                Some(']') if self.at > first => break,
                Some('[') if self.named_class().is_some() => {
                    class.push_str(&self.named_class().unwrap_or_default());
                    self.at = place + self.named_class().map_or(0, |name| name.len());
                    continue;
                }
                Some(_) => {}
            }
            let low = self.element()?;
            let ends_range =
                self.peek() == Some('-') && !matches!(self.chars.get(self.at + 1), None | Some(']'));
            if !ends_range {
                low.put(&mut class);
                continue;
            }
            self.at += 1;
            let high = self.element()?;
            match (low, high) {
                (Element::Character(low), Element::Character(high)) if low <= high => {
                    put(low, &mut class);
                    class.push('-');
                    put(high, &mut class);
                }
                _ => {
                    let range: String = self.chars[place..self.at].iter().collect();
                    return Self::wrong(
                        place,
                        format!("`{range}` is no range of characters; write `-` last if it is meant itself"),
                    );
                }
            }
        }
        self.at += 1;
        class.push(']');
        self.item(&class);
        Ok(())
    }

    /// A class such as `[:digit:]`, where one is next.
    fn named_class(&self) -> Option<String> {
        let known = NAMED_CLASSES.iter().flat_map(|name| [format!("[:{name}:]"), format!("[:^{name}:]")]);
        known.into_iter().find(|class| self.rest_starts_with(class))
    }

    /// The next element of a set of characters.
    fn element(&mut self) -> Result<Element, Problem> {
        let begin = self.at;
        let Some(c) = self.peek() else {
            return Self::wrong(begin, "a set of characters is not closed: `]` is missing");
        };
        self.at += 1;
        if c != '\\' {
            return Ok(Element::Character(c));
        }
        match self.peek() {
            None => Self::wrong(begin, "`\\` escapes nothing"),
            Some(c) => {
                self.at += 1;
                if c == 'b' { Ok(Element::Character('\x08')) } else { self.escaped(c, begin) }
            }
        }
    }
}

/// One element of a set of characters.
enum Element {
    Character(char),
    /// Which may stand between brackets or outside of them.
    Set(String),
}

impl Element {
    fn put(&self, class: &mut String) {
        match self {
            Self::Character(c) => put(*c, class),
            Self::Set(set) => class.push_str(set),
        }
    }
}

/// A character in a set, so that it means nothing but itself.
fn put(c: char, class: &mut String) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        let _ = write!(class, "\\x{:02X}", u32::from(c));
    } else {
        class.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(pattern: &str) -> String {
        translate(pattern).unwrap_or_else(|problem| panic!("{pattern}: {problem:?}")).expression
    }

    #[test]
    fn what_both_read_alike_stays_as_it_is() {
        for same in [
            "", "abc", r"\d{5}", "(a|b)+?", r"^\bx\b$", ".*", "(?:a)", "[^a-z]", "(?i:a)b", "é{2,}",
            r"\p{Lu}\pL", "a b",
        ] {
            assert_eq!(translate(same), Ok(Translated { expression: same.to_owned(), backtracks: false }));
        }
    }

    #[test]
    fn what_python_writes_otherwise_is_translated() {
        for (python, ours) in [
            (r"\d+\Z", r"\d+\z"),
            ("[A-Z]{2}[[]?", r"[A-Z]{2}[\x5B]?"),
            ("[]a]", r"[\x5Da]"),
            ("[^]a]", r"[^\x5Da]"),
            ("[a&&b-]", r"[a\x26\x26b\x2D]"),
            (r"[\w.-]", r"[\w\x2E\x2D]"),
            ("[[:digit:]x]", "[[:digit:]x]"),
            (r"[\b\101]", r"[\x08A]"),
            ("(?P<n>a)", "(a)"),
            ("a(?i)b", "(?i)ab"),
            ("a(?#no)b", "ab"),
            ("a{,3}", "a{0,3}"),
            ("a{,}", "a{0,}"),
            ("{name}a{", r"\{name\}a\{"),
            (r"\<b\>", "<b>"),
            (r"\u00e9\x41\101\0", "éAA\0"),
            ("(?x) a b # c\n[ ] \\ ", r"ab[\x20] "),
            ("(?a)\\w\\W", "[0-9A-Za-z_][^0-9A-Za-z_]"),
            (r"(?a)[\s.]", r"[[\x09-\x0D\x20]\x2E]"),
            ("(?u)a", "a"),
            ("(?-i:a)", "(?-i:a)"),
        ] {
            assert_eq!(expression(python), ours, "{python}");
        }
    }

    #[test]
    fn what_needs_backtracking_is_seen() {
        for (python, ours) in [
            ("a(?!b)", "a(?!b)"),
            ("(?<=a)b", "(?<=a)b"),
            (r"(a)\1", r"(a)(?:\1)"),
            (r"(?P<q>a)(?P=q)1", r"(a)(?:\1)1"),
            ("a++", "a++"),
            ("(?>a)", "(?>a)"),
            ("(a)?(?(1)b|c)", "(a)?(?(1)b|c)"),
        ] {
            assert_eq!(translate(python), Ok(Translated { expression: ours.to_owned(), backtracks: true }));
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (pattern, character, reason) in [
            ("a(b", 4, "a group is not closed"),
            ("a)", 2, "closes no group"),
            ("é[b", 2, "a set of characters is not closed"),
            ("*a", 1, "nothing to repeat"),
            ("a|{2}", 3, "nothing to repeat"),
            (r"a\q", 2, r"`\q` means nothing"),
            ("a\\", 2, "escapes nothing"),
            (r"(a)\2", 4, "a group that does not come before it"),
            ("(?P=x)", 1, "names a group `x`"),
            (r"[\w-.]", 2, r"`\w-.` is no range"),
            ("[z-a]", 2, "`z-a` is no range"),
            ("(?R)", 1, "in a way that Python does not know"),
            (r"\x4", 1, "needs 2 digits"),
            (r"\ud800", 1, "no character with the number"),
            ("(?P<a>x)(?P<a>y)", 9, "two groups with the name `a`"),
        ] {
            let problem = translate(pattern).expect_err(pattern);
            assert!(
                problem.character == character && problem.reason.contains(reason),
                "{pattern}: {problem:?}"
            );
        }
    }
}
