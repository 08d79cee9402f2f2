//! `geo_info_from_ip_address`: where IP addresses are, as whoever plans the query knows it.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::ArrayRef;

use crate::computation::RowFields;
use crate::external::{IpLocation, IpLocations};
use kqlake_value::columns::{ColumnBuilder, ColumnReader};
use kqlake_value::{Json, Type, Value, ValueRef};

/// The places of a column of addresses, each a bag of what is known.
#[derive(Debug)]
pub(crate) struct IpLocationField {
    /// Who knows them.
    pub source: Arc<dyn IpLocations>,
}

impl RowFields for IpLocationField {
    fn key(&self) -> String {
        format!("geo_info_from_ip_address {}", self.source.identity())
    }

    fn types(&self) -> Vec<Type> {
        vec![Type::Dynamic]
    }

    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>, String> {
        let mut places = ColumnBuilder::new(Type::Dynamic, rows);
        let addresses = args.first().map(|array| ColumnReader::new(array, Type::String)).transpose()?;
        for row in 0..rows {
            let address = addresses.as_ref().map_or(ValueRef::Null, |column| column.get(row));
            let place = match address {
                ValueRef::String(text) => match text.trim().parse::<IpAddr>() {
                    Ok(address) => self.source.find(address)?,
                    Err(_) => None,
                },
                _ => None,
            };
            places.push(&place.map_or(Value::Null, |place| Value::Dynamic(bag(place))));
        }
        Ok(vec![places.finish()?])
    }
}

/// The bag that the reference describes: what is not known is left out.
fn bag(place: IpLocation) -> Json {
    let texts = [("country", place.country), ("state", place.state), ("city", place.city)];
    let numbers = [("latitude", place.latitude), ("longitude", place.longitude)];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Json::String(text?))));
    let numbers = numbers.into_iter().filter_map(|(key, number)| {
        let number = serde_json::Number::from_f64(number?)?;
        Some((key.to_owned(), Json::Number(number)))
    });
    Json::Object(texts.chain(numbers).collect())
}
