//! A picture as a list of shapes, which becomes SVG or PNG.

/// The role of a shape, which decides its colour in light and in dark mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Main text.
    Ink,
    /// Secondary text.
    Soft,
    /// Grid lines.
    Line,
    /// What is right.
    Right,
    /// What is wrong.
    Wrong,
    /// What is measured.
    Accent,
    /// The second of two things that are measured.
    Second,
    /// Text on a strong colour.
    Paper,
}

/// A colour in red, green and blue.
pub(super) type Colour = [u8; 3];

impl Paint {
    /// All of them.
    pub(super) const ALL: [Self; 8] = [
        Self::Ink,
        Self::Soft,
        Self::Line,
        Self::Right,
        Self::Wrong,
        Self::Accent,
        Self::Second,
        Self::Paper,
    ];

    /// The class in SVG.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ink => "ink",
            Self::Soft => "soft",
            Self::Line => "line",
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Accent => "accent",
            Self::Second => "second",
            Self::Paper => "paper",
        }
    }

    /// The colour in light and in dark mode.
    pub(super) fn colours(self) -> (Colour, Colour) {
        match self {
            Self::Ink => ([29, 35, 41], [226, 230, 234]),
            Self::Soft => ([92, 103, 114], [150, 161, 172]),
            Self::Line => ([219, 224, 229], [54, 61, 69]),
            Self::Right => ([31, 122, 116], [86, 184, 174]),
            Self::Wrong => ([184, 72, 48], [226, 128, 104]),
            Self::Accent => ([47, 95, 158], [127, 176, 234]),
            Self::Second => ([138, 90, 150], [200, 150, 214]),
            Self::Paper => ([255, 255, 255], [22, 26, 31]),
        }
    }
}

/// Which part of a text is at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The first letter.
    Start,
    /// The middle.
    Middle,
    /// The last letter.
    End,
}

/// A position: how far to the right, and how far down.
pub type Point = (f32, f32);

/// A shape to draw.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A filled rectangle.
    Rectangle {
        /// Its upper left corner.
        at: Point,
        /// Width and height.
        size: (f32, f32),
        /// Its colour.
        paint: Paint,
        /// From 0, invisible, to 1.
        opacity: f32,
    },
    /// A line through some points.
    Line {
        /// At least two.
        through: Vec<Point>,
        /// Its colour.
        paint: Paint,
        /// How thick it is.
        width: f32,
        /// Whether it has gaps.
        dashed: bool,
    },
    /// A filled circle.
    Dot {
        /// Its middle.
        at: Point,
        /// From the middle to the edge.
        radius: f32,
        /// Its colour.
        paint: Paint,
    },
    /// One line of text.
    Text {
        /// Where the anchor is, on the line that letters stand on.
        at: Point,
        /// What it says.
        text: String,
        /// Height of the font.
        size: f32,
        /// Which part of it is at `at`.
        anchor: Anchor,
        /// Turned clockwise about `at`, in degrees.
        angle: f32,
        /// Its colour.
        paint: Paint,
    },
}

/// Font size of titles.
pub(super) const TITLE: f32 = 15.0;
/// Font size of notes and most labels.
pub(super) const SMALL: f32 = 11.0;

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// A description, also for screen readers.
    pub title: String,
    /// Width and height.
    pub size: (f32, f32),
    /// From the back to the front.
    pub shapes: Vec<Shape>,
}

impl Drawing {
    /// An empty picture.
    #[must_use]
    pub fn new(title: impl Into<String>, width: f32, height: f32) -> Self {
        Self { title: title.into(), size: (width, height), shapes: Vec::new() }
    }

    /// A picture with its title and a note in the upper left corner.
    pub(super) fn titled(title: &str, note: impl Into<String>, width: f32, height: f32) -> Self {
        let mut drawing = Self::new(title, width, height);
        drawing.text((16.0, 24.0), title, TITLE, Anchor::Start, Paint::Ink);
        drawing.text((16.0, 42.0), note, SMALL, Anchor::Start, Paint::Soft);
        drawing
    }

    pub(super) fn rectangle(&mut self, at: Point, size: (f32, f32), paint: Paint, opacity: f32) {
        self.shapes.push(Shape::Rectangle { at, size, paint, opacity });
    }

    pub(super) fn line(&mut self, from: Point, to: Point, paint: Paint, width: f32) {
        self.shapes.push(Shape::Line { through: vec![from, to], paint, width, dashed: false });
    }

    pub(super) fn text(
        &mut self,
        at: Point,
        text: impl Into<String>,
        size: f32,
        anchor: Anchor,
        paint: Paint,
    ) {
        self.shapes.push(Shape::Text { at, text: text.into(), size, anchor, angle: 0.0, paint });
    }

    pub(super) fn turned_text(&mut self, at: Point, text: impl Into<String>, size: f32, angle: f32) {
        let (text, anchor, paint) = (text.into(), Anchor::Start, Paint::Ink);
        self.shapes.push(Shape::Text { at, text, size, anchor, angle, paint });
    }
}

/// An estimate of the width of a text; fonts differ, so leave some space.
pub(super) fn text_width(text: &str, size: f32) -> f32 {
    let width = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.34,
        'f' | 'r' | 't' | ' ' | '(' | ')' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' => 0.7,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' => 0.0,
        '\u{1100}'.. => 1.0,
        _ => 0.62,
    };
    text.chars().map(width).sum::<f32>() * size
}

/// A text cut in the middle to so many characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if letters.len() <= most {
        return letters.into_iter().collect();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept - kept / 3, kept / 3);
    letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - tail..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_keep_their_ends() {
        assert_eq!(shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(shortened("abcdefghijk", 7), "abcd…jk");
        assert_eq!(shortened("ああああああ", 4), "ああ…あ");
        assert_eq!(shortened("a\nb", 9), "a b");
    }

    #[test]
    fn wide_scripts_take_more_room() {
        assert!(text_width("意図", 10.0) > text_width("ab", 10.0));
        assert_eq!(text_width("", 10.0), 0.0);
    }
}
