//! Conversions between units of measure: convert_angle, convert_energy, convert_force, convert_length, convert_mass,
//! convert_speed, convert_temperature and convert_volume.
//!
//! Kusto takes names, factors and formulas from the UnitsNet library (github.com/angularsen/UnitsNet, version 4), whose
//! factors of customary units are rounded; ours are the same, each written in the order of its operations, so that answers
//! agree to the last digit. Names are case-sensitive. An unknown name gives null.

use std::f64::consts::PI;

use crate::functions::{ArgInfo, ArgType, Param, Returns, RowFn, ScalarFn, ScalarImpl};
use kqlake_value::{Type, Value, ValueRef};

/// A unit and its way to and from the quantity's base unit.
struct Unit {
    name: &'static str,
    to_base: fn(f64) -> f64,
    from_base: fn(f64) -> f64,
}

macro_rules! unit {
    ($name:literal, $x:ident => $to:expr, $from:expr) => {
        Unit { name: $name, to_base: |$x| $to, from_base: |$x| $from }
    };
}

const PARAMS: &[Param] =
    &[Param::req("value", ArgType::Number), Param::req("from", ArgType::String), Param::req("to", ArgType::String)];

const fn convert(name: &'static str, make: fn(&[ArgInfo], Type) -> Result<RowFn, String>, doc: &'static str) -> ScalarFn {
    ScalarFn::new(name, PARAMS, Returns::Type(Type::Real), ScalarImpl::Prepared(make), doc)
}

/// The functions.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    convert("convert_angle", |args, _| converter(ANGLES, args), "An angle in another unit; null for an unknown unit."),
    convert("convert_energy", |args, _| converter(ENERGIES, args), "An energy in another unit; null for an unknown unit."),
    convert("convert_force", |args, _| converter(FORCES, args), "A force in another unit; null for an unknown unit."),
    convert("convert_length", |args, _| converter(LENGTHS, args), "A length in another unit; null for an unknown unit."),
    convert("convert_mass", |args, _| converter(MASSES, args), "A mass in another unit; null for an unknown unit."),
    convert("convert_speed", |args, _| converter(SPEEDS, args), "A speed in another unit; null for an unknown unit."),
    convert(
        "convert_temperature",
        |args, _| converter(TEMPERATURES, args),
        "A temperature in another unit; null for an unknown unit.",
    ),
    convert("convert_volume", |args, _| converter(VOLUMES, args), "A volume in another unit; null for an unknown unit."),
];

/// The units of a quantity are in the order of their names.
fn find(units: &'static [Unit], name: &str) -> Option<&'static Unit> {
    units.binary_search_by(|unit| unit.name.cmp(name)).ok().map(|at| &units[at])
}

fn convert_value(value: f64, from: &Unit, to: &Unit) -> f64 {
    if from.name == to.name { value } else { (to.from_base)((from.to_base)(value)) }
}

/// Units that are constants are looked up once.
fn converter(units: &'static [Unit], args: &[ArgInfo]) -> Result<RowFn, String> {
    let known = |place: usize| match args.get(place).and_then(|a| a.constant.as_ref()) {
        Some(Value::String(name)) => find(units, name),
        _ => None,
    };
    let (from, to) = (known(1), known(2));
    let unit = move |known: Option<&'static Unit>, arg: Option<&ValueRef<'_>>| {
        known.or_else(|| match arg {
            Some(ValueRef::String(name)) => find(units, name),
            _ => None,
        })
    };
    Ok(Box::new(move |args| {
        let value = args.first().and_then(|v| v.as_f64());
        match (value, unit(from, args.get(1)), unit(to, args.get(2))) {
            (Some(value), Some(from), Some(to)) => Value::Real(convert_value(value, from, to)),
            _ => Value::Null,
        }
    }))
}

/// Angles, by way of degrees.
const ANGLES: &[Unit] = &[
    unit!("Arcminute", x => x / 60.0, x * 60.0),
    unit!("Arcsecond", x => x / 3600.0, x * 3600.0),
    unit!("Centiradian", x => (x * 180.0 / PI) * 1e-2, (x / 180.0 * PI) / 1e-2),
    unit!("Deciradian", x => (x * 180.0 / PI) * 1e-1, (x / 180.0 * PI) / 1e-1),
    unit!("Degree", x => x, x),
    unit!("Gradian", x => x * 0.9, x / 0.9),
    unit!("Microdegree", x => x * 1e-6, x / 1e-6),
    unit!("Microradian", x => (x * 180.0 / PI) * 1e-6, (x / 180.0 * PI) / 1e-6),
    unit!("Millidegree", x => x * 1e-3, x / 1e-3),
    unit!("Milliradian", x => (x * 180.0 / PI) * 1e-3, (x / 180.0 * PI) / 1e-3),
    unit!("Nanodegree", x => x * 1e-9, x / 1e-9),
    unit!("Nanoradian", x => (x * 180.0 / PI) * 1e-9, (x / 180.0 * PI) / 1e-9),
    unit!("NatoMil", x => x * 9.0 / 160.0, x * 160.0 / 9.0),
    unit!("Radian", x => x * 180.0 / PI, x / 180.0 * PI),
    unit!("Revolution", x => x * 360.0, x / 360.0),
    unit!("Tilt", x => x.asin() * 180.0 / PI, (x / 180.0 * PI).sin()),
];

/// Energies, by way of joules.
const ENERGIES: &[Unit] = &[
    unit!("BritishThermalUnit", x => x * 1_055.05585262, x / 1_055.05585262),
    unit!("Calorie", x => x * 4.184, x / 4.184),
    unit!("DecathermEc", x => (x * 1.05505585262e8) * 1e1, (x / 1.05505585262e8) / 1e1),
    unit!("DecathermImperial", x => (x * 1.05505585257348e8) * 1e1, (x / 1.05505585257348e8) / 1e1),
    unit!("DecathermUs", x => (x * 1.054804e8) * 1e1, (x / 1.054804e8) / 1e1),
    unit!("ElectronVolt", x => x * 1.602176565e-19, x / 1.602176565e-19),
    unit!("Erg", x => x * 1e-7, x / 1e-7),
    unit!("FootPound", x => x * 1.355817948, x / 1.355817948),
    unit!("GigabritishThermalUnit", x => (x * 1_055.05585262) * 1e9, (x / 1_055.05585262) / 1e9),
    unit!("GigaelectronVolt", x => (x * 1.602176565e-19) * 1e9, (x / 1.602176565e-19) / 1e9),
    unit!("Gigajoule", x => x * 1e9, x / 1e9),
    unit!("GigawattDay", x => (x * 86_400.0) * 1e9, (x / 86_400.0) / 1e9),
    unit!("GigawattHour", x => (x * 3600.0) * 1e9, (x / 3600.0) / 1e9),
    unit!("HorsepowerHour", x => x * 2.6845195377e6, x / 2.6845195377e6),
    unit!("Joule", x => x, x),
    unit!("KilobritishThermalUnit", x => (x * 1_055.05585262) * 1e3, (x / 1_055.05585262) / 1e3),
    unit!("Kilocalorie", x => (x * 4.184) * 1e3, (x / 4.184) / 1e3),
    unit!("KiloelectronVolt", x => (x * 1.602176565e-19) * 1e3, (x / 1.602176565e-19) / 1e3),
    unit!("Kilojoule", x => x * 1e3, x / 1e3),
    unit!("KilowattDay", x => (x * 86_400.0) * 1e3, (x / 86_400.0) / 1e3),
    unit!("KilowattHour", x => (x * 3600.0) * 1e3, (x / 3600.0) / 1e3),
    unit!("MegabritishThermalUnit", x => (x * 1_055.05585262) * 1e6, (x / 1_055.05585262) / 1e6),
    unit!("Megacalorie", x => (x * 4.184) * 1e6, (x / 4.184) / 1e6),
    unit!("MegaelectronVolt", x => (x * 1.602176565e-19) * 1e6, (x / 1.602176565e-19) / 1e6),
    unit!("Megajoule", x => x * 1e6, x / 1e6),
    unit!("MegawattDay", x => (x * 86_400.0) * 1e6, (x / 86_400.0) / 1e6),
    unit!("MegawattHour", x => (x * 3600.0) * 1e6, (x / 3600.0) / 1e6),
    unit!("Millijoule", x => x * 1e-3, x / 1e-3),
    unit!("TeraelectronVolt", x => (x * 1.602176565e-19) * 1e12, (x / 1.602176565e-19) / 1e12),
    unit!("TerawattDay", x => (x * 86_400.0) * 1e12, (x / 86_400.0) / 1e12),
    unit!("TerawattHour", x => (x * 3600.0) * 1e12, (x / 3600.0) / 1e12),
    unit!("ThermEc", x => x * 1.05505585262e8, x / 1.05505585262e8),
    unit!("ThermImperial", x => x * 1.05505585257348e8, x / 1.05505585257348e8),
    unit!("ThermUs", x => x * 1.054804e8, x / 1.054804e8),
    unit!("WattDay", x => x * 86_400.0, x / 86_400.0),
    unit!("WattHour", x => x * 3600.0, x / 3600.0),
];

/// Forces, by way of newtons.
const FORCES: &[Unit] = &[
    unit!("Decanewton", x => x * 1e1, x / 1e1),
    unit!("Dyn", x => x / 1e5, x * 1e5),
    unit!("KiloPond", x => x * 9.80665002864, x / 9.80665002864),
    unit!("KilogramForce", x => x * 9.80665002864, x / 9.80665002864),
    unit!("Kilonewton", x => x * 1e3, x / 1e3),
    unit!("KilopoundForce", x => (x * 4.448_221_615_260_509) * 1e3, (x / 4.448_221_615_260_509) / 1e3),
    unit!("Meganewton", x => x * 1e6, x / 1e6),
    unit!("Micronewton", x => x * 1e-6, x / 1e-6),
    unit!("Millinewton", x => x * 1e-3, x / 1e-3),
    unit!("Newton", x => x, x),
    unit!("OunceForce", x => x * 2.780138509537812e-1, x / 2.780138509537812e-1),
    unit!("PoundForce", x => x * 4.448_221_615_260_509, x / 4.448_221_615_260_509),
    unit!("Poundal", x => x * 0.138_255_027_989_730_4, x / 0.138_255_027_989_730_4),
    unit!("ShortTonForce", x => x * 8.896443230521e3, x / 8.896443230521e3),
    unit!("TonneForce", x => x * 9.80665002864e3, x / 9.80665002864e3),
];

/// Lengths, by way of metres.
const LENGTHS: &[Unit] = &[
    unit!("Angstrom", x => x * 1e-10, x / 1e-10),
    unit!("AstronomicalUnit", x => x * 1.4959787070e11, x / 1.4959787070e11),
    unit!("Centimeter", x => x * 1e-2, x / 1e-2),
    unit!("Chain", x => x * 20.1168, x / 20.1168),
    unit!("DataMile", x => x * 1828.8, x / 1828.8),
    unit!("Decameter", x => x * 1e1, x / 1e1),
    unit!("Decimeter", x => x * 1e-1, x / 1e-1),
    unit!("DtpPica", x => x / 236.220472441, x * 236.220472441),
    unit!("DtpPoint", x => x / 72.0 * 2.54e-2, x / 2.54e-2 * 72.0),
    unit!("Fathom", x => x * 1.8288, x / 1.8288),
    unit!("Foot", x => x * 0.3048, x / 0.3048),
    unit!("Hand", x => x * 1.016e-1, x / 1.016e-1),
    unit!("Hectometer", x => x * 1e2, x / 1e2),
    unit!("Inch", x => x * 2.54e-2, x / 2.54e-2),
    unit!("KilolightYear", x => (x * 9.46073047258e15) * 1e3, (x / 9.46073047258e15) / 1e3),
    unit!("Kilometer", x => x * 1e3, x / 1e3),
    unit!("Kiloparsec", x => (x * 3.08567758128e16) * 1e3, (x / 3.08567758128e16) / 1e3),
    unit!("LightYear", x => x * 9.46073047258e15, x / 9.46073047258e15),
    unit!("MegalightYear", x => (x * 9.46073047258e15) * 1e6, (x / 9.46073047258e15) / 1e6),
    unit!("Megaparsec", x => (x * 3.08567758128e16) * 1e6, (x / 3.08567758128e16) / 1e6),
    unit!("Meter", x => x, x),
    unit!("Microinch", x => x * 2.54e-8, x / 2.54e-8),
    unit!("Micrometer", x => x * 1e-6, x / 1e-6),
    unit!("Mil", x => x * 2.54e-5, x / 2.54e-5),
    unit!("Mile", x => x * 1609.34, x / 1609.34),
    unit!("Millimeter", x => x * 1e-3, x / 1e-3),
    unit!("Nanometer", x => x * 1e-9, x / 1e-9),
    unit!("NauticalMile", x => x * 1852.0, x / 1852.0),
    unit!("Parsec", x => x * 3.08567758128e16, x / 3.08567758128e16),
    unit!("PrinterPica", x => x / 237.106301584, x * 237.106301584),
    unit!("PrinterPoint", x => x / 72.27 * 2.54e-2, x / 2.54e-2 * 72.27),
    unit!("Shackle", x => x * 27.432, x / 27.432),
    unit!("SolarRadius", x => x * 6.9551e8, x / 6.9551e8),
    unit!("Twip", x => x / 56_692.913385826, x * 56_692.913385826),
    unit!("UsSurveyFoot", x => x * 1200.0 / 3937.0, x * 3937.0 / 1200.0),
    unit!("Yard", x => x * 0.9144, x / 0.9144),
];

/// Masses, by way of kilograms.
const MASSES: &[Unit] = &[
    unit!("Centigram", x => (x / 1e3) * 1e-2, (x * 1e3) / 1e-2),
    unit!("Decagram", x => (x / 1e3) * 1e1, (x * 1e3) / 1e1),
    unit!("Decigram", x => (x / 1e3) * 1e-1, (x * 1e3) / 1e-1),
    unit!("EarthMass", x => x * 5.9722e24, x / 5.9722e24),
    unit!("Grain", x => x / 15_432.358352941431, x * 15_432.358352941431),
    unit!("Gram", x => x / 1e3, x * 1e3),
    unit!("Hectogram", x => (x / 1e3) * 1e2, (x * 1e3) / 1e2),
    unit!("Kilogram", x => (x / 1e3) * 1e3, (x * 1e3) / 1e3),
    unit!("Kilopound", x => (x * 0.45359237) * 1e3, (x / 0.45359237) / 1e3),
    unit!("Kilotonne", x => (x * 1e3) * 1e3, (x / 1e3) / 1e3),
    unit!("LongHundredweight", x => x / 0.01968413055222121, x * 0.01968413055222121),
    unit!("LongTon", x => x * 1.0160469088e3, x / 1.0160469088e3),
    unit!("Megapound", x => (x * 0.45359237) * 1e6, (x / 0.45359237) / 1e6),
    unit!("Megatonne", x => (x * 1e3) * 1e6, (x / 1e3) / 1e6),
    unit!("Microgram", x => (x / 1e3) * 1e-6, (x * 1e3) / 1e-6),
    unit!("Milligram", x => (x / 1e3) * 1e-3, (x * 1e3) / 1e-3),
    unit!("Nanogram", x => (x / 1e3) * 1e-9, (x * 1e3) / 1e-9),
    unit!("Ounce", x => x * 0.028349523125, x / 0.028349523125),
    unit!("Pound", x => x * 0.45359237, x / 0.45359237),
    unit!("ShortHundredweight", x => x / 0.022046226218487758, x * 0.022046226218487758),
    unit!("ShortTon", x => x * 9.0718474e2, x / 9.0718474e2),
    unit!("Slug", x => x / 6.852176556196105e-2, x * 6.852176556196105e-2),
    unit!("SolarMass", x => x * 1.98947e30, x / 1.98947e30),
    unit!("Stone", x => x / 0.1574731728702698, x * 0.1574731728702698),
    unit!("Tonne", x => x * 1e3, x / 1e3),
];

/// Speeds, by way of metres per second.
const SPEEDS: &[Unit] = &[
    unit!("CentimeterPerHour", x => (x / 3600.0) * 1e-2, (x * 3600.0) / 1e-2),
    unit!("CentimeterPerMinute", x => (x / 60.0) * 1e-2, (x * 60.0) / 1e-2),
    unit!("CentimeterPerSecond", x => x * 1e-2, x / 1e-2),
    unit!("DecimeterPerMinute", x => (x / 60.0) * 1e-1, (x * 60.0) / 1e-1),
    unit!("DecimeterPerSecond", x => x * 1e-1, x / 1e-1),
    unit!("FootPerHour", x => x * 0.3048 / 3600.0, x / 0.3048 * 3600.0),
    unit!("FootPerMinute", x => x * 0.3048 / 60.0, x / 0.3048 * 60.0),
    unit!("FootPerSecond", x => x * 0.3048, x / 0.3048),
    unit!("InchPerHour", x => x / 3600.0 * 2.54e-2, x / 2.54e-2 * 3600.0),
    unit!("InchPerMinute", x => x / 60.0 * 2.54e-2, x / 2.54e-2 * 60.0),
    unit!("InchPerSecond", x => x * 2.54e-2, x / 2.54e-2),
    unit!("KilometerPerHour", x => (x / 3600.0) * 1e3, (x * 3600.0) / 1e3),
    unit!("KilometerPerMinute", x => (x / 60.0) * 1e3, (x * 60.0) / 1e3),
    unit!("KilometerPerSecond", x => x * 1e3, x / 1e3),
    unit!("Knot", x => x * 0.514444, x / 0.514444),
    unit!("MeterPerHour", x => x / 3600.0, x * 3600.0),
    unit!("MeterPerMinute", x => x / 60.0, x * 60.0),
    unit!("MeterPerSecond", x => x, x),
    unit!("MicrometerPerMinute", x => (x / 60.0) * 1e-6, (x * 60.0) / 1e-6),
    unit!("MicrometerPerSecond", x => x * 1e-6, x / 1e-6),
    unit!("MilePerHour", x => x * 0.44704, x / 0.44704),
    unit!("MillimeterPerHour", x => (x / 3600.0) * 1e-3, (x * 3600.0) / 1e-3),
    unit!("MillimeterPerMinute", x => (x / 60.0) * 1e-3, (x * 60.0) / 1e-3),
    unit!("MillimeterPerSecond", x => x * 1e-3, x / 1e-3),
    unit!("NanometerPerMinute", x => (x / 60.0) * 1e-9, (x * 60.0) / 1e-9),
    unit!("NanometerPerSecond", x => x * 1e-9, x / 1e-9),
    unit!("UsSurveyFootPerHour", x => x * 1200.0 / 3937.0 / 3600.0, x * 3937.0 / 1200.0 * 3600.0),
    unit!("UsSurveyFootPerMinute", x => x * 1200.0 / 3937.0 / 60.0, x * 3937.0 / 1200.0 * 60.0),
    unit!("UsSurveyFootPerSecond", x => x * 1200.0 / 3937.0, x * 3937.0 / 1200.0),
    unit!("YardPerHour", x => x * 0.9144 / 3600.0, x / 0.9144 * 3600.0),
    unit!("YardPerMinute", x => x * 0.9144 / 60.0, x / 0.9144 * 60.0),
    unit!("YardPerSecond", x => x * 0.9144, x / 0.9144),
];

/// Temperatures, by way of kelvins.
const TEMPERATURES: &[Unit] = &[
    unit!("DegreeCelsius", x => x + 273.15, x - 273.15),
    unit!("DegreeDelisle", x => x * -2.0 / 3.0 + 373.15, (x - 373.15) * -3.0 / 2.0),
    unit!("DegreeFahrenheit", x => x * 5.0 / 9.0 + 459.67 * 5.0 / 9.0, (x - 459.67 * 5.0 / 9.0) * 9.0 / 5.0),
    unit!("DegreeNewton", x => x * 100.0 / 33.0 + 273.15, (x - 273.15) * 33.0 / 100.0),
    unit!("DegreeRankine", x => x * 5.0 / 9.0, x * 9.0 / 5.0),
    unit!("DegreeReaumur", x => x * 5.0 / 4.0 + 273.15, (x - 273.15) * 4.0 / 5.0),
    unit!("DegreeRoemer", x => x * 40.0 / 21.0 + 273.15 - 7.5 * 40.0 / 21.0, (x - (273.15 - 7.5 * 40.0 / 21.0)) * 21.0 / 40.0),
    unit!("Kelvin", x => x, x),
    unit!("MillidegreeCelsius", x => x / 1000.0 + 273.15, (x - 273.15) * 1000.0),
    unit!("SolarTemperature", x => x * 5778.0, x / 5778.0),
];

/// Volumes, by way of cubic metres.
const VOLUMES: &[Unit] = &[
    unit!("AcreFoot", x => x / 0.000810714, x * 0.000810714),
    unit!("AuTablespoon", x => x * 2e-5, x / 2e-5),
    unit!("BoardFoot", x => x * 2.3597372158e-3, x / 2.3597372158e-3),
    unit!("Centiliter", x => (x / 1e3) * 1e-2, (x * 1e3) / 1e-2),
    unit!("CubicCentimeter", x => x / 1e6, x * 1e6),
    unit!("CubicDecimeter", x => x / 1e3, x * 1e3),
    unit!("CubicFoot", x => x * 0.0283168, x / 0.0283168),
    unit!("CubicHectometer", x => x * 1e6, x / 1e6),
    unit!("CubicInch", x => x * 1.6387e-5, x / 1.6387e-5),
    unit!("CubicKilometer", x => x * 1e9, x / 1e9),
    unit!("CubicMeter", x => x, x),
    unit!("CubicMicrometer", x => x / 1e18, x * 1e18),
    unit!("CubicMile", x => x * 4.16818182544058e9, x / 4.16818182544058e9),
    unit!("CubicMillimeter", x => x / 1e9, x * 1e9),
    unit!("CubicYard", x => x * 0.764554858, x / 0.764554858),
    unit!("Decaliter", x => (x / 1e3) * 1e1, (x * 1e3) / 1e1),
    unit!("DecausGallon", x => (x * 0.00378541) * 1e1, (x / 0.00378541) / 1e1),
    unit!("Deciliter", x => (x / 1e3) * 1e-1, (x * 1e3) / 1e-1),
    unit!("DeciusGallon", x => (x * 0.00378541) * 1e-1, (x / 0.00378541) / 1e-1),
    unit!("HectocubicFoot", x => (x * 0.0283168) * 1e2, (x / 0.0283168) / 1e2),
    unit!("HectocubicMeter", x => x * 1e2, x / 1e2),
    unit!("Hectoliter", x => (x / 1e3) * 1e2, (x * 1e3) / 1e2),
    unit!("HectousGallon", x => (x * 0.00378541) * 1e2, (x / 0.00378541) / 1e2),
    unit!("ImperialBeerBarrel", x => x * 0.16365924, x / 0.16365924),
    unit!("ImperialGallon", x => x * 0.004_546_090_000_001_814, x / 0.004_546_090_000_001_814),
    unit!("ImperialOunce", x => x * 2.841_306_249_996_29e-5, x / 2.841_306_249_996_29e-5),
    unit!("ImperialPint", x => x * 5.6826125e-4, x / 5.6826125e-4),
    unit!("KilocubicFoot", x => (x * 0.0283168) * 1e3, (x / 0.0283168) / 1e3),
    unit!("KilocubicMeter", x => x * 1e3, x / 1e3),
    unit!("KiloimperialGallon", x => (x * 0.004_546_090_000_001_814) * 1e3, (x / 0.004_546_090_000_001_814) / 1e3),
    unit!("Kiloliter", x => (x / 1e3) * 1e3, (x * 1e3) / 1e3),
    unit!("KilousGallon", x => (x * 0.00378541) * 1e3, (x / 0.00378541) / 1e3),
    unit!("Liter", x => x / 1e3, x * 1e3),
    unit!("MegacubicFoot", x => (x * 0.0283168) * 1e6, (x / 0.0283168) / 1e6),
    unit!("MegaimperialGallon", x => (x * 0.004_546_090_000_001_814) * 1e6, (x / 0.004_546_090_000_001_814) / 1e6),
    unit!("Megaliter", x => (x / 1e3) * 1e6, (x * 1e3) / 1e6),
    unit!("MegausGallon", x => (x * 0.00378541) * 1e6, (x / 0.00378541) / 1e6),
    unit!("MetricCup", x => x * 0.00025, x / 0.00025),
    unit!("MetricTeaspoon", x => x * 0.5e-5, x / 0.5e-5),
    unit!("Microliter", x => (x / 1e3) * 1e-6, (x * 1e3) / 1e-6),
    unit!("Milliliter", x => (x / 1e3) * 1e-3, (x * 1e3) / 1e-3),
    unit!("OilBarrel", x => x * 0.158987294928, x / 0.158987294928),
    unit!("UkTablespoon", x => x * 1.5e-5, x / 1.5e-5),
    unit!("UsBeerBarrel", x => x * 0.1173477658, x / 0.1173477658),
    unit!("UsCustomaryCup", x => x * 0.0002365882365, x / 0.0002365882365),
    unit!("UsGallon", x => x * 0.00378541, x / 0.00378541),
    unit!("UsLegalCup", x => x * 0.00024, x / 0.00024),
    unit!("UsOunce", x => x * 2.957_352_956_253_760_4e-5, x / 2.957_352_956_253_760_4e-5),
    unit!("UsPint", x => x * 4.73176473e-4, x / 4.73176473e-4),
    unit!("UsQuart", x => x * 9.46352946e-4, x / 9.46352946e-4),
    unit!("UsTablespoon", x => x * 1.478676478125e-5, x / 1.478676478125e-5),
    unit!("UsTeaspoon", x => x * 4.92892159375e-6, x / 4.92892159375e-6),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(units: &'static [Unit], value: f64, from: &str, to: &str) -> Option<f64> {
        Some(convert_value(value, find(units, from)?, find(units, to)?))
    }

    #[test]
    fn answers_are_those_of_the_documentation() {
        assert_eq!(convert(ANGLES, 1.2, "Degree", "Arcminute"), Some(72.0));
        assert_eq!(convert(ENERGIES, 1.2, "Joule", "BritishThermalUnit"), Some(0.001_137_380_544_375_980_6));
        assert_eq!(convert(FORCES, 1.2, "Newton", "Decanewton"), Some(0.12));
        assert_eq!(convert(LENGTHS, 1.2, "Meter", "Foot"), Some(3.937_007_874_015_747_7));
        assert!((convert(MASSES, 1.2, "Kilogram", "Pound").unwrap() - 2.645_547_146_218_53).abs() < 1e-14);
        assert_eq!(convert(SPEEDS, 1.2, "MeterPerSecond", "CentimeterPerHour"), Some(432_000.0));
        assert!((convert(TEMPERATURES, 1.2, "Kelvin", "DegreeCelsius").unwrap() + 271.95).abs() < 1e-12);
        assert_eq!(convert(VOLUMES, 1.2, "CubicMeter", "AcreFoot"), Some(0.000_972_856_8));
        assert_eq!(convert(LENGTHS, 1.2, "meter", "Foot"), None);
    }

    #[test]
    fn units_stand_in_order_and_come_back_from_their_base() {
        for units in [ANGLES, ENERGIES, FORCES, LENGTHS, MASSES, SPEEDS, TEMPERATURES, VOLUMES] {
            assert!(units.is_sorted_by(|a, b| a.name < b.name));
            for unit in units {
                let back = (unit.from_base)((unit.to_base)(0.25));
                assert!((back - 0.25).abs() < 1e-9, "{}: {back}", unit.name);
            }
        }
    }
}
