//! Content blobs: arrays of records, made while they are sent.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use futures::stream;

use super::{Refusal, State, log};
use crate::answer::{self, Call, OnDelivery};
use crate::tenant::audit::Blob;
use crate::world::World;

/// How much of a blob is made at a time.
const PIECE: usize = 128 << 10;

pub(super) fn get(call: &Call, state: &Arc<State>, id: &str) -> Result<Response, Refusal> {
    let world = &call.world;
    let log = log(world);
    let now = world.now();
    let unknown = || Refusal::because(StatusCode::NOT_FOUND, "AF20050", format!("The specified content ({id}) does not exist."));
    let blob = log
        .find(id)
        .ok_or_else(|| Refusal::bad("AF20052", format!("Content ID {id} in the URL is invalid.")))?
        .filter(|blob| log.available(*blob) <= now)
        .ok_or_else(unknown)?;
    if now >= log.expires(blob) {
        return Err(Refusal::bad(
            "AF20051",
            "Content requested with the key has already expired. Content older than 7 days cannot be retrieved.",
        ));
    }
    state.subscriptions(world).check(blob.kind)?;
    if !state.is_there(world, blob, now) {
        return Err(unknown());
    }
    let mut response = answer::text(StatusCode::OK, "application/json; charset=utf-8", body(world, state, blob));
    let told = Arc::clone(state);
    response.extensions_mut().insert(OnDelivery(Arc::new(move |world| {
        world.served.note("management: blobs sent");
        if !told.served().insert(blob) {
            world.served.note("management: blobs sent again");
        }
    })));
    Ok(response)
}

fn body(world: &Arc<World>, state: &Arc<State>, blob: Blob) -> Body {
    let size = log(world).size(blob);
    let mut place = 0;
    let mut first = Vec::new();
    write(world, state, blob, &mut place, size, &mut first);
    if place > size {
        return Body::from(first);
    }
    let (world, state) = (Arc::clone(world), Arc::clone(state));
    let pieces = stream::unfold((Some(first), place), move |(ready, mut place)| {
        let piece = ready.or_else(|| {
            (place <= size).then(|| {
                let mut piece = Vec::with_capacity(PIECE + 4096);
                write(&world, &state, blob, &mut place, size, &mut piece);
                piece
            })
        });
        std::future::ready(piece.map(|piece| (Ok::<_, io::Error>(Bytes::from(piece)), (None, place))))
    });
    Body::from_stream(pieces)
}

/// Appends the records from `place` on until there is enough of them; `place` is past `size` when the array is closed.
fn write(world: &World, state: &State, blob: Blob, place: &mut u32, size: u32, out: &mut Vec<u8>) {
    let writer = state.writer(world);
    while *place < size {
        out.push(if *place == 0 { b'[' } else { b',' });
        writer.write(out, blob, *place);
        *place += 1;
        if out.len() >= PIECE {
            return;
        }
    }
    out.push(b']');
    *place = size + 1;
}
