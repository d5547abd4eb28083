//! Requirements R: which server a request reaches.

use crate::harness::{Ask, Folder, Origin, Protocol, Proxy, command, each};

/// Three servers that say their letter.
fn letters() -> [Origin; 3] {
    ["a", "b", "c"].map(Origin::saying)
}

fn start(over: Protocol, config: &str, origins: &[Origin; 3]) -> Proxy {
    over.of(config).with("A", &origins[0]).with("B", &origins[1]).with("C", &origins[2]).start()
}

/// Sends a request with these fields and gives the answer's text.
fn ask(proxy: &Proxy, method: &str, target: &str, fields: &str) -> String {
    let response = proxy.request(Ask::of(method, target).fields(fields));
    assert_eq!(response.status(), 200, "{method} {target} {fields}");
    response.text().to_owned()
}

#[test]
fn r01_the_host_decides() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            "http://api.example.com:0 { bind 127.0.0.1; reverse_proxy {$A} }
         http://admin.example.com:0 { bind 127.0.0.1; reverse_proxy {$B} }
         http://*.example.com:0 { bind 127.0.0.1; reverse_proxy {$C} }",
            &origins,
        );
        // Sites with the same demands share a connection.
        let ask = |host: &str| proxy.speaker_for("api.example.com").ask(Ask::get("/").host(host));
        let said = |host: &str| ask(host).text().to_owned();
        for host in
            ["api.example.com", "API.Example.Com", "api.example.com:8080", "api.example.com.", "api.example.com.:80"]
        {
            assert_eq!(said(host), "a", "{host}");
        }
        assert_eq!(said("admin.example.com"), "b");
        assert_eq!(said("other.example.com"), "c");
        let response = ask("example.org");
        assert_eq!(response.status(), 421);
        assert_eq!(ask("x.y.example.com").status(), 421, "a star is one label");
    });
}

#[test]
fn c03_fifty_servers_behind_one_address() {
    each(|over| {
        let origins: Vec<Origin> = (0..50).map(|at| Origin::saying(&at.to_string())).collect();
        let mut config = String::new();
        for host in 0..20 {
            config += &format!("http://h{host}.example.com:0 {{\n bind 127.0.0.1\n");
            for (at, origin) in origins.iter().enumerate().filter(|(at, _)| at % 20 == host) {
                config += &format!(" route /{at}/* {{ reverse_proxy {origin} }}\n");
            }
            config += "}\n";
        }
        let proxy = over.of(&config).start();
        let mut speaker = proxy.speaker_for("h0.example.com");
        for at in 0..50 {
            let response = speaker.ask(Ask::get(&format!("/{at}/x")).host(&format!("h{}.example.com", at % 20)));
            assert_eq!(response.text(), at.to_string());
        }
    });
}

#[test]
fn r02_the_path_decides_in_written_order() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            ":0 {
            bind 127.0.0.1
            route /api/special { reverse_proxy {$C} }
            route /api/* { reverse_proxy {$A} }
            route {path} ~ `\\.(png|jpg)$` { reverse_proxy {$B} }
            route /users/:id { respond \"user {param.id}\" }
            reverse_proxy {$C}
        }",
            &origins,
        );
        for (target, expected) in [
            ("/api", "a"),
            ("/api/", "a"),
            ("/api/x?y", "a"),
            ("/api/special", "c"),
            ("/apiary", "c"),
            ("/x/y.png", "b"),
            ("/", "c"),
            ("/users/42", "user 42"),
            ("/x/../api/y", "a"),
            ("/%61pi/y", "a"),
            ("//api/y", "a"),
        ] {
            assert_eq!(ask(&proxy, "GET", target, ""), expected, "{target}");
        }
    });
}

#[test]
fn r03_fields_decide() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            ":0 {
            bind 127.0.0.1
            route header X-Canary 1 { reverse_proxy {$A} }
            route {header.User-Agent} ~ `(?i)bot` { reverse_proxy {$B} }
            route not header Accept { respond absent }
            route header Accept application/json { respond json }
            reverse_proxy {$C}
        }",
            &origins,
        );
        assert_eq!(ask(&proxy, "GET", "/", "X-Canary: 1\r\n"), "a");
        assert_eq!(ask(&proxy, "GET", "/", "Accept: */*\r\nX-Canary: 2\r\n"), "c");
        assert_eq!(ask(&proxy, "GET", "/", "User-Agent: GoogleBot\r\n"), "b");
        assert_eq!(ask(&proxy, "GET", "/", ""), "absent");
        assert_eq!(ask(&proxy, "GET", "/", "accept: application/json\r\n"), "json");
    });
}

#[test]
fn r04_the_method_decides() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            ":0 {
            bind 127.0.0.1
            route method GET HEAD { reverse_proxy {$A} }
            route method POST { reverse_proxy {$B} }
            respond 405
        }",
            &origins,
        );
        assert_eq!(ask(&proxy, "GET", "/", ""), "a");
        assert_eq!(ask(&proxy, "POST", "/", "Content-Length: 0\r\n"), "b");
        for method in ["PUT", "get"] {
            assert_eq!(proxy.request(Ask::of(method, "/").body("")).status(), 405, "{method}");
        }
    });
}

#[test]
fn r05_other_attributes_decide_and_combine() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            &":0 {
            bind 127.0.0.1
            route query v 2 and not cookie old { reverse_proxy {$A} }
            route cookie beta 1 or query beta { reverse_proxy {$B} }
            route client_ip 10.0.0.0/8 { respond remote }
            route protocol http/1.0 { respond old }
            route scheme SCHEME and ( path /x or path /y ) { respond xy }
            reverse_proxy {$C}
        }"
            .replace("SCHEME", over.scheme()),
            &origins,
        );
        assert_eq!(ask(&proxy, "GET", "/?v=2", ""), "a");
        assert_eq!(ask(&proxy, "GET", "/?v=2", "Cookie: a=b; old=1\r\n"), "c");
        assert_eq!(ask(&proxy, "GET", "/", "Cookie: a=b; beta=1\r\n"), "b");
        assert_eq!(ask(&proxy, "GET", "/?beta", ""), "b");
        assert_eq!(ask(&proxy, "GET", "/x", ""), "xy");
        assert_eq!(ask(&proxy, "GET", "/z", ""), "c");
        if over != Protocol::Plain {
            return;
        }
        let mut client = proxy.client();
        assert_eq!(client.send("GET / HTTP/1.0\r\nHost: example.com\r\n\r\n").response().text(), "old");
    });
}

#[test]
fn r06_one_host_is_a_gateway_to_many_services() {
    each(|over| {
        let origins = letters();
        let proxy = start(
            over,
            ":0 {
            bind 127.0.0.1
            route /api/users/* { reverse_proxy {$A} { timeout first_byte 1s } }
            route /api/orders/* { reverse_proxy {$B} { timeout first_byte 9s } }
            route /admin/* { respond 401 }
            reverse_proxy {$C}
        }",
            &origins,
        );
        assert_eq!(ask(&proxy, "GET", "/api/users/1", ""), "a");
        assert_eq!(ask(&proxy, "GET", "/api/orders/1", ""), "b");
        assert_eq!(proxy.get("/admin/").status(), 401);
        assert_eq!(ask(&proxy, "GET", "/", ""), "c");
    });
}

#[test]
fn r07_an_area_for_some_addresses_only() {
    each(|over| {
        let origin = Origin::saying("inside");
        let proxy = over
            .of("global { trusted_proxies 127.0.0.0/8 }
         :0 {
            bind 127.0.0.1
            @internal client_ip 10.0.0.0/8
            route /admin/* and not @internal { respond 403 }
            reverse_proxy {$ORIGIN}
         }")
            .with("ORIGIN", &origin)
            .start();
        let from = |client_ip: &str, target: &str| {
            proxy.request(Ask::get(target).field("X-Forwarded-For", client_ip)).status()
        };
        assert_eq!(from("192.0.2.7", "/admin/x"), 403);
        for spelling in ["/%61dmin/x", "//admin/x", "/x/../admin/x", "/admin//x", "/./admin/"] {
            assert_eq!(from("192.0.2.7", spelling), 403, "{spelling}");
        }
        assert_eq!(origin.connections(), 0, "refused before any server was asked");
        assert_eq!(from("10.1.2.3", "/admin/x"), 200);
        assert_eq!(from("192.0.2.7", "/"), 200);
    });
}

#[test]
fn r09_a_request_for_nobody_is_told_apart_and_logged() {
    each(|over| {
        let proxy = over.of("http://example.com:0 { bind 127.0.0.1; route /known { respond ok } }").start();
        let response = proxy.get("/unknown");
        assert_eq!(response.status(), 404);
        let id = response.field("x-request-id").unwrap();
        assert!(response.text().contains(id), "{:?}", response.text());
        let line = proxy.logged(id);
        assert_eq!(
            (&line["error"], &line["host"], &line["uri"]),
            (&"no_route".into(), &"example.com".into(), &"/unknown".into())
        );
        assert_eq!(line["site"], format!("{}://example.com:0", over.scheme()));
        assert_eq!(proxy.request(Ask::get("/").host("example.org")).status(), 421);
    });
}

#[test]
fn r08_explain_tells_the_way_of_a_request_and_sends_nothing() {
    let (api, other) = (Origin::saying("api"), Origin::saying("other"));
    let folder = Folder::new();
    folder.write(
        "Proxyfile",
        "upstream api { server {$API} }\nhttp://example.com {\n header set X-A b\n route /api/* {\n rate_limit 10/s\n strip_prefix /api\n reverse_proxy api\n }\n reverse_proxy {$OTHER}\n}\nhttp://example.org { respond no }",
    );
    let explain = |arguments: &[&str]| {
        let mut rp = command(&folder);
        rp.arg("explain").args(arguments).env("API", api.to_string()).env("OTHER", other.to_string());
        let output = rp.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = explain(&["GET", "http://example.com/api/users?id=1"]);
    let mut lines = said.lines();
    // In this order, each with its place.
    for part in [
        "site    http://example.com",
        "header set X-A b",
        "route /api/*",
        "rate_limit 10/s",
        "strip_prefix /api",
        "reverse_proxy api",
        &api.to_string(),
    ] {
        assert!(lines.any(|line| line.contains(part)), "`{part}` is missing, or stands elsewhere:\n{said}");
    }
    assert!(said.contains("GET /users?id=1"), "{said}");
    assert!(!said.contains(&other.to_string()), "{said}");
    let said: serde_json::Value = serde_json::from_str(&explain(&["--json", "GET", "http://example.com/x"])).unwrap();
    assert!(said.to_string().contains(&other.to_string()), "{said}");
    assert_eq!((api.connections(), other.connections()), (0, 0), "nobody was asked");
}
