//! The discrete Fourier transform: `series_fft` and `series_ifft`, and the transforms that period detection needs.

use std::f64::consts::PI;

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
        ScalarImpl::Text(|args, out| transform_series(args, out, false)),
        "The Fourier transform of a series of complex numbers.",
    ),
    ScalarFn::new(
        "series_ifft",
        PARTS,
        COLUMNS,
        ScalarImpl::Text(|args, out| transform_series(args, out, true)),
        "The inverse Fourier transform of a series of complex numbers.",
    ),
];

/// A complex number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    const ZERO: Complex = Complex { re: 0.0, im: 0.0 };

    /// The number of length 1 at a part of the turn, clockwise; exact at the quarters.
    fn unit(part: u64, of: u64) -> Complex {
        let part = part % of;
        match 4 * part {
            0 => Complex { re: 1.0, im: 0.0 },
            quarters if quarters == of => Complex { re: 0.0, im: -1.0 },
            quarters if quarters == 2 * of => Complex { re: -1.0, im: 0.0 },
            quarters if quarters == 3 * of => Complex { re: 0.0, im: 1.0 },
            _ => {
                let (im, re) = (-2.0 * PI * part as f64 / of as f64).sin_cos();
                Complex { re, im }
            }
        }
    }

    fn times(self, other: Complex) -> Complex {
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn conjugate(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }
}

fn transform_series(args: &[ValueRef<'_>], out: &mut String, inverse: bool) -> bool {
    let Some(real) = numbers(args[0]) else { return false };
    let imaginary = match args.get(1) {
        None => vec![0.0; real.len()],
        Some(series) => match numbers(*series) {
            Some(series) if series.len() == real.len() => series,
            _ => return false,
        },
    };
    let mut values: Vec<Complex> = real.into_iter().zip(imaginary).map(|(re, im)| Complex { re, im }).collect();
    // The inverse transform is the conjugate of the transform of the conjugate, divided by the length.
    let scale = if inverse { 1.0 / values.len() as f64 } else { 1.0 };
    if inverse {
        values.iter_mut().for_each(|v| *v = v.conjugate());
    }
    transform(&mut values);
    if inverse {
        values.iter_mut().for_each(|v| *v = v.conjugate());
    }
    out.push('[');
    write_reals(out, values.iter().map(|v| v.re * scale));
    out.push(',');
    write_reals(out, values.iter().map(|v| v.im * scale));
    out.push(']');
    true
}

/// The transform of any length: by halves for a power of two, else through a convolution of such a length (Bluestein).
fn transform(values: &mut [Complex]) {
    let n = values.len();
    if n.is_power_of_two() {
        return transform_power_of_two(values);
    }
    // The angle is taken modulo the circle while it is a whole number: its square would lose digits.
    let chirp: Vec<Complex> = (0..n as u64).map(|i| Complex::unit(i * i, 2 * n as u64)).collect();
    let size = (2 * n - 1).next_power_of_two();
    let mut a = vec![Complex::ZERO; size];
    let mut b = vec![Complex::ZERO; size];
    for i in 0..n {
        a[i] = values[i].times(chirp[i]);
        b[i] = chirp[i].conjugate();
        b[(size - i) % size] = b[i];
    }
    transform_power_of_two(&mut a);
    transform_power_of_two(&mut b);
    for (x, y) in a.iter_mut().zip(&b) {
        *x = x.times(*y).conjugate();
    }
    transform_power_of_two(&mut a);
    for i in 0..n {
        let v = a[i].conjugate().times(chirp[i]);
        values[i] = Complex { re: v.re / size as f64, im: v.im / size as f64 };
    }
}

fn transform_power_of_two(values: &mut [Complex]) {
    let n = values.len();
    if n < 2 {
        return;
    }
    let shift = usize::BITS - n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> shift;
        if i < j {
            values.swap(i, j);
        }
    }
    let twiddles: Vec<Complex> = (0..n as u64 / 2).map(|i| Complex::unit(i, n as u64)).collect();
    let mut width = 2;
    while width <= n {
        let step = n / width;
        for block in values.chunks_exact_mut(width) {
            let (low, high) = block.split_at_mut(width / 2);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let t = b.times(twiddles[k * step]);
                *b = Complex { re: a.re - t.re, im: a.im - t.im };
                *a = Complex { re: a.re + t.re, im: a.im + t.im };
            }
        }
        width *= 2;
    }
}

/// The power of each frequency of real values: 0, 1, … half their number times a whole turn.
pub(super) fn power_spectrum(values: &[f64]) -> Vec<f64> {
    let mut values: Vec<Complex> = values.iter().map(|re| Complex { re: *re, im: 0.0 }).collect();
    transform(&mut values);
    values.iter().take(values.len() / 2 + 1).map(|v| v.re * v.re + v.im * v.im).collect()
}

/// The sums of products of values with themselves, moved by 0, 1, 2, … places.
pub(super) fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let size = (2 * values.len()).next_power_of_two();
    let mut spectrum = vec![Complex::ZERO; size];
    for (c, v) in spectrum.iter_mut().zip(values) {
        c.re = *v;
    }
    transform_power_of_two(&mut spectrum);
    for c in &mut spectrum {
        *c = Complex { re: c.re * c.re + c.im * c.im, im: 0.0 };
    }
    transform_power_of_two(&mut spectrum);
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
