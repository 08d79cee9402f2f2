//! Standard deviation, variance and covariance: of a sample (divisor n − 1) and, with `p`, of a population (divisor n).
//!
//! A single row, or none, gives 0. Timespans and datetimes count in ticks. The running form is Welford's, merged by Chan's
//! formula, so that the answer does not suffer from a great mean.

use crate::functions::codec::{Decoder, write_f64};
use crate::functions::{Accumulate, AggregateFn, AggregateImpl, ArgInfo, ArgType, Naming, Param, Returns};
use kqlake_value::{Type, Value, ValueRef};

const fn one(
    name: &'static str,
    imp: fn(&[ArgInfo], Type) -> Result<Box<dyn Accumulate>, String>,
    doc: &'static str,
) -> AggregateFn {
    const PARAMS: &[Param] = &[Param::req("expr", ArgType::Summable)];
    AggregateFn::new(name, PARAMS, Returns::Type(Type::Real), Naming::Prefix(name), AggregateImpl::Rows(imp), doc)
}

const fn two(
    name: &'static str,
    imp: fn(&[ArgInfo], Type) -> Result<Box<dyn Accumulate>, String>,
    doc: &'static str,
) -> AggregateFn {
    const PARAMS: &[Param] = &[Param::req("expr1", ArgType::Summable), Param::req("expr2", ArgType::Summable)];
    AggregateFn::new(name, PARAMS, Returns::Type(Type::Real), Naming::PrefixOfTwo(name), AggregateImpl::Rows(imp), doc)
}

/// The functions.
pub(crate) const AGGREGATES: &[AggregateFn] = &[
    one("stdev", stdev, "Standard deviation of a sample."),
    one("stdevif", stdev, "Standard deviation of a sample, over the rows for which the predicate is true.").predicate(1),
    one("stdevp", stdevp, "Standard deviation of a population."),
    one("variance", variance, "Variance of a sample."),
    one("varianceif", variance, "Variance of a sample, over the rows for which the predicate is true.").predicate(1),
    one("variancep", variancep, "Variance of a population."),
    one("variancepif", variancep, "Variance of a population, over the rows for which the predicate is true.").predicate(1),
    two("covariance", covariance, "Covariance of a sample."),
    two("covarianceif", covariance, "Covariance of a sample, over the rows for which the predicate is true.").predicate(2),
    two("covariancep", covariancep, "Covariance of a population."),
    two("covariancepif", covariancep, "Covariance of a population, over the rows for which the predicate is true.").predicate(2),
];

fn stdev(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments { sample: true, root: true, ..Moments::default() }))
}
fn stdevp(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments { root: true, ..Moments::default() }))
}
fn variance(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments { sample: true, ..Moments::default() }))
}
fn variancep(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments::default()))
}
fn covariance(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments { sample: true, paired: true, ..Moments::default() }))
}
fn covariancep(_: &[ArgInfo], _: Type) -> Result<Box<dyn Accumulate>, String> {
    Ok(Box::new(Moments { paired: true, ..Moments::default() }))
}

/// Count, means and the sum of products of differences of pairs; a single column is a pair with itself.
#[derive(Debug, Default)]
struct Moments {
    sample: bool,
    root: bool,
    /// Of two columns: a covariance.
    paired: bool,
    count: f64,
    mean_x: f64,
    mean_y: f64,
    products: f64,
}

/// The number that a summable value counts as; a datetime in ticks since year 1.
fn measure(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::TimeSpan(v) | ValueRef::DateTime(v) => Some(v as f64),
        other => other.as_f64(),
    }
}

/// A variance to ten decimals, as Microsoft's engine gives it (9.1666666667 for 1 to 10); its deviation is the root of that.
fn rounded(variance: f64) -> f64 {
    const UNIT: f64 = 1e10;
    let scaled = variance * UNIT;
    // Beyond this a double has no ten decimals left to round.
    if scaled.abs() < (1i64 << f64::MANTISSA_DIGITS) as f64 { scaled.round() / UNIT } else { variance }
}

impl Accumulate for Moments {
    fn update(&mut self, args: &[ValueRef<'_>]) {
        let Some(x) = measure(args[0]) else { return };
        let Some(y) = args.get(1).map_or(Some(x), |v| measure(*v)) else { return };
        self.count += 1.0;
        let dx = x - self.mean_x;
        self.mean_x += dx / self.count;
        self.mean_y += (y - self.mean_y) / self.count;
        self.products += dx * (y - self.mean_y);
    }

    fn state(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        for v in [self.count, self.mean_x, self.mean_y, self.products] {
            write_f64(&mut out, v);
        }
        out
    }

    fn merge(&mut self, state: &[u8]) {
        let mut d = Decoder::new(state);
        let (Some(count), Some(mean_x), Some(mean_y), Some(products)) = (d.f64(), d.f64(), d.f64(), d.f64()) else { return };
        if count == 0.0 {
            return;
        }
        let total = self.count + count;
        let (dx, dy) = (mean_x - self.mean_x, mean_y - self.mean_y);
        self.products += products + dx * dy * (self.count * count / total);
        self.mean_x += dx * (count / total);
        self.mean_y += dy * (count / total);
        self.count = total;
    }

    fn finish(&self) -> Value {
        let divisor = if self.sample { self.count - 1.0 } else { self.count };
        let moment = if divisor > 0.0 { self.products / divisor } else { 0.0 };
        let moment = if self.paired { moment } else { rounded(moment) };
        // Rounding may leave a variance of equal values a hair below zero.
        Value::Real(if self.root { if moment < 0.0 { 0.0 } else { moment.sqrt() } } else { moment })
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_pieces_gives_the_whole() {
        let feed = |range: std::ops::Range<i64>| {
            let mut m = stdev(&[], Type::Real).unwrap();
            for v in range {
                m.update(&[ValueRef::Long(v + 1_000_000_000)]);
            }
            m
        };
        let whole = feed(0..100);
        let mut pieces = feed(0..0);
        pieces.merge(&feed(0..37).state());
        pieces.merge(&feed(37..100).state());
        let (Value::Real(a), Value::Real(b)) = (whole.finish(), pieces.finish()) else { panic!("reals were expected") };
        assert!((a - 29.011_491_975_882_016).abs() < 1e-9 && (a - b).abs() < 1e-9, "{a} {b}");
        assert_eq!(feed(0..1).finish(), Value::Real(0.0));
    }
}
