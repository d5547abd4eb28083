//! Every example does what the comment at its top says, run by the real binary in front of local servers.

mod mutual;
mod origin;
mod proxy;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use origin::{answer, echo, named, nobody};
use proxy::{Answer, Folder, Rp, command, curl, file_with};

fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> =
        fs::read_dir(root).expect("there are examples").map(|entry| entry.expect("it can be read").path()).collect();
    found.sort();
    found
}

fn configurations(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.ends_with("Proxyfile") || path.extension().is_some_and(|ending| ending == "proxyfile") {
            found.push(path);
        }
    }
}

#[test]
fn each_example_is_explained_and_run_by_a_test() {
    let tests = concat!(include_str!("main.rs"), include_str!("mutual.rs"));
    for example in all() {
        let name = example.file_name().and_then(|name| name.to_str()).expect("examples have plain names");
        assert!(tests.contains(&format!("example(\"{name}\"")), "no test runs examples/{name}");
        let text = fs::read_to_string(example.join("Proxyfile")).expect("an example is a folder with a Proxyfile");
        assert!(text.starts_with("# "), "examples/{name}/Proxyfile begins with what it shows");
    }
}

#[test]
fn each_example_adapts_to_its_schema() {
    let schema = serde_json::from_str(include_str!("../../docs/schemas/adapt.json")).expect("it is JSON");
    let schema = jsonschema::validator_for(&schema).expect("it is a schema");
    let home = Folder::new();
    let variables = ["CERTIFICATE", "KEY", "STORAGE", "LOG", "TOKEN", "EAB_KEY_ID"].map(|name| (name, "/x"));
    for example in all() {
        let file = example.join("Proxyfile");
        let output = command(&home)
            .envs(variables)
            .env("EAB_HMAC", "eHg")
            .arg("adapt")
            .arg(&file)
            .output()
            .expect("rp can be run");
        assert!(output.status.success(), "{file:?}: {}", String::from_utf8_lossy(&output.stderr));
        let adapted = serde_json::from_slice(&output.stdout).expect("it is JSON");
        if let Err(error) = schema.validate(&adapted) {
            panic!("{file:?}: {error} at {}", error.instance_path());
        }
    }
}

#[test]
fn examples_pass_their_tests() {
    let home = Folder::new();
    let tests: Vec<PathBuf> =
        all().iter().map(|example| example.join("Proxyfile.test")).filter(|t| t.exists()).collect();
    assert!(!tests.is_empty());
    let output = command(&home).arg("test").args(&tests).output().expect("rp can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let output = command(&home).args(["fmt", "--check"]).args(&tests).output().expect("rp can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_example_is_clean_and_formatted() {
    let home = Folder::new();
    // `validate` looks at the files that are named.
    let (certificate, key) = certificate(&home);
    let storage = home.path("storage");
    let token = "a token".to_owned();
    let variables =
        [("CERTIFICATE", certificate), ("KEY", key), ("STORAGE", storage), ("LOG", home.path("log")), ("TOKEN", token)];
    for example in all() {
        let mut files = Vec::new();
        configurations(&example, &mut files);
        for arguments in [vec!["validate", "--no-files", "--deny", "warnings"], vec!["fmt", "--check"]] {
            let given = if arguments[0] == "fmt" { files.clone() } else { vec![example.join("Proxyfile")] };
            let output = command(&home)
                .envs(variables.clone())
                .envs([("EAB_KEY_ID", "a"), ("EAB_HMAC", "eHg")])
                .args(&arguments)
                .args(&given)
                .output()
                .expect("rp can be run");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "rp {arguments:?} {given:?}:\n{said}");
        }
    }
}

#[test]
fn quickstart() {
    let nobody = nobody();
    let port = nobody.rsplit(':').next().unwrap();
    let rp = Rp::example("quickstart", &["PORT", "ALPHA", "BETA"], &[("NOBODY", port)]);
    let root = rp.get("/");
    assert_eq!((root.status, root.field("x-content-type-options")), (200, Some("nosniff")));
    let api: Vec<String> = (0..30).map(|_| rp.get("/api/hello").body).collect();
    let of = |name: &str| api.iter().filter(|body| body.starts_with(name)).count();
    assert_eq!((of("alpha"), of("beta")), (20, 10));
    assert!(api[0].contains("asked for /api/hello as request "), "{}", api[0]);
    let id = api[0].rsplit(' ').next().unwrap_or_default().trim();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "the id reaches the origin: {id}");
    let logins: Vec<Answer> = (0..3).map(|_| rp.get("/login")).collect();
    assert_eq!(logins.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 429]);
    assert!(logins[2].field("retry-after").is_some());
    assert_eq!(logins[2].body, "Slowly: twice a minute is enough.\n");
    let old = rp.get("/old/page?a=1");
    assert_eq!((old.status, old.field("location")), (308, Some("/api/old/page?a=1")));
    let broken = rp.get("/broken");
    assert_eq!(broken.status, 502);
    assert!(broken.body.contains(broken.field("x-request-id").expect("every answer has an id")), "{}", broken.body);
    assert_eq!(broken.field("x-content-type-options"), Some("nosniff"), "errors have it, too");
    assert_eq!(rp.get("/apiary").status, 404);
}

#[test]
fn a_static_site() {
    let folder = Folder::new();
    let public = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/static-site/public");
    fs::create_dir(folder.path("assets")).unwrap();
    for file in ["index.html", "assets/app.js"] {
        fs::copy(public.join(file), folder.path(file)).unwrap();
    }
    let mut sibling = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    sibling.write_all(&fs::read(public.join("assets/app.js")).unwrap()).unwrap();
    fs::write(folder.path("assets/app.js.gz"), sibling.finish().unwrap()).unwrap();
    let rp = Rp::example("static-site", &["PORT"], &[("ROOT", folder.0.to_str().unwrap())]);
    let page = rp.get("/some/place");
    assert_eq!((page.status, page.field("cache-control")), (200, Some("no-cache")));
    assert!(page.body.contains("<h1>Hello</h1>"));
    let script = rp.ask("localhost", "GET /assets/app.js", "Accept-Encoding: gzip\r\n", "");
    assert_eq!((script.status, script.field("content-encoding")), (200, Some("gzip")));
    assert!(script.field("cache-control").is_some_and(|value| value.contains("immutable")));
    assert!(rp.get("/assets/app.js").body.starts_with("document."));
    assert_eq!(rp.get("/assets/gone.js").status, 404, "a script that is gone is no page");
}

#[test]
fn an_api_gateway() {
    let users = origin::origin(|request| {
        let fields = format!("user={} internal={}", request.field("x-user"), request.field("x-internal-id"));
        answer(200, "", &format!("users {} {fields}", request.path()))
    });
    let orders = named("orders");
    let rp = Rp::example("api-gateway", &["PORT"], &[("USERS", &users), ("ORDERS", &orders)]);
    let user = rp.ask("localhost", "GET /api/users/42", "X-User: root\r\nX-Internal-Id: 1\r\n", "");
    assert_eq!(user.body, "users /42 user= internal=", "the prefix is stripped, and so is what clients made up");
    let order = rp.get("/api/orders/7");
    assert_eq!((order.body.as_str(), order.field("x-order")), ("orders GET /api/orders/7 HTTP/1.1", Some("7")));
    let put = |kind: &str| rp.ask("localhost", "PUT /api/orders/7", &format!("Content-Type: {kind}\r\n"), "{}");
    assert_eq!(put("application/json").body, "orders PUT /api/orders/7 HTTP/1.1");
    assert_eq!(put("text/plain").status, 415);
    let logins: Vec<u16> = (0..4).map(|_| rp.ask("localhost", "POST /api/users/login", "", "x").status).collect();
    assert_eq!(logins, [200, 200, 200, 429]);
    let large = "x".repeat(5000);
    assert!(matches!(rp.ask("localhost", "POST /api/users/login", "", &large).status, 413 | 429));
    let admin = rp.get("/admin/users");
    assert_eq!(admin.status, 403, "127.0.0.1 is not of the internal networks");
    let missing = rp.get("/nothing");
    assert_eq!((missing.status, missing.field("content-type")), (404, Some("application/json")));
    assert!(missing.body.starts_with(r#"{"status": 404, "error": "Not Found", "request": ""#), "{}", missing.body);
}

#[test]
fn load_balancing() {
    let (first, second, backup) = (named("first"), named("second"), named("backup"));
    let servers = [("FIRST", first.as_str()), ("SECOND", &second), ("BACKUP", &backup)];
    let rp = Rp::example("load-balancing", &["PORT"], &servers);
    let answers: Vec<Answer> = (0..40).map(|_| rp.get("/")).collect();
    let of = |name: &str| answers.iter().filter(|answer| answer.body.starts_with(name)).count();
    assert_eq!((of("first"), of("second")), (30, 10));
    assert_eq!(of("backup"), 0, "it waits");
    assert!(answers.iter().any(|answer| answer.field("x-answered-by") == Some(&first)));
    assert_eq!(rp.get("/reports/year").status, 200);

    let (down, also) = (nobody(), nobody());
    let rp = Rp::example("load-balancing", &["PORT"], &[("FIRST", &down), ("SECOND", &also), ("BACKUP", &backup)]);
    let answered = (0..40).find(|_| rp.get("/").body.starts_with("backup"));
    assert!(answered.is_some(), "the backup answers once the others are known to be out");
}

#[test]
fn websocket() {
    let (chat, app) = (echo(), named("app"));
    let rp = Rp::example("websocket", &["PORT"], &[("CHAT", &chat), ("APP", &app)]);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", rp.port())).unwrap();
    stream.set_read_timeout(Some(proxy::PATIENCE)).unwrap();
    write!(stream, "GET /chat/room HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    let mut back = [0; 4];
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
    assert_eq!(rp.ask("localhost", "GET /elsewhere", upgrade, "").status, 403);
    assert_eq!(rp.get("/elsewhere").body, "app GET /elsewhere HTTP/1.1");
}

#[test]
fn grpc() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let orders = origin::grpc().await;
        let rp = Rp::example("grpc", &["PORT"], &[("ORDERS", &orders), ("DEFAULT", &nobody())]);
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", rp.port())).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut call = async |path: &str| {
            let request = http::Request::post(format!("http://localhost{path}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .unwrap();
            let (answer, _) = client.send_request(request, true).unwrap();
            tokio::time::timeout(proxy::PATIENCE, answer).await.unwrap().unwrap()
        };
        let mut order = call("/shop.Orders/Get").await;
        let message = order.body_mut().data().await.unwrap().unwrap();
        assert_eq!(message, "/shop.Orders/Get");
        let trailers = order.body_mut().trailers().await.unwrap().expect("trailers pass");
        assert_eq!(trailers["grpc-status"], "0");
        let down = call("/shop.Users/Get").await;
        assert_eq!((down.status().as_u16(), &down.headers()["grpc-status"]), (200, &"14".parse().unwrap()));
    });
}

#[test]
fn https_of_our_own_authority() {
    let storage = Folder::new();
    let rp = Rp::example("https-local", &["HTTPS_PORT", "HTTP_PORT"], &[("STORAGE", storage.0.to_str().unwrap())]);
    let (https, http) = (rp.ports()[0], rp.ports()[1]);
    let root = storage.path("internal/root.crt");
    assert_eq!(
        curl(&["--cacert", &root, &format!("https://localhost:{https}/")]),
        "hello over TLSv1.3, 127.0.0.1\n",
        "the authority's certificate is all that a client needs"
    );
    let app = format!("app.localhost:{https}:127.0.0.1");
    let head = curl(&["--cacert", &root, "--head", "--resolve", &app, &format!("https://app.localhost:{https}/")]);
    assert!(head.to_lowercase().contains("strict-transport-security: max-age=3600"), "{head}");
    let sent = curl(&["--head", &format!("http://localhost:{http}/a?b=c")]).to_lowercase();
    assert!(sent.contains("308") && sent.contains(&format!("location: https://localhost:{https}/a?b=c")), "{sent}");
}

#[test]
fn https_by_itself() {
    let storage = Folder::new();
    // Nobody is there: no example asks an authority of the world.
    let nobody = format!("https://{}/directory", nobody().trim_start_matches("http://"));
    let variables = [("STORAGE", storage.0.to_str().unwrap()), ("CA", nobody.as_str())];
    let rp = Rp::example("https-automatic", &["HTTPS_PORT", "HTTP_PORT"], &variables);
    let (https, http) = (rp.ports()[0], rp.ports()[1]);
    let failed = rp.says("certificate not obtained");
    assert!(failed.contains("no connection to"), "{failed}");
    // Until then it shows what nobody trusts, and serves.
    let resolve = format!("example.com:{https}:127.0.0.1");
    let answer = curl(&["--insecure", "--resolve", &resolve, &format!("https://example.com:{https}/")]);
    assert_eq!(answer, "hello from example.com\n");
    let resolve = format!("example.com:{http}:127.0.0.1");
    let sent = curl(&["--head", "--resolve", &resolve, &format!("http://example.com:{http}/a")]).to_lowercase();
    assert!(sent.contains("308") && sent.contains(&format!("location: https://example.com:{https}/a")), "{sent}");
}

#[test]
fn https_for_wildcards() {
    let storage = Folder::new();
    let nobody = format!("https://{}/directory", nobody().trim_start_matches("http://"));
    let variables = [("STORAGE", storage.0.to_str().unwrap()), ("CA", nobody.as_str()), ("TOKEN", "a-secret-token")];
    let rp = Rp::example("https-wildcard", &["HTTPS_PORT", "HTTP_PORT"], &variables);
    let https = rp.ports()[0];
    // The wildcard is asked for, too, and nobody is told the token.
    let failed = rp.says("\"*.example.com\"");
    assert!(failed.contains("certificate not obtained") && !failed.contains("a-secret-token"), "{failed}");
    let get = |host: &str| {
        let resolve = format!("{host}:{https}:127.0.0.1");
        curl(&["--insecure", "--resolve", &resolve, &format!("https://{host}:{https}/")])
    };
    assert_eq!(get("shop.example.com"), "hello from shop.example.com\n");
    assert_eq!(get("www.example.com"), "the front page\n");
}

#[test]
fn https_of_several_authorities() {
    let storage = Folder::new();
    let nobody = || format!("https://{}/directory", nobody().trim_start_matches("http://"));
    let (first, second) = (nobody(), nobody());
    let variables = [
        ("STORAGE", storage.0.to_str().unwrap()),
        ("FIRST", first.as_str()),
        ("SECOND", second.as_str()),
        ("EAB_KEY_ID", "a-key"),
        ("EAB_HMAC", "YS1zZWNyZXQ"),
    ];
    let rp = Rp::example("https-several-authorities", &["HTTPS_PORT", "HTTP_PORT"], &variables);
    let host = |url: &str| url.trim_start_matches("https://").trim_end_matches("/directory").to_owned();
    // Both are asked at once, one after the other, for each name.
    for authority in [host(&first), host(&second)] {
        let failed = rp.says(&format!("\"authority\":\"{authority}\""));
        assert!(failed.contains("certificate not obtained") && failed.contains("\"retry\":"), "{failed}");
    }
}

#[test]
fn https_on_demand() {
    let storage = Folder::new();
    let nobody = format!("https://{}/directory", nobody().trim_start_matches("http://"));
    let variables = [("STORAGE", storage.0.to_str().unwrap()), ("CA", nobody.as_str())];
    let rp = Rp::example("https-on-demand", &["HTTPS_PORT", "ASK_PORT"], &variables);
    let [https, ask] = *rp.ports() else { panic!("two ports") };
    let code = |url: &str| curl(&["--output", "/dev/null", "--write-out", "%{http_code}", url]);
    for (name, answer) in [("shop.example.net", "200"), ("evil.example.net", "404")] {
        assert_eq!(code(&format!("http://127.0.0.1:{ask}/domains?domain={name}")), answer);
    }
    let refused = |name: &str| {
        let (resolve, url) = (format!("{name}:{https}:127.0.0.1"), format!("https://{name}:{https}/"));
        let output =
            std::process::Command::new("curl").args(["--silent", "--insecure", "--resolve", &resolve, &url]).output();
        // 35: there was no handshake.
        assert_eq!(output.expect("curl can be run").status.code(), Some(35));
    };
    refused("evil.example.net");
    refused("shop.example.net");
    // Of the two, the authority was asked for the one that is on the list.
    let failed = rp.says("certificate not obtained");
    assert!(failed.contains("\"shop.example.net\"") && failed.contains("no connection to"), "{failed}");
}

/// A certificate of `example.com` and `www.example.com`, signed by itself, and its key.
fn certificate(folder: &Folder) -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(["example.com".to_owned(), "www.example.com".to_owned()]).unwrap();
    let (certificate, key) = (folder.path("site.pem"), folder.path("site.key"));
    fs::write(&certificate, pair.cert.pem()).unwrap();
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key).unwrap();
    file.write_all(pair.signing_key.serialize_pem().as_bytes()).unwrap();
    (certificate, key)
}

#[test]
fn https_with_certificates_from_files() {
    let folder = Folder::new();
    let (certificate, key) = certificate(&folder);
    let app = named("app");
    let variables = [("CERTIFICATE", certificate.as_str()), ("KEY", &key), ("APP", &app)];
    let rp = Rp::example("https-certificates", &["HTTPS_PORT", "HTTP_PORT"], &variables);
    let port = rp.port();
    let resolve = format!("www.example.com:{port}:127.0.0.1");
    let url = format!("https://www.example.com:{port}/x");
    let answer = curl(&["--cacert", &certificate, "--resolve", &resolve, "--include", &url]);
    assert!(answer.to_lowercase().contains("strict-transport-security: max-age=63072000"), "{answer}");
    assert!(answer.ends_with("app GET /x HTTP/1.1"), "{answer}");
}

/// `openssl s_server`, which tells who comes of the handshake; ends with the test.
struct Secret(std::process::Child, String);

impl Secret {
    fn of(name: &str, folder: &Folder) -> (Self, String) {
        let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (certificate, key) = (folder.path("secret.pem"), folder.path("secret.key"));
        fs::write(&certificate, pair.cert.pem()).unwrap();
        fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let server = std::process::Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &certificate, "-key", &key])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn();
        let mut server = server.expect("openssl can be run");
        let said = std::io::BufReader::new(server.stdout.take().expect("it is piped"));
        // `ACCEPT 127.0.0.1:40123`
        let mut lines = std::io::BufRead::lines(said).map_while(Result::ok);
        let accept = lines.find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned())).expect("it listens");
        (Self(server, accept), certificate)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn passthrough() {
    let folder = Folder::new();
    let (certificate, key) = certificate(&folder);
    let (server, secret) = Secret::of("db.example.com", &folder);
    let log = folder.path("mail.log");
    let (nobody, variables) = (nobody(), [("CERTIFICATE", certificate.as_str()), ("KEY", &key), ("LOG", &log)]);
    let servers = [("DATABASE", nobody.as_str()), ("STANDBY", &server.1), ("MAIL", &nobody)];
    let rp = Rp::example("passthrough", &["HTTPS_PORT", "HTTP_PORT"], &[variables.as_slice(), &servers].concat());
    let port = rp.port();
    let ask = |name: &str, authority: &str| {
        let (resolve, url) = (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}/"));
        curl(&["--cacert", authority, "--resolve", &resolve, &url])
    };
    // Its own certificate is believed, and rp's is not shown.
    assert!(ask("db.example.com", &secret).contains("s_server"));
    assert_eq!(ask("www.example.com", &certificate), "served by rp\n");
    let mail = [&format!("mail.example.com:{port}:127.0.0.1"), &format!("https://mail.example.com:{port}/")];
    assert!(!proxy::tried(&["--insecure", "--resolve", mail[0], mail[1]]), "its server is away");
    let line = proxy::file_with(&log, "}\n");
    assert!(line.contains("\"sni\":\"mail.example.com\"") && line.contains("upstream_connection_refused"), "{line}");
}

#[test]
fn redirects() {
    let rp = Rp::example("redirects", &["PORT"], &[]);
    let sent = |host: &str, line: &str| {
        let answer = rp.ask(host, line, "", "");
        (answer.status, answer.field("location").unwrap_or_default().to_owned())
    };
    let main = format!("http://localhost:{}/a?b=c", rp.port());
    assert_eq!(sent("www.localhost", "GET /a?b=c"), (308, main));
    assert_eq!(sent("localhost", "GET /about-us"), (308, "/about".to_owned()));
    assert_eq!(sent("localhost", "GET /blog/2019/hello"), (308, "/articles/hello?year=2019".to_owned()));
    assert_eq!(sent("localhost", "GET /p/42"), (301, "/products/42".to_owned()));
    assert_eq!(sent("localhost", "GET /p/x"), (200, String::new()));
    assert_eq!(sent("localhost", "GET /shop/1?x"), (307, "https://shop.example.com/shop/1?x".to_owned()));
    assert_eq!(sent("localhost", "POST /feedback"), (303, "/thanks".to_owned()));
}

#[test]
fn headers_for_security() {
    let app = origin::origin(|_| answer(200, "Server: old/1.0\r\nX-Powered-By: luck\r\n", "page"));
    let rp = Rp::example("headers-security", &["PORT"], &[("APP", &app)]);
    let page = rp.get("/");
    assert_eq!((page.field("server"), page.field("x-powered-by")), (None, None));
    assert_eq!(page.field("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(page.field("content-security-policy"), Some("default-src 'self'; frame-ancestors 'none'"));
    assert_eq!(page.field("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(page.field("strict-transport-security"), None, "not without TLS");
    let embedded = rp.get("/embed/map");
    assert_eq!(embedded.field("content-security-policy"), Some("default-src 'self'; frame-ancestors 'self'"));
    let refused = rp.get("/admin/");
    assert_eq!((refused.status, refused.field("x-content-type-options")), (403, Some("nosniff")));
}

#[test]
fn rate_limits() {
    let app = named("app");
    let rp = Rp::example("rate-limits", &["PORT"], &[("APP", &app)]);
    let logins: Vec<u16> = (0..4).map(|_| rp.ask("localhost", "POST /login", "", "").status).collect();
    assert_eq!(logins, [200, 200, 200, 429]);
    let api = rp.ask("localhost", "GET /api/x", "X-Api-Key: mine\r\n", "");
    assert!(api.field("ratelimit").is_some() && api.field("ratelimit-policy").is_some(), "{api:?}");
    let refused = (0..60).map(|_| rp.get("/")).find(|answer| answer.status == 429).expect("a flood is refused");
    assert_eq!(refused.body, "Too many requests. Try again in a moment.\n");
    assert!(refused.field("retry-after").is_some());
}

#[test]
fn basic_auth() {
    let app = origin::origin(|request| {
        answer(200, "", &format!("user={} authorization={}", request.field("x-user"), request.field("authorization")))
    });
    let rp = Rp::example("basic-auth", &["PORT"], &[("APP", &app)]);
    let refused = rp.get("/admin/");
    assert_eq!((refused.status, &*refused.body), (401, "You need a name and a password for this.\n"));
    assert!(refused.field("www-authenticate").is_some_and(|value| value.contains("Administration")));
    let ask = |authorization: &str| {
        rp.ask("localhost", "GET /admin/", &format!("Authorization: Basic {authorization}\r\n"), "")
    };
    assert_eq!(ask("YW5uYTp0dXJ0bGU=").status, 401);
    let admitted = ask("YW5uYTpjcm9jb2RpbGU=");
    assert_eq!((admitted.status, &*admitted.body), (200, "user=anna authorization="));
    assert_eq!(rp.ask("localhost", "GET /", "X-User: anna\r\n", "").body, "user= authorization=");
}

#[test]
fn cors() {
    let app = origin::origin(|_| answer(200, "Access-Control-Allow-Origin: *\r\nX-Total-Count: 3\r\n", "users"));
    let rp = Rp::example("cors", &["PORT"], &[("APP", &app)]);
    let ask =
        |line: &str, origin: &str, more: &str| rp.ask("localhost", line, &format!("Origin: {origin}\r\n{more}"), "");
    let preflight = ask("OPTIONS /users", "http://localhost:5173", "Access-Control-Request-Method: PUT\r\n");
    assert_eq!((preflight.status, preflight.field("access-control-max-age")), (204, Some("3600")));
    let page = ask("GET /users", "https://app.example.com", "");
    assert_eq!((page.status, &*page.body), (200, "users"));
    assert_eq!(page.field("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(page.field("access-control-expose-headers"), Some("x-total-count"));
    let evil = ask("GET /users", "https://evilexample.com", "");
    assert_eq!((evil.status, evil.field("access-control-allow-origin")), (200, None));
    assert_eq!(ask("GET /old/x", "https://example.com", "").field("access-control-allow-credentials"), Some("true"));
}

#[test]
fn compression() {
    let app = origin::origin(|request| {
        let kind = if request.path().starts_with("/reports") { "text/csv" } else { "text/html" };
        answer(200, &format!("Content-Type: {kind}\r\n"), &"a,line,of,text\n".repeat(300))
    });
    let rp = Rp::example("compression", &["PORT"], &[("APP", &app)]);
    let encoding = |path: &str, accepts: &str| {
        let answer = rp.ask("localhost", &format!("GET {path}"), &format!("Accept-Encoding: {accepts}\r\n"), "");
        answer.field("content-encoding").map(str::to_owned)
    };
    assert_eq!(encoding("/", "gzip, br, zstd").as_deref(), Some("zstd"));
    assert_eq!(encoding("/", "gzip").as_deref(), Some("gzip"));
    assert_eq!(encoding("/", "identity"), None);
    assert_eq!(encoding("/reports/a.csv", "zstd, br").as_deref(), Some("br"));
    assert_eq!(encoding("/downloads/a", "gzip, br, zstd"), None);
}

#[test]
fn uploads() {
    let app = origin::origin(|request| answer(200, "", &format!("{} bytes", request.body.len())));
    let rp = Rp::example("uploads", &["PORT"], &[("APP", &app), ("STORE", &app)]);
    let large = "x".repeat(2 * 1024 * 1024);
    let refused = rp.ask("localhost", "POST /form", "Expect: 100-continue\r\nContent-Length: 2097152\r\n", "");
    assert_eq!((refused.status, refused.body.as_str()), (413, "That is too large for us.\n"));
    assert_eq!(rp.ask("localhost", "PUT /files/a", "", &large).body, "2097152 bytes");
    assert_eq!(rp.ask("localhost", "POST /form", "", "small").body, "5 bytes");
}

#[test]
fn trusted_proxies() {
    let app = origin::origin(|request| {
        answer(200, "", &format!("{} / {}", request.field("x-forwarded-for"), request.field("forwarded")))
    });
    let ask = |balancer: &str| {
        let rp = Rp::example("trusted-proxies", &["PORT"], &[("BALANCER", balancer), ("APP", &app)]);
        let said = "X-Forwarded-For: 203.0.113.9\r\n";
        let bodies =
            ["/whoami", "/office/", "/"].map(|path| rp.ask("localhost", &format!("GET {path}"), said, "").body);
        (bodies, rp)
    };
    let ([who, office, told], _rp) = ask("127.0.0.0/8");
    assert_eq!(who, "203.0.113.9 by way of 127.0.0.1\n");
    assert!(office.starts_with("203.0.113.9, 127.0.0.1 / "), "{office}");
    assert!(told.to_lowercase().contains("for="), "{told}");
    let ([who, office, told], _rp) = ask("10.0.0.0/8");
    assert_eq!(who, "127.0.0.1 by way of 127.0.0.1\n", "strangers are not believed");
    assert!(!office.contains("203.0.113.9"));
    assert!(told.starts_with("127.0.0.1 / "), "{told}");
}

#[test]
fn behind_a_balancer() {
    let app = origin::origin(|request| answer(200, "", request.field("x-forwarded-for")));
    let ask = |balancer: &str, path: &str| {
        let rp = Rp::example("behind-a-balancer", &["PORT"], &[("BALANCER", balancer), ("APP", &app)]);
        let mut stream = TcpStream::connect(("127.0.0.1", rp.port())).expect("rp accepts");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream
            .write_all(format!("PROXY TCP4 203.0.113.9 198.51.100.1 4000 443\r\n{request}").as_bytes())
            .expect("rp reads");
        let mut said = String::new();
        // It is reset or closed where the header is not for this peer to say.
        let _ = stream.read_to_string(&mut said);
        said
    };
    assert!(ask("127.0.0.0/8", "/whoami").ends_with("\r\n203.0.113.9\n"));
    assert!(ask("127.0.0.0/8", "/").ends_with("\r\n203.0.113.9"));
    assert_eq!(ask("10.0.0.0/24", "/whoami"), "", "strangers are not believed");
}

#[test]
fn hardened() {
    let app = origin::origin(|request| answer(200, "Server: app/1.0\r\n", &format!("app {}", request.path())));
    // Whoever runs the tests is somebody; who is root becomes nobody.
    let me = std::process::Command::new("id").arg("-un").output().expect("everybody has a name").stdout;
    let me = String::from_utf8_lossy(&me).trim().replace("root", "nobody");
    let variables = [("RUN_AS", me.as_str()), ("EACH", "5"), ("APP", &app), ("OFFICE", "127.0.0.0/8")];
    let rp = Rp::example("hardened", &["PORT"], &variables);
    let page = rp.get("/");
    assert_eq!((page.status, page.body.as_str(), page.field("server")), (200, "app /", None));
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(rp.get("/admin/x").body, "app /admin/x", "this is the office");
    assert_eq!(rp.get("/.env").status, 403);
    assert_eq!(rp.ask("localhost", "PUT /", "", "x").status, 405);
    let (short, long) = (format!("/api/{}", "a".repeat(251)), format!("/api/{}", "a".repeat(252)));
    assert_eq!([rp.get(&short).status, rp.get(&long).status], [200, 414]);
    let fields = |count: usize| "X: y\r\n".repeat(count);
    // Beside these are `Host` and `Connection`.
    let asked = |path: &str, count| rp.ask("localhost", &format!("GET {path}"), &fields(count), "").status;
    assert_eq!([asked("/api/", 28), asked("/api/", 29), asked("/", 29), asked("/", 59)], [200, 431, 200, 431]);
    let large = "x".repeat(65 * 1024);
    let sent = |path: &str| rp.ask("localhost", &format!("POST {path}"), "", &large);
    assert_eq!([sent("/upload/a").status, sent("/form").status], [200, 413]);
    assert!(sent("/form").body.starts_with("413. Your request: "));
    // Five connections of one address, and no sixth.
    let held: Vec<TcpStream> =
        (0..5).map(|_| TcpStream::connect(("127.0.0.1", rp.port())).expect("rp accepts")).collect();
    let mut sixth = TcpStream::connect(("127.0.0.1", rp.port())).expect("it is closed once it was accepted");
    sixth.set_read_timeout(Some(proxy::PATIENCE)).unwrap();
    assert_eq!(sixth.read(&mut [0]).unwrap_or(0), 0, "nothing is said");
    drop(held);
    let blocked = Rp::example("hardened", &["PORT"], &[variables[0], variables[2], ("BLOCKED", "127.0.0.1")]);
    assert_eq!(blocked.get("/").status, 403);
}

#[test]
fn error_pages() {
    let app = origin::origin(|request| match request.path() {
        "/gone" => answer(404, "", "the server's own words"),
        "/ill" => answer(500, "", "a stack trace"),
        _ => answer(200, "", "fine"),
    });
    let rp = Rp::example("error-pages", &["PORT"], &[("API", &nobody()), ("APP", &app)]);
    assert_eq!(rp.get("/").body, "fine");
    let gone = rp.get("/gone");
    assert!(gone.status == 404 && gone.body.contains("<h1>Not here</h1>"), "{gone:?}");
    let ill = rp.get("/ill");
    assert!(ill.status == 502 || ill.status == 500, "{ill:?}");
    assert!(!ill.body.contains("stack trace"), "{ill:?}");
    let api = rp.get("/api/x");
    assert_eq!((api.status, api.field("content-type")), (502, Some("application/json")));
    assert!(api.body.contains(r#""code": "upstream_"#), "{}", api.body);
}

#[test]
fn snippets_and_imports() {
    let rp = Rp::example("snippets-and-imports", &["PORT"], &[]);
    let blog = rp.get_of("blog.localhost", "/");
    assert_eq!((blog.body.as_str(), blog.field("x-team")), ("the blog\n", Some("writers")));
    assert_eq!(blog.field("cache-control"), Some("max-age=60"));
    let wiki = rp.get_of("wiki.localhost", "/");
    assert_eq!((wiki.body.as_str(), wiki.field("cache-control")), ("the wiki\n", Some("no-cache")));
    assert_eq!(rp.get_of("wiki.localhost", "/health").body, "ok\n");
}

#[test]
fn multiple_sites() {
    let rp = Rp::example("multiple-sites", &["PORT", "METRICS_PORT"], &[]);
    for (host, body) in [
        ("localhost", "the main site\n"),
        ("MAIN.localhost.", "the main site\n"),
        ("docs.localhost", "the documentation\n"),
        ("status.localhost", "all is well\n"),
        ("any.localhost", "the site of any.localhost\n"),
    ] {
        assert_eq!(rp.get_of(host, "/").body, body, "{host}");
    }
    assert_eq!(rp.get_of("example.com", "/").status, 421);
    assert_eq!(curl(&["-w", "%{http_code}", &format!("http://localhost:{}/ready", rp.ports()[1])]), "204");
}

#[test]
fn unix_sockets() {
    let folder = Folder::new();
    let (front, back) = (folder.path("rp.sock"), folder.path("app.sock"));
    let listener = std::os::unix::net::UnixListener::bind(&back).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            origin::serve(&stream, &stream, &|request| answer(200, "", &format!("app {}", request.line)));
        }
    });
    let _rp = Rp::example("unix-socket", &[], &[("SOCKET", &front), ("APP", &back)]);
    let mut stream = UnixStream::connect(&front).unwrap();
    stream.set_read_timeout(Some(proxy::PATIENCE)).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Answer::read(stream).body, "app GET /x HTTP/1.1");
}

#[test]
fn logging() {
    let folder = Folder::new();
    let log = folder.path("access.log");
    let rp = Rp::example("logging", &["PORT"], &[("LOG", &log)]);
    assert_eq!(rp.get("/a?session=abc&page=2&token=t").status, 200);
    let text = file_with(&log, "/a?");
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["uri"], "/a?session=REDACTED&page=2&token=REDACTED");
    assert_eq!(rp.get_of("people.localhost", "/for-people").status, 200);
    let said = rp.says("/for-people");
    assert!(!said.starts_with('{'), "{said}");
    assert_eq!(rp.get_of("health.localhost", "/").status, 204);
    assert_eq!(rp.get("/last").status, 200);
    assert!(!file_with(&log, "/last").contains("health.localhost"));
}
