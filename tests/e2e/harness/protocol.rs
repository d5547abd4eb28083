//! What clients can speak, and one test for all of it.

use std::fmt::{self, Display};
use std::sync::OnceLock;
use std::thread::{Scope, ScopedJoinHandle};

use super::proxy::{Proxy, Setup, of};
use super::{Authority, Identity};

/// A way of asking rp. The name of each is that of the version, as the access log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    Http1,
    /// By prior knowledge: for what asks for HTTP/2 itself. Not one of [`ALL`].
    PlainHttp2,
    /// Over TLS.
    Http2,
    Http3,
}

/// Those of a site with TLS.
pub const SECURE: [Protocol; 3] = [Protocol::Http1, Protocol::Http2, Protocol::Http3];

pub const ALL: [Protocol; 4] = [Protocol::Plain, Protocol::Http1, Protocol::Http2, Protocol::Http3];

/// Runs a test once for each protocol; the thread in which it fails bears the protocol's name.
pub fn each(test: impl Fn(Protocol) + Sync) {
    each_of(&ALL, test);
}

/// Runs a test once for each of these.
pub fn each_of(protocols: &[Protocol], test: impl Fn(Protocol) + Sync) {
    for protocol in protocols {
        std::thread::scope(|scope| finish(spawn(scope, *protocol, &test)));
    }
}

/// The same as [`each`], all at once: for tests that wait rather than work.
pub fn together(test: impl Fn(Protocol) + Sync) {
    std::thread::scope(|scope| ALL.map(|protocol| spawn(scope, protocol, &test)).map(finish));
}

fn spawn<'a>(
    scope: &'a Scope<'a, '_>,
    protocol: Protocol,
    test: &'a (impl Fn(Protocol) + Sync),
) -> ScopedJoinHandle<'a, ()> {
    std::thread::Builder::new().name(format!("over {protocol}")).spawn_scoped(scope, move || test(protocol)).unwrap()
}

/// Fails as the thread failed.
fn finish(thread: ScopedJoinHandle<()>) {
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Protocol {
    pub fn scheme(self) -> &'static str {
        if self.is_plain() { "http" } else { "https" }
    }

    /// As the access log names it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Plain | Self::Http1 => "HTTP/1.1",
            Self::Http2 | Self::PlainHttp2 => "HTTP/2.0",
            Self::Http3 => "HTTP/3.0",
        }
    }

    fn is_plain(self) -> bool {
        matches!(self, Self::Plain | Self::PlainHttp2)
    }

    pub fn is_http1(self) -> bool {
        matches!(self, Self::Plain | Self::Http1)
    }

    /// A configuration, its sites as this protocol wants them: see [`Protocol::secured`].
    pub fn of(self, config: &str) -> Setup {
        let setup = of(&self.secured(config)).over(self);
        let (files, _) = identity();
        setup.with("SITE_CERT", files.0.display()).with("SITE_KEY", files.1.display())
    }

    /// One site for any host, with these statements; `{$ORIGIN}` is the origin.
    pub fn site(self, statements: &str, origin: impl Display) -> Proxy {
        self.of(&format!(":0 {{\n bind 127.0.0.1\n {statements}\n}}")).with("ORIGIN", origin).start()
    }

    /// Everything goes to this server.
    pub fn to(self, origin: impl Display) -> Proxy {
        self.site("reverse_proxy {$ORIGIN}", origin)
    }

    /// The same configuration, where the addresses at the beginning of a line have TLS if the protocol has it: plain ones
    /// (`:0`, `http://…`) are given a certificate, others are left as they are.
    pub fn secured(self, config: &str) -> String {
        if self.is_plain() {
            return config.to_owned();
        }
        let lines = config.lines().map(|line| {
            let text = line.trim_start();
            let Some(rest) = text.strip_prefix("http://").or_else(|| text.starts_with(":0").then_some(text)) else {
                return format!("{line}\n");
            };
            let (address, block) = rest.split_once('{').expect("a site begins on the line of its address");
            let address = address.replace("http://", "https://");
            let end = if block.trim().is_empty() { '\n' } else { ';' };
            format!(
                "https://{address}{{ {}tls {{$SITE_CERT}} {{$SITE_KEY}}{end}{block}\n",
                if end == '\n' { "\n" } else { "" }
            )
        });
        lines.collect()
    }
}

impl Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "HTTP/1.1",
            Self::Http1 => "HTTP/1.1 with TLS",
            Self::PlainHttp2 => "HTTP/2 without TLS",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        })
    }
}

type Files = (std::path::PathBuf, std::path::PathBuf);

/// One certificate for the sites of all tests, in files, and who vouches for it.
pub fn identity() -> &'static (Files, Authority) {
    static IDENTITY: OnceLock<(Files, Authority)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let authority = Authority::new();
        let identity: Identity = authority.issue(&["example.com", "*.example.com", "example.org"]);
        // For as long as the tests run.
        let folder = std::mem::ManuallyDrop::new(super::Folder::new());
        (identity.save(&folder, "site"), authority)
    })
}
