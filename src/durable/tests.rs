use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(path: &Path, text: &str) {
    let output = Output::open(path).unwrap();
    io::Write::write_all(&mut output.writer().unwrap(), text.as_bytes()).unwrap();
    output.finish().unwrap();
}

#[test]
fn a_file_appears_when_it_is_published_and_nothing_stays_when_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let draft = Draft::create(&path).unwrap();
    io::Write::write_all(&mut draft.file(), b"new").unwrap();
    assert!(!path.exists());
    drop(draft);
    assert!(names(dir.path()).is_empty());
    write(&path, "new");
    write(&path, "newer");
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(dir.path())), ("newer", vec!["x".to_owned()]));
    assert!(Draft::create(dir.path()).is_err());
    assert!(Draft::create(&dir.path().join("absent/x")).is_err());
}

#[test]
fn only_what_no_process_holds_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let digits = "0123456789abcdef".repeat(2);
    for name in [
        format!(".kqlake-{digits}.partial"),
        format!(".kqlake-{digits}.partial.txt"),
        format!(".kqlake-{}.partial", &digits[1..]),
        format!(".kqlake-{}.partial", digits.to_uppercase()),
        format!("kqlake-{digits}.partial"),
        ".x.csv.partial-12".to_owned(),
    ] {
        fs::write(root.join(name), "left").unwrap();
    }
    let left = root.join(format!(".kqlake-{digits}.staging"));
    fs::create_dir_all(left.join("T")).unwrap();
    fs::write(left.join(".lock"), "").unwrap();
    fs::write(left.join("T/T.csv"), "left").unwrap();
    // Not ours: a folder with content and without a lock.
    let foreign = root.join(format!(".kqlake-{}.staging", digits.replace('0', "f")));
    fs::create_dir_all(foreign.join("T")).unwrap();

    let held = Draft::create(&root.join("held")).unwrap();
    let staging = Staging::create(root).unwrap();
    sweep(root);
    assert!(held.held.path().exists() && staging.path().join(".lock").exists() && foreign.exists());
    assert!(!left.exists() && !root.join(format!(".kqlake-{digits}.partial")).exists());
    drop((held, staging));
    assert_eq!(names(root).len(), 6, "{:?}", names(root));
}

#[cfg(unix)]
#[test]
fn a_folder_of_another_user_is_not_swept() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(format!(".kqlake-{}.staging", "0".repeat(32)));
    fs::create_dir(&left).unwrap();
    fs::write(left.join(".lock"), "").unwrap();
    // Only root can give a folder away; others cannot open such a lock at all.
    if std::os::unix::fs::chown(&left, Some(12_345), None).is_ok() {
        sweep(dir.path());
        assert_eq!(names(dir.path()).len(), 1);
        std::os::unix::fs::chown(&left, Some(0), None).unwrap();
    }
    sweep(dir.path());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_exit_that_drops_nothing_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (draft, staging) = (Draft::create(&dir.path().join("x")).unwrap(), Staging::create(dir.path()).unwrap());
    fs::write(staging.path().join("y"), "part").unwrap();
    // As for this folder: other tests have files of their own in progress.
    temporary::abandon(|path| path.starts_with(dir.path()));
    assert!(names(dir.path()).is_empty());
    drop((draft, staging));
}

/// A file on a disk of a size, which may break when the beginning is written.
struct Small {
    file: File,
    room: u64,
    breaks: bool,
}

impl io::Seek for Small {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl io::Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = io::Seek::stream_position(&mut self.file)?;
        let room = usize::try_from(self.room.saturating_sub(at)).unwrap().min(bytes.len()).min(if self.breaks && at < 4 {
            1
        } else {
            64
        });
        if room == 0 || (self.breaks && at == 1) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(&bytes[..room])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl in_place::InPlace for Small {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies `new` over `old`, as [`Small`] does: the result, what the file holds then, and the folder.
fn copied_over(old: &str, new: &str, room: u64, breaks: bool) -> (io::Result<()>, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (path, from) = (dir.path().join("x"), dir.path().join("from"));
    fs::write(&path, old).unwrap();
    fs::write(&from, new).unwrap();
    let complete = temporary::Complete::of(&from, dir.path()).unwrap();
    let mut file = Small { file: File::options().write(true).open(&path).unwrap(), room, breaks };
    let done = in_place::overwrite(&mut file, complete);
    (done, fs::read_to_string(&path).unwrap(), dir)
}

#[test]
fn a_copy_over_a_file_that_has_no_room_changes_nothing() {
    let (done, found, dir) = copied_over("the old content", &"the new content".repeat(20), 200, false);
    assert_eq!(done.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!((found.as_str(), names(dir.path())), ("the old content", vec!["x".to_owned()]));
    for (old, new) in [("old", "longer than it"), ("longer than it", "new"), ("", "new"), ("old", "")] {
        let (done, found, dir) = copied_over(old, new, 14, false);
        assert!(done.is_ok());
        assert_eq!((found.as_str(), names(dir.path())), (new, vec!["x".to_owned()]));
    }
}

#[test]
fn a_copy_over_a_file_that_fails_halfway_keeps_the_new_content() {
    for new in ["new", "new and longer than the old content"] {
        let (done, _, dir) = copied_over("the old content", new, 1000, true);
        let err = done.unwrap_err();
        let kept = dir.path().join(&names(dir.path())[0]);
        assert!(err.to_string().contains(&*kept.to_string_lossy()), "{err}");
        // Neither the next command nor an exit takes it away.
        sweep(dir.path());
        temporary::abandon(|path| path.starts_with(dir.path()));
        assert_eq!(fs::read_to_string(kept).unwrap(), new);
    }
}

#[test]
fn an_exit_during_a_copy_over_a_file_keeps_the_new_content() {
    let dir = tempfile::tempdir().unwrap();
    let (draft, staging) = (Draft::create(&dir.path().join("x")).unwrap(), Staging::create(dir.path()).unwrap());
    io::Write::write_all(&mut draft.file(), b"drafted").unwrap();
    let staged = staging.path().join("y");
    fs::write(&staged, "staged").unwrap();
    let complete = [draft.held.path(), &staged].map(|from| temporary::Complete::of(from, dir.path()).unwrap());
    temporary::abandon(|path| path.starts_with(dir.path()));
    drop((draft, staging));
    sweep(dir.path());
    assert_eq!(complete.each_ref().map(|file| fs::read_to_string(file.path()).unwrap()), ["drafted", "staged"]);
    assert_eq!(names(dir.path()).len(), 2);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_private_file_stays_private_while_it_is_written_and_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("private");
        for own in [0o600, 0o640, 0o444] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(own)).unwrap();
            // A file that its owner may not write is refused, save for an administrator.
            if let Ok(draft) = Draft::create(&path) {
                assert_eq!(mode(draft.held.path()) & 0o077, 0);
                draft.publish().unwrap();
                assert_eq!(mode(&path), own);
            }
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(mode(Staging::create(dir.path()).unwrap().path()), 0o700);
    }

    #[test]
    fn links_stay_and_their_targets_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("far")).unwrap();
        symlink("far/target", root.join("second")).unwrap();
        symlink("second", root.join("first")).unwrap();
        // The target is made, then replaced.
        for text in ["new", "newer"] {
            write(&root.join("first"), text);
            assert_eq!(fs::read_to_string(root.join("far/target")).unwrap(), text);
        }
        assert!(fs::symlink_metadata(root.join("first")).unwrap().is_symlink());
        assert_eq!(
            (names(root), names(&root.join("far"))),
            (["far", "first", "second"].map(str::to_owned).to_vec(), vec!["target".to_owned()])
        );
        symlink("circle", root.join("circle")).unwrap();
        assert!(Output::open(&root.join("circle")).is_err());
    }

    #[test]
    fn a_staged_file_takes_mode_and_place_of_the_one_it_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("target", dir.path().join("link")).unwrap();
        let staging = Staging::create(dir.path()).unwrap();
        let from = staging.path().join("x");
        fs::write(&from, "new").unwrap();
        staging.publish(&from, &dir.path().join("link")).unwrap();
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), mode(&target)), ("new", 0o600));
        assert!(!from.exists());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_overwritten_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "old and longer").unwrap();
        let Target::File { existing: Some(existing), .. } = Target::of(&path).unwrap() else { panic!("an existing file") };
        let inode = fs::metadata(&path).unwrap().ino();
        let from = dir.path().join("from");
        fs::write(&from, "new").unwrap();
        existing.overwrite(&from, dir.path()).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), fs::metadata(&path).unwrap().ino()), ("new", inode));
        assert_eq!(names(dir.path()), ["x"]);
    }

    #[test]
    fn paths_are_resolved_whether_they_exist_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        for (path, real) in [("link/../c", "a/c"), ("link/./x/../y", "a/b/y"), ("absent/../link", "a/b"), ("a/b/", "a/b")] {
            assert_eq!(resolved(&root.join(path)), root.join(real), "{path}");
        }
    }

    #[test]
    fn standard_output_is_known_by_its_names() {
        assert!(is_standard_output(Path::new("/dev/fd/1")));
        assert!(!is_standard_output(Path::new("/dev/fd/2")) && !is_standard_output(Path::new("1")));
        assert_eq!(kind(Path::new("/dev/fd/2")), TargetKind::Device);
        assert_eq!(kind(Path::new("/")), TargetKind::Folder);
    }
}
