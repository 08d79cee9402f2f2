//! The clouds of Microsoft 365: where each has its services, and what a token must be made out for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// A cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// The commercial one.
    #[default]
    Global,
    /// US government, moderate: the commercial hosts, with an own one for audit records.
    Gcc,
    /// US government, high.
    GccHigh,
    /// US Department of Defense.
    Dod,
    /// China, run by 21Vianet.
    China,
}

impl Cloud {
    /// All clouds.
    pub const ALL: [Cloud; 5] = [Cloud::Global, Cloud::Gcc, Cloud::GccHigh, Cloud::Dod, Cloud::China];

    /// The name that configurations have for it.
    pub fn name(self) -> &'static str {
        match self {
            Cloud::Global => "global",
            Cloud::Gcc => "gcc",
            Cloud::GccHigh => "gcc-high",
            Cloud::Dod => "dod",
            Cloud::China => "china",
        }
    }

    /// Where a service is; `None` where the cloud has none that is documented.
    pub fn base(self, service: Service) -> Option<&'static str> {
        use Cloud::{China, Dod, Gcc, GccHigh, Global};
        Some(match (service, self) {
            (Service::Login, Global | Gcc) => "https://login.microsoftonline.com",
            (Service::Login, GccHigh | Dod) => "https://login.microsoftonline.us",
            (Service::Login, China) => "https://login.partner.microsoftonline.cn",
            (Service::Management, Global) => "https://manage.office.com",
            (Service::Management, Gcc) => "https://manage-gcc.office.com",
            (Service::Management, GccHigh) => "https://manage.office365.us",
            (Service::Management, Dod) => "https://manage.protection.apps.mil",
            (Service::Management | Service::Reporting, China) => return None,
            (Service::Graph, Global | Gcc) => "https://graph.microsoft.com",
            (Service::Graph, GccHigh) => "https://graph.microsoft.us",
            (Service::Graph, Dod) => "https://dod-graph.microsoft.us",
            (Service::Graph, China) => "https://microsoftgraph.chinacloudapi.cn",
            (Service::Reporting, Global | Gcc) => "https://reports.office365.com",
            (Service::Reporting, GccHigh | Dod) => return None,
            (Service::AppInsights, Global | Gcc) => "https://api.applicationinsights.io",
            (Service::AppInsights, GccHigh | Dod) => "https://api.applicationinsights.us",
            (Service::AppInsights, China) => "https://api.applicationinsights.azure.cn",
            (Service::LogAnalytics, Global | Gcc) => "https://api.loganalytics.azure.com",
            (Service::LogAnalytics, GccHigh | Dod) => "https://api.loganalytics.us",
            (Service::LogAnalytics, China) => "https://api.loganalytics.azure.cn",
            // Each namespace has a host of its own.
            (Service::ServiceBus, _) => return None,
        })
    }

    /// What the hosts of Service Bus end with, behind their namespaces.
    pub fn service_bus(self) -> &'static str {
        match self {
            Cloud::Global | Cloud::Gcc => "servicebus.windows.net",
            Cloud::GccHigh | Cloud::Dod => "servicebus.usgovcloudapi.net",
            Cloud::China => "servicebus.chinacloudapi.cn",
        }
    }

    /// What tokens for a service are made out for; without a slash at the end.
    pub fn audience(self, service: Service) -> Option<&'static str> {
        match (service, self) {
            (Service::Login, _) => None,
            (Service::ServiceBus, _) => Some("https://servicebus.azure.net"),
            // The audience of the moderate cloud is the commercial one, though its host is another.
            (Service::Management, Cloud::Gcc) => Cloud::Global.base(Service::Management),
            (Service::Reporting, Cloud::Global | Cloud::Gcc) => Some("https://outlook.office365.com"),
            (Service::LogAnalytics, Cloud::Global | Cloud::Gcc) => Some("https://api.loganalytics.io"),
            _ => self.base(service),
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cloud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Cloud::ALL.into_iter().find(|cloud| cloud.name() == text).ok_or_else(|| {
            let known: Vec<_> = Cloud::ALL.iter().map(|cloud| cloud.name()).collect();
            format!("unknown cloud `{text}`; known are {}", known.join(", "))
        })
    }
}

/// A service of a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Gives tokens.
    Login,
    /// The Office 365 Management Activity API: audit records.
    Management,
    /// Microsoft Graph.
    Graph,
    /// The reporting web service of Exchange: message traces as they were before Graph had them.
    Reporting,
    /// Queries of Application Insights.
    AppInsights,
    /// Queries of Log Analytics.
    LogAnalytics,
    /// A queue of Azure Service Bus.
    ServiceBus,
}

impl Service {
    /// All services.
    pub const ALL: [Service; 7] = [
        Service::Login,
        Service::Management,
        Service::Graph,
        Service::Reporting,
        Service::AppInsights,
        Service::LogAnalytics,
        Service::ServiceBus,
    ];

    /// The name that configurations have for its host.
    pub fn key(self) -> &'static str {
        match self {
            Service::Login => "login",
            Service::Management => "management",
            Service::Graph => "graph",
            Service::Reporting => "reporting",
            Service::AppInsights => "app_insights",
            Service::LogAnalytics => "log_analytics",
            Service::ServiceBus => "service_bus",
        }
    }

    /// The name that messages have for it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Login => "Microsoft Entra ID",
            Service::Management => "the Management Activity API",
            Service::Graph => "Microsoft Graph",
            Service::Reporting => "the reporting web service",
            Service::AppInsights => "Application Insights",
            Service::LogAnalytics => "Log Analytics",
            Service::ServiceBus => "Service Bus",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// True for an address of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Looks whether an address may be that of a service: https, or plain http on this machine, and nothing but host, port and path.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that begins with the address.
pub fn check_host(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err("must begin with https://; plain http is for addresses of this machine only".to_owned()),
        other => return Err(format!("begins with {other}://, https:// was expected")),
    }
    if url.host().is_none() {
        return Err("names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user's name or password; credentials are settings of their own".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end with its path".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_have_names_and_addresses_that_may_be_used() {
        for cloud in Cloud::ALL {
            assert_eq!(cloud.name().parse(), Ok(cloud));
            assert!(cloud.base(Service::Login).is_some() && cloud.base(Service::Graph).is_some());
            for service in Service::ALL {
                if let Some(base) = cloud.base(service) {
                    check_host(&Url::parse(base).unwrap()).unwrap();
                    assert_eq!(cloud.audience(service).is_some(), service != Service::Login);
                }
            }
        }
        assert!("mars".parse::<Cloud>().unwrap_err().contains("gcc-high"));
        assert_eq!(Cloud::Dod.audience(Service::Graph), Some("https://dod-graph.microsoft.us"));
        assert_eq!(Cloud::Gcc.audience(Service::Management), Some("https://manage.office.com"));
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let check = |text: &str| check_host(&Url::parse(text).unwrap());
        for good in [
            "http://127.0.0.1:8700/login",
            "http://[::1]:1",
            "http://localhost:8700",
            "https://graph.example/v",
            "http://127.9.9.9",
        ] {
            check(good).unwrap();
        }
        for bad in [
            "http://graph.microsoft.com",
            "http://localhost.evil.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://user:word@graph.microsoft.com",
            "https://graph.microsoft.com?x=1",
            "http://127.0.0.1.evil.com",
        ] {
            check(bad).unwrap_err();
        }
    }
}
