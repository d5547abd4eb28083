//! The process under test with its files, its servers and its two doors.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Authority, Folder, Identity, Origin, Proxy, eventually, free_port, of};
use crate::servers;

pub const NAME: &str = "example.com";
/// What rp does not decrypt.
pub const PASSED: &str = "db.example.com";

pub struct Stage {
    pub proxy: Proxy,
    pub authority: Arc<Authority>,
    /// The pairs that the site shows by turns.
    pub identities: Vec<Identity>,
    pub files: Arc<Folder>,
    _servers: Vec<Origin>,
}

/// One for each turn, so that no two reloads put the same in force.
pub fn config(turn: usize) -> String {
    format!(
        r"global {{
    admin unix/{{$FILES}}/admin.sock
    log json file {{$FILES}}/access.log {{ rotate 4MiB; keep 2 }}
    https_redirect off
    timeout handshake 2s
    timeout header 2s
    timeout body 2s
    timeout write 2s
    timeout idle 20s
    limit requests 5000
}}
upstream pool {{
    server {{$GOOD}}
    server {{$NOBODY}}
    keepalive 32 {{ idle 2s }}
    timeout connect 10s
}}
snippet all {{
    header set X-Turn {turn}
    encode zstd br gzip
    rate_limit 1000000/s
    route /static/* {{ file_server {{$FILES}}/www }}
    route /small {{ max_body 10KiB; reverse_proxy pool }}
    route /limited {{ rate_limit 5/m; respond limited }}
    route /private {{ respond 403 }}
    route /ws {{ reverse_proxy {{$TUNNEL}} }}
    route /refuse {{ reverse_proxy {{$NOBODY}} }}
    route /hang {{ reverse_proxy {{$FAULTY}} {{ timeout first_byte 300ms; keepalive off }} }}
    route /fault/* {{ reverse_proxy {{$FAULTY}} {{ keepalive off }} }}
    reverse_proxy pool
}}
:0 {{
    bind 127.0.0.1
    use all
}}
https://{NAME}:{{$SECURE}} {{
    bind 127.0.0.1
    tls {{$FILES}}/site.pem {{$FILES}}/site.key
    use all
}}
https://{PASSED}:{{$SECURE}} {{
    bind 127.0.0.1
    passthrough {{$NOBODY}} {{$PASSED}} {{ timeout idle {}s }}
}}
",
        60 + turn % 2
    )
}

impl Stage {
    pub fn new() -> Self {
        let (authority, files) = (Arc::new(Authority::new()), Arc::new(Folder::new()));
        let identities: Vec<Identity> = (0..4)
            .map(|_| authority.issue(&[NAME]))
            .map(|pair| Identity { certificate: pair.certificate + &authority.pem(), key: pair.key })
            .collect();
        identities[0].save(&files, "site");
        files.write("www/static/page", servers::text());
        let (good, tunnel, faulty) = (servers::good(), servers::tunnel(), servers::faulty());
        let passed = servers::passed(&authority.issue(&[PASSED]));
        let proxy = of(&config(0))
            .with("FILES", files.path().display())
            .with("GOOD", &good)
            .with("TUNNEL", &tunnel)
            .with("FAULTY", &faulty)
            .with("PASSED", &passed)
            .with("NOBODY", Origin::nobody())
            // Port 0 stands for one socket, and two are needed.
            .with("SECURE", free_port())
            .doors(2)
            .start();
        let stage = Self { proxy, authority, identities, files, _servers: vec![good, tunnel, faulty, passed] };
        eventually("the socket", || stage.socket().exists().then_some(()));
        stage
    }

    fn socket(&self) -> PathBuf {
        self.files.path().join("admin.sock")
    }

    pub fn ask(&self, command: &str) -> Value {
        ask(&self.socket(), command)
    }

    /// The door that speaks TLS, or the one that does not.
    pub fn door(&self, tls: bool) -> SocketAddr {
        let lines = self.proxy.log_lines();
        let line = lines.iter().find(|line| line["message"] == "listening" && line["tls"] == tls);
        line.expect("both doors are told").get("address").unwrap().as_str().unwrap().parse().unwrap()
    }

    /// Nothing broke inside, and no line was lost on its way.
    pub fn check_log(&self) {
        let lines = self.proxy.log_lines();
        let errors: Vec<&Value> = lines
            .iter()
            .filter(|line| line["level"] == "ERROR" || line["level"] == "error")
            .filter(|line| !line["message"].as_str().unwrap_or_default().contains("refused"))
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!self.proxy.log_text().contains("panicked"));
    }
}

pub fn ask(socket: &std::path::Path, command: &str) -> Value {
    let mut stream = UnixStream::connect(socket).expect("the admin socket");
    stream.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    stream.write_all(format!("{}\n", json!({ "command": command })).as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer of the admin socket");
    serde_json::from_str(&answer).expect("JSON")
}
