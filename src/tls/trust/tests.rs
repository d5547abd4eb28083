//! Trust on machines that exist only below a folder, with programs that write down how they were called.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::tls::Storage;
use crate::tls::internal::Authority;
use crate::tls::storage::tests::Scratch;

struct Laboratory {
    scratch: Scratch,
    machine: Machine,
    root: PathBuf,
}

impl Laboratory {
    fn new(folders: &[&str], programs: &[&str]) -> Self {
        let scratch = Scratch::new();
        Authority::open(&Storage::file(scratch.path("storage"))).unwrap();
        let root = scratch.path("storage/internal/root.crt");
        for folder in folders {
            fs::create_dir_all(scratch.path(folder)).unwrap();
        }
        let home = scratch.path("home/ann");
        let laboratory =
            Self { machine: Machine { below: scratch.0.clone(), is_root: true, home: Some(home) }, root, scratch };
        for program in programs {
            laboratory.program(program, "");
        }
        laboratory
    }

    /// Another process copies the script: had this one ever held it open for writing, a fork of a neighbouring test could
    /// hold it still, and running it would fail as "text file busy".
    fn program(&self, path: &str, then: &str) {
        let log = self.scratch.path("log");
        let script = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >> '{}'\n{then}\n", log.display());
        let draft = self.scratch.write("draft", script);
        let target = self.scratch.path(path);
        let installed = Command::new("install").args(["-D", "-m", "755"]).args([draft, target]).status().unwrap();
        assert!(installed.success());
    }

    /// How the programs were called, with the laboratory's folder left out.
    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.scratch.path("log")).unwrap_or_default();
        log.lines().map(|line| self.plain(line.trim_end())).collect()
    }

    fn plain(&self, text: &str) -> String {
        let short = &Anchor::read(&self.root).unwrap().nickname[19..];
        text.replace(&self.scratch.0.display().to_string(), "").replace(short, "ID")
    }

    fn install(&self) -> Result<Vec<String>, String> {
        self.told(self.machine.install(&self.root))
    }

    fn uninstall(&self) -> Result<Vec<String>, String> {
        self.told(self.machine.uninstall(&self.root))
    }

    fn told(&self, told: Result<Vec<String>, TrustTrouble>) -> Result<Vec<String>, String> {
        told.map(|lines| lines.iter().map(|line| self.plain(line)).collect())
            .map_err(|trouble| self.plain(&trouble.to_string()))
    }
}

#[test]
fn each_system_is_told_in_its_own_way() {
    for (folder, program, added, removed) in [
        (
            "usr/local/share/ca-certificates",
            "usr/sbin/update-ca-certificates",
            "update-ca-certificates",
            "update-ca-certificates --fresh",
        ),
        (
            "etc/pki/ca-trust/source/anchors",
            "usr/bin/update-ca-trust",
            "update-ca-trust extract",
            "update-ca-trust extract",
        ),
        ("etc/ca-certificates/trust-source/anchors", "usr/bin/trust", "trust extract-compat", "trust extract-compat"),
        (
            "etc/pki/trust/anchors",
            "usr/sbin/update-ca-certificates",
            "update-ca-certificates",
            "update-ca-certificates --fresh",
        ),
    ] {
        // A folder alone does not make a store: on Fedora Debian's may be there too.
        let laboratory = Laboratory::new(&["usr/local/share/ca-certificates", folder], &[program]);
        let file = format!("/{folder}/rp-local-authority-ID.crt");
        assert_eq!(laboratory.install(), Ok(vec![format!("added `{file}` and ran `{added}`")]));
        let placed = laboratory.scratch.path(folder).join(Anchor::read(&laboratory.root).unwrap().file_name);
        assert_eq!(fs::read(&placed).unwrap(), fs::read(&laboratory.root).unwrap());
        assert_eq!(fs::metadata(&placed).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(laboratory.install().is_ok());
        assert_eq!(laboratory.uninstall(), Ok(vec![format!("removed `{file}` and ran `{removed}`")]));
        assert!(!placed.exists());
        assert_eq!(laboratory.uninstall(), Ok(vec![format!("`{file}` was not there")]));
        assert_eq!(laboratory.calls(), [added, added, removed]);
    }
}

#[test]
fn browsers_are_told_too() {
    let laboratory = Laboratory::new(
        &["usr/local/share/ca-certificates", "home/ann/.mozilla/firefox/empty"],
        &["usr/sbin/update-ca-certificates", "usr/bin/certutil"],
    );
    for database in [".pki/nssdb", ".mozilla/firefox/x.default"] {
        laboratory.scratch.write(&format!("home/ann/{database}/cert9.db"), "");
    }
    let done = laboratory.install().unwrap();
    assert_eq!(
        done[1..],
        ["added the root to `/home/ann/.mozilla/firefox/x.default`", "added the root to `/home/ann/.pki/nssdb`"]
    );
    let add = |database: &str| {
        format!("certutil -A -d sql:{database} -t C,, -n rp local authority ID -i /storage/internal/root.crt")
    };
    let calls = laboratory.calls();
    assert_eq!(calls[1..], [add("/home/ann/.mozilla/firefox/x.default"), add("/home/ann/.pki/nssdb")]);
    let done = laboratory.uninstall().unwrap();
    assert_eq!(done[2], "removed the root from `/home/ann/.pki/nssdb`");

    laboratory.program("usr/bin/certutil", "echo 'bad database' >&2; exit 255");
    assert!(
        laboratory.install().unwrap()[1].starts_with("left `/home/ann/.mozilla/firefox/x.default` alone: `certutil -A")
    );
    assert_eq!(laboratory.uninstall().unwrap()[2], "`/home/ann/.pki/nssdb` did not have the root");
}

#[test]
fn without_certutil_the_package_is_named() {
    for (release, package) in [
        ("ID=debian\n", "libnss3-tools"),
        ("NAME=Mint\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "libnss3-tools"),
        ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "nss-tools"),
        ("ID=\"opensuse-tumbleweed\"\n", "mozilla-nss-tools"),
        ("ID=arch\n", "nss"),
        ("", "nss-tools"),
    ] {
        let laboratory = Laboratory::new(&["usr/local/share/ca-certificates"], &["usr/sbin/update-ca-certificates"]);
        laboratory.scratch.write("etc/os-release", release);
        laboratory.scratch.write("home/ann/.pki/nssdb/cert9.db", "");
        let done = laboratory.install().unwrap();
        let told = "left the stores of Firefox and Chromium alone, for which `certutil` is needed: install";
        assert_eq!(done[1], format!("{told} `{package}` and run this again"));
    }
}

#[test]
fn a_real_database_takes_the_root_and_gives_it_back() {
    let Some(certutil) = Machine::here().program("certutil") else {
        panic!("this test needs `certutil`: install `libnss3-tools`");
    };
    let laboratory = Laboratory::new(&["home/ann/.pki/nssdb"], &[]);
    let database = laboratory.scratch.path("home/ann/.pki/nssdb");
    let target = format!("sql:{}", database.display());
    run(&certutil, &["-N", "--empty-password", "-d", &target]).unwrap();
    let anchor = Anchor::read(&laboratory.root).unwrap();
    let listed = || run(&certutil, &["-L", "-d", &target, "-n", &anchor.nickname]).is_ok();
    assert!(!listed());
    assert!(add_to_browser(&certutil, &database, &anchor).starts_with("added"));
    assert!(add_to_browser(&certutil, &database, &anchor).starts_with("added"));
    assert!(listed());
    assert!(remove_from_browser(&certutil, &database, &anchor).starts_with("removed"));
    assert!(!listed());
    assert!(remove_from_browser(&certutil, &database, &anchor).contains("did not have"));
}

#[test]
fn what_stands_in_the_way_is_said() {
    let mut laboratory = Laboratory::new(&["usr/local/share/ca-certificates"], &[]);
    assert_eq!(
        laboratory.install().unwrap_err(),
        "no known certificate store was found on this machine: install the package `ca-certificates`, or import `/storage/internal/root.crt` by hand"
    );
    laboratory.program("usr/sbin/update-ca-certificates", "echo 'disk full' >&2; exit 1");
    assert_eq!(
        laboratory.install().unwrap_err(),
        "`update-ca-certificates` failed (disk full): run it by hand to see why"
    );
    laboratory.machine.is_root = false;
    let told = "only root can change whom this machine trusts: run the same command with `sudo`";
    assert_eq!(laboratory.install().unwrap_err(), told);
    assert_eq!(laboratory.uninstall().unwrap_err(), told);
    laboratory.root = laboratory.scratch.path("gone.crt");
    assert!(matches!(
        laboratory.machine.install(&laboratory.root),
        Err(TrustTrouble::Root(Trouble::Unreadable { .. }))
    ));
}

#[test]
fn the_home_is_that_of_the_person() {
    let scratch = Scratch::new();
    scratch.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\nodd:x\n");
    assert_eq!(home_of(&scratch.0, "ann"), Some(PathBuf::from("/home/ann")));
    assert_eq!(home_of(&scratch.0, "an"), None);
    assert_eq!(home_of(&scratch.0, "odd"), None);
}
