//! A drawing as SVG: a file of its own, or a part of a page.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::drawing::{Anchor, Drawing, Paint, Shape};
use super::markup::finished;

impl Drawing {
    /// A file that opens in any browser, in light and in dark colours.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (width, height) = self.size;
        let background = html! {
            style { (PreEscaped(style())) }
            rect width=(width) height=(height) class="paper" {}
        };
        finished(self.element(Some("http://www.w3.org/2000/svg"), background))
    }

    /// A part of a page that has the rules of [`style`].
    pub(super) fn to_inline_svg(&self) -> Markup {
        self.element(None, Markup::default())
    }

    fn element(&self, namespace: Option<&str>, background: Markup) -> Markup {
        let (width, height) = self.size;
        html! {
            svg xmlns=[namespace] class="drawing" viewBox={ "0 0 " (width) " " (height) } width=(width)
                height=(height) role="img" aria-label=(self.title) {
                title { (self.title) }
                (background) "\n"
                @for shape in &self.shapes { (element(shape)) "\n" }
            }
        }
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

/// The SVG element of a shape. XML needs the empty braces: without them the element would stay open.
fn element(shape: &Shape) -> Markup {
    match shape {
        Shape::Rectangle { at, size, paint, opacity } => html! {
            rect x=(fixed(at.0)) y=(fixed(at.1)) width=(fixed(size.0)) height=(fixed(size.1)) class=(paint.name())
                fill-opacity=[(*opacity < 1.0).then(|| format!("{opacity:.3}"))] {}
        },
        Shape::Line { through, paint, width, dashed } => {
            let places: Vec<String> = through.iter().map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
            html! {
                polyline points=(places.join(" ")) class={ (paint.name()) "-line" } stroke-width=(width)
                    stroke-dasharray=[dashed.then_some("4 4")] {}
            }
        }
        Shape::Dot { at, radius, paint } => html! {
            circle cx=(fixed(at.0)) cy=(fixed(at.1)) r=(radius) class=(paint.name()) {}
        },
        Shape::Text { at: (x, y), text, size, anchor, angle, paint } => html! {
            text x=(fixed(*x)) y=(fixed(*y)) font-size=(size) text-anchor=[anchor_name(*anchor)]
                transform=[(*angle != 0.0).then(|| format!("rotate({angle} {x:.2} {y:.2})"))] class=(paint.name()) {
                (text)
            }
        },
    }
}

fn anchor_name(anchor: Anchor) -> Option<&'static str> {
    match anchor {
        Anchor::Start => None,
        Anchor::Middle => Some("middle"),
        Anchor::End => Some("end"),
    }
}

fn fixed(length: f32) -> String {
    format!("{length:.2}")
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
        assert!(!drawing.to_inline_svg().into_string().contains("<style>"));
    }
}
