//! A drawing as PNG, in light colours, for programs that cannot show SVG.

use std::sync::LazyLock;

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint as Brush, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::drawing::{Anchor, Drawing, Paint, Shape};

/// Pixels for each unit, for sharp letters.
const SCALE: f32 = 2.0;
/// A larger picture is drawn smaller.
const MOST_PIXELS: f32 = 8000.0;

static FONT: LazyLock<Option<Face<'static>>> =
    LazyLock::new(|| Face::parse(include_bytes!("font/DejaVuSans.ttf"), 0).ok());

impl Drawing {
    /// The picture in light colours, two pixels for each unit. Letters that the font lacks, which has Latin, Greek
    /// and Cyrillic ones, are boxes; [`Drawing::to_svg`] leaves the choice of fonts to whoever shows it.
    ///
    /// `None` where the picture has no area or is too large to draw.
    #[must_use]
    pub fn to_png(&self) -> Option<Vec<u8>> {
        let (width, height) = self.size;
        let scale = SCALE.min(MOST_PIXELS / width.max(height).max(1.0));
        let mut canvas = Pixmap::new((width * scale).round() as u32, (height * scale).round() as u32)?;
        let [red, green, blue] = Paint::Paper.colours().0;
        canvas.fill(Color::from_rgba8(red, green, blue, 255));
        let whole = Transform::from_scale(scale, scale);
        for shape in &self.shapes {
            draw(shape, whole, &mut canvas);
        }
        canvas.encode_png().ok()
    }
}

fn draw(shape: &Shape, whole: Transform, canvas: &mut Pixmap) {
    match shape {
        Shape::Rectangle { at, size, paint, opacity } => {
            if let Some(rectangle) = Rect::from_xywh(at.0, at.1, size.0.max(0.0), size.1.max(0.0)) {
                canvas.fill_rect(rectangle, &brush(*paint, *opacity), whole, None);
            }
        }
        Shape::Line { through, paint, width, dashed } => {
            let mut builder = PathBuilder::new();
            for (at, (x, y)) in through.iter().enumerate() {
                if at == 0 { builder.move_to(*x, *y) } else { builder.line_to(*x, *y) }
            }
            let stroke = Stroke {
                width: *width,
                line_cap: LineCap::Butt,
                line_join: LineJoin::Round,
                dash: if *dashed { StrokeDash::new(vec![4.0, 4.0], 0.0) } else { None },
                ..Stroke::default()
            };
            if let Some(path) = builder.finish() {
                canvas.stroke_path(&path, &brush(*paint, 1.0), &stroke, whole, None);
            }
        }
        Shape::Dot { at, radius, paint } => {
            if let Some(path) = PathBuilder::from_circle(at.0, at.1, *radius) {
                canvas.fill_path(&path, &brush(*paint, 1.0), FillRule::Winding, whole, None);
            }
        }
        Shape::Text { at: (x, y), text, size, anchor, angle, paint } => {
            let Some(font) = FONT.as_ref() else { return };
            let (path, width) = outline(font, text, *size);
            let back = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => width / 2.0,
                Anchor::End => width,
            };
            let place = whole.pre_translate(*x, *y).pre_rotate(*angle).pre_translate(-back, 0.0);
            if let Some(path) = path {
                canvas.fill_path(&path, &brush(*paint, 1.0), FillRule::Winding, place, None);
            }
        }
    }
}

fn brush(paint: Paint, opacity: f32) -> Brush<'static> {
    let [red, green, blue] = paint.colours().0;
    let mut brush = Brush::default();
    brush.set_color_rgba8(red, green, blue, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8);
    brush.anti_alias = true;
    brush
}

/// The letters of a text as one path that begins at the origin, and how wide it is.
fn outline(font: &Face<'_>, text: &str, size: f32) -> (Option<Path>, f32) {
    let scale = size / f32::from(font.units_per_em());
    let mut letters = Letters { builder: PathBuilder::new(), at: 0.0, scale };
    for letter in text.chars() {
        let glyph = font.glyph_index(letter).unwrap_or(GlyphId(0)); // glyph 0 is the box
        font.outline_glyph(glyph, &mut letters);
        letters.at += f32::from(font.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
    }
    (letters.builder.finish(), letters.at)
}

/// Collects outlines side by side; a font's axis goes up, ours goes down.
struct Letters {
    builder: PathBuilder,
    at: f32,
    scale: f32,
}

impl Letters {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.at + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.builder.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.builder.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.builder.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.builder.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(drawing: &Drawing) -> Pixmap {
        Pixmap::decode_png(&drawing.to_png().unwrap()).unwrap()
    }

    #[test]
    fn shapes_are_where_they_belong() {
        let mut drawing = Drawing::new("", 40.0, 20.0);
        drawing.rectangle((10.0, 5.0), (10.0, 10.0), Paint::Right, 1.0);
        let canvas = pixels(&drawing);
        assert_eq!((canvas.width(), canvas.height()), (80, 40));
        let colour = |x, y| {
            let pixel = canvas.pixel(x, y).unwrap();
            [pixel.red(), pixel.green(), pixel.blue()]
        };
        assert_eq!(colour(30, 20), Paint::Right.colours().0);
        assert_eq!(colour(10, 20), Paint::Paper.colours().0);
        assert_eq!(colour(50, 20), Paint::Paper.colours().0);
    }

    #[test]
    fn letters_of_any_script_leave_a_mark_and_break_nothing() {
        for text in ["intent", "größe", "привет", "意図", "\u{1f600}", "نية", "a\u{0}b"] {
            let mut drawing = Drawing::new(text, 100.0, 30.0);
            drawing.text((50.0, 20.0), text, 12.0, Anchor::Middle, Paint::Ink);
            let dark = pixels(&drawing).pixels().iter().filter(|pixel| pixel.red() < 128).count();
            assert!(dark > 10, "{text}: {dark}");
        }
        assert_eq!(Drawing::new("", 0.0, 5.0).to_png(), None);
        assert!(pixels(&Drawing::new("", 30_000.0, 10.0)).width() <= 8000);
    }
}
