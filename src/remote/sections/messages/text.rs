//! The text of a message's body, without its markup.

/// The plain text of a body of HTML. Names of people who are mentioned are left out.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    // How many elements that hold a name are open.
    let mut names = 0_usize;
    while let Some(at) = rest.find(['<', '&']) {
        if names == 0 {
            text.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        if let Some(end) = rest.find('>').filter(|_| rest.starts_with('<') && is_tag) {
            let inside = &rest[1..end];
            let closes = inside.starts_with('/');
            let name = inside.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "at" if closes => names = names.saturating_sub(1),
                "at" if !inside.ends_with('/') => names += 1,
                "b" | "i" | "u" | "em" | "strong" | "span" | "a" | "code" | "s" => {}
                // What is in blocks of their own is no one word with what follows.
                _ if !text.ends_with([' ', '\n']) && !text.is_empty() => text.push('\n'),
                _ => {}
            }
            rest = &rest[end + 1..];
        } else if let Some((character, length)) = entity(rest) {
            if names == 0 {
                text.push(character);
            }
            rest = &rest[length..];
        } else {
            if names == 0 {
                text.push_str(&rest[..1]);
            }
            rest = &rest[1..];
        }
    }
    if names == 0 {
        text.push_str(rest);
    }
    text
}

/// The character of an entity that a text begins with, and the entity's length.
fn entity(text: &str) -> Option<(char, usize)> {
    let inside = text.strip_prefix('&')?;
    let end = inside.bytes().take(10).position(|byte| byte == b';')?;
    let name = inside.get(..end)?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)?
        }
    };
    Some((character, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_mentioned_names_are_left_out() {
        let html = "<p>See <a href=\"https://x/?a>b\">the plan</a> &amp; comment,&nbsp;please &#8364;&#x21;</p><div>Thanks <at id=\"0\">Amy \
                    Alder</at>!</div>";
        // An attribute may hold what ends a tag: a little more is text then, and nothing is lost.
        assert!(plain(html).contains("the plan & comment, please €!\nThanks !"), "{}", plain(html));
        for same in ["1 < 2 and 3 > 2", "a & b", "&unknown; &#xD800; &", "<", "&"] {
            assert_eq!(plain(same), same);
        }
        assert_eq!(plain("<p></p>"), "");
        assert_eq!(plain("é<br/>ü"), "é\nü");
    }
}
