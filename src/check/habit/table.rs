//! The habits, by the place where they show. Every statement here is checked by a test, its capitals filled in.

use super::options::{CLIENTS, CORS, ENCODE, FILES, GLOBAL, LOG, PROXY, TLS, UPSTREAM};
use super::{Habit, Place};

pub(super) const fn write(names: &'static [&'static str], write: &'static str, there: Place) -> Habit {
    Habit { names, say: "", write, there }
}

pub(super) const fn instead(
    names: &'static [&'static str],
    say: &'static str,
    write: &'static str,
    there: Place,
) -> Habit {
    Habit { names, say, write, there }
}

pub(super) const fn say(names: &'static [&'static str], say: &'static str) -> Habit {
    Habit { names, say, write: "", there: Place::Site }
}

pub fn all() -> impl Iterator<Item = (Place, &'static [Habit])> {
    [
        (Place::Site, SITE),
        (Place::Site, DONE),
        (Place::Site, ABSENT),
        (Place::Matcher, MATCHERS),
        (Place::In("reverse_proxy"), PROXY),
        (Place::In("upstream"), UPSTREAM),
        (Place::In("global"), GLOBAL),
        (Place::In("log"), LOG),
        (Place::In("file_server"), FILES),
        (Place::In("encode"), ENCODE),
        (Place::In("cors"), CORS),
        (Place::In("tls"), TLS),
        (Place::In("client_auth"), CLIENTS),
        (Place::Top, TOP),
    ]
    .into_iter()
}

use Place::{Matcher, Site, Top};

const SITE: &[Habit] = &[
    write(&["acl"], "@<1 NAME> path <3 /path>/*", Site),
    write(&["add_header"], "header set <1 NAME> <2 VALUE>", Site),
    write(&["access_log off"], "log off", Site),
    write(&["access_log", "CustomLog"], "log text file <1 FILE>", Site),
    write(&["alias", "root", "DocumentRoot", "static"], "file_server <1 FOLDER>", Site),
    write(&["abort", "close", "deny all"], "respond 403", Site),
    instead(&["allow all"], "remove it: everybody may come", "", Site),
    instead(&["allow"], "a condition says who may not come", "when not client_ip <1 NETWORK> { respond 403 }", Site),
    write(&["deny"], "when client_ip <1 NETWORK> { respond 403 }", Site),
    instead(&["Require"], "a condition says who may not come", "when not client_ip <2+ NETWORK> { respond 403 }", Site),
    write(&["backend", "default_backend"], "reverse_proxy <1 UPSTREAM>", Site),
    write(&["client_max_body_size", "request_body", "LimitRequestBody"], "max_body <1 SIZE>", Site),
    write(&["compress", "gzip", "brotli", "zstd"], "encode zstd br gzip", Site),
    write(&["error"], "respond <1 STATUS> <?2+>", Site),
    write(
        &["error_page", "ErrorDocument"],
        "handle_errors <1 STATUS> { file_server FOLDER { try_files <2 /path> } }",
        Site,
    ),
    write(&["expires"], "file_server FOLDER { expires <1 DURATION> }", Site),
    write(&["file_server browse"], "file_server FOLDER { browse on }", Site),
    write(
        &["redirect 301 URL", "redirect 302 URL", "redirect permanent URL", "redirect 308 URL"],
        "redirect <2 TARGET> <1>",
        Site,
    ),
    write(&["reverse_proxy to"], "reverse_proxy <2+ ADDRESS>", Site),
    write(&["large_client_header_buffers"], "limit header <2 SIZE>", Site),
    write(&["LimitRequestLine"], "limit uri <1 SIZE>", Site),
    write(&["LimitRequestFields"], "limit fields <1 COUNT>", Site),
    write(&["max_body_size", "body_limit", "upload_limit"], "max_body <1 SIZE>", Site),
    write(
        &["whitelist", "allowlist", "ip_allow", "ip_filter", "ip_whitelist"],
        "when not client_ip <1+ NETWORK> { respond 403 }",
        Site,
    ),
    write(&["blacklist", "denylist", "ip_deny", "ip_block"], "when client_ip <1+ NETWORK> { respond 403 }", Site),
    instead(&["elif", "elsif", "elseif"], "it goes into the block of `else`", "when <1+ MATCHER> { … }", Site),
    say(&["auth_basic off"], "remove it: a password is asked for below `basic_auth` in its block, and nowhere else"),
    write(&["auth_basic", "AuthName"], "basic_auth <1 REALM> { file FILE }", Site),
    write(&["auth_basic_user_file", "AuthUserFile"], "basic_auth { file <1 FILE> }", Site),
    write(&["basicauth", "AuthType"], "basic_auth { user NAME HASH }", Site),
    write(&["enable_cors", "crossorigin"], "cors { origins https://example.com }", Site),
    write(&["redirect scheme"], "redirect https://{host}{uri} permanent", Site),
    write(&["redirect location", "redirect prefix"], "redirect <2 TARGET>", Site),
    write(&["Header"], "header <1 set> <2 NAME> <3 VALUE>", Site),
    write(&["header_down"], "header set <1 NAME> <2 VALUE>", Site),
    write(&["handle {"], "route /* { … }", Site),
    write(&["handle"], "route <1+ MATCHER> { … }", Site),
    write(&["handle_path"], "route <1 /path>/* { strip_prefix <1 /path>; … }", Site),
    write(&["http-request deny"], "respond 403", Site),
    write(&["http-request redirect"], "redirect https://{host}{uri} permanent", Site),
    write(&["http-request set-header", "http-request add-header"], "header request set <2 NAME> <3 VALUE>", Site),
    write(&["http-request del-header"], "header request remove <2 NAME>", Site),
    write(&["http-response set-header", "http-response add-header"], "header set <2 NAME> <3 VALUE>", Site),
    write(&["http-response del-header"], "header remove <2 NAME>", Site),
    write(&["if"], "when <1+ MATCHER> { … }", Site),
    write(&["include"], "use SNIPPET", Site),
    write(&["limit_req"], "rate_limit 10/s", Site),
    instead(
        &["metrics", "stub_status", "prometheus"],
        "what the process counts is collected at an address of its own",
        "global { metrics 127.0.0.1:9180 }",
        Top,
    ),
    write(&["location ="], "route <2 /path> { … }", Site),
    write(&["location ~"], "route {path} ~ <2 PATTERN> { … }", Site),
    write(&["location ~*"], "route {path} ~ <2 ANYCASE> { … }", Site),
    write(&["location ^~"], "route <2 /path>/* { … }", Site),
    write(&["location"], "route <1 /path>/* { … }", Site),
    write(&["more_clear_headers", "proxy_hide_header"], "header remove <1 NAME>", Site),
    write(&["more_set_headers"], "header set NAME VALUE", Site),
    write(&["proxy", "proxy_pass", "grpc_pass", "to"], "reverse_proxy <1 ADDRESS>", Site),
    write(&["ProxyPass /"], "reverse_proxy <2 ADDRESS>", Site),
    write(&["ProxyPass"], "route <1 /path>/* { strip_prefix <1 /path>; reverse_proxy <2 ADDRESS> }", Site),
    write(&["proxy_connect_timeout"], "reverse_proxy ADDRESS { timeout connect <1 DURATION> }", Site),
    write(&["proxy_read_timeout"], "reverse_proxy ADDRESS { timeout read <1 DURATION> }", Site),
    write(&["proxy_send_timeout"], "reverse_proxy ADDRESS { timeout send <1 DURATION> }", Site),
    write(
        &["proxy_ssl_verify", "proxy_ssl_name", "proxy_ssl_server_name"],
        "reverse_proxy ADDRESS { tls { name HOST } }",
        Site,
    ),
    write(&["request_header -"], "header request remove <1 FIELD>", Site),
    write(
        &["proxy_set_header", "proxyheader", "request_header", "header_up", "RequestHeader"],
        "header request set <1 NAME> <2 VALUE>",
        Site,
    ),
    write(&["redir", "Redirect"], "redirect <1 TARGET> <?2>", Site),
    write(&["Redirect permanent", "Redirect 301"], "route <2 /path> { redirect <3 TARGET> permanent }", Site),
    write(&["Redirect temp", "Redirect 302"], "route <2 /path> { redirect <3 TARGET> }", Site),
    write(&["return 301", "return 302", "return 303", "return 307", "return 308"], "redirect <2 TARGET> <1>", Site),
    write(&["return"], "respond <1 STATUS> <?2>", Site),
    write(&["RewriteRule"], "rewrite <1 PATTERN> <2 TARGET>", Site),
    write(&["set"], "header set <1 NAME> <2 VALUE>", Site),
    instead(
        &["set $", "var", "let", "vars", "map"],
        "rp has no variables but those of the environment, as in `reverse_proxy {$BACKEND}`",
        "",
        Site,
    ),
    write(&["server"], "reverse_proxy <1 ADDRESS>", Site),
    instead(
        &["server_name", "ServerName", "ServerAlias"],
        "a site begins with its names",
        "<1 example.com> { … }",
        Top,
    ),
    instead(
        &["listen"],
        "the port stands in the address of the site, as in `http://example.com:8080 {`; for one address of this machine",
        "bind 127.0.0.1",
        Site,
    ),
    write(&["ssl_certificate", "SSLCertificateFile"], "tls <1 CERTIFICATE> KEY", Site),
    write(&["ssl_certificate_key", "SSLCertificateKeyFile"], "tls CERTIFICATE <1 KEY>", Site),
    write(&["try_files", "index"], "file_server FOLDER { try_files {path} /index.html }", Site),
    write(&["uri strip_prefix"], "strip_prefix <2 /path>", Site),
    write(&["uri"], "rewrite TARGET", Site),
    write(&["use_backend"], "route MATCHER { reverse_proxy <1 UPSTREAM> }", Site),
    write(&["-"], "<1+ respond 204>", Site),
];

/// What rp does by itself.
const DONE: &[Habit] = &[
    say(&["websocket", "websockets", "http2", "grpc"], "remove it: it needs no setting here"),
    say(
        &["proxy_set_header Host", "header_up Host", "ProxyPreserveHost"],
        "remove it: the server gets the client's Host; for the server's own name, write: reverse_proxy ADDRESS { host server }",
    ),
    say(
        &[
            "proxy_set_header X-Real-IP",
            "proxy_set_header X-Forwarded-For",
            "proxy_set_header X-Forwarded-Proto",
            "proxy_set_header X-Forwarded-Host",
            "header_up X-Real-IP",
            "header_up X-Forwarded-For",
            "header_up X-Forwarded-Proto",
            "header_up X-Forwarded-Host",
        ],
        "remove it: `reverse_proxy` sends it with every request",
    ),
    say(
        &[
            "proxy_set_header Upgrade",
            "proxy_set_header Connection",
            "header_up Upgrade",
            "header_up Connection",
            "proxy_http_version",
        ],
        "remove it: WebSocket and connections that are kept need no setting",
    ),
    say(
        &["proxy_buffering", "proxy_request_buffering", "proxy_buffers", "proxy_buffer_size", "flush_interval"],
        "remove it: bodies stream both ways, nothing waits for a buffer to fill",
    ),
    say(
        &[
            "proxy_redirect",
            "ProxyPassReverse",
            "RewriteEngine",
            "SSLEngine",
            "mode",
            "tcp_nodelay",
            "tcp_nopush",
            "sendfile",
        ],
        "remove it: it needs no setting here",
    ),
    say(
        &["gzip_types", "gzip_min_length", "gzip_comp_level", "gzip_vary", "gzip_proxied"],
        "remove it, or set it in the block of `encode`: encode zstd br gzip { minimum 1KiB }",
    ),
    say(
        &[
            "ssl_protocols",
            "ssl_ciphers",
            "ssl_prefer_server_ciphers",
            "ssl_session_cache",
            "ssl_session_timeout",
            "SSLProtocol",
        ],
        "remove it: TLS 1.2 and 1.3 are spoken, with ciphers that are safe",
    ),
    say(
        &["method", "path", "path_regexp"],
        "a matcher stands behind `route` or `when`: route method GET and path /a/* { … }",
    ),
];

/// What rp has not: said plainly, before a name that is near by chance.
const ABSENT: &[Habit] = &[
    say(
        &["forward_auth", "auth_request", "auth_request_set"],
        "rp has no directive yet that asks another server who may come",
    ),
    say(
        &["cache", "proxy_cache", "proxy_cache_path", "proxy_cache_valid", "proxy_cache_key", "http-cache"],
        "rp has no cache yet; what clients may keep is said by: header set Cache-Control \"max-age=3600\"",
    ),
    say(
        &["ssl_preread", "layer4", "tls_passthrough"],
        "a site of its own passes connections on by the name in their handshake: db.example.com { passthrough 10.0.0.1:443 }",
    ),
    say(
        &["php_fastcgi", "fastcgi", "fastcgi_pass", "fastcgi_param", "uwsgi_pass", "scgi_pass"],
        "rp speaks no FastCGI: let a server that speaks HTTP stand before the program, and write: reverse_proxy ADDRESS",
    ),
    say(
        &[
            "templates",
            "push",
            "tracing",
            "acme_server",
            "map",
            "method",
            "copy_response",
            "invoke",
            "sub_filter",
            "auth_jwt",
            "mirror",
            "split",
            "option",
        ],
        "rp has no such directive, nor one that does the same",
    ),
];

const MATCHERS: &[Habit] = &[
    write(&["PathPrefix", "path_beg", "path_prefix"], "path <1 /path>/*", Matcher),
    write(&["remote_ip", "src", "remote_addr", "ip"], "client_ip <1+ NETWORK>", Matcher),
    write(&["path_regexp", "path_reg", "PathRegexp", "uri"], "{path} ~ <1 PATTERN>", Matcher),
    write(&["host_regexp", "HostRegexp"], "{host} ~ <1 PATTERN>", Matcher),
    write(&["header_regexp", "HeaderRegexp"], "{header.NAME} ~ PATTERN", Matcher),
    instead(&["expression"], "a comparison stands without a name before it", "{path} = VALUE", Matcher),
    write(&["domain", "server_name"], "host <1+ HOST>", Matcher),
    write(&["verb"], "method <1+ METHOD>", Matcher),
    write(&["hdr(host)", "HostHeader"], "host HOST", Matcher),
    write(&["ssl_fc"], "scheme https", Matcher),
];

const TOP: &[Habit] = &[
    say(&["limit_req_zone", "limit_conn_zone"], "remove it: `rate_limit 10/s` in a site needs no zone"),
    say(&["log_format"], "remove it: a line of the log is JSON or text, each with all there is to say"),
    say(&["proxy_cache_path", "proxy_cache"], "rp has no cache yet"),
    write(&["backend"], "upstream <1 NAME> { … }", Top),
    write(&["frontend", "listen"], "example.com { … }", Top),
    write(&["virtualhost", "vhost", "site", "host"], "<1 example.com> { … }", Top),
    say(&["http", "stream"], "remove it and its braces: sites and upstreams stand at the top level"),
    say(
        &["events", "sendfile", "tcp_nopush", "tcp_nodelay", "default_type", "load_module"],
        "remove it: it needs no setting here",
    ),
    say(&["defaults", "pid"], "remove it: what holds for the whole process stands in `global { … }`"),
    write(&["user"], "global { user <1 www-data> }", Top),
    say(&["worker_processes auto"], "remove it: there is a worker for each core"),
    write(&["worker_processes"], "global { workers <1 COUNT> }", Top),
    write(&["error_log", "access_log"], "global { log text file <1 FILE> }", Top),
    write(&["keepalive_timeout"], "global { timeout idle <1 DURATION> }", Top),
    write(&["include"], "import <1 PATH>", Top),
    write(&["email"], "global { email <1 MAIL> }", Top),
    say(
        &["set", "var", "let", "const", "map", "define"],
        "rp has no variables but those of the environment, as in `reverse_proxy {$BACKEND}`",
    ),
    write(&["server {"], "example.com { … }", Top),
    write(&["options"], "global { … }", Top),
];
