//! Requirements S05, S06, S10 to S12: who and what is kept out, by matchers.

use crate::harness::{Ask, Message, Origin, Protocol, Proxy, command, each, eventually};

fn ask(proxy: &Proxy, target: &str, fields: &str) -> Message {
    proxy.request(Ask::get(target).fields(fields))
}

#[test]
fn s05_clients_are_refused_by_what_they_call_themselves() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
            "route {header.User-Agent} ~ `(?i)bot|crawler|spider|scraper` { respond 403 }\n reverse_proxy {$ORIGIN}",
            &origin,
        );
        for (agent, status) in [("SomeBot/1.0", 403), ("a CRAWLER", 403), ("Mozilla/5.0 Firefox/127.0", 200)] {
            assert_eq!(ask(&proxy, "/", &format!("User-Agent: {agent}\r\n")).status(), status, "{agent}");
        }
        assert_eq!(ask(&proxy, "/", "").status(), 200);
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn s06_queries_are_judged_as_servers_read_them() {
    each(|over| {
        let origin = Origin::saying("ok");
        let proxy = over.site(
        "route {decoded_query} ~ `(?i)\\bxp_[a-z]+` { respond 400 }\n route signature sqli { respond 403 }\n reverse_proxy {$ORIGIN}",
        &origin,
    );
        for (query, status) in [
            ("id=1+%75nion+select+1", 403),
            ("id=1%2520union%2520select%25201", 403),
            ("id=1%27+or+%271%27=%271", 403),
            ("a=x%2570_cmdshell", 400),
            ("name=O%27Brien&q=select+a+union", 200),
        ] {
            let response = ask(&proxy, &format!("/search?{query}"), "");
            assert_eq!(response.status(), status, "{query}");
            assert_eq!(proxy.logged_for(&response)["status"], status);
        }
        assert_eq!(
            origin.request().start,
            "GET /search?name=O%27Brien&q=select+a+union HTTP/1.1",
            "and pass as they came"
        );
    });
}

#[test]
fn s10_lists_hold_in_order_and_come_from_files() {
    each(|over| {
        let config = "global { trusted_proxies 127.0.0.1 }\n:0 {\n bind 127.0.0.1\n\
                  route client_ip 10.6.6.0/24 2001:db8:6::/48 { respond 403 no }\n\
                  route client_ip 10.0.0.0/8 {lines.office.txt} { respond yes }\n respond 404 nobody\n}";
        let proxy = over.of(config).file("office.txt", "# the office\n192.0.2.0/28\n\n  2001:db8::/32  \n").start();
        let from = |ip: &str| ask(&proxy, "/", &format!("X-Forwarded-For: {ip}\r\n")).text().to_owned();
        for (ip, expected) in [
            ("10.6.6.1", "no"),
            ("10.6.7.1", "yes"),
            ("2001:db8:6::1", "no"),
            ("2001:db8:7::1", "yes"),
            ("192.0.2.15", "yes"),
            ("192.0.2.16", "nobody"),
            ("2001:db9::1", "nobody"),
        ] {
            assert_eq!(from(ip), expected, "{ip}");
        }
        // A changed list is a changed configuration; one that can't be read as such changes nothing.
        proxy.folder.write("office.txt", "192.0.2.16\n");
        eventually("the new list", || (from("192.0.2.16") == "yes" && from("192.0.2.15") == "nobody").then_some(()));
        proxy.folder.write("office.txt", "192.0.2.17\n} respond everybody\n");
        proxy.said("is refused; the old one goes on");
        assert_eq!((from("192.0.2.16").as_str(), from("192.0.2.17").as_str()), ("yes", "nobody"));
    });
}

#[test]
fn s11_lists_mean_the_client_and_nobody_can_say_to_be_another() {
    each(|over| {
        let site = ":0 {\n bind 127.0.0.1\n route client_ip 10.0.0.0/8 { respond in }\n respond out\n}";
        for (global, said) in [("", "out"), ("global { trusted_proxies 127.0.0.1 }\n", "in")] {
            let proxy = over.of(&format!("{global}{site}")).start();
            assert_eq!(ask(&proxy, "/", "X-Forwarded-For: 10.1.1.1\r\n").text(), said);
            assert_eq!(ask(&proxy, "/", "X-Forwarded-For: 10.1.1.1, 192.0.2.9\r\n").text(), "out");
            assert_eq!(ask(&proxy, "/", "X-Real-IP: 10.1.1.1\r\n").text(), "out");
        }
    });
}

#[test]
fn s12_signatures_keep_noise_out_and_explain_tells_why() {
    each(|over| {
        let origin = Origin::saying("ok");
        let statements = "route signature crawlers and /robots.txt { respond \"User-agent: *\" }\n \
                      route signature crawlers scanners probes { respond 403 }\n reverse_proxy {$ORIGIN}";
        let proxy = over.site(statements, &origin);
        let googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
        for (target, agent, status) in [
            ("/", googlebot, 403),
            ("/robots.txt", googlebot, 200),
            ("/", "sqlmap/1.8.4#stable (https://sqlmap.org)", 403),
            ("/", firefox, 200),
            ("/", "curl/8.7.1", 200),
            ("/.git/config", firefox, 403),
            ("/x/%2e%2e/.env", firefox, 403),
            ("/environment", firefox, 200),
        ] {
            assert_eq!(ask(&proxy, target, &format!("User-Agent: {agent}\r\n")).status(), status, "{target} {agent}");
        }
        assert_eq!(origin.requests().len(), 3);
        if over != Protocol::Plain {
            return;
        }
        let explained = command(&proxy.folder)
            .args([
                "explain",
                "--config",
                "Proxyfile",
                "-H",
                &format!("User-Agent: {googlebot}"),
                "http://example.com:0/",
            ])
            .env("ORIGIN", origin.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&explained.stdout);
        let complaint = String::from_utf8_lossy(&explained.stderr);
        assert!(said.contains("Googlebot/2.1") && said.contains("one of `crawlers`"), "{said} {complaint}");
    });
}
