//! A responder (OCSP), which says of certificates what it is told: `openssl ocsp`.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use super::{Folder, eventually};

/// It ends with the test.
pub struct Responder(Child);

impl Responder {
    /// It knows the certificates that `ca.pem` has signed by their serial numbers: `V` is good, `R` revoked (openssl-ca(1)).
    /// What it says is signed with the key of `signer`.
    pub fn start(folder: &Folder, port: u16, states: &[(&str, &str)], signer: &str) -> Self {
        // No two lines may have one name.
        let line = |(serial, state): &(&str, &str)| {
            let revoked = if *state == "R" { "260101000000Z" } else { "" };
            format!("{state}\t491231000000Z\t{revoked}\t{serial}\tunknown\t/CN={serial}\n")
        };
        let index = folder.write("index", states.iter().map(line).collect::<String>());
        let path = |name: &str| folder.path().join(name);
        let said = path("said");
        let mut openssl = Command::new("openssl");
        openssl.args(["ocsp", "-ndays", "1", "-port", &port.to_string(), "-index"]).arg(index);
        openssl.arg("-CA").arg(path("ca.pem"));
        openssl.arg("-rsigner").arg(path(&format!("{signer}.pem"))).arg("-rkey").arg(path(&format!("{signer}.key")));
        openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).unwrap());
        let process = openssl.spawn().expect("openssl is here");
        // A connection that asks nothing keeps it from answering any other.
        eventually("the responder", || std::fs::read_to_string(&said).ok().filter(|said| said.contains("waiting for")));
        Self(process)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client hears that asks for the status (`openssl s_client -status`).
pub fn status(address: std::net::SocketAddr, name: &str, root: &std::path::Path) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-status", "-servername", name, "-connect", &address.to_string(), "-CAfile"]);
    let output = openssl.arg(root).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
