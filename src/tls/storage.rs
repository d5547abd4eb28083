//! Where certificates and keys are kept, and how a file is replaced so that a crash leaves the old or the new one whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Read by the owner alone: keys.
pub const PRIVATE: u32 = 0o600;
/// Read by everybody: certificates.
pub const PUBLIC: u32 = 0o644;

/// `$XDG_DATA_HOME/rp`, else `/var/lib/rp` for root and `~/.local/share/rp` for anyone else.
pub fn default_storage() -> PathBuf {
    storage_for(&|name| std::env::var_os(name).map(PathBuf::from), rustix::process::geteuid().is_root())
}

fn storage_for(variable: &dyn Fn(&str) -> Option<PathBuf>, root: bool) -> PathBuf {
    // The base directory specification says to ignore a relative path.
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return data.join("rp");
    }
    match absolute("HOME") {
        Some(home) if !root => home.join(".local/share/rp"),
        _ => PathBuf::from("/var/lib/rp"),
    }
}

/// Makes a folder that only its owner enters, with its parents. One that exists keeps its rights.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Replaces a file in one step: a neighbour is written and synced, takes the name, and the folder is synced, so that
/// after a power cut the name leads to all of the old bytes or all of the new ones.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (neighbour, mut file) = create_neighbour(path, mode)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&neighbour, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&neighbour);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// A new file beside `path`. `create_new` never follows a link that somebody left under the name.
fn create_neighbour(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
    let neighbour = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&neighbour)?;
    Ok((neighbour, file))
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder that goes away with the test.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new() -> Self {
            let mut random = [0; 8];
            aws_lc_rs::rand::fill(&mut random).unwrap();
            let path = std::env::temp_dir().join(format!("rp-test-{:016x}", u64::from_ne_bytes(random)));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn check(variables: &[(&str, &str)], root: bool, expected: &str) {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        assert_eq!(storage_for(&variable, root), Path::new(expected));
    }

    #[test]
    fn storage_follows_the_base_directories() {
        check(&[("HOME", "/home/a")], false, "/home/a/.local/share/rp");
        check(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")], false, "/data/rp");
        check(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")], false, "/home/a/.local/share/rp");
        check(&[("HOME", "/root")], true, "/var/lib/rp");
        check(&[("HOME", "/root"), ("XDG_DATA_HOME", "/data")], true, "/data/rp");
        check(&[], false, "/var/lib/rp");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let scratch = Scratch::new();
        let path = scratch.write("key", "old");
        write_atomically(&path, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_no_neighbour() {
        let scratch = Scratch::new();
        let path = scratch.path("folder");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "").unwrap();
        assert!(write_atomically(&path, b"new", PUBLIC).is_err());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }

    #[test]
    fn a_private_folder_is_private() {
        let scratch = Scratch::new();
        let folder = scratch.path("a/b");
        private_folder(&folder).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
