//! The last step from markup to a file.

use maud::Markup;

/// The text of a page or a drawing. Characters that neither HTML nor XML may contain become U+FFFD.
pub(super) fn finished(markup: Markup) -> String {
    let forbidden = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t') || matches!(letter, '\u{fffe}' | '\u{ffff}')
    };
    markup.into_string().replace(forbidden, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    #[test]
    fn text_stays_text_between_tags_and_in_attributes() {
        let text = "<a b='c' d=\"e\">&\u{0}\u{ffff}ü意\n";
        let escaped = "&lt;a b='c' d=&quot;e&quot;&gt;&amp;\u{fffd}\u{fffd}ü意\n";
        assert_eq!(
            finished(html! { p title=(text) { (text) } }),
            format!("<p title=\"{escaped}\">{escaped}</p>")
        );
    }
}
