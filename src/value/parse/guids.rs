//! Texts of guids.

use uuid::Uuid;

/// How a guid may be written besides `01234567-89ab-cdef-0123-456789abcdef`, which may appear in braces, in any letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuidForm {
    /// Without dashes: a literal, or what a service sends.
    Plain,
    /// With dashes anywhere or nowhere, and in parentheses: what `toguid` takes.
    Loose,
}

/// The guid of a text, lower case with dashes. White space around it is ignored.
pub fn read(text: &str, form: GuidForm) -> Option<String> {
    let text = text.trim();
    let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let text = match form {
        GuidForm::Plain => inside('{', '}').unwrap_or(text),
        GuidForm::Loose => inside('{', '}').or_else(|| inside('(', ')')).unwrap_or(text),
    };
    let guid = match form {
        // The crate takes braces within braces and `urn:uuid:` as well, and distinguishes all forms by their length.
        GuidForm::Plain if !matches!(text.len(), 32 | 36) => return None,
        GuidForm::Plain => Uuid::try_parse(text),
        GuidForm::Loose => {
            let mut digits = [0; 32];
            let mut places = digits.iter_mut();
            for byte in text.bytes().filter(|b| *b != b'-') {
                *places.next()? = byte;
            }
            if places.len() > 0 {
                return None;
            }
            Uuid::try_parse_ascii(&digits)
        }
    };
    Some(guid.ok()?.hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "4f2b0c1d-0000-4000-8000-00000000abcd";

    #[test]
    fn both_forms_take_what_is_written_as_it_should_be() {
        let bare = GUID.replace('-', "");
        for text in [GUID.to_uppercase(), bare.clone(), format!(" {{{GUID}}}\n"), format!("{{{bare}}}")] {
            assert_eq!(read(&text, GuidForm::Plain).as_deref(), Some(GUID), "{text}");
            assert_eq!(read(&text, GuidForm::Loose).as_deref(), Some(GUID), "{text}");
        }
        for text in
            ["", "xyz", "{", "4f2b0c1d-0000-4000-8000-00000000abcg", &bare[1..], &format!("{bare}0"), &format!("{{{GUID}")]
        {
            assert_eq!(read(text, GuidForm::Plain), None, "{text}");
            assert_eq!(read(text, GuidForm::Loose), None, "{text}");
        }
    }

    #[test]
    fn dashes_elsewhere_and_parentheses_are_for_data() {
        for text in [format!("({GUID})"), GUID.replacen('-', "", 2), format!("-{GUID}-")] {
            assert_eq!(read(&text, GuidForm::Plain), None, "{text}");
            assert_eq!(read(&text, GuidForm::Loose).as_deref(), Some(GUID), "{text}");
        }
        for text in [format!("urn:uuid:{GUID}"), format!("{{{{{GUID}}}}}"), format!("({GUID}}}")] {
            assert_eq!(read(&text, GuidForm::Plain), None, "{text}");
            assert_eq!(read(&text, GuidForm::Loose), None, "{text}");
        }
    }
}
