//! Name servers of the tests' own: BIND, with zones that take changes which are signed.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::authority::Running;
use crate::harness::{Folder, eventually, free_port};

/// The secret of `acme-key`.
pub const SECRET: &str = "c2VjcmV0IG9mIGEgdGVzdCwgMzIgYnl0ZXMgbG9uZyE=";

/// A server with the zone `example.com`.
pub struct Names {
    pub port: u16,
    _process: Running,
    folder: Folder,
}

impl Names {
    pub fn start() -> Self {
        Self::primary(None)
    }

    /// One that takes changes, and one that gets them from it.
    pub fn pair() -> (Self, Self) {
        let second = free_port();
        let first = Self::primary(Some(second));
        let zones = format!(
            "zone \"example.com\" {{ type secondary; primaries {{ 127.0.0.1 port {}; }}; file \"example.com\"; }};\n",
            first.port
        );
        let second = Self::run(second, Folder::new(), &zones);
        (first, second)
    }

    fn primary(told: Option<u16>) -> Self {
        let folder = Folder::new();
        let mut zones = format!("key \"acme-key\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n");
        let told = told.map_or("notify no;".to_owned(), |port| {
            format!(
                "notify explicit; notify-delay 0; also-notify {{ 127.0.0.1 port {port}; }}; allow-transfer {{ any; }};"
            )
        });
        // The key changes every text but one, whose name is an alias.
        let policy =
            "update-policy { deny acme-key name _acme-challenge.alias.example.com; grant acme-key zonesub TXT; };";
        let records = "$TTL 60\n@ SOA ns admin 1 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\n* A 127.0.0.1\n\
             alias A 127.0.0.1\n_acme-challenge.alias CNAME of-alias\n\
             _acme-challenge.round CNAME round\nround CNAME _acme-challenge.round\n";
        folder.write("example.com", records);
        let _ = writeln!(zones, "zone \"example.com\" {{ type primary; file \"example.com\"; {policy} {told} }};");
        Self::run(free_port(), folder, &zones)
    }

    fn run(port: u16, folder: Folder, zones: &str) -> Self {
        let path = folder.path().display();
        let config = format!(
            "options {{ directory \"{path}\"; pid-file none; session-keyfile \"{path}/session.key\"; listen-on port {port} \
             {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\ncontrols {{ }};\n{zones}"
        );
        let config = folder.write("named.conf", config);
        // AppArmor lets the one in its own place read only where the system's zones are.
        let program = folder.path().join("named");
        fs::copy("/usr/sbin/named", &program).expect("named is there (the package is `bind9`)");
        let mut named = Command::new(program);
        named.args(["-g", "-n", "1", "-c"]).arg(config);
        let process = Running::of(named, &folder, "named");
        let names = Self { port, _process: process, folder };
        eventually("the name server", || names.answers().then_some(()));
        names
    }

    /// What it tells of changes and else.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("named.log")).unwrap()
    }

    fn answers(&self) -> bool {
        self.asked("example.com", "SOA").contains("ns.example.com")
    }

    /// The texts under a name.
    pub fn texts(&self, name: &str) -> String {
        self.asked(name, "TXT")
    }

    fn asked(&self, name: &str, kind: &str) -> String {
        let (server, port) = ("@127.0.0.1", self.port.to_string());
        let mut dig = Command::new("dig");
        let output = dig.args([server, "-p", &port, "+short", "+tries=1", "+time=2", name, kind]).output();
        let output = output.expect("dig can be run (the package is `bind9-dnsutils`)");
        if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { String::new() }
    }
}
