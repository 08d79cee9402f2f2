//! Teams with their channels, members and apps: a unit a team and day.

use std::io;

use bytes::Bytes;
use kqlake_import::{Body, ListedUnit, Opened, Reply, Source, SourceError, UnitPage};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{DAY, taken_at, teams_api};
use crate::api::Api;
use crate::cloud::Service;
use crate::http::{Request, path_part};
use crate::instant;
use crate::sections::pages::{self, Chain, Ids, Said};
use crate::sections::seen::{Seen, readable};
use crate::settings::Tenant;
use crate::world::{SetupError, World};

/// What a team has, and what it is called in the context of its pages.
const PARTS: [(&str, &str); 3] =
    [("channels", "channels"), ("members", "members"), ("installedApps?$expand=teamsApp,teamsAppDefinition", "installedApps")];

/// The teams of a tenant.
#[derive(Debug)]
pub(in crate::sections) struct Teams {
    api: Api,
    stream: String,
}

impl Teams {
    /// The teams of a tenant.
    ///
    /// # Errors
    /// The service has no address.
    pub(in crate::sections) fn of(tenant: &Tenant, world: &World) -> Result<Self, SetupError> {
        Ok(Teams { api: teams_api(&world.api(tenant, Service::Graph)?), stream: format!("{}/teams", tenant.name) })
    }

    async fn units(&self) -> Result<UnitPage, SourceError> {
        let now = self.api.now();
        let day = instant::day(now);
        let start = now.div_euclid(DAY) * DAY;
        let Ids { known, unread } = pages::ids(&self.api, "v1.0/teams?$select=id,displayName,description").await?;
        let units = known.into_keys().map(|team| ListedUnit {
            name: format!("{}/{day}/{team}", self.stream),
            stamp: Some(day.clone()),
            window: Some((start, start + DAY)),
            is_stretch: true,
            expires: Some(start + DAY),
            ..ListedUnit::default()
        });
        let failures = unread.map(|why| (self.stream.clone(), why)).into_iter().collect();
        Ok(UnitPage { units: units.collect(), failures, ..UnitPage::default() })
    }

    async fn team(&self, id: &str) -> Result<Body, SourceError> {
        let path = format!("v1.0/teams/{}", path_part(id));
        let team = match self.api.json_bytes(Request::get(self.api.url(&path))).await {
            // It was deleted between the list and now.
            Err(error) if error.status == Some(404) => return Err(error.gone()),
            other => other?.body,
        };
        #[derive(Deserialize)]
        struct Head {
            id: String,
            #[serde(rename = "displayName")]
            name: Option<String>,
        }
        let head = Seen::of(&team).parse::<Head>().ok().filter(|head| head.id.eq_ignore_ascii_case(id));
        let name = head.ok_or_else(|| SourceError::for_now(format!("what came is no record of the team {id}")))?.name;
        let columns: Map<String, Value> =
            name.and_then(readable).into_iter().map(|name| ("teamDisplayName".to_owned(), name.into())).collect();
        let mut chains = Vec::new();
        for (what, name) in PARTS {
            let context = format!("#teams('{id}')/{name}");
            let chain = Chain::begin(&self.api, Request::get(self.api.url(&format!("{path}/{what}")))).await;
            match chain {
                // An archived or broken team may lack one of them.
                Err(error) if error.status == Some(404) => tracing::warn!(team = id, what = name, %error, "a team lacks a part"),
                chain => chains.push((name, chain?.saying(context, columns.clone()))),
            }
        }
        let (feed, body) = Body::fed(2);
        tokio::spawn(async move {
            let mut columns = Map::new();
            for (name, chain) in chains {
                match chain.give(&feed, |_| {}).await {
                    Ok(channels) if name == "channels" => {
                        columns.insert("channelsCount".to_owned(), channels.into());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        feed.give(Err(io::Error::other(error.to_string()))).await;
                        return;
                    }
                }
            }
            // Last, since its channels are counted by then.
            let head = Said { context: "#teams".to_owned(), columns }.head() + ",\"value\":[";
            for part in [Bytes::from(head), team, Bytes::from_static(b"]}\n")] {
                if !feed.give(Ok(part)).await {
                    return;
                }
            }
        });
        Ok(body)
    }
}

impl Source for Teams {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn list(&self, _after: Option<Value>) -> Reply<'_, UnitPage> {
        Box::pin(self.units())
    }

    fn open<'s>(&'s self, unit: &'s ListedUnit) -> Reply<'s, Opened> {
        Box::pin(async move {
            let id = unit.name.rsplit('/').next().unwrap_or_default();
            Ok(Opened { body: self.team(id).await?, taken_at: taken_at(&self.api, unit) })
        })
    }
}
