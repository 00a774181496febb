//! The language of the examples.

use whatlang::detect;

/// How many messages are looked at, from all parts of the data.
const MESSAGES: usize = 3000;

/// Bytes of messages that are looked at together: a language is told surely from some sentences, and hardly from one.
const PASSAGE: usize = 400;

/// The share of the passages that must be in the language: of messages as they come, and of those that seem to be in the same
/// language put together. English examples had 0.99 to 1 and 0.81 to 0.96; with German ones for every second message
/// 0.19 to 0.62 and 0.39 to 0.56, and for every fourth 0.76 to 0.96 and 0.57 to 0.76.
const MOST: [f64; 2] = [0.9, 0.75];

/// The language that nearly all of the messages are in, as a code such as `en`; none where they are in several, or in none that
/// is known.
///
/// What a message alone seems to be in is often wrong, and what many together are in hardly ever. But a passage of two
/// languages counts as one of them, so messages are also sorted by what they seem to be in: then each language has passages of
/// its own.
pub(super) fn language(texts: &[&str]) -> Option<&'static str> {
    let texts: Vec<&str> = texts.iter().step_by(texts.len().div_ceil(MESSAGES).max(1)).copied().collect();
    let mut sorted = texts.clone();
    sorted.sort_by_cached_key(|text| detect(text).map(|info| info.lang().code()));
    let found = [texts, sorted].map(|texts| languages(&texts));
    let most = |language: &&'static str| {
        let share = |of: &[Option<&str>]| {
            of.iter().filter(|own| **own == Some(*language)).count() as f64 / of.len() as f64
        };
        found.iter().zip(MOST).all(|(of, most)| share(of) >= most)
    };
    found[0].iter().flatten().copied().find(most)
}

/// The language of each passage.
fn languages(texts: &[&str]) -> Vec<Option<&'static str>> {
    let mut passages = vec![String::new()];
    for text in texts {
        let last = passages.len() - 1;
        passages[last].push_str(text);
        passages[last].push('\n');
        if passages[last].len() >= PASSAGE {
            passages.push(String::new());
        }
    }
    // What is left at the end may be too short to tell.
    if passages.len() > 1 {
        passages.pop();
    }
    passages.iter().map(|passage| detect(passage).map(|info| code(info.lang()))).collect()
}

/// Two letters where the language has such a code, else three.
fn code(language: whatlang::Lang) -> &'static str {
    match language.code() {
        "eng" => "en",
        "deu" => "de",
        "fra" => "fr",
        "spa" => "es",
        "ita" => "it",
        "por" => "pt",
        "nld" => "nl",
        "pol" => "pl",
        "rus" => "ru",
        "jpn" => "ja",
        "cmn" => "zh",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: [&str; 4] = [
        "what is the weather going to be like tomorrow",
        "please wake me up at seven in the morning",
        "i would like to book a table for two",
        "how much money is left on my account",
    ];
    const GERMAN: [&str; 4] = [
        "wie wird morgen das wetter sein",
        "bitte wecke mich um sieben uhr am morgen",
        "ich möchte einen tisch für zwei personen reservieren",
        "wie viel geld ist noch auf meinem konto",
    ];

    #[test]
    fn examples_of_one_language_are_told_and_mixed_ones_are_of_none() {
        let [english, german] = [ENGLISH.repeat(50), GERMAN.repeat(50)];
        assert_eq!(language(&english), Some("en"));
        assert_eq!(language(&german), Some("de"));
        assert_eq!(language(&[&english[..], &german].concat()), None);
        let by_turns: Vec<&str> =
            english.iter().zip(&german).flat_map(|(one, other)| [*one, *other]).collect();
        assert_eq!(language(&by_turns), None);
        assert_eq!(language(&ENGLISH), Some("en"), "few of them");
        assert_eq!(language(&["", "12", "🎉"]), None);
        assert_eq!(language(&[]), None);
    }
}
