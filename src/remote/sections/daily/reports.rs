//! Usage reports: the days that the service still has of each report of users, sites and groups, and the newest state of the others.
//!
//! A day's report is there a day or two later, and changes for some days more: until then it is asked for again once a day. What is a
//! report of a period is asked for once a day. JSON is asked for, of which the service gives seven times as many reports in a time
//! as CSV; CSV comes where a report has no other form. Reports of Skype for Business, which is no more, are not asked for.

use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde_json::Value;
use url::Url;

use super::DAY;
use crate::api::Api;
use crate::cloud::{Cloud, Service};
use crate::http::{Failure, Request, ServiceError};
use crate::instant;
use crate::sections::pages::Chain;
use crate::settings::Tenant;
use crate::world::{SetupError, World};
use kqlake_value::parse::without_mark;

/// Days back that the service has reports of ("Only support data for the past 28 days").
const KEPT: i64 = 28;
/// Days after which a report does not change any more.
const SETTLED: i64 = 5;
/// The newest days may not be there yet.
const FRESH: i64 = 3;
/// Bytes that a report may have.
const CAP: u64 = 512 << 20;
/// After so many reports in a row without JSON no more JSON is asked for.
const ENOUGH: usize = 8;
/// Reports that have no JSON.
const ONLY_CSV: [&str; 1] = ["getTeamsTeamActivityDetail"];
/// What every report begins with as CSV.
const HEADING: &[u8] = b"Report Refresh Date";

/// What a report can be asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// One day.
    Day,
    /// The longest period: it has a row a day.
    Long,
    /// The shortest period: it has totals.
    Week,
    /// Nothing.
    Once,
}

/// Functions of the reports API (Microsoft Graph, "Microsoft 365 usage reports").
#[rustfmt::skip]
const FUNCTIONS: [(&str, Ask); 66] = [
    ("getTeamsDeviceUsageDistributionTotalUserCounts", Ask::Week),
    ("getTeamsDeviceUsageDistributionUserCounts", Ask::Week),
    ("getTeamsDeviceUsageTotalUserCounts", Ask::Long),
    ("getTeamsDeviceUsageUserCounts", Ask::Long),
    ("getTeamsDeviceUsageUserDetail", Ask::Day),
    ("getTeamsTeamActivityDetail", Ask::Day),
    ("getTeamsUserActivityCounts", Ask::Long),
    ("getTeamsUserActivityDistributionTotalUserCounts", Ask::Week),
    ("getTeamsUserActivityDistributionUserCounts", Ask::Week),
    ("getTeamsUserActivityTotalCounts", Ask::Long),
    ("getTeamsUserActivityTotalUserCounts", Ask::Long),
    ("getTeamsUserActivityUserCounts", Ask::Long),
    ("getTeamsUserActivityUserDetail", Ask::Day),
    ("getOneDriveActivityFileCounts", Ask::Long),
    ("getOneDriveActivityUserCounts", Ask::Long),
    ("getOneDriveActivityUserDetail", Ask::Day),
    ("getOneDriveUsageAccountCounts", Ask::Long),
    ("getOneDriveUsageAccountDetail", Ask::Day),
    ("getOneDriveUsageFileCounts", Ask::Long),
    ("getOneDriveUsageStorage", Ask::Long),
    ("getSharePointActivityFileCounts", Ask::Long),
    ("getSharePointActivityPages", Ask::Long),
    ("getSharePointActivityUserCounts", Ask::Long),
    ("getSharePointActivityUserDetail", Ask::Day),
    ("getSharePointSiteUsageDetail", Ask::Day),
    ("getSharePointSiteUsageFileCounts", Ask::Long),
    ("getSharePointSiteUsagePages", Ask::Long),
    ("getSharePointSiteUsageSiteCounts", Ask::Long),
    ("getSharePointSiteUsageStorage", Ask::Long),
    ("getEmailActivityCounts", Ask::Long),
    ("getEmailActivityUserCounts", Ask::Long),
    ("getEmailActivityUserDetail", Ask::Day),
    ("getEmailAppUsageAppsUserCounts", Ask::Week),
    ("getEmailAppUsageUserCounts", Ask::Long),
    ("getEmailAppUsageUserDetail", Ask::Day),
    ("getEmailAppUsageVersionsUserCounts", Ask::Week),
    ("getMailboxUsageDetail", Ask::Week),
    ("getMailboxUsageMailboxCounts", Ask::Long),
    ("getMailboxUsageQuotaStatusMailboxCounts", Ask::Long),
    ("getMailboxUsageStorage", Ask::Long),
    ("getM365AppPlatformUserCounts", Ask::Long),
    ("getM365AppUserCounts", Ask::Long),
    ("getM365AppUserDetail", Ask::Day),
    ("getOffice365ActivationCounts", Ask::Once),
    ("getOffice365ActivationsUserCounts", Ask::Once),
    ("getOffice365ActivationsUserDetail", Ask::Once),
    ("getOffice365ActiveUserCounts", Ask::Long),
    ("getOffice365ActiveUserDetail", Ask::Day),
    ("getOffice365ServicesUserCounts", Ask::Week),
    ("getOffice365GroupsActivityCounts", Ask::Long),
    ("getOffice365GroupsActivityDetail", Ask::Day),
    ("getOffice365GroupsActivityFileCounts", Ask::Long),
    ("getOffice365GroupsActivityGroupCounts", Ask::Long),
    ("getOffice365GroupsActivityStorage", Ask::Long),
    ("getYammerActivityCounts", Ask::Long),
    ("getYammerActivityUserCounts", Ask::Long),
    ("getYammerActivityUserDetail", Ask::Day),
    ("getYammerDeviceUsageDistributionUserCounts", Ask::Week),
    ("getYammerDeviceUsageUserCounts", Ask::Long),
    ("getYammerDeviceUsageUserDetail", Ask::Day),
    ("getYammerGroupsActivityCounts", Ask::Long),
    ("getYammerGroupsActivityDetail", Ask::Day),
    ("getYammerGroupsActivityGroupCounts", Ask::Long),
    ("getMicrosoft365CopilotUsageUserDetail", Ask::Week),
    ("getMicrosoft365CopilotUserCountSummary", Ask::Week),
    ("getMicrosoft365CopilotUserCountTrend", Ask::Long),
];

/// True for reports of Copilot, which have a folder of their own, and which the commercial cloud alone has (Microsoft 365 Copilot
/// APIs, "copilotReportRoot").
fn is_of_copilot(function: &str) -> bool {
    function.starts_with("getMicrosoft365Copilot")
}

/// The usage reports of a tenant.
#[derive(Debug)]
pub(in crate::sections) struct Reports {
    api: Api,
    stream: String,
    /// Whether the cloud has reports of Copilot.
    has_copilot: bool,
    /// Reports in a row that had no JSON.
    without_json: AtomicUsize,
}

impl Reports {
    /// The usage reports of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(in crate::sections) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        let stream = format!("{}/usagereports", tenant.name);
        let has_copilot = matches!(tenant.cloud, Cloud::Global | Cloud::Gcc);
        Ok(Reports { api: world.api(tenant, Service::Graph)?, stream, has_copilot, without_json: AtomicUsize::new(0) })
    }

    fn units(&self) -> UnitPage {
        let now = self.api.now();
        let today = now.div_euclid(DAY);
        let mut units = Vec::new();
        for (function, ask) in FUNCTIONS.into_iter().filter(|(function, _)| self.has_copilot || !is_of_copilot(function)) {
            let whole = |what: &str| ListedUnit {
                name: format!("{}/{function}/{what}", self.stream),
                stamp: Some(instant::day(now)),
                ..ListedUnit::default()
            };
            match ask {
                Ask::Day => units.extend((today - KEPT..today).map(|day| {
                    let start = day * DAY;
                    ListedUnit {
                        stamp: Some(if today - day > SETTLED { "settled".to_owned() } else { instant::day(now) }),
                        window: Some((start, start + DAY)),
                        is_stretch: true,
                        expires: Some(start + (KEPT + 1) * DAY),
                        ..whole(&instant::day(start))
                    }
                })),
                Ask::Long => units.push(whole("D180")),
                Ask::Week => units.push(whole("D7")),
                Ask::Once => units.push(whole("all")),
            }
        }
        UnitPage { units, ..UnitPage::default() }
    }

    /// Whether the tenant conceals the names in its reports, as far as the application may know.
    async fn are_names_concealed(&self) -> bool {
        let settings = self.api.json(Request::get(self.api.url("v1.0/admin/reportSettings")).once()).await;
        settings.is_ok_and(|settings| settings.body.get("displayConcealedNames").and_then(Value::as_bool) == Some(true))
    }

    /// A report as JSON; `None` where it comes as CSV, which it does the next time, too. What is neither, or breaks off, is asked for
    /// again: as CSV a report has fewer columns.
    async fn json(&self, url: Url) -> Result<Option<Chain>, ServiceError> {
        match Chain::begin_full(&self.api, Request::get(url.clone()).once()).await {
            Err(error) if error.failure == Failure::Broken => {
                let came = self.api.bytes(Request::get(url.clone()).cap(CAP)).await?.body;
                if is_csv(&came) {
                    return Ok(None);
                }
            }
            Err(error) if error.is_transient() || error.failure == Failure::Unauthorized => {}
            other => return other.map(Some),
        }
        Chain::begin_full(&self.api, Request::get(url)).await.map(Some)
    }

    /// A report as CSV. A text whose last line does not end may have been cut off on its way, which nothing else shows: it is asked
    /// for again, and taken when it is the same.
    async fn csv(&self, url: Url) -> Result<Bytes, ServiceError> {
        let request = Request::get(url).cap(CAP);
        let first = self.api.bytes(request.clone()).await?.body;
        if first.ends_with(b"\n") {
            return Ok(first);
        }
        let second = self.api.bytes(request).await?.body;
        if second == first || second.ends_with(b"\n") {
            return Ok(second);
        }
        Err(ServiceError::new(self.api.service(), Failure::Broken, "a report breaks off, each time at another place"))
    }

    async fn report(&self, unit: &ListedUnit) -> Result<Vec<u8>, SourceError> {
        let mut parts = unit.name.rsplit('/');
        let (what, function) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let asked = match what {
            "all" => function.to_owned(),
            period if period.starts_with('D') => format!("{function}(period='{period}')"),
            day => format!("{function}(date={day})"),
        };
        let folder = if is_of_copilot(function) { "copilot/reports" } else { "reports" };
        let today = self.api.now().div_euclid(DAY);
        let age = unit.window.map(|(start, _)| today - start.div_euclid(DAY));
        if !ONLY_CSV.contains(&function) && self.without_json.load(Ordering::Relaxed) < ENOUGH {
            let json = self.api.url(&format!("beta/{folder}/{asked}?$format=application/json"));
            match self.json(json).await {
                Ok(Some(chain)) => {
                    self.without_json.store(0, Ordering::Relaxed);
                    let mut pages = Vec::new();
                    chain.collect(&mut pages).await?;
                    return Ok(pages);
                }
                // What it does not have as JSON, it may have as CSV.
                Ok(None) => _ = self.without_json.fetch_add(1, Ordering::Relaxed),
                Err(error) if is_no_json(&error) || is_no_day(&error) => {
                    self.without_json.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(function, %error, "a report has no JSON");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let csv = self.api.url(&format!("v1.0/{folder}/{asked}"));
        let report = match self.csv(csv).await {
            // A day that is not there yet is asked for again tomorrow.
            Err(error) if age.is_some_and(|age| age <= FRESH) && is_no_day(&error) => return Ok(Vec::new()),
            Err(error) if age.is_some_and(|age| age >= KEPT) && is_no_day(&error) => return Err(error.gone()),
            // A tenant without Copilot has no reports of it.
            Err(error) if is_of_copilot(function) && is_no_day(&error) => {
                tracing::info!(function, %error, "the tenant has no such report");
                return Ok(Vec::new());
            }
            other => other?,
        };
        if is_csv(&report) {
            return Ok(report.to_vec());
        }
        let error = ServiceError::new(Service::Graph, Failure::Broken, format!("{function}: what came is no report"));
        Err(error.into())
    }
}

/// Whether a text is a report as CSV.
fn is_csv(report: &[u8]) -> bool {
    without_mark(report).get(..HEADING.len()).is_some_and(|start| start.eq_ignore_ascii_case(HEADING))
}

/// Whether the service says that it has no JSON of a report, or sends who wants it elsewhere.
fn is_no_json(error: &ServiceError) -> bool {
    error.failure == Failure::Forbidden || matches!(error.status, Some(405 | 406 | 415 | 501))
}

/// Whether the service has no report of a day.
fn is_no_day(error: &ServiceError) -> bool {
    error.failure == Failure::Refused && matches!(error.status, Some(400 | 404))
}

impl Source for Reports {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(async {
            if self.are_names_concealed().await {
                tracing::warn!(
                    stream = self.stream,
                    "usage reports have hashes in place of the names of users, groups and sites: the tenant conceals them \
                     (Microsoft 365 admin centre, Settings, Org settings, Reports)"
                );
            }
            Ok(self.units())
        })
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let report = self.report(unit).await?;
            Ok(Opened { body: Body::Stream(Box::new(Cursor::new(report))), taken_at: Some(self.api.now()) })
        })
    }

    fn expiring_first(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, reply, tenant, world};

    #[tokio::test]
    async fn concealed_names_are_noticed_where_the_application_may_know() {
        for (status, body, expected) in [
            (200, r#"{"displayConcealedNames":true}"#, true),
            (200, r#"{"displayConcealedNames":false}"#, false),
            (403, r#"{"error":{"code":"Authorization_RequestDenied"}}"#, false),
        ] {
            let server = Server::start(move |_, _| reply(status, "Content-Type: application/json\r\n", body));
            let reports = Reports::of(&tenant(&server.base), &world()).unwrap();
            assert_eq!(reports.are_names_concealed().await, expected, "{body}");
            assert_eq!(server.lines(), ["GET /v1.0/admin/reportSettings"]);
        }
    }

    #[tokio::test]
    async fn reports_of_copilot_have_a_folder_of_their_own_and_are_none_where_there_is_no_copilot() {
        let unit = |function: &str| ListedUnit { name: format!("contoso/usagereports/{function}/D7"), ..ListedUnit::default() };
        for (status, body, expected) in [(200, r#"{"value":[]}"#, Some(13)), (404, "{}", Some(0)), (403, "{}", None)] {
            let server = Server::start(move |_, _| reply(status, "Content-Type: application/json\r\n", body));
            let reports = Reports::of(&tenant(&server.base), &world()).unwrap();
            let report = reports.report(&unit("getMicrosoft365CopilotUserCountSummary")).await;
            assert_eq!(report.ok().map(|report| report.len()), expected, "{status}");
            let asked = "GET /beta/copilot/reports/getMicrosoft365CopilotUserCountSummary(period='D7')?$format=application/json";
            assert_eq!(server.lines()[0].replace("%27", "'"), asked);
            // Of others it is a failure that they are not there.
            let other = reports.report(&unit("getMailboxUsageDetail")).await;
            assert_eq!(other.is_ok(), status == 200, "{status}");
            let listed = |reports: &Reports| reports.units().units.iter().filter(|unit| unit.name.contains("Copilot")).count();
            let government = Tenant { cloud: Cloud::GccHigh, ..tenant(&server.base) };
            assert_eq!((listed(&reports), listed(&Reports::of(&government, &world()).unwrap())), (3, 0));
        }
    }

    #[tokio::test]
    async fn what_broke_as_json_is_asked_for_as_json_again() {
        let unit =
            ListedUnit { name: "contoso/usagereports/getM365AppUserDetail/2025-12-23".to_owned(), ..ListedUnit::default() };
        let cut = b"HTTP/1.1 200 x\r\nContent-Length: 90\r\nContent-Type: application/json\r\n\r\n{\"value\":[{".to_vec();
        for broken in [
            cut,
            reply(200, "Content-Type: application/json\r\n", ""),
            reply(200, "Content-Type: text/html\r\n", "<html>Sign in</html>"),
            reply(200, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", &crate::testing::gzip(b"{}")[..9]),
        ] {
            for times in [1, 2, usize::MAX] {
                let broken = broken.clone();
                let server = Server::start(move |asked, number| {
                    if !asked.line.contains("$format=application/json") {
                        return reply(200, "Content-Type: text/csv\r\n", "Report Refresh Date,User Principal Name\r\n");
                    }
                    if number <= times { broken.clone() } else { crate::testing::json(r#"{"value":[{"isLicensed":true}]}"#) }
                });
                let reports = Reports::of(&tenant(&server.base), &world()).unwrap();
                let report = reports.report(&unit).await.ok();
                let report = report.map(|report| String::from_utf8(report).unwrap());
                // What never comes whole is a failure, and not the poorer form of the report.
                assert_eq!(report.is_some(), times < usize::MAX, "{times}");
                assert!(report.is_none_or(|report| report.contains("isLicensed")), "{:?}", server.lines());
                assert!(server.lines().iter().all(|line| line.contains("$format=application/json")), "{:?}", server.lines());
            }
        }
    }

    #[tokio::test]
    async fn a_text_that_breaks_off_is_asked_for_again() {
        let whole = "Report Refresh Date,Send\r\n2025-12-23,12\r\n";
        let cut = &whole[..whole.len() - 3];
        for (answers, expected) in [
            ([whole, "x", "x"], Some((whole, 1))),
            ([cut, whole, "x"], Some((whole, 2))),
            // It is how the service writes it.
            ([cut, cut, "x"], Some((cut, 2))),
            ([cut, &cut[..cut.len() - 1], "x"], None),
        ] {
            let answers = answers.map(str::to_owned);
            let server = Server::start(move |_, number| reply(200, "Content-Type: text/csv\r\n", &answers[number - 1]));
            let reports = Reports::of(&tenant(&server.base), &world()).unwrap();
            let name = "contoso/usagereports/getTeamsTeamActivityDetail/2025-12-23".to_owned();
            let unit = ListedUnit { name, ..ListedUnit::default() };
            let report = reports.report(&unit).await.ok();
            assert_eq!(report.map(|report| (report, server.lines().len())), expected.map(|(text, asked)| (text.into(), asked)));
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_heading_is_no_report_of_a_day_without_rows() {
        for (body, is_report) in [
            ("Report Refresh Date,User Principal Name\r\n", true),
            ("\u{feff}report refresh date,User Principal Name\r\n2025-12-23,amy@contoso.com\r\n", true),
            ("", false),
            ("\u{feff}", false),
            ("<html></html>", false),
        ] {
            let server = Server::start(move |_, _| reply(200, "Content-Type: text/csv\r\n", body));
            let reports = Reports::of(&tenant(&server.base), &world()).unwrap();
            let name = "contoso/usagereports/getM365AppUserDetail/2025-12-23".to_owned();
            let unit = ListedUnit { name, ..ListedUnit::default() };
            assert_eq!(reports.report(&unit).await.is_ok(), is_report, "{body:?}");
        }
    }
}
