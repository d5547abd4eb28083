//! The habits inside of blocks: options of other servers, by the statement whose block it is.

use super::table::{instead, say, write};
use super::{Habit, Place};

use Place::Site;

const PROXY_PLACE: Place = Place::In("reverse_proxy");
pub const PROXY: &[Habit] = &[
    write(&["lb_policy least_conn"], "balance least_conn", PROXY_PLACE),
    instead(
        &["lb_policy", "lb", "policy"],
        "rp balances by turns or by the requests under way",
        "balance round_robin",
        PROXY_PLACE,
    ),
    say(
        &["lb_try_duration", "lb_try_interval", "lb_retries", "lb_retry_match", "retries", "retry", "max_retries"],
        "remove it: a request that can't have had an effect is tried once more by itself",
    ),
    say(
        &[
            "health",
            "health_uri",
            "health_path",
            "health_port",
            "health_interval",
            "health_timeout",
            "health_status",
            "health_headers",
            "health_body",
            "health_check",
            "healthcheck",
        ],
        "remove it: rp asks no server for its health yet",
    ),
    say(
        &[
            "fail_duration",
            "max_fails",
            "unhealthy_status",
            "unhealthy_latency",
            "unhealthy_request_count",
            "fail_timeout",
        ],
        "remove it: rp has no setting yet for when a server is out",
    ),
    instead(&["to", "url", "server"], "the servers stand before the block", "reverse_proxy <1+ ADDRESS> { … }", Site),
    say(
        &[
            "header_up Host",
            "header_up X-Real-IP",
            "header_up X-Forwarded-For",
            "header_up X-Forwarded-Proto",
            "header_up X-Forwarded-Host",
        ],
        "remove it: the server gets the client's Host, X-Forwarded-For, -Proto and -Host, and X-Real-IP by itself; for its own name as Host, write: host server",
    ),
    write(&["header_up -"], "header request remove <1 FIELD>", Site),
    write(&["header_down -"], "header remove <1 FIELD>", Site),
    write(
        &["header_up", "header_request", "proxy_set_header", "header"],
        "header request set <1 FIELD> <2 VALUE>",
        Site,
    ),
    write(&["header_down", "header_response", "add_header"], "header set <1 FIELD> <2 VALUE>", Site),
    say(
        &["flush_interval", "request_buffers", "response_buffers", "buffering", "stream_timeout", "stream_close_delay"],
        "remove it: bodies stream both ways by themselves",
    ),
    instead(
        &["transport", "transport http"],
        "its settings stand beside `timeout` and `tls`, without a block around them",
        "timeout connect 5s",
        PROXY_PLACE,
    ),
    write(&["dial_timeout", "connect_timeout", "proxy_connect_timeout"], "timeout connect <1 DURATION>", PROXY_PLACE),
    write(&["response_header_timeout", "request_timeout"], "timeout first_byte <1 DURATION>", PROXY_PLACE),
    write(&["read_timeout", "proxy_read_timeout"], "timeout read <1 DURATION>", PROXY_PLACE),
    write(&["write_timeout", "proxy_send_timeout"], "timeout send <1 DURATION>", PROXY_PLACE),
    write(
        &["tls_insecure_skip_verify", "insecure", "insecureSkipVerify", "skip_verify"],
        "tls { verify off }",
        PROXY_PLACE,
    ),
    write(&["tls_server_name", "serverName"], "tls { name <1 HOST> }", PROXY_PLACE),
    write(&["tls_trusted_ca_certs", "tls_trust_pool"], "tls { ca <1 FILE> }", PROXY_PLACE),
    say(&["trusted_proxies"], "it stands in `global`: global { trusted_proxies 10.0.0.0/8 }"),
    say(
        &["handle_response", "replace_status"],
        "write `intercept 5xx` here, and `handle_errors 5xx { … }` in the site",
    ),
    say(&["rewrite", "method", "uri"], "write it above `reverse_proxy`, as a statement of its own"),
    write(&["passHostHeader", "preserve_host"], "host client", PROXY_PLACE),
];

const UPSTREAM_PLACE: Place = Place::In("upstream");
pub const UPSTREAM: &[Habit] = &[
    write(&["least_conn", "leastconn", "lb_policy least_conn"], "balance least_conn", UPSTREAM_PLACE),
    write(&["round_robin", "lb_policy", "roundrobin"], "balance round_robin", UPSTREAM_PLACE),
    instead(
        &["ip_hash", "hash", "sticky", "random", "cookie", "stick-table", "stick"],
        "rp has no such way to choose a server yet",
        "balance least_conn",
        UPSTREAM_PLACE,
    ),
    write(&["to", "url", "member", "address", "default-server"], "server <1 ADDRESS>", UPSTREAM_PLACE),
    say(
        &["option", "health", "check", "health_check", "healthcheck", "http-check"],
        "remove it: rp asks no server for its health yet",
    ),
    say(&["zone", "mode", "resolver", "retries", "http-reuse"], "remove it: it needs no setting here"),
    write(&["keepalive_timeout"], "keepalive 32 { idle <1 DURATION> }", UPSTREAM_PLACE),
    write(&["keepalive_requests"], "keepalive 32 { requests <1 COUNT> }", UPSTREAM_PLACE),
    write(&["proxy_connect_timeout"], "timeout connect <1 DURATION>", UPSTREAM_PLACE),
];

const GLOBAL_PLACE: Place = Place::In("global");
pub const GLOBAL: &[Habit] = &[
    write(&["port"], "http_port <1 80>", GLOBAL_PLACE),
    write(&["auto_https off", "auto_https disable_certs"], "acme off", GLOBAL_PLACE),
    write(&["auto_https", "auto_https disable_redirects"], "https_redirect off", GLOBAL_PLACE),
    write(&["acme_ca"], "acme { ca <1 DIRECTORY> }", GLOBAL_PLACE),
    write(&["acme_ca_root"], "acme { root <1 FILE> }", GLOBAL_PLACE),
    write(&["acme_dns", "dnsChallenge"], "acme { dns <1 cloudflare> { token <2 TOKEN> } }", GLOBAL_PLACE),
    write(&["cert_issuer", "certificatesResolvers"], "acme { ca DIRECTORY }", GLOBAL_PLACE),
    write(&["acme_eab"], "acme { ca zerossl { eab KEY_ID HMAC } }", GLOBAL_PLACE),
    write(&["on_demand_tls"], "acme { on_demand { ask http://127.0.0.1:9000/domains } }", GLOBAL_PLACE),
    write(&["ocsp_stapling", "ssl_stapling", "ocsp-update.mode"], "ocsp <1 off>", GLOBAL_PLACE),
    write(&["key_type"], "acme { key_type <1 p256> }", GLOBAL_PLACE),
    write(&["preferred_chains smallest"], "acme { chain shortest }", GLOBAL_PLACE),
    write(&["preferred_chains", "preferred_chain"], "acme { chain <1 ROOT> }", GLOBAL_PLACE),
    say(&["local_certs", "skip_install_trust"], "a site asks for one itself: tls internal"),
    say(
        &["order", "persist_config", "pki", "events", "filesystem"],
        "rp has no such setting, nor one that does the same",
    ),
    say(&["debug"], "remove it: `rp run -v` tells more"),
    instead(&["default_bind"], "each site says where it listens", "bind <1+ 127.0.0.1>", Site),
    say(&["mode", "daemon", "chroot", "pidfile", "pid"], "remove it: the service manager does it"),
    say(&["group"], "it stands behind the name of the user: user www-data:www-data"),
    write(&["servers {", "servers"], "trusted_proxies 10.0.0.0/8", GLOBAL_PLACE),
    write(&["grace_period", "shutdown_delay"], "grace <1 DURATION>", GLOBAL_PLACE),
    write(&["maxconn", "worker_connections"], "limit connections <1 COUNT>", GLOBAL_PLACE),
    write(&["nbthread", "worker_processes", "threads"], "workers <1 COUNT>", GLOBAL_PLACE),
    write(&["access_log", "error_log"], "log text file <1 FILE>", GLOBAL_PLACE),
    write(&["set_real_ip_from"], "trusted_proxies <1 NETWORK>", GLOBAL_PLACE),
    write(&["client_header_timeout", "read_header"], "timeout header <1 DURATION>", GLOBAL_PLACE),
    write(&["client_body_timeout", "read_body"], "timeout body <1 DURATION>", GLOBAL_PLACE),
    write(&["keepalive_timeout", "idle_timeout"], "timeout idle <1 DURATION>", GLOBAL_PLACE),
    write(&["send_timeout"], "timeout write <1 DURATION>", GLOBAL_PLACE),
    write(&["data_dir", "data"], "storage file <1 FOLDER>", GLOBAL_PLACE),
    instead(&["client_max_body_size", "max_body"], "it stands in a site", "max_body <1 SIZE>", Site),
];

const LOG_PLACE: Place = Place::In("log");
pub const LOG: &[Habit] = &[
    instead(&["output file"], "form and target stand before the block", "log json file <2 FILE>", Site),
    instead(&["output stderr"], "form and target stand before the block", "log json stderr", Site),
    instead(&["output"], "form and target stand before the block", "log json stdout", Site),
    instead(&["format json"], "form and target stand before the block", "log json", Site),
    instead(&["format"], "form and target stand before the block", "log text", Site),
    say(
        &["level", "include", "exclude", "sampling", "hostnames"],
        "remove it: every request has its line; for none, write: log off",
    ),
    write(&["roll_size", "size", "max_size"], "rotate <1 SIZE>", LOG_PLACE),
    write(&["roll_keep", "max_backups"], "keep <1 COUNT>", LOG_PLACE),
    write(&["roll_keep_for", "roll_interval", "max_age", "daily"], "every <1 DURATION>", LOG_PLACE),
    write(&["roll_uncompressed"], "compress off", LOG_PLACE),
];

const FILES_PLACE: Place = Place::In("file_server");
pub const FILES: &[Habit] = &[
    instead(&["root", "alias", "dir"], "the folder stands before the block", "file_server <1 FOLDER> { … }", Site),
    write(&["autoindex", "directory_listing"], "browse on", FILES_PLACE),
    say(&["status", "pass_thru", "disable_canonical_uris", "fs"], "remove it: there is no such setting here"),
];

const ENCODE_PLACE: Place = Place::In("encode");
pub const ENCODE: &[Habit] = &[
    write(&["minimum_length", "min_length", "gzip_min_length"], "minimum <1 SIZE>", ENCODE_PLACE),
    say(&["match"], "it asks for the kinds of content: types text/html application/json"),
    instead(&["gzip {"], "encodings stand before the block", "encode gzip", Site),
    instead(&["zstd {"], "encodings stand before the block", "encode zstd", Site),
    instead(&["br {"], "encodings stand before the block", "encode br", Site),
    write(&["gzip", "zstd", "br"], "level <1 COUNT>", ENCODE_PLACE),
    write(&["gzip_types"], "types text/html application/json", ENCODE_PLACE),
];

const CORS_PLACE: Place = Place::In("cors");
pub const CORS: &[Habit] = &[
    write(&["allow_origins", "allow_origin", "allowed_origins", "origin"], "origins <1+ ORIGIN>", CORS_PLACE),
    write(&["allow_methods", "allowed_methods"], "methods <1+ METHOD>", CORS_PLACE),
    write(&["allow_headers", "allowed_headers"], "headers <1+ FIELD>", CORS_PLACE),
    write(&["expose_headers", "exposed_headers"], "expose <1+ FIELD>", CORS_PLACE),
    write(&["allow_credentials"], "credentials on", CORS_PLACE),
];

const TLS_PLACE: Place = Place::In("tls");
pub const TLS: &[Habit] = &[
    write(&["protocols", "ssl_protocols", "min_version", "minVersion", "ssl-min-ver"], "versions 1.3", TLS_PLACE),
    instead(
        &["ciphers", "cipherSuites", "cipher_suites", "ssl_ciphers", "ciphersuites"],
        "suites go by their IANA names, and without them all that are safe are offered",
        "suites TLS_AES_128_GCM_SHA256",
        TLS_PLACE,
    ),
    write(&["curvePreferences", "groups", "ecdh_curves", "ssl_ecdh_curve"], "curves <1+ x25519>", TLS_PLACE),
    write(&["alpnProtocols"], "alpn h2 http/1.1", TLS_PLACE),
    write(&["sniStrict", "strict_sni_host"], "strict_sni on", TLS_PLACE),
    instead(
        &["clients", "clientAuth", "ssl_verify_client", "client_certificate_authorities", "tls_client_auth"],
        "certificates of clients have a block of their own",
        "client_auth { ca FILE }",
        TLS_PLACE,
    ),
    write(
        &["ssl_client_certificate", "ssl_trusted_certificate", "client_ca", "clientAuthCAFiles"],
        "client_auth { ca <1 FILE> }",
        TLS_PLACE,
    ),
    write(&["ssl_crl", "crl"], "client_auth { ca FILE; crl <1 FILE> }", TLS_PLACE),
    write(&["load"], "tls <1 FOLDER>/", Site),
    instead(
        &["dns", "resolvers", "propagation_timeout"],
        "who changes zones is said once for all sites",
        "global { acme { dns cloudflare { token TOKEN } } }",
        Place::Top,
    ),
    instead(
        &["issuer", "ca", "ca_root", "eab", "preferred_chains"],
        "who signs certificates is said once for all sites",
        "global { acme { ca DIRECTORY } }",
        Place::Top,
    ),
    say(&["prefer_server_ciphers", "session_tickets", "session_cache"], "remove it: it needs no setting here"),
    instead(
        &["key_type"],
        "the kind of keys is said once for all sites",
        "global { acme { key_type <1 p256> } }",
        Place::Top,
    ),
    instead(
        &["insecure_secrets_log"],
        "the keys of all sites go to one file",
        "global { key_log <1 FILE> }",
        Place::Top,
    ),
    say(&["get_certificate"], "rp has no such setting, nor one that does the same"),
];

const CLIENTS_PLACE: Place = Place::In("client_auth");
pub const CLIENTS: &[Habit] = &[
    instead(
        &["mode require_and_verify", "mode require", "mode"],
        "how clients are asked stands before the block: `require`, `optional` or `unverified`",
        "client_auth require { ca FILE }",
        TLS_PLACE,
    ),
    instead(
        &["mode verify_if_given"],
        "how clients are asked stands before the block",
        "client_auth optional { ca FILE }",
        TLS_PLACE,
    ),
    instead(&["mode request"], "how clients are asked stands before the block", "client_auth unverified", TLS_PLACE),
    write(&["trust_pool file", "trust_pool"], "ca <2+ FILE>", CLIENTS_PLACE),
    write(
        &["trusted_ca_cert_file", "trusted_ca_certs_pem_files", "caFiles", "trusted_ca", "ca-file", "verify"],
        "ca <1 FILE>",
        CLIENTS_PLACE,
    ),
    write(&["crl-file", "revocation_list", "ssl_crl"], "crl <1 FILE>", CLIENTS_PLACE),
    instead(
        &["trusted_leaf_cert_file", "trusted_leaf_cert", "leaf"],
        "single certificates are known by their fingerprint",
        "route {tls.client.fingerprint} = FINGERPRINT { … }",
        Site,
    ),
];
