//! A folder of certificates: each PEM file with its key in it or beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::certificate::{Certificate, read};
use super::trouble::{Part, Trouble};

/// Endings of files that are looked at.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "cert"];

/// What a folder holds.
#[derive(Debug)]
pub struct Held {
    /// With the certificate's file, by file name.
    pub certificates: Vec<(PathBuf, Certificate)>,
    /// Everything that was read for it, and the folder itself.
    pub files: Vec<PathBuf>,
}

/// Reads all of them; at least one. One that cannot be used is an error: whoever asks for its name would be shown another.
pub fn load(folder: &Path) -> Result<Held, Trouble> {
    let mut held = Held { certificates: Vec::new(), files: vec![folder.to_owned()] };
    for certificate in listed(folder).map_err(|why| unreadable(folder, why))? {
        let (bytes, _) = read(&certificate, Part::Certificate)?;
        let has = |what: &str| memchr::memmem::find(&bytes, what.as_bytes()).is_some();
        held.files.push(certificate.clone());
        // `a-key.pem` beside `a.pem`.
        if !has("BEGIN CERTIFICATE-----") && has("PRIVATE KEY-----") {
            continue;
        }
        let key = if has("PRIVATE KEY-----") { certificate.clone() } else { key_beside(&certificate)? };
        held.files.push(key.clone());
        let loaded = Certificate::load(&certificate, &key)?;
        held.certificates.push((certificate, loaded));
    }
    if held.certificates.is_empty() {
        return Err(Trouble::EmptyFolder { folder: folder.display().to_string() });
    }
    Ok(held)
}

fn unreadable(folder: &Path, why: io::Error) -> Trouble {
    Trouble::UnreadableFolder { folder: folder.display().to_string(), why }
}

/// Hidden files are those of editors, and of Kubernetes behind its links.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if !hidden && ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// `a.key`, else `a-key.pem`.
fn key_beside(certificate: &Path) -> Result<PathBuf, Trouble> {
    let usual = certificate.with_extension("key");
    let stem = certificate.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let other = certificate.with_file_name(format!("{stem}-key.pem"));
    [&usual, &other].into_iter().find(|path| path.is_file()).cloned().ok_or_else(|| Trouble::NoKeyBeside {
        certificate: certificate.display().to_string(),
        key: usual.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    })
}

/// The certificate that a host is shown: one that names it before one with a wildcard, and of two the one that lives longer.
pub fn best<'c>(certificates: impl Iterator<Item = &'c Certificate>, host: &str) -> Option<&'c Certificate> {
    let names = |certificate: &Certificate| certificate.names().iter().any(|name| name.to_string() == host);
    certificates
        .filter(|certificate| names(certificate) || certificate.covers(host))
        .max_by_key(|certificate| (names(certificate), certificate.not_after()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::World;
    use crate::tls::storage::tests::Scratch;

    #[test]
    fn keys_are_found_in_the_file_or_beside_it() {
        let (scratch, world) = (Scratch::new(), World::new());
        let [a, b, c, wild] = [&["a.test"][..], &["b.test"], &["c.test"], &["*.test"]].map(|names| world.sign(names));
        scratch.write("f/a.pem", &a.chain);
        scratch.write("f/a.key", &a.key);
        scratch.write("f/b.pem", format!("{}{}", b.chain, b.key));
        scratch.write("f/c.pem", &c.chain);
        scratch.write("f/c-key.pem", &c.key);
        scratch.write("f/wild.crt", &wild.chain);
        scratch.write("f/wild.key", &wild.key);
        scratch.write("f/.hidden.pem", "nothing");
        scratch.write("f/notes.txt", "nothing");
        let held = load(&scratch.path("f")).unwrap();
        assert_eq!(held.certificates.len(), 4);
        let shown = |host: &str| {
            let all = held.certificates.iter().map(|(_, certificate)| certificate);
            best(all, host).map(|certificate| certificate.names()[0].to_string())
        };
        for (host, certificate) in [
            ("a.test", Some("a.test")),
            ("c.test", Some("c.test")),
            ("d.test", Some("*.test")),
            ("*.test", Some("*.test")),
            ("test", None),
        ] {
            assert_eq!(shown(host).as_deref(), certificate, "{host}");
        }
        std::fs::remove_file(scratch.path("f/a.key")).unwrap();
        let trouble = load(&scratch.path("f")).unwrap_err().to_string();
        assert!(trouble.contains("has no key in it") && trouble.contains("a.key"), "{trouble}");
    }

    #[test]
    fn an_empty_folder_shows_nothing() {
        let scratch = Scratch::new();
        scratch.write("f/notes.txt", "nothing");
        assert!(matches!(load(&scratch.path("f")), Err(Trouble::EmptyFolder { .. })));
        assert!(matches!(load(&scratch.path("none")), Err(Trouble::UnreadableFolder { .. })));
    }
}
