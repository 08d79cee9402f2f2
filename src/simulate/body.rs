//! Bodies on their way out: compressed, and in pieces.

use std::io::{self, Write as _};
use std::time::Duration;

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, stream};

/// Compresses whole bodies.
pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Compresses a body while it comes.
pub(crate) fn gzip_stream(body: Body) -> Body {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let chunks = stream::unfold(Some((body.into_data_stream(), encoder)), |state| async move {
        let (mut chunks, mut encoder) = state?;
        loop {
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    if let Err(err) = encoder.write_all(&chunk) {
                        return Some((Err(err), None));
                    }
                    let out = encoder.get_mut();
                    if out.len() >= 16 << 10 {
                        return Some((Ok(Bytes::from(std::mem::take(out))), Some((chunks, encoder))));
                    }
                }
                Some(Err(err)) => return Some((Err(io::Error::other(err)), None)),
                None => return Some((encoder.finish().map(Bytes::from), None)),
            }
        }
    });
    Body::from_stream(chunks)
}

/// A body that comes in `pieces`, with a wait before each.
pub(crate) fn slowly(bytes: Bytes, seconds: f64) -> Body {
    const PIECES: usize = 20;
    let size = bytes.len().div_ceil(PIECES).max(1);
    let wait = Duration::from_secs_f64(seconds / PIECES as f64);
    let pieces = stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(wait).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), rest))
    });
    Body::from_stream(pieces)
}

/// The first bytes of a body, and then an error, which ends the connection. `at_the_end` is called just before it.
pub(crate) fn broken(bytes: Bytes, at_the_end: impl FnOnce() + Send + 'static) -> Body {
    let start = stream::iter([Ok(bytes)]);
    let end = stream::once(async move {
        // What was written before must have left, or the client sees nothing of it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        at_the_end();
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(start.chain(end))
}

/// White space, and then a body.
pub(crate) fn padded(bytes: u64, body: Body) -> Body {
    static SPACES: [u8; 64 << 10] = [b' '; 64 << 10];
    let spaces = stream::unfold(bytes, |left| async move {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(SPACES.len());
        (size > 0).then(|| (Ok::<_, axum::Error>(Bytes::from_static(&SPACES[..size])), left - size as u64))
    });
    Body::from_stream(spaces.chain(body.into_data_stream()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    async fn inflated(body: Body) -> Vec<u8> {
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut out).unwrap();
        out
    }

    #[tokio::test]
    async fn bodies_that_are_compressed_on_their_way_come_back_whole() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let chunks: Vec<io::Result<Bytes>> = text.chunks(7001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        assert!(inflated(gzip_stream(Body::from_stream(stream::iter(chunks)))).await == text);
        assert!(inflated(Body::from(gzip(&text).unwrap())).await == text);
        assert_eq!(inflated(gzip_stream(Body::empty())).await, b"");
    }

    #[tokio::test]
    async fn padding_stands_before_the_body() {
        let bytes = axum::body::to_bytes(padded(100_000, Body::from("[]")), usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 100_002);
        assert!(bytes.ends_with(b" []") && bytes.starts_with(b"  "));
    }

    #[tokio::test]
    async fn broken_bodies_end_with_an_error() {
        assert!(axum::body::to_bytes(broken(Bytes::from_static(b"abc"), || ()), usize::MAX).await.is_err());
        let whole = axum::body::to_bytes(slowly(Bytes::from_static(b"abcdefghijklmnopqrstuvwxyz"), 0.0), 100).await.unwrap();
        assert_eq!(&whole[..], b"abcdefghijklmnopqrstuvwxyz");
    }
}
