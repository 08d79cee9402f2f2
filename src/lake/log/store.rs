//! A lake's folder as the object store that logs are read from and written to.
//!
//! It differs from the library's store of a folder in five ways. Listings are in order, as those of the cloud's stores are, and
//! what a listing leaves out costs next to nothing: a log has thousands of files before those that are wanted. What
//! is written is on the disk, with its name, before it is reported: the library flushes nothing, so that a power cut could
//! leave an empty commit, or none where one was reported. A whole file is opened at once: to wake a thread for that takes longer
//! than it does, and a log is many small files. And files of a log that cannot be read, and that the log says everything without,
//! are not shown.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use kqlake_durable::{self as durable, Draft};

/// The store of a lake.
#[derive(Debug)]
pub(super) struct LakeStore {
    files: LocalFileSystem,
    hidden: Arc<BTreeSet<Path>>,
}

impl LakeStore {
    /// The store of a folder that is there, without some of its files.
    ///
    /// # Errors
    /// The folder cannot be found.
    pub(super) fn new(folder: &FilePath, hidden: BTreeSet<Path>) -> Result<Self> {
        Ok(LakeStore { files: LocalFileSystem::new_with_prefix(folder)?, hidden: Arc::new(hidden) })
    }

    /// Counts a listing, in tests.
    fn count(&self, _prefix: Option<&Path>) {
        #[cfg(test)]
        if let Some(folder) = _prefix.and_then(|prefix| self.files.path_to_filesystem(prefix).ok()) {
            super::listings::count(&folder);
        }
    }

    fn in_order(&self, list: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let hidden = self.hidden.clone();
        let sorted = async move {
            let mut all: Vec<ObjectMeta> = list.try_collect().await?;
            all.retain(|meta| !hidden.contains(&meta.location));
            all.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
        };
        stream::once(sorted).try_flatten().boxed()
    }
}

/// The files directly in a folder whose names come after one, of a listing of the folder's path. `None` where the folder holds
/// more than files with plain names: the library knows what to do then.
fn files_after(folder: &FilePath, prefix: &Path, after: &str) -> io::Result<Option<Vec<ObjectMeta>>> {
    let mut found = Vec::new();
    for entry in durable::entries(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let Some(name) = name.to_str().filter(|name| is_plain(name)) else { return Ok(None) };
        if !entry.file_type()?.is_file() {
            return Ok(None);
        }
        if name <= after {
            continue;
        }
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // It was there a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let location = prefix.clone().join(name);
        found.push(ObjectMeta { location, last_modified: meta.modified()?.into(), size: meta.len(), e_tag: None, version: None });
    }
    Ok(Some(found))
}

/// A file as it is asked for as a whole; `None` where the library must say what is there, or how to read it.
fn opened(path: PathBuf, location: &Path, options: &GetOptions) -> Option<GetResult> {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, range, version, head, .. } = options;
    let conditions = [if_match, if_none_match, version].iter().any(|text| text.is_some())
        || [if_modified_since, if_unmodified_since].iter().any(|time| time.is_some());
    // To open a pipe would wait for its writer.
    if conditions || range.is_some() || *head || !fs::metadata(&path).is_ok_and(|found| found.is_file()) {
        return None;
    }
    let file = File::open(&path).ok()?;
    let found = file.metadata().ok()?;
    let (size, last_modified) = (found.len(), found.modified().ok()?.into());
    Some(GetResult {
        payload: GetResultPayload::File(file, path),
        meta: ObjectMeta { location: location.clone(), last_modified, size, e_tag: None, version: None },
        range: 0..size,
        attributes: Attributes::default(),
    })
}

impl fmt::Display for LakeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

/// An error of the file system as one of a store.
fn failed(path: &FilePath, source: io::Error) -> Error {
    let (path, kind, source) = (path.display().to_string(), source.kind(), Box::new(source));
    match kind {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source },
        io::ErrorKind::NotFound => Error::NotFound { path, source },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source },
        _ => Error::Generic { store: "LakeStore", source },
    }
}

/// Does something with files away from the threads that wait for the network.
async fn apart<T: Send + 'static>(path: PathBuf, work: impl FnOnce(&FilePath) -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(move || work(&path).map_err(|source| failed(&path, source))).await;
    done.map_err(|source| Error::JoinError { source })?
}

fn begin(path: &FilePath) -> io::Result<Draft> {
    if let Some(folder) = path.parent() {
        durable::create_folders(folder)?;
    }
    // A log has thousands of files; who lists it sweeps it.
    Draft::create_unswept(path)
}

const WRITTEN: PutResult = PutResult { e_tag: None, version: None };

/// A file that is written in parts.
#[derive(Debug)]
struct Upload {
    path: PathBuf,
    draft: Arc<Mutex<Option<Draft>>>,
    bytes: u64,
}

fn ended() -> io::Error {
    io::Error::other("the file was completed or given up")
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let at = self.bytes;
        self.bytes += data.content_length() as u64;
        let draft = self.draft.clone();
        let write = move |_: &FilePath| {
            let draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
            let mut file = draft.as_ref().ok_or_else(ended)?.file();
            file.seek(SeekFrom::Start(at))?;
            data.iter().try_for_each(|bytes| file.write_all(bytes))
        };
        apart(self.path.clone(), write).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let draft = self.draft.lock().unwrap_or_else(PoisonError::into_inner).take();
        apart(self.path.clone(), |_| draft.ok_or_else(ended)?.publish()).await?;
        Ok(WRITTEN)
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.draft.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for LakeStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let new = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return self.files.put_opts(location, payload, options).await,
        };
        let write = move |path: &FilePath| {
            let draft = begin(path)?;
            payload.iter().try_for_each(|bytes| draft.file().write_all(bytes))?;
            if new { draft.publish_new() } else { draft.publish() }
        };
        apart(self.files.path_to_filesystem(location)?, write).await?;
        Ok(WRITTEN)
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.files.path_to_filesystem(location)?;
        let draft = apart(path.clone(), begin).await?;
        Ok(Box::new(Upload { path, draft: Arc::new(Mutex::new(Some(draft))), bytes: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.hidden.contains(location) {
            return Err(failed(FilePath::new(location.as_ref()), io::ErrorKind::NotFound.into()));
        }
        match opened(self.files.path_to_filesystem(location)?, location, &options) {
            Some(whole) => Ok(whole),
            None => self.files.get_opts(location, options).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(prefix);
        self.in_order(self.files.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(prefix);
        let library = self.files.list_with_offset(prefix, offset);
        let folder = prefix.and_then(|prefix| Some((prefix.clone(), self.files.path_to_filesystem(prefix).ok()?)));
        let after = prefix.and_then(|prefix| offset.as_ref().strip_prefix(prefix.as_ref())?.strip_prefix('/'));
        let (Some((prefix, folder)), Some(after)) = (folder, after.map(str::to_owned)) else { return self.in_order(library) };
        let listed = async move {
            Ok::<_, Error>(match apart(folder, move |folder| files_after(folder, &prefix, &after)).await? {
                Some(files) => stream::iter(files.into_iter().map(Ok)).boxed(),
                None => library,
            })
        };
        self.in_order(stream::once(listed).try_flatten().boxed())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count(prefix);
        let mut list = self.files.list_with_delimiter(prefix).await?;
        list.objects.retain(|meta| !self.hidden.contains(&meta.location));
        list.objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(list)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, WriteMultipart};

    use super::*;

    #[tokio::test]
    async fn files_are_written_once_or_over_and_hidden_ones_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = LakeStore::new(dir.path(), BTreeSet::from([Path::from("t/_delta_log/b")])).unwrap();
        let at = |name: &str| Path::from(format!("t/_delta_log/{name}"));
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&at("a"), "one".into(), create()).await.unwrap();
        let second = store.put_opts(&at("a"), "two".into(), create()).await;
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
        store.put(&at("b"), "x".into()).await.unwrap();
        let mut parts = WriteMultipart::new_with_chunk_size(store.put_multipart(&at("c")).await.unwrap(), 2);
        parts.write(b"three");
        parts.finish().await.unwrap();
        drop(store.put_multipart(&at("d")).await.unwrap());
        let text = async |name: &str| store.get(&at(name)).await?.bytes().await;
        assert_eq!((text("a").await.unwrap().as_ref(), text("c").await.unwrap().as_ref()), (&b"one"[..], &b"three"[..]));
        assert!(matches!(text("b").await, Err(Error::NotFound { .. })));
        assert!(matches!(text("z").await, Err(Error::NotFound { .. })));
        assert!(matches!(store.get(&Path::from("t/_delta_log")).await, Err(Error::NotFound { .. })));
        let whole = store.get(&at("c")).await.unwrap();
        assert_eq!((whole.range.clone(), whole.meta.size, &whole.meta.location), (0..5, 5, &at("c")));
        assert_eq!(store.get_range(&at("c"), 1..3).await.unwrap().as_ref(), b"hr");
        let listed: Vec<ObjectMeta> = store.list(Some(&Path::from("t"))).try_collect().await.unwrap();
        assert_eq!(listed.iter().map(|meta| meta.location.clone()).collect::<Vec<_>>(), [at("a"), at("c")]);
        let after = async |name: &str| -> Vec<Path> {
            let listed = store.list_with_offset(Some(&Path::from("t/_delta_log")), &at(name));
            listed.map_ok(|meta| meta.location).try_collect().await.unwrap()
        };
        assert_eq!((after("a").await, after("").await), (vec![at("c")], vec![at("a"), at("c")]));
        // The library goes into folders, and so do listings where there is one.
        store.put(&at("e/f"), "x".into()).await.unwrap();
        assert_eq!(after("a").await, [at("c"), at("e/f")]);
        std::fs::remove_dir_all(dir.path().join("t/_delta_log/e")).unwrap();
        let none = store.list_with_offset(Some(&Path::from("u/_delta_log")), &Path::from("u/_delta_log/a"));
        assert_eq!(none.count().await, 0);
        // The file that is hidden, and nothing temporary.
        assert_eq!(std::fs::read_dir(dir.path().join("t/_delta_log")).unwrap().count(), 3);
    }
}
