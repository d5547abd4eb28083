//! The statements of the top level beside sites, as they tell of themselves.

use super::global;
use crate::check::Opt;
use crate::directive::upstream;

/// One statement of the top level.
#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Some paragraphs.
    pub doc: &'static str,
    pub options: &'static [Opt],
    /// Whole statements as they stand in a file, or a whole file.
    pub examples: &'static [&'static str],
    /// Whose pages help further.
    pub related: &'static [&'static str],
}

impl Room {
    /// Whether it stands among the statements of a site, too.
    #[must_use]
    pub fn stands_anywhere(&self) -> bool {
        matches!(self.name, "import" | "use")
    }
}

/// A site begins with its addresses, so no word calls for it.
pub static SITE: Room = Room {
    name: "site",
    syntax: "ADDRESS, ADDRESS { … }",
    summary: "what is done with the requests that come to these addresses",
    doc: "An ADDRESS is a name, with a port or without one: `example.com` and `example.com:8443` are reached over HTTPS, and `http://example.com` is not. `*.example.com` is any one label below a name, `:8080` any host at a port, without TLS, and `unix//run/rp.sock` a socket of this machine. Who asks by HTTP for a site that is reached over HTTPS at the usual port is sent on there, unless a site has that address too.\n\n\
          The most specific address takes the request, wherever its site stands in the file. A request that no site takes is answered 421.\n\n\
          A site's statements run from top to bottom until one answers. What none answers is answered 404.",
    options: &[],
    examples: &[
        "example.com, www.example.com {\n    tls /etc/ssl/example.com.pem /etc/ssl/example.com.key\n    encode\n    reverse_proxy 127.0.0.1:3000\n}",
        ":8080 { file_server /var/www }",
        "http://localhost:8080 {\n    route /api/* { reverse_proxy 127.0.0.1:3000 }\n    respond \"hello\"\n}",
    ],
    related: &["route", "tls", "bind", "global"],
};

/// All that begin with a word, in the order of the manual.
pub static ROOMS: &[Room] = &[
    Room {
        name: "upstream",
        syntax: upstream::SYNTAX,
        summary: "servers that a `reverse_proxy` names, and how they are asked",
        doc: "It stands outside of all sites. All that name it share its connections and what is known of its servers. An ADDRESS is written as `reverse_proxy` takes it; a name is looked up again every 30 seconds as long as connections are made.\n\n\
          A server that failed three times in a row within 10 seconds (no connection, or no answer in time) is asked no more for 10 seconds, and twice as long each time after that, up to 5 minutes. Never more than half of the servers are left out so, and the only one never. Backups are asked when no other server can be. Where no server is left, the answer is 503.\n\n\
          A `reverse_proxy` that names it takes all its options from here, but for `timeout total`, `forwarded` and `intercept`, which are its own.",
        options: upstream::OPTIONS,
        examples: &[
            "upstream api {\n    server 10.0.1.101:3000 weight 3\n    server 10.0.1.102:3000\n    server 10.0.1.104:3000 backup\n}",
            "upstream app {\n    server unix//run/app/one.sock\n    server unix//run/app/two.sock\n    balance least_conn\n    timeout first_byte 10s\n}",
            "upstream secure {\n    server https://10.0.0.7:8443\n    host server\n    keepalive 64 { idle 30s }\n    tls { name internal.example; ca /etc/rp/ca.pem }\n}",
        ],
        related: &["reverse_proxy", "handle_errors"],
    },
    Room {
        name: "global",
        syntax: global::SYNTAX,
        summary: "what holds for the whole process",
        doc: "It stands once, outside of all sites. All of it has a default, so most files do without; `timeout` and `limit` are given once for each thing that they limit.",
        options: global::OPTIONS,
        examples: &[
            "global {\n    trusted_proxies 10.0.0.0/8 unix\n    log json file /var/log/rp/access.log { rotate 50MiB }\n}",
            "global {\n    http_port 8080\n    https_port 8443\n    storage file /srv/rp\n    timeout idle 30s\n    timeout body 1m\n    limit header 16KiB\n    limit connections 20000\n    grace 10s\n}",
        ],
        related: &["log", "bind", "tls", "rate_limit"],
    },
    Room {
        name: "snippet",
        syntax: "snippet NAME(PARAMETER, …) { … }",
        summary: "statements by name, for `use` to put where they are needed",
        doc: "Where in the file it stands does not matter, and files that import it know it too. Parameters stand in parentheses behind the name, as `age` or with a default as `age=60`, and `{arg.age}` is what was given for one. A snippet may use others, but not itself.",
        options: &[],
        examples: &[
            "snippet secure {\n    header set X-Content-Type-Options nosniff\n    header remove Server\n}\n\n:8080 {\n    use secure\n    file_server /var/www\n}",
            "snippet cached(age=60) { header set Cache-Control \"max-age={arg.age}\" }\n\n:8080 {\n    use cached 3600\n    file_server /var/www\n}",
        ],
        related: &["use", "import"],
    },
    Room {
        name: "use",
        syntax: "use NAME [VALUE …]",
        summary: "puts the statements of a snippet in its place",
        doc: "It stands wherever the snippet's statements may stand: in a site, in a block, or at the top level. Values are given to the snippet's parameters in their order, or by name: `use cached age=3600`.",
        options: &[],
        examples: &[
            "snippet app(port) { reverse_proxy 127.0.0.1:{arg.port} }\n\n:8080 {\n    route /shop/* { use app 3000 }\n    route /blog/* { use app port=3001 }\n    respond 404\n}",
        ],
        related: &["snippet", "import"],
    },
    Room {
        name: "import",
        syntax: "import PATH|PATTERN",
        summary: "puts another file in its place",
        doc: "PATH is relative to the file that the `import` is written in. A PATTERN holds `*` or `?`, and imports every file that fits, in the order of their names: a pattern that fits none is a warning, a path without a file an error. A change of an imported file is put in force like one of the file itself.",
        options: &[],
        examples: &["import shared.proxyfile", "import sites/*.proxyfile"],
        related: &["snippet", "use"],
    },
];

/// The statement of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}
