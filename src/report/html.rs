//! Pieces of a page.

/// A text between tags or quotes. Characters that no page may have become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            letter => out.push(letter),
        }
    }
    out
}

/// A table; the first column is words, the others numbers or, where the first row has a remark, words as well. Cells
/// are HTML already.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let is_remark = |at: usize| {
        rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.starts_with("<span class=\"soft\">"))
    };
    let cells = |tag: &str, cells: &[String]| -> String {
        let cell = |(at, text): (usize, &String)| {
            let class = match at {
                0 => " class=\"name\"",
                _ if is_remark(at) => " class=\"left\"",
                _ => "",
            };
            format!("<{tag}{class}>{text}</{tag}>")
        };
        format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    let head: Vec<String> = head.iter().map(|text| escape(text)).collect();
    let body: String = rows.iter().map(|row| cells("td", row)).collect();
    format!(
        "<div class=\"scroll\"><table><thead>{}</thead><tbody>\n{body}</tbody></table></div>\n",
        cells("th", &head)
    )
}

/// A share as a number with a bar behind it.
pub(super) fn bar(share: f64) -> String {
    let share = 100.0 * share.clamp(0.0, 1.0);
    format!("<span class=\"bar\" style=\"--share:{share:.1}%\">{share:.1}</span>")
}

/// A large number with a name and a remark.
pub(super) fn tile(name: &str, value: &str, remark: &str) -> String {
    format!(
        "<div class=\"tile\"><div class=\"what\">{}</div><div class=\"value\">{}</div><div class=\"remark\">{}</div></div>\n",
        escape(name),
        escape(value),
        escape(remark)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_place() {
        assert_eq!(
            escape("<a b='c' d=\"e\">&\u{0}ü意\n"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\u{fffd}ü意\n"
        );
    }

    #[test]
    fn bars_stay_within_their_cell() {
        assert!(bar(7.0).contains("--share:100.0%") && bar(-1.0).contains(">0.0<"));
    }
}
