//! A drawing as SVG: a file of its own, or a part of a page.

use std::fmt::Write as _;

use super::drawing::{Anchor, Drawing, Paint, Shape};
use super::html::escape;

impl Drawing {
    /// A file that opens in any browser, by day and by night.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (width, height) = self.size;
        let style = style();
        let background = format!("<rect width=\"{width}\" height=\"{height}\" class=\"paper\"/>");
        self.element("xmlns=\"http://www.w3.org/2000/svg\" ", &format!("<style>{style}</style>{background}"))
    }

    /// A part of a page that has the rules of [`style`].
    #[must_use]
    pub(super) fn to_inline_svg(&self) -> String {
        self.element("", "")
    }

    fn element(&self, attributes: &str, before: &str) -> String {
        let (width, height) = self.size;
        let title = escape(&self.title);
        let mut out = format!(
            "<svg {attributes}class=\"drawing\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>{before}\n"
        );
        for shape in &self.shapes {
            write_shape(shape, &mut out);
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Colours of all classes. Without these rules all shapes would be black.
pub(super) fn style() -> String {
    let rules = |night: bool| -> String {
        let rule = |paint: Paint| {
            let (light, dark) = paint.colours();
            let [red, green, blue] = if night { dark } else { light };
            format!("--{}:#{red:02x}{green:02x}{blue:02x};", paint.name())
        };
        Paint::ALL.into_iter().map(rule).collect()
    };
    let mut out =
        format!(":root{{{}}}@media(prefers-color-scheme:dark){{:root{{{}}}}}", rules(false), rules(true));
    for paint in Paint::ALL {
        let name = paint.name();
        let _ = write!(
            out,
            ".drawing .{name}{{fill:var(--{name})}}.drawing .{name}-line{{stroke:var(--{name});fill:none}}"
        );
    }
    out.push_str(".drawing text{font-family:\"DejaVu Sans\",Verdana,system-ui,sans-serif}");
    out
}

fn write_shape(shape: &Shape, out: &mut String) {
    let _ = match shape {
        Shape::Rectangle { at, size, paint, opacity } => {
            let faded =
                if *opacity < 1.0 { format!(" fill-opacity=\"{opacity:.3}\"") } else { String::new() };
            writeln!(
                out,
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" class=\"{}\"{faded}/>",
                at.0,
                at.1,
                size.0,
                size.1,
                paint.name()
            )
        }
        Shape::Line { through, paint, width, dashed } => {
            let places: Vec<String> = through.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
            let dashes = if *dashed { " stroke-dasharray=\"4 4\"" } else { "" };
            writeln!(
                out,
                "<polyline points=\"{}\" class=\"{}-line\" stroke-width=\"{width}\"{dashes}/>",
                places.join(" "),
                paint.name()
            )
        }
        Shape::Dot { at, radius, paint } => {
            writeln!(
                out,
                "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{radius}\" class=\"{}\"/>",
                at.0,
                at.1,
                paint.name()
            )
        }
        Shape::Text { at: (x, y), text, size, anchor, angle, paint } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let turn = if *angle == 0.0 {
                String::new()
            } else {
                format!(" transform=\"rotate({angle} {x:.2} {y:.2})\"")
            };
            writeln!(
                out,
                "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\"{anchor}{turn} class=\"{}\">{}</text>",
                paint.name(),
                escape(text)
            )
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_the_file() {
        let mut drawing = Drawing::new("a <b> & \"c\"", 100.0, 50.0);
        drawing.text((10.0, 20.0), "<script>&\u{1}意図", 10.0, Anchor::End, Paint::Ink);
        drawing.rectangle((0.0, 0.0), (5.0, 5.0), Paint::Right, 0.5);
        let svg = drawing.to_svg();
        assert!(svg.contains("&lt;script&gt;&amp;\u{fffd}意図") && !svg.contains("<script"));
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"));
        assert!(svg.contains("fill-opacity=\"0.500\"") && svg.contains("text-anchor=\"end\""));
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert!(!drawing.to_inline_svg().contains("<style>"));
    }
}
