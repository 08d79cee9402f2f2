//! The discrete Fourier transform: `series_fft` and `series_ifft`, and the transforms that period detection needs.

use rustfft::num_complex::Complex64;
use rustfft::{FftDirection, FftPlannerScalar};

use super::{numbers, write_reals};
use crate::functions::{ArgType, Param, Returns, ScalarFn, ScalarImpl};
use kqlake_value::{Type, ValueRef};

const PARTS: &[Param] = &[Param::req("series", ArgType::Dynamic), Param::opt("series_imaginary", ArgType::Dynamic)];
const COLUMNS: Returns = Returns::Columns(&[("real", Type::Dynamic), ("imag", Type::Dynamic)]);

/// The Fourier transforms.
pub(crate) const FUNCTIONS: &[ScalarFn] = &[
    ScalarFn::new(
        "series_fft",
        PARTS,
        COLUMNS,
        ScalarImpl::Text(|args, out| transform_series(args, out, FftDirection::Forward)),
        "The Fourier transform of a series of complex numbers.",
    ),
    ScalarFn::new(
        "series_ifft",
        PARTS,
        COLUMNS,
        ScalarImpl::Text(|args, out| transform_series(args, out, FftDirection::Inverse)),
        "The inverse Fourier transform of a series of complex numbers.",
    ),
];

/// The transform of a series in its place, without a factor.
fn transform(values: &mut [Complex64], direction: FftDirection) {
    // Not by the processor's vector instructions: they round otherwise, and answers are the same on every machine.
    FftPlannerScalar::new().plan_fft(values.len(), direction).process(values);
}

fn transform_series(args: &[ValueRef<'_>], out: &mut String, direction: FftDirection) -> bool {
    let Some(real) = numbers(args[0]) else { return false };
    let imaginary = match args.get(1) {
        None => vec![0.0; real.len()],
        Some(series) => match numbers(*series) {
            Some(series) if series.len() == real.len() => series,
            _ => return false,
        },
    };
    let mut values: Vec<Complex64> = real.into_iter().zip(imaginary).map(|(re, im)| Complex64::new(re, im)).collect();
    transform(&mut values, direction);
    let scale = match direction {
        FftDirection::Forward => 1.0,
        FftDirection::Inverse => 1.0 / values.len() as f64,
    };
    out.push('[');
    write_reals(out, values.iter().map(|v| v.re * scale));
    out.push(',');
    write_reals(out, values.iter().map(|v| v.im * scale));
    out.push(']');
    true
}

/// The power of each frequency of real values: 0, 1, … half their number times a whole turn.
pub(super) fn power_spectrum(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<Complex64> = values.iter().map(Complex64::from).collect();
    transform(&mut values, FftDirection::Forward);
    values.iter().take(values.len() / 2 + 1).map(Complex64::norm_sqr).collect()
}

/// The sums of products of values with themselves, moved by 0, 1, 2, … places.
pub(super) fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let size = (2 * values.len()).next_power_of_two();
    let mut spectrum: Vec<Complex64> = values.iter().map(Complex64::from).collect();
    spectrum.resize(size, Complex64::ZERO);
    transform(&mut spectrum, FftDirection::Forward);
    spectrum.iter_mut().for_each(|c| *c = c.norm_sqr().into());
    transform(&mut spectrum, FftDirection::Inverse);
    spectrum.iter().take(values.len()).map(|c| c.re / size as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{alike, call};
    use super::*;
    use ValueRef::Dynamic as D;

    #[test]
    fn transforms_are_undone_by_their_inverse() {
        assert!(alike(&call("series_fft", &[D("[1,2,3,4]")]), "[[10,-2,-2,-2],[0,2,0,-2]]"));
        assert!(alike(&call("series_fft", &[D("[1,2,4]")]), "[[7,-2,-2],[0,1.7320508075688772,-1.7320508075688772]]"));
        for length in [1usize, 2, 5, 7, 8, 12, 100] {
            let re = format!("[{}]", (0..length).map(|i| ((i * 37) % 11).to_string()).collect::<Vec<_>>().join(","));
            let im = format!("[{}]", (0..length).map(|i| ((i * 53) % 7).to_string()).collect::<Vec<_>>().join(","));
            let there = call("series_fft", &[D(&re), D(&im)]);
            let parts: Vec<&str> = super::super::json::elements(&there).unwrap().collect();
            assert!(alike(&call("series_ifft", &[D(parts[0]), D(parts[1])]), &format!("[{re},{im}]")), "{length}");
        }
    }

    #[test]
    fn autocorrelation_is_the_sum_of_products() {
        let found = autocorrelation(&[1.0, 2.0, 3.0]);
        assert!(found.iter().zip([14.0, 8.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
