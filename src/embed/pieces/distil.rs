//! Making a table of word pieces from an encoder.

use std::path::Path;

use super::cut::CONTINUES;
use super::directions::Directions;
use super::mixtures::{self, Texts};
use super::table::Table;
use crate::embed::pretrained::Pretrained;
use crate::embed::{EmbedError, EmbedOptions, fingerprint};

/// How a table of word pieces is made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Distilling {
    /// Width of the vectors. 128 lose nothing against 256; 64 lose up to one point of intent accuracy.
    pub dim: usize,
    /// Texts of random words from which it is learnt how much each piece adds to the meaning of a text; with 0, each piece
    /// counts as much as any other.
    pub texts: usize,
    /// Worker threads.
    pub threads: usize,
    /// Whether pieces with letters of other scripts than the Latin one are left out, of which an encoder for one language
    /// knows no more than that they are strange.
    pub latin: bool,
    /// The language that the pieces are of, as a code such as `en`; noted in the file.
    pub language: String,
    /// The licence of the encoder, noted in the file: the vectors are made of its weights.
    pub licence: String,
}

impl Distilling {
    setters! {
        dim: usize,
        texts: usize,
        threads: usize,
        latin: bool,
        language: String,
        licence: String,
    }
}

impl Default for Distilling {
    fn default() -> Self {
        let threads = EmbedOptions::default().threads;
        Self {
            dim: 256,
            texts: 100_000,
            threads,
            latin: false,
            language: String::new(),
            licence: String::new(),
        }
    }
}

/// Makes a table of what each piece of the vocabulary of the encoder in a folder adds to the vector of a text, in the directions
/// in which texts differ most. Returns the number of pieces.
///
/// A piece begins with the vector that the encoder gives to it alone. Then it is moved to where the means of pieces are nearest to
/// what the encoder says of texts of random words, so no texts have to be given.
///
/// What belongs to no word is left out: special tokens, punctuation, and places that the vocabulary keeps free.
///
/// # Errors
///
/// If the encoder cannot be opened, or the file not be written.
pub fn distil(
    encoder: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &Distilling,
) -> Result<usize, EmbedError> {
    let (folder, to) = (encoder.as_ref(), to.as_ref());
    let network = Pretrained::open(folder, &EmbedOptions::default().threads(options.threads))?;
    let wanted = |name: &str| !options.latin || name.chars().all(|c| !c.is_alphabetic() || is_latin(c));
    let (names, ids) = network.pieces_of_words();
    let (names, ids): (Vec<String>, Vec<u32>) =
        names.into_iter().zip(ids).filter(|(name, _)| wanted(name)).unzip();
    let (rows, dim) = rows(&network, &names, &ids, options)?;
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let about = [
        ("encoder", name),
        ("fingerprint", fingerprint(folder)?),
        ("language", options.language.clone()),
        ("licence", options.licence.clone()),
    ];
    let count = names.len();
    Table::of(names, &rows, dim).save(to, &about)?;
    Ok(count)
}

/// The vectors of pieces, `[piece, dim]`, and `dim`.
fn rows(
    network: &Pretrained,
    names: &[String],
    ids: &[u32],
    options: &Distilling,
) -> Result<(Vec<f32>, usize), EmbedError> {
    let alone: Vec<Vec<u32>> = ids.iter().map(|id| vec![*id]).collect();
    let alone = network.vectors_of(&alone, options.threads)?;
    let width = (alone.len() / ids.len().max(1)).max(1);
    // Two numbers share a byte.
    let dim = options.dim.clamp(2, width.max(2)) / 2 * 2;
    let begins = |at: &u32| !names[*at as usize].starts_with(CONTINUES);
    let words: Vec<u32> = (0..names.len() as u32).filter(begins).collect();
    let pieces = mixtures::draw(&words, options.texts);
    if pieces.is_empty() {
        return Ok((Directions::of(&alone, width, dim).along(&alone), dim));
    }
    let ids_of = |text: &Vec<u32>| text.iter().map(|at| ids[*at as usize]).collect();
    let texts: Vec<Vec<u32>> = pieces.iter().map(ids_of).collect();
    let wanted = network.vectors_of(&texts, options.threads)?;
    let directions = Directions::of(&wanted, width, dim);
    let mut rows = directions.along(&alone);
    Texts { pieces: &pieces, wanted: &directions.along(&wanted), dim }.fit(&mut rows);
    Ok((rows, dim))
}

/// What a piece is called in a table: as it begins a word, or behind [`CONTINUES`]. `marks_beginning` tells vocabularies
/// in which the beginning of a word is marked (`▁bank`) from those in which what continues it is (`##ing`).
pub(in crate::embed) fn name_of(piece: &str, marks_beginning: bool) -> Option<String> {
    const BEGINS: char = '▁';
    let name = match (marks_beginning, piece.strip_prefix(BEGINS)) {
        (true, Some(beginning)) => beginning.to_owned(),
        (true, None) => format!("{CONTINUES}{piece}"),
        (false, _) => piece.to_owned(),
    };
    let is_free = |name: &str| name.starts_with('[') && name.ends_with(']') && name.len() > 2;
    let bare = name.strip_prefix(CONTINUES).unwrap_or(&name);
    let is_word =
        bare.contains(char::is_alphanumeric) && !bare.contains(char::is_whitespace) && !is_free(&name);
    is_word.then_some(name)
}

/// Whether a letter is of the Latin script, by the blocks of Unicode that hold it.
fn is_latin(c: char) -> bool {
    matches!(c, '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_all_vocabularies_are_named_alike() {
        let name = |piece, marks| name_of(piece, marks);
        assert_eq!(name("bank", false).as_deref(), Some("bank"));
        assert_eq!(name("##ing", false).as_deref(), Some("##ing"));
        assert_eq!(name("▁bank", true).as_deref(), Some("bank"));
        assert_eq!(name("ing", true).as_deref(), Some("##ing"));
        for none in ["[unused7]", "[CLS]", "##", "", "?", "##!", "["] {
            assert_eq!(name(none, false), None, "{none}");
        }
        assert_eq!(name("▁", true), None);
    }
}
