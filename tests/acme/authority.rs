//! A certificate authority of the test's own: Pebble, which is told where to look by a name server of its own.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::harness::{Authority, Client, Folder, client_config, eventually, free_port};

/// The authority, and the ports of the site that it comes to.
pub struct Pebble {
    /// What is run, and under which name.
    commands: Vec<(Command, &'static str)>,
    processes: Vec<Running>,
    folder: Folder,
    root: Authority,
    port: u16,
    management: u16,
    names: u16,
    pub http: u16,
    pub https: u16,
}

impl Pebble {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One that refuses no nonce, so that what is asked is asked once, and can be counted.
    pub fn exact() -> Self {
        Self::with(&[("PEBBLE_WFE_NONCEREJECT", "0")])
    }

    /// With these variables for Pebble.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        Self::set_up(variables, &json!({}), None).begun()
    }

    /// With more in its configuration.
    pub fn configured(more: &Value) -> Self {
        Self::set_up(&[], more, None).begun()
    }

    /// It finds names and texts by the name server at this port.
    pub fn resolving(names: u16) -> Self {
        Self::set_up(&[], &json!({}), Some(names)).begun()
    }

    /// One that is not there until it is told to [`begin`](Self::begin): nobody listens at its address.
    pub fn absent() -> Self {
        Self::set_up(&[], &json!({}), None)
    }

    fn set_up(variables: &[(&str, &str)], more: &Value, resolver: Option<u16>) -> Self {
        let folder = Folder::new();
        let root = Authority::new();
        root.issue(&["localhost", "127.0.0.1"]).save(&folder, "server");
        folder.write("root.pem", root.pem());
        let [port, management, http, https, dns, names] = [(); 6].map(|()| free_port());
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut config = json!({ "pebble": {
            "listenAddress": at(port),
            "managementListenAddress": at(management),
            "certificate": folder.path().join("server.pem"),
            "privateKey": folder.path().join("server.key"),
            "httpPort": http,
            "tlsPort": https,
        } });
        for (name, value) in more.as_object().into_iter().flatten() {
            config["pebble"][name] = value.clone();
        }
        let config = folder.write("pebble.json", config.to_string());
        // Every name leads to this machine.
        let mut server = Command::new("pebble-challtestsrv");
        server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &at(dns), "-management", &at(names)]);
        server.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(&config).args(["-dnsserver", &at(resolver.unwrap_or(dns))]);
        // One nonce in ten is refused: what is asked is asked again, and is no failure to anybody.
        let defaults = [("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0"), ("PEBBLE_WFE_NONCEREJECT", "10")];
        pebble.envs(defaults).envs(variables.iter().copied());
        let commands = vec![(server, "names"), (pebble, "pebble")];
        Self { commands, processes: Vec::new(), folder, root, port, management, names, http, https }
    }

    fn begun(mut self) -> Self {
        self.begin();
        self
    }

    /// Starts it, and waits until it answers.
    pub fn begin(&mut self) {
        for (command, name) in self.commands.drain(..) {
            self.processes.push(Running::of(command, &self.folder, name));
        }
        for port in [self.port, self.management, self.names] {
            eventually("the authority", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
    }

    /// What the authority and its name server are no longer.
    pub fn stop(&mut self) {
        self.processes.clear();
    }

    pub fn directory(&self) -> String {
        directory_at(self.port)
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A client of the authority itself, which says what `rp` would say to it.
    pub fn visitor(&self) -> Arc<rustls::ClientConfig> {
        self.root.client(&["http/1.1"])
    }

    /// How often it was asked for this.
    pub fn asked(&self, what: &str) -> usize {
        let said = std::fs::read_to_string(self.folder.path().join("pebble.log")).unwrap();
        said.lines().filter(|line| line.contains(what)).count()
    }

    /// Whose certificate the authority itself has.
    pub fn root_file(&self) -> String {
        self.folder.path().join("root.pem").display().to_string()
    }

    /// A client that believes in the certificates that it issues.
    pub fn believer(&self) -> Arc<rustls::ClientConfig> {
        self.believer_in(0)
    }

    /// One that believes in this of its roots alone.
    pub fn believer_in(&self, number: usize) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root(number)).unwrap();
        let mut config = (*client_config(roots, &["http/1.1"])).clone();
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }

    /// Its root, and who signs with which key, all PEM.
    pub fn chain(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let tell = |what: &str| ask(&[], &format!("https://127.0.0.1:{}/{what}/0", self.management));
        (tell("roots"), tell("intermediates"), tell("intermediate-keys"))
    }

    pub fn root_name(&self, number: usize) -> String {
        let root = self.root(number);
        let (_, root) = X509Certificate::from_der(&root).unwrap();
        root.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
    }

    fn root(&self, number: usize) -> CertificateDer<'static> {
        let root = ask(&[], &format!("https://127.0.0.1:{}/roots/{number}", self.management));
        CertificateDer::from_pem_slice(&root).unwrap()
    }

    /// The name leads to where nobody listens.
    pub fn lead_astray(&self, name: &str) {
        let body = json!({ "host": format!("{name}."), "addresses": ["127.0.0.9"] }).to_string();
        ask(&["-d", &body], &format!("http://127.0.0.1:{}/add-a", self.names));
    }

    /// How many certificates the authority was asked for. It refuses some questions for their nonce, and those come again.
    pub fn orders(&self) -> usize {
        self.asked("Added order ")
    }
}

/// The directory of an authority that is reached through this port.
pub fn directory_at(port: u16) -> String {
    format!("https://localhost:{port}/dir")
}

/// Asks one of the doors for tests.
fn ask(arguments: &[&str], url: &str) -> Vec<u8> {
    let mut curl = Command::new("curl");
    let output = curl.args(["-sSf", "--insecure", "--max-time", "10"]).args(arguments).arg(url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A process that ends with the test.
pub struct Running(Child);

impl Running {
    pub fn of(mut command: Command, folder: &Folder, name: &str) -> Self {
        let log = File::create(folder.path().join(format!("{name}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // A program that was just written is busy for as long as a child that another thread starts at that moment holds it open.
        let child = eventually("the program", || match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
            outcome => Some(outcome),
        });
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error} (the package is `pebble`)")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.folder.path().join("pebble.log")).unwrap_or_default();
            eprintln!("--- the authority\n{said}---");
        }
    }
}

/// A way to the authority that can be closed: who comes waits until it is open.
pub struct Gate {
    pub port: u16,
    open: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

impl Gate {
    pub fn before(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (shared, heard) = (open.clone(), asked.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), open) = (client, shared.clone()) else { break };
                heard.store(true, Ordering::SeqCst);
                std::thread::spawn(move || pass(client, behind, &open));
            }
        });
        Self { port, open, asked }
    }

    /// Whether anybody stands before it, or has.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn pass(client: TcpStream, behind: SocketAddr, open: &AtomicBool) {
    eventually("the opening of the gate", || open.load(Ordering::SeqCst).then_some(()));
    let Ok(server) = TcpStream::connect(behind) else { return };
    let (there, back) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
    let copy = |(mut from, mut to): (TcpStream, TcpStream)| {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    };
    std::thread::spawn(move || copy(there));
    copy(back);
}

/// The certificate that a name shows, if a client that believes in the authority takes it.
pub fn secure(pebble: &Pebble, believer: &Arc<rustls::ClientConfig>, name: &str) -> Result<Client, String> {
    Client::tls(([127, 0, 0, 1], pebble.https).into(), name, believer.clone())
}
