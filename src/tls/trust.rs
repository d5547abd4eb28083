//! Making this machine trust the internal authority, and undoing it: the system's store and those of the browsers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::certificate::{certificates, read, sha256};
use super::hex::hex;
use super::storage::{PUBLIC, write_atomically};
use super::trouble::{Part, Trouble};
use crate::diagnostic::plain;

/// Why trust could not be given or taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustTrouble {
    #[error(transparent)]
    Root(#[from] Trouble),
    #[error("only root can change whom this machine trusts: run the same command with `sudo`")]
    NotRoot,
    #[error("no known certificate store was found on this machine: install the package `ca-certificates`, or import `{}` by hand", .0.display())]
    NoStore(PathBuf),
    #[error("`{}` cannot be changed ({}): make its file system writable, and run the command again", .0.display(), plain(.1))]
    File(PathBuf, io::Error),
    #[error("`{0}` failed ({1}): run it by hand to see why")]
    Command(String, String),
}

/// Makes the authorities stores of this machine, and of its browsers, trust a root. Tells what was done, a line each.
pub fn install(root: &Path) -> Result<Vec<String>, TrustTrouble> {
    Machine::here().install(root)
}

/// The reverse of [`install`].
pub fn uninstall(root: &Path) -> Result<Vec<String>, TrustTrouble> {
    Machine::here().uninstall(root)
}

/// A system's way to keep authorities: a folder, and what to run when it changed.
struct Store {
    folder: &'static str,
    command: &'static str,
    added: &'static [&'static str],
    removed: &'static [&'static str],
}

/// The first whose folder and command are there. Fedora also has the last one's command, Arch and openSUSE too, so the
/// common one comes last.
const STORES: [Store; 4] = [
    Store {
        folder: "etc/pki/ca-trust/source/anchors",
        command: "update-ca-trust",
        added: &["extract"],
        removed: &["extract"],
    },
    Store {
        folder: "etc/ca-certificates/trust-source/anchors",
        command: "trust",
        added: &["extract-compat"],
        removed: &["extract-compat"],
    },
    Store { folder: "etc/pki/trust/anchors", command: "update-ca-certificates", added: &[], removed: &["--fresh"] },
    // Debian, Ubuntu and Alpine. Without `--fresh` Debian leaves the link to a file that is gone.
    Store {
        folder: "usr/local/share/ca-certificates",
        command: "update-ca-certificates",
        added: &[],
        removed: &["--fresh"],
    },
];

/// Packages that bring `certutil`, by what `/etc/os-release` says under `ID` or `ID_LIKE`.
const CERTUTIL_PACKAGES: [(&str, &str); 6] = [
    ("debian", "libnss3-tools"),
    ("ubuntu", "libnss3-tools"),
    ("suse", "mozilla-nss-tools"),
    ("arch", "nss"),
    ("fedora", "nss-tools"),
    ("alpine", "nss-tools"),
];

/// The machine below a folder: `/`, or a test's.
struct Machine {
    below: PathBuf,
    is_root: bool,
    /// Of the person at the keyboard, who is not root even under `sudo`.
    home: Option<PathBuf>,
}

/// The root as the stores see it.
struct Anchor {
    path: PathBuf,
    pem: Vec<u8>,
    /// Its own for each root, so that two authorities on one machine do not meet.
    file_name: String,
    nickname: String,
}

impl Machine {
    fn here() -> Self {
        let below = PathBuf::from("/");
        let sudo = std::env::var("SUDO_USER").ok().and_then(|user| home_of(&below, &user));
        let home = sudo.or_else(|| std::env::var_os("HOME").map(PathBuf::from));
        Self { below, is_root: rustix::process::geteuid().is_root(), home }
    }

    fn install(&self, root: &Path) -> Result<Vec<String>, TrustTrouble> {
        let anchor = Anchor::read(root)?;
        let (store, command) = self.store(root)?;
        let target = self.below.join(store.folder).join(&anchor.file_name);
        write_atomically(&target, &anchor.pem, PUBLIC).map_err(|error| TrustTrouble::File(target.clone(), error))?;
        run(&command, store.added)?;
        let mut done = vec![format!("added `{}` and ran `{}`", target.display(), shown(&command, store.added))];
        done.extend(self.each_browser(|certutil, database| add_to_browser(certutil, database, &anchor)));
        Ok(done)
    }

    fn uninstall(&self, root: &Path) -> Result<Vec<String>, TrustTrouble> {
        let anchor = Anchor::read(root)?;
        let (store, command) = self.store(root)?;
        let target = self.below.join(store.folder).join(&anchor.file_name);
        let mut done = Vec::new();
        match fs::remove_file(&target) {
            Ok(()) => {
                run(&command, store.removed)?;
                done.push(format!("removed `{}` and ran `{}`", target.display(), shown(&command, store.removed)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                done.push(format!("`{}` was not there", target.display()));
            }
            Err(error) => return Err(TrustTrouble::File(target, error)),
        }
        done.extend(self.each_browser(|certutil, database| remove_from_browser(certutil, database, &anchor)));
        Ok(done)
    }

    fn store(&self, root: &Path) -> Result<(&'static Store, PathBuf), TrustTrouble> {
        if !self.is_root {
            return Err(TrustTrouble::NotRoot);
        }
        STORES
            .iter()
            .filter(|store| self.below.join(store.folder).is_dir())
            .find_map(|store| Some((store, self.program(store.command)?)))
            .ok_or_else(|| TrustTrouble::NoStore(root.to_owned()))
    }

    /// Looked for where systems keep programs, not along `PATH`, which under `sudo` may be the user's.
    fn program(&self, name: &str) -> Option<PathBuf> {
        ["usr/sbin", "usr/bin", "sbin", "bin"]
            .iter()
            .map(|folder| self.below.join(folder).join(name))
            .find(|path| path.is_file())
    }

    /// One line for each browser's database, or the advice that one is needed to reach them. They never fail the whole: the
    /// system trusts the root by now, and a browser can be told by hand.
    fn each_browser(&self, act: impl Fn(&Path, &Path) -> String) -> Vec<String> {
        let databases = self.browser_databases();
        if databases.is_empty() {
            return Vec::new();
        }
        match self.program("certutil") {
            Some(certutil) => databases.iter().map(|database| act(&certutil, database)).collect(),
            None => vec![format!(
                "left the stores of Firefox and Chromium alone, for which `certutil` is needed: install `{}` and run this again",
                self.certutil_package()
            )],
        }
    }

    /// Folders with a `cert9.db`: that of Chromium, and one for each profile of Firefox, also from snap and Flatpak.
    fn browser_databases(&self) -> Vec<PathBuf> {
        let Some(home) = &self.home else { return Vec::new() };
        let single = [".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"];
        let profiles = [
            ".mozilla/firefox",
            ".config/mozilla/firefox",
            "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox",
        ];
        let inside = profiles.iter().filter_map(|folder| fs::read_dir(home.join(folder)).ok()).flatten().flatten();
        let candidates = single.iter().map(|folder| home.join(folder)).chain(inside.map(|entry| entry.path()));
        let mut found: Vec<_> = candidates.filter(|folder| folder.join("cert9.db").is_file()).collect();
        found.sort();
        found
    }

    fn certutil_package(&self) -> &'static str {
        let release = fs::read_to_string(self.below.join("etc/os-release")).unwrap_or_default();
        let named = |line: &str| line.starts_with("ID=") || line.starts_with("ID_LIKE=");
        let ids: String = release.lines().filter(|line| named(line)).collect();
        CERTUTIL_PACKAGES.iter().find(|(id, _)| ids.contains(id)).map_or("nss-tools", |(_, package)| package)
    }
}

impl Anchor {
    fn read(root: &Path) -> Result<Self, Trouble> {
        let (pem, _) = read(root, Part::Certificate)?;
        let der = certificates(&pem, &root.display().to_string())?.swap_remove(0);
        let digest = sha256(&der);
        let short = hex(&digest[..4]);
        Ok(Self {
            path: root.to_owned(),
            pem,
            file_name: format!("rp-local-authority-{short}.crt"),
            nickname: format!("rp local authority {short}"),
        })
    }
}

fn add_to_browser(certutil: &Path, database: &Path, anchor: &Anchor) -> String {
    let target = format!("sql:{}", database.display());
    let root = anchor.path.display().to_string();
    match run(certutil, &["-A", "-d", &target, "-t", "C,,", "-n", &anchor.nickname, "-i", &root]) {
        Ok(()) => format!("added the root to `{}`", database.display()),
        Err(trouble) => format!("left `{}` alone: {trouble}", database.display()),
    }
}

fn remove_from_browser(certutil: &Path, database: &Path, anchor: &Anchor) -> String {
    let target = format!("sql:{}", database.display());
    if run(certutil, &["-L", "-d", &target, "-n", &anchor.nickname]).is_err() {
        return format!("`{}` did not have the root", database.display());
    }
    match run(certutil, &["-D", "-d", &target, "-n", &anchor.nickname]) {
        Ok(()) => format!("removed the root from `{}`", database.display()),
        Err(trouble) => format!("left `{}` alone: {trouble}", database.display()),
    }
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), TrustTrouble> {
    let failed = |why: String| TrustTrouble::Command(shown(program, arguments), why);
    let output = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| failed(plain(&error)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(failed(last.map_or_else(|| output.status.to_string(), str::to_owned)))
}

fn shown(program: &Path, arguments: &[&str]) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    arguments.iter().fold(name, |line, argument| line + " " + argument)
}

/// Read from the file and not from the name service: `sudo` is used by people, and they are in it nearly everywhere.
fn home_of(below: &Path, user: &str) -> Option<PathBuf> {
    let users = fs::read_to_string(below.join("etc/passwd")).ok()?;
    let mut fields = users.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(user))?;
    fields.nth(5).filter(|home| !home.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
