//! `parse_user_agent`: browser, operating system and device from a browser's identification.
//!
//! Microsoft's engine uses the rules of the ua-parser project. The rules here give its names for the browsers and systems that
//! are in use, and the `woothee` crate's for what else there is (robots, consoles, feature phones).

use crate::functions::kernels::text_of_ref;
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Json, Type, Value, ValueRef, json};

/// The functions of this family.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[ScalarFn::new(
    "parse_user_agent",
    &[Param::req("user_agent", ArgType::String), Param::opt("look_for", ArgType::StringOrDynamic).constant()],
    Returns::Type(Type::Dynamic),
    ScalarImpl::Row(parse_user_agent),
    "Browser, operating system and device of a user agent, as far as they are asked for (\"browser\", \"os\", \"device\").",
)];

fn parse_user_agent(args: &[ValueRef<'_>]) -> Value {
    let Some(agent) = args.first().map(|text| text_of_ref(*text)).filter(|text| !text.is_empty()) else { return Value::Null };
    let wanted: Vec<String> = match args.get(1) {
        None => ["browser", "os", "device"].map(str::to_owned).to_vec(),
        Some(ValueRef::Dynamic(list)) => match json::elements(list) {
            Some(names) => names.map(|name| json::unquote(name).to_ascii_lowercase()).collect(),
            None => vec![json::unquote(list).to_ascii_lowercase()],
        },
        Some(name) => vec![text_of_ref(*name).to_ascii_lowercase()],
    };
    let mut out = serde_json::Map::new();
    for name in wanted {
        match name.as_str() {
            "browser" => out.insert("Browser".to_owned(), browser(&agent)),
            "os" => out.insert("OperatingSystem".to_owned(), system(&agent)),
            "device" => out.insert("Device".to_owned(), device(&agent)),
            _ => None,
        };
    }
    Value::Dynamic(Json::Object(out))
}

/// A product's token in the user agent, and the name of what it stands for; the first one found counts.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge Mobile"),
    ("EdgiOS/", "Edge Mobile"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("AdobeAIR/", "AdobeAIR"),
    ("Electron/", "Electron"),
    ("FxiOS/", "Firefox iOS"),
    ("CriOS/", "Chrome Mobile iOS"),
    ("HeadlessChrome/", "HeadlessChrome"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "Python Requests"),
    ("Python-urllib/", "Python-urllib"),
    ("Go-http-client/", "Go-http-client"),
    ("Apache-HttpClient/", "Apache-HttpClient"),
    ("okhttp/", "okhttp"),
    ("axios/", "axios"),
    ("PostmanRuntime/", "PostmanRuntime"),
    ("Java/", "Java"),
];

/// The characters of a version at the start of a text.
fn version(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The text behind a token.
fn behind<'a>(agent: &'a str, token: &str) -> Option<&'a str> {
    agent.find(token).map(|at| &agent[at + token.len()..])
}

/// A bag of a family and the parts of its version.
fn versioned(family: &str, version: &str, parts: &[&str]) -> Json {
    let mut numbers = version.split(['.', '_']);
    let mut out = serde_json::Map::new();
    out.insert("Family".to_owned(), family.into());
    for part in parts {
        out.insert((*part).to_owned(), numbers.next().unwrap_or("").into());
    }
    Json::Object(out)
}

fn browser(agent: &str) -> Json {
    let mobile = agent.contains("Mobile");
    let found = BROWSERS.iter().find_map(|(token, name)| Some((*name, version(behind(agent, token)?))));
    let (family, version) = if let Some((name, version)) = found {
        match name {
            "Chrome" if agent.contains("Android") && mobile => ("Chrome Mobile", version),
            "Firefox" if agent.contains("Android") => ("Firefox Mobile", version),
            _ => (name, version),
        }
    } else if let Some(rest) = behind(agent, "MSIE ") {
        ("IE", version(rest))
    } else if let Some(rest) = behind(agent, "Trident/").and_then(|_| behind(agent, "rv:")) {
        ("IE", version(rest))
    } else if let Some(rest) = behind(agent, "Series60/") {
        ("Nokia OSS Browser", version(rest))
    } else if let (true, Some(rest)) = (agent.contains("Safari/"), behind(agent, "Version/")) {
        (if mobile { "Mobile Safari" } else { "Safari" }, version(rest))
    } else {
        match woothee::parser::Parser::new().parse(agent) {
            Some(result) if result.name != woothee::woothee::VALUE_UNKNOWN => {
                return versioned(result.name, version(result.version), &["MajorVersion", "MinorVersion", "Patch"]);
            }
            _ => ("Other", ""),
        }
    };
    versioned(family, version, &["MajorVersion", "MinorVersion", "Patch"])
}

fn system(agent: &str) -> Json {
    let (family, version) = find_system(agent);
    versioned(family, &version, &["MajorVersion", "MinorVersion", "Patch", "PatchMinor"])
}

fn find_system(agent: &str) -> (&'static str, String) {
    let of = |token: &str| behind(agent, token).map(version).unwrap_or("").to_owned();
    if agent.contains("Windows Phone") {
        return ("Windows Phone", of("Windows Phone "));
    }
    if agent.contains("Windows NT ") {
        // The names under which these were sold.
        let sold = match of("Windows NT ").as_str() {
            "6.3" => "8.1",
            "6.2" => "8",
            "6.1" => "7",
            "6.0" => "Vista",
            "5.1" | "5.2" => "XP",
            "5.0" => "2000",
            other => other.strip_suffix(".0").unwrap_or(other),
        }
        .to_owned();
        return ("Windows", sold);
    }
    if agent.contains("Windows") {
        return ("Windows", String::new());
    }
    if agent.contains("iPhone OS ") {
        return ("iOS", of("iPhone OS "));
    }
    if agent.contains("like Mac OS X") {
        return ("iOS", of("CPU OS "));
    }
    for (token, family) in [("Android ", "Android"), ("Mac OS X ", "Mac OS X"), ("SymbianOS/", "Symbian OS")] {
        if agent.contains(token) {
            return (family, of(token));
        }
    }
    if let Some(rest) = behind(agent, "CrOS ") {
        return ("Chrome OS", version(rest.split_once(' ').map_or("", |(_, v)| v)).to_owned());
    }
    for (token, family) in
        [("Android", "Android"), ("Mac OS X", "Mac OS X"), ("Ubuntu", "Ubuntu"), ("Fedora", "Fedora"), ("Linux", "Linux")]
    {
        if agent.contains(token) {
            return (family, String::new());
        }
    }
    ("Other", String::new())
}

fn device(agent: &str) -> Json {
    let (family, brand, model) = find_device(agent);
    let mut out = serde_json::Map::new();
    out.insert("Family".to_owned(), family.into());
    out.insert("Brand".to_owned(), brand.into());
    out.insert("Model".to_owned(), model.into());
    Json::Object(out)
}

fn find_device(agent: &str) -> (String, &'static str, String) {
    for name in ["iPhone", "iPad", "iPod"] {
        if agent.contains(name) {
            return (name.to_owned(), "Apple", name.to_owned());
        }
    }
    let lower = agent.to_ascii_lowercase();
    if ["bot/", "bot;", "bot)", "crawler", "spider"].iter().any(|token| lower.contains(token)) {
        return ("Spider".to_owned(), "Spider", "Desktop".to_owned());
    }
    if agent.contains("Android") {
        // `(Linux; Android 10; SM-G960F Build/…)`
        let inside = agent.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
        let model = inside
            .split(';')
            .map(str::trim)
            .skip_while(|part| !part.starts_with("Android"))
            .nth(1)
            .map(|part| part.split(" Build/").next().unwrap_or(part))
            .filter(|model| model.len() > 1 && !model.starts_with("rv:"));
        return match model {
            // Firefox names no model: `(Android 9; Mobile; rv:68.0)`.
            Some("Tablet") => ("Generic Tablet".to_owned(), "Generic", "Tablet".to_owned()),
            Some("Mobile") | None => ("Generic Smartphone".to_owned(), "Generic", "Smartphone".to_owned()),
            Some(model) if model.starts_with("SM-") => (format!("Samsung {model}"), "Samsung", model.to_owned()),
            Some(model) if model.starts_with("Pixel") => (model.to_owned(), "Google", model.to_owned()),
            Some(model) => (model.to_owned(), "Generic_Android", model.to_owned()),
        };
    }
    // `Nokia` and a model such as `N81`, maybe with a variant: `N81-3`.
    if let Some(rest) = behind(agent, "Nokia") {
        let end = |text: &str, more: &[char]| {
            text.find(|c: char| !c.is_ascii_alphanumeric() && !more.contains(&c)).unwrap_or(text.len())
        };
        let (name, model) = (&rest[..end(rest, &[])], &rest[..end(rest, &['-', '_'])]);
        if name.contains(|c: char| c.is_ascii_digit()) {
            return (format!("Nokia {name}"), "Nokia", model.to_owned());
        }
    }
    if agent.contains("Macintosh") {
        return ("Mac".to_owned(), "Apple", "Mac".to_owned());
    }
    ("Other".to_owned(), "", String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_agents() {
        for (agent, browser_is, system_is, device_is) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/91.0.4472.77 Safari/537.36 Edg/91.0.864.41",
                ["Edge", "91", "0", "864"],
                ["Windows", "10", ""],
                "Other",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 14_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0 Mobile/15E148 Safari/604.1",
                ["Mobile Safari", "14", "0", ""],
                ["iOS", "14", "4"],
                "iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; SM-G960F Build/Q) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/89.0.1 Mobile Safari/537.36",
                ["Chrome Mobile", "89", "0", "1"],
                ["Android", "10", ""],
                "Samsung SM-G960F",
            ),
            (
                "Mozilla/5.0 (Windows; U; en-US) AppleWebKit/531.9 (KHTML, like Gecko) AdobeAIR/2.5.1",
                ["AdobeAIR", "2", "5", "1"],
                ["Windows", "", ""],
                "Other",
            ),
            (
                "Mozilla/5.0 (SymbianOS/9.4; Series60/5.0 NokiaN97-1/20.0; Profile/MIDP-2.1) AppleWebKit/525 (KHTML, like Gecko)",
                ["Nokia OSS Browser", "5", "0", ""],
                ["Symbian OS", "9", "4"],
                "Nokia N97",
            ),
            ("curl/7.58.0", ["curl", "7", "58", "0"], ["Other", "", ""], "Other"),
        ] {
            let found = browser(agent);
            assert_eq!(
                ["Family", "MajorVersion", "MinorVersion", "Patch"].map(|k| found[k].as_str().unwrap()),
                browser_is,
                "{agent}"
            );
            let found = system(agent);
            assert_eq!(["Family", "MajorVersion", "MinorVersion"].map(|k| found[k].as_str().unwrap()), system_is, "{agent}");
            assert_eq!(device(agent)["Family"], device_is, "{agent}");
        }
        let only = parse_user_agent(&[ValueRef::String("curl/7.58.0"), ValueRef::Dynamic(r#"["OS"]"#)]);
        assert_eq!(crate::functions::kernels::text_of(&only).matches("Family").count(), 1);
    }

    #[test]
    fn models_and_browsers_of_the_catalog() {
        for (agent, family, expected) in [
            ("(Linux; Android 13; Pixel 7 Build/TQ1A) Chrome/112.0.1 Mobile", "Chrome Mobile", ["Pixel 7", "Google", "Pixel 7"]),
            ("(Linux; Android 11; M2101K6G) Chrome/90.0 Mobile", "Chrome Mobile", ["M2101K6G", "Generic_Android", "M2101K6G"]),
            ("(Android; rv:68.0) Firefox/68.0", "Firefox Mobile", ["Generic Smartphone", "Generic", "Smartphone"]),
            ("(Android 9; Mobile; rv:68.0) Firefox/68.0", "Firefox Mobile", ["Generic Smartphone", "Generic", "Smartphone"]),
            ("(Android 9; Tablet; rv:68.0) Firefox/68.0", "Firefox Mobile", ["Generic Tablet", "Generic", "Tablet"]),
            ("(compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot", ["Spider", "Spider", "Desktop"]),
            ("(nothing that is known)", "Other", ["Other", "", ""]),
        ] {
            let agent = format!("Mozilla/5.0 {agent}");
            assert_eq!(browser(&agent)["Family"], family, "{agent}");
            assert_eq!(["Family", "Brand", "Model"].map(|k| device(&agent)[k].clone()), expected, "{agent}");
        }
    }
}
