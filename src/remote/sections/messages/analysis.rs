//! What is said of a message's text without the text: its language, how it sounds, and what it is about.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex, PoisonError};

use vader_sentimental::SentimentIntensityAnalyzer;
use whatlang::Lang;
use yake_rust::{Config, StopWords, get_n_best};

/// Letters that a text must have for its language to be recognised.
const LEAST_LETTERS: usize = 10;
/// Words that a text must have for what it is about to be recognised.
const LEAST_WORDS: usize = 3;
/// Characters that are looked at: the beginning of a long text says what it is about.
const LOOKED_AT: usize = 4_000;
/// Key phrases of a message.
const KEYWORDS: usize = 5;

/// What a text is like.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Analysis {
    /// Its characters.
    pub characters: usize,
    /// Its words.
    pub words: usize,
    /// Its language (ISO 639-1), and how sure that is, from 0 to 1.
    pub language: Option<(&'static str, f64)>,
    /// How an English text sounds, from -1 (bad) to 1 (good): the compound score of VADER.
    pub sentiment: Option<f64>,
    /// Its key phrases, the most important first.
    pub keywords: Vec<String>,
}

impl Analysis {
    /// Looks at a text.
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        let characters = text.chars().count();
        let words = text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
        let end = text.char_indices().nth(LOOKED_AT).map_or(text.len(), |(at, _)| at);
        let head = &text[..end];
        let language = language(head);
        let is_english = language.is_some_and(|(code, _)| code == "en");
        // These libraries are not ours, and messages are anybody's: what one of them cannot read is left null.
        let guarded = |look: &dyn Fn() -> Option<f64>| catch_unwind(AssertUnwindSafe(look)).ok().flatten();
        let sentiment = guarded(&|| is_english.then(|| SentimentIntensityAnalyzer::new().polarity_scores(head).compound));
        let keywords = match language.filter(|_| words >= LEAST_WORDS) {
            Some((code, _)) => catch_unwind(AssertUnwindSafe(|| keywords(head, code))).unwrap_or_default(),
            None => Vec::new(),
        };
        Analysis { characters, words, language, sentiment: sentiment.filter(|score| score.is_finite()), keywords }
    }
}

fn language(text: &str) -> Option<(&'static str, f64)> {
    if text.chars().filter(|c| c.is_alphabetic()).take(LEAST_LETTERS).count() < LEAST_LETTERS {
        return None;
    }
    let found = catch_unwind(|| whatlang::detect(text)).ok().flatten()?;
    Some((code(found.lang()), found.confidence()))
}

fn keywords(text: &str, language: &'static str) -> Vec<String> {
    static STOP_WORDS: LazyLock<Mutex<HashMap<&'static str, StopWords>>> = LazyLock::new(Mutex::default);
    let stop_words = {
        let mut known = STOP_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
        let named = match language {
            "nb" => "no",
            "cs" => "cz",
            other => other,
        };
        known.entry(language).or_insert_with(|| StopWords::predefined(named).unwrap_or_default()).clone()
    };
    let config = Config { ngrams: 2, only_alphanumeric_and_hyphen: true, ..Config::default() };
    get_n_best(KEYWORDS, text, &stop_words, &config).into_iter().map(|found| found.keyword).collect()
}

/// The code of a language by ISO 639-1.
#[rustfmt::skip]
fn code(language: Lang) -> &'static str {
    match language {
        Lang::Epo => "eo", Lang::Eng => "en", Lang::Rus => "ru", Lang::Cmn => "zh", Lang::Spa => "es", Lang::Por => "pt",
        Lang::Ita => "it", Lang::Ben => "bn", Lang::Fra => "fr", Lang::Deu => "de", Lang::Ukr => "uk", Lang::Kat => "ka",
        Lang::Ara => "ar", Lang::Hin => "hi", Lang::Jpn => "ja", Lang::Heb => "he", Lang::Yid => "yi", Lang::Pol => "pl",
        Lang::Amh => "am", Lang::Jav => "jv", Lang::Kor => "ko", Lang::Nob => "nb", Lang::Dan => "da", Lang::Swe => "sv",
        Lang::Fin => "fi", Lang::Tur => "tr", Lang::Nld => "nl", Lang::Hun => "hu", Lang::Ces => "cs", Lang::Ell => "el",
        Lang::Bul => "bg", Lang::Bel => "be", Lang::Mar => "mr", Lang::Kan => "kn", Lang::Ron => "ro", Lang::Slv => "sl",
        Lang::Hrv => "hr", Lang::Srp => "sr", Lang::Mkd => "mk", Lang::Lit => "lt", Lang::Lav => "lv", Lang::Est => "et",
        Lang::Tam => "ta", Lang::Vie => "vi", Lang::Urd => "ur", Lang::Tha => "th", Lang::Guj => "gu", Lang::Uzb => "uz",
        Lang::Pan => "pa", Lang::Aze => "az", Lang::Ind => "id", Lang::Tel => "te", Lang::Pes => "fa", Lang::Mal => "ml",
        Lang::Ori => "or", Lang::Mya => "my", Lang::Nep => "ne", Lang::Sin => "si", Lang::Khm => "km", Lang::Tuk => "tk",
        Lang::Aka => "ak", Lang::Zul => "zu", Lang::Sna => "sn", Lang::Afr => "af", Lang::Lat => "la", Lang::Slk => "sk",
        Lang::Cat => "ca", Lang::Tgl => "tl", Lang::Hye => "hy", Lang::Cym => "cy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_and_only_english_has_a_sentiment() {
        let good = Analysis::of("Great work on the release of the new warehouse report, thank you all so much!");
        assert_eq!(good.language.map(|(code, _)| code), Some("en"));
        assert!(good.sentiment.is_some_and(|score| score > 0.3), "{good:?}");
        let bad = Analysis::of("The warehouse report is wrong again and nobody answers. This is terrible.");
        assert!(bad.sentiment.is_some_and(|score| score < -0.3), "{bad:?}");
        assert!(bad.keywords.iter().any(|word| word.contains("warehouse")), "{bad:?}");
        let german = Analysis::of("Das Treffen ist auf Donnerstag verschoben, bitte bestätigen Sie den Termin.");
        assert_eq!((german.language.map(|(code, _)| code), german.sentiment), (Some("de"), None));
        assert!(german.keywords.iter().any(|word| word.contains("treffen") || word.contains("donnerstag")), "{german:?}");
    }

    #[test]
    fn short_and_odd_texts_say_little_and_stop_nothing() {
        let short = Analysis::of(" ok ");
        assert_eq!(short, Analysis { characters: 2, words: 1, ..Analysis::default() });
        assert_eq!(Analysis::of(""), Analysis::default());
        let odd = [
            "\u{0}\u{1}\u{2}",
            "!!!! ???? ....",
            "\u{202e}abc def ghi jkl",
            "👩‍👩‍👧‍👦 👍🏽 really good people here 👍",
            "a\u{300}\u{301}",
            "ßßß ŉŉŉ İİİ ﬁﬁﬁ long words",
        ];
        for text in odd {
            Analysis::of(text);
            Analysis::of(&text.repeat(700));
        }
        assert_eq!(Analysis::of(&"word ".repeat(5_000)).words, 5_000);
    }
}
