//! Detects the format of a file and reads it.

use std::io::Read;
use std::path::Path;

use super::super::Source;
use super::lines::BYTE_ORDER_MARK;
use super::text::{fields, parse_header, parse_number};
use super::{VectorFormat, VectorsError, VectorsOptions, WordVectors};
use super::{fasttext, finalfusion, saved, text, word2vec};

/// Bytes that are inspected: the header and a large part of the first row.
const HEAD: u64 = 1 << 16;

/// The widest vectors. A table without words could claim any width, and a caller would ask for the memory.
const WIDEST: usize = 1 << 20;

impl WordVectors {
    /// Opens a file in any [`VectorFormat`], found by its content and then by its name.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is in no known format, or breaks its format; the message says where
    /// and what to change.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VectorsError> {
        Self::open_with(path, &VectorsOptions::default())
    }

    /// Opens a file as told.
    ///
    /// ```
    /// use talkformer::embed::vectors::{VectorFormat, VectorsOptions, WordVectors};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("pets.vec");
    /// std::fs::write(&path, "2 3\ncat 1 0.5 0\ndog 0.9 0.6 0\n")?;
    /// let options = VectorsOptions { limit: Some(1), ..VectorsOptions::default() };
    /// let vectors = WordVectors::open_with(&path, &options)?;
    /// assert_eq!((vectors.len(), vectors.dim()), (1, 3));
    /// assert_eq!(vectors.format(), VectorFormat::Word2VecText);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) does, and if the file is not in the format it is said to be in.
    pub fn open_with(path: impl AsRef<Path>, options: &VectorsOptions) -> Result<Self, VectorsError> {
        Self::of(&Source::at(path.as_ref()), options)
    }

    pub(crate) fn of(source: &Source, options: &VectorsOptions) -> Result<Self, VectorsError> {
        let vectors = read(source, options)?;
        if vectors.dim() > WIDEST {
            let reason = format!("{} dimensions, more than {WIDEST}", vectors.dim());
            return Err(VectorsError::damaged(source.path(), reason));
        }
        Ok(vectors)
    }
}

fn read(source: &Source, options: &VectorsOptions) -> Result<WordVectors, VectorsError> {
    let path = source.path();
    let format = match options.format {
        Some(format) => format,
        None => find_format(source)?,
    };
    let read = match format {
        VectorFormat::Glove => return text::read_glove(source, options),
        VectorFormat::Word2VecText => return text::read_word2vec(source, options),
        VectorFormat::Word2VecBinary => word2vec::read,
        VectorFormat::FastText => fasttext::read,
        VectorFormat::Finalfusion => finalfusion::read,
        VectorFormat::Mapped => saved::read,
    };
    let file = source.map("").map_err(VectorsError::read(path))?;
    if file.is_empty() {
        return Err(VectorsError::Empty { path: path.to_owned() });
    }
    read(path, &file, options)
}

fn find_format(source: &Source) -> Result<VectorFormat, VectorsError> {
    let path = source.path();
    let mut head = Vec::new();
    let (file, _) = source.open("").map_err(VectorsError::read(path))?;
    file.take(HEAD).read_to_end(&mut head).map_err(VectorsError::read(path))?;
    if head.trim_ascii().is_empty() {
        return Err(VectorsError::Empty { path: path.to_owned() });
    }
    by_content(&head)
        .or_else(|| by_name(path))
        .ok_or_else(|| VectorsError::UnknownFormat { path: path.to_owned() })
}

fn by_content(head: &[u8]) -> Option<VectorFormat> {
    if head.starts_with(&fasttext::MAGIC) {
        return Some(VectorFormat::FastText);
    }
    if head.starts_with(finalfusion::MAGIC) {
        return Some(VectorFormat::Finalfusion);
    }
    if saved::is_saved(head) {
        return Some(VectorFormat::Mapped);
    }
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    let (first, rest) = split_line(text);
    if parse_header(first).is_none() {
        return is_row(first).then_some(VectorFormat::Glove);
    }
    let is_text = rest.trim_ascii().is_empty() || is_row(split_line(rest.trim_ascii_start()).0);
    Some(if is_text { VectorFormat::Word2VecText } else { VectorFormat::Word2VecBinary })
}

fn by_name(path: &Path) -> Option<VectorFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" | "glove" => Some(VectorFormat::Glove),
        "vec" => Some(VectorFormat::Word2VecText),
        "bin" => Some(VectorFormat::Word2VecBinary),
        "fifu" => Some(VectorFormat::Finalfusion),
        "safetensors" => Some(VectorFormat::Mapped),
        _ => None,
    }
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    (text[..end].trim_ascii_end(), &text[end..])
}

/// Whether a line looks like a word and numbers, one of which may be broken.
fn is_row(line: &[u8]) -> bool {
    let (mut others, mut numbers) = (0, 0);
    for field in fields(line).skip(1) {
        *(if parse_number(field).is_some() { &mut numbers } else { &mut others }) += 1;
    }
    numbers > others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::{message, open_with};

    #[test]
    fn content_tells_the_format() {
        let cases: [(&[u8], Option<VectorFormat>); 12] = [
            (b"the 0.1 0.2\n", Some(VectorFormat::Glove)),
            ("\u{feff}the\t0.1\t0.2".as_bytes(), Some(VectorFormat::Glove)),
            (b"the 0.1 0.2 x\n", Some(VectorFormat::Glove)),
            (b"2 3\nthe 0.1 0.2 0.3 \n", Some(VectorFormat::Word2VecText)),
            (b"2 3\r\nNew York 0.1 0.2 0.3", Some(VectorFormat::Word2VecText)),
            (b"2 3\n", Some(VectorFormat::Word2VecText)),
            (b"1 1\nthe \x00\x01\x20\xbf", Some(VectorFormat::Word2VecBinary)),
            (b"\xba\x16\x4f\x2f", Some(VectorFormat::FastText)),
            (b"FiFu", Some(VectorFormat::Finalfusion)),
            (b"\x02\0\0\0\0\0\0\0{}", Some(VectorFormat::Mapped)),
            (b"\x1f\x8b\x08\x00", None),
            (b"What is this?", None),
        ];
        for (head, format) in cases {
            assert_eq!(by_content(head), format, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn the_name_helps_where_the_content_does_not() {
        assert_eq!(by_name(Path::new("a.TXT")), Some(VectorFormat::Glove));
        assert_eq!(by_name(Path::new("a.vec")), Some(VectorFormat::Word2VecText));
        assert_eq!(by_name(Path::new("a.gz")), None);
        assert_eq!(by_name(Path::new("bin")), None);
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let missing = WordVectors::open(Path::new("no/such/file")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read no/such/file");
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(WordVectors::open(folder.path()), Err(VectorsError::Read { .. })));
        assert!(message(b"").contains("the file is empty"));
        assert!(message(b"\x1f\x8b\x08 no text").contains("unpack it if it is compressed"));
        assert!(message(b"0 99999999\n").contains("99999999 dimensions, more than"));
        let fasttext = VectorsOptions { format: Some(VectorFormat::FastText), ..VectorsOptions::default() };
        let error = open_with(b"cat 1 2\n", &fasttext).unwrap_err().to_string();
        assert!(error.contains("this is no file of fastText binary"), "{error}");
    }
}
