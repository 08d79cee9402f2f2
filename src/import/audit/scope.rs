//! The sites that audit records are wanted of.

use sha2::{Digest, Sha256};

use crate::row::Row;
use kqlake_value::format::hex;

/// Columns that name the site of a record, or something in it.
const PLACES: [&str; 2] = ["SiteUrl", "ObjectId"];

/// Addresses of sites. Records that name an address, and none below these, are left out; those that name none are not of a
/// site, and are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrgUrls {
    /// In the form in which they are compared; none where all are wanted.
    roots: Vec<String>,
}

impl OrgUrls {
    /// The addresses as they are configured; `*`, and no address at all, are all sites.
    pub fn new<T: AsRef<str>>(urls: impl IntoIterator<Item = T>) -> Self {
        let mut roots: Vec<String> = urls.into_iter().map(|url| plain(url.as_ref())).collect();
        roots.sort_unstable();
        roots.dedup();
        if roots.iter().any(|root| root == "*") {
            roots.clear();
        }
        OrgUrls { roots }
    }

    /// What tells two lists apart, in a few characters; empty for all sites.
    pub(crate) fn digest(&self) -> String {
        if self.roots.is_empty() {
            return String::new();
        }
        let mut digest = hex(&Sha256::digest(self.roots.join("\n").as_bytes()));
        digest.truncate(16);
        digest
    }

    /// True for the row of an audit record that is wanted.
    pub(crate) fn takes(&self, row: &Row<'_>) -> bool {
        if self.roots.is_empty() {
            return true;
        }
        let addresses = PLACES.iter().filter_map(|column| row.get(column).as_text()).filter(|text| is_address(text));
        let mut names_none = true;
        for address in addresses {
            if self.holds(&plain(address)) {
                return true;
            }
            names_none = false;
        }
        names_none
    }

    fn holds(&self, address: &str) -> bool {
        let below = |root: &String| {
            address.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        };
        self.roots.iter().any(below)
    }
}

fn is_address(text: &str) -> bool {
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("https://") || begins("http://")
}

/// An address as it is compared: some fields of records have blanks where others have their escapes.
fn plain(address: &str) -> String {
    address.trim().trim_end_matches('/').to_lowercase().replace("%20", " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;
    use kqlake_lake::tables::find;

    #[test]
    fn records_of_other_sites_are_left_out_and_those_of_none_are_taken() {
        let urls = OrgUrls::new(["https://Contoso.sharepoint.com/", "https://contoso-my.sharepoint.com/personal/a b"]);
        let takes = |site: &str, object: &str| {
            let mut row = Row::new(find("AuditRecords").unwrap());
            for (column, text) in [("SiteUrl", site), ("ObjectId", object)] {
                if !text.is_empty() {
                    row.set(column, Cell::text(text.to_owned()));
                }
            }
            urls.takes(&row)
        };
        assert!(takes("https://contoso.sharepoint.com/sites/hr/", ""));
        assert!(takes("", "HTTPS://CONTOSO.SHAREPOINT.COM"));
        assert!(takes("https://contoso-my.sharepoint.com/personal/a%20b/Documents", ""));
        assert!(takes("https://other.example", "https://contoso.sharepoint.com/x"), "one of both is enough");
        for (site, object) in [
            ("https://contoso.sharepoint.com.example/", ""),
            ("https://contoso-my.sharepoint.com/personal/a bc", ""),
            ("", "http://other.example/x"),
        ] {
            assert!(!takes(site, object), "{site} {object}");
        }
        // No site: a sign-in, a mailbox.
        assert!(takes("", "") && takes("", "amy@contoso.com") && takes("", "Unknown"));
        assert!(OrgUrls::new(["https://a", "*"]).takes(&Row::new(find("AuditRecords").unwrap())));
        assert_eq!(OrgUrls::new(["*"]), OrgUrls::default());
    }

    #[test]
    fn lists_of_the_same_sites_have_one_digest() {
        let one = OrgUrls::new(["https://a/", "https://B"]).digest();
        assert_eq!(one, OrgUrls::new(["https://b", "https://a", "https://a"]).digest());
        assert_ne!(one, OrgUrls::new(["https://a"]).digest());
        assert_eq!((OrgUrls::default().digest().as_str(), one.len()), ("", 16));
    }
}
