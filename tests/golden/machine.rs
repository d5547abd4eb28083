//! A machine with files: certificates and keys in every state, folders, and what only looks like them. `rp` is run in it
//! as people run it, so that what it says of the files is what they read.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};

use crate::e2e::{Authority, Folder, Identity, PATIENCE, command};

pub struct Machine {
    folder: Folder,
    authority: Authority,
}

impl Machine {
    pub fn new() -> Self {
        let machine = Self { folder: Folder::new(), authority: Authority::new() };
        machine.certificates();
        machine.keys();
        machine.others();
        machine
    }

    /// What the command of the first line says of the text: see [`Self::run_to_its_end`].
    pub fn run(&self, text: &str) -> String {
        self.run_to_its_end(text).0
    }

    /// Runs the command of the first line, `# rp validate` or `# rp run`, on the text: what it says, and its exit code.
    pub fn run_to_its_end(&self, text: &str) -> (String, Option<i32>) {
        let named = text.lines().next().and_then(|line| line.strip_prefix("# rp ")).expect("a command comes first");
        self.folder.write("Proxyfile", text);
        let mut child = command(&self.folder)
            .arg(named)
            .env("COLUMNS", "100")
            // One that an example says is not set.
            .env_remove("BACKEND")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rp can be run");
        let start = Instant::now();
        // What it says fits into a pipe.
        let status = loop {
            if let Some(status) = child.try_wait().expect("it is a child of ours") {
                break status;
            }
            if start.elapsed() > PATIENCE {
                let _ = child.kill();
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        let mut said = String::new();
        child.stderr.take().expect("it was asked for").read_to_string(&mut said).expect("it is text");
        assert!(start.elapsed() <= PATIENCE, "rp {named} does not end:\n{text}\n{said}");
        (said, status.code())
    }

    /// The same with more files, which are gone when it ends.
    pub fn run_beside(&self, files: &[(&str, String)], text: &str) -> String {
        let paths: Vec<_> = files.iter().map(|(name, text)| self.folder.write(name, text)).collect();
        let said = self.run(text);
        for path in paths {
            fs::remove_file(path).expect("it was written");
        }
        said
    }

    /// `site.pem` and `site.key` are as they should be; the others are named for what is wrong with them.
    fn certificates(&self) {
        let whole = self.issue(|_| {});
        self.pair("site", &whole);
        self.pair("other", &self.issue(|_| {}));
        self.pair("expired", &self.issue(|params| params.not_after = date_time_ymd(2024, 2, 29)));
        self.pair("early", &self.issue(|params| params.not_before = date_time_ymd(2999, 1, 1)));
        self.pair("nameless", &self.issue(|params| params.subject_alt_names.clear()));
        self.folder.write("alone.pem", &whole.certificate);
        self.folder.write("disorder.pem", whole.certificate.clone() + &self.issue(|_| {}).certificate);
        self.folder.write("cut.pem", &whole.certificate[..whole.certificate.len() - 40]);
        let damaged = "-----BEGIN CERTIFICATE-----\nYSBjZXJ0aWZpY2F0ZQ==\n-----END CERTIFICATE-----\n";
        self.folder.write("damaged.pem", damaged);
        self.folder.write("authority.pem", self.authority.pem());
        self.folder.write("site.crl", self.authority.revoke(&[7], (2999, 1, 1)));
        self.folder.write("old.crl", self.authority.revoke(&[7], (2024, 2, 29)));
        self.openssl(&["x509", "-in", "alone.pem", "-outform", "der", "-out", "site.der"]);
        // Without a `crlnumber`, openssl issues the first version.
        self.folder.write("issued", "");
        self.folder.write("ca.conf", "[ca]\ndefault_ca = own\n[own]\ndatabase = issued\ndefault_md = sha256\n");
        let issue =
            ["ca", "-gencrl", "-crldays", "30", "-config", "ca.conf", "-cert", "site.pem", "-keyfile", "site.key"];
        self.openssl(&[&issue[..], &["-out", "first.crl"]].concat());
    }

    fn keys(&self) {
        let key = fs::read(self.folder.path().join("site.key")).expect("it was written");
        let open = self.folder.write("open.key", key);
        fs::set_permissions(open, Permissions::from_mode(0o644)).expect("it is ours");
        self.openssl(&["pkcs8", "-topk8", "-in", "site.key", "-passout", "pass:x", "-out", "encrypted.key"]);
        self.openssl(&["pkey", "-in", "site.key", "-outform", "der", "-out", "der.key"]);
        self.openssl(&["genpkey", "-algorithm", "ed448", "-out", "curious.key"]);
    }

    fn others(&self) {
        self.folder.write("empty.pem", "");
        self.folder.write("notes.txt", "the certificate is in the other folder\n");
        self.folder.write("large.pem", vec![b'x'; (1 << 20) + 1]);
        self.folder.write("www/index.html", "a page");
        self.folder.write("latin1.conf", b"# M\xfcller's site\nlocalhost { respond \"hello\" }\n");
        self.folder.write("half/internal/root.crt", self.authority.pem());
        self.folder.write("broken/internal/root.crt", "no certificate\n");
        self.folder.write("broken/internal/root.key", "no key\n");
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.authority.issue_with(&["example.com"], |params| {
            params.distinguished_name.push(DnType::CommonName, "example.com");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            change(params);
        })
    }

    fn pair(&self, name: &str, identity: &Identity) {
        let chain = identity.certificate.clone() + &self.authority.pem();
        Identity { certificate: chain, key: identity.key.clone() }.save(&self.folder, name);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is here: the other tests of TLS want it, too");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
