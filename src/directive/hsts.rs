//! `hsts`: browsers come back by HTTPS only (RFC 6797).

use std::time::Duration;

use http::HeaderValue;
use http::header::STRICT_TRANSPORT_SECURITY;

use super::{Directive, Room};
use crate::check::{Arguments, Check, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::http::connection::Scheme;
use crate::http::exchange::Exchange;
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::Node;

pub static ROOM: Room = Room {
    name: "hsts",
    syntax: "hsts [DURATION] [subdomains] [preload]",
    summary: "tells browsers to come back by HTTPS only",
    doc: "Sets `Strict-Transport-Security` in every answer given below it in its block, errors included, in place of what the server sent. A browser that has seen it asks this host by HTTPS only for DURATION (`365d`), and lets nobody click a certificate error away: begin with `5m`, and write more once all works. `hsts 0s` takes it back.\n\n\
          `subdomains` holds for all names below this one as well, also for those that are not served here. `preload` asks for a place in the list that browsers come with, which wants `subdomains` and a year at least, and from which it takes months to get off.\n\n\
          It is sent over TLS only, as the standard asks, and never for `localhost`, where it would lock out whatever else runs on this machine.",
    options: &[],
    examples: &["hsts", "hsts 5m", "hsts 730d subdomains preload"],
    related: &["security_headers", "tls", "header"],
    check,
};

/// How long a browser remembers where nothing is said.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What is asked of browsers.
#[derive(Debug, Clone)]
pub(super) struct Hsts(HeaderValue);

impl Default for Hsts {
    fn default() -> Self {
        Self::new(YEAR, false, false)
    }
}

impl Hsts {
    fn new(time: Duration, subdomains: bool, preload: bool) -> Self {
        let subdomains = if subdomains { "; includeSubDomains" } else { "" };
        let preload = if preload { "; preload" } else { "" };
        let value = format!("max-age={}{subdomains}{preload}", time.as_secs());
        Self(HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("max-age=0")))
    }

    /// `[DURATION] [subdomains] [preload]`
    pub fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Self, Reported> {
        let is_time = args
            .peek()
            .and_then(|word| word.plain())
            .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let time = if is_time { args.expect("a duration", cx)? } else { YEAR };
        let subdomains = args.keyword("subdomains");
        let at = args.peek().map(|word| word.span);
        let preload = args.keyword("preload");
        if let (Some(at), true) = (at, preload && (!subdomains || time < YEAR)) {
            return Err(cx.report(
                Mistake::new(Code::E0028, at, "no list takes a host without `subdomains` and a year at least")
                    .help("write: hsts 365d subdomains preload"),
            ));
        }
        Ok(Self::new(time, subdomains, preload))
    }

    /// Where it may be said: not on a plain connection (RFC 6797, section 7.2), and not for this machine's own name.
    pub fn value(&self, exchange: &Exchange) -> Option<&HeaderValue> {
        let host = exchange.host.name();
        let is_local = host == "localhost" || host.ends_with(".localhost");
        (exchange.connection.scheme == Scheme::Https && !is_local).then_some(&self.0)
    }
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let hsts = Hsts::read(&mut args, cx)?;
    args.done_without_block(cx)?;
    Ok(Box::new(hsts))
}

impl Directive for Hsts {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Filter for Hsts {
    fn has_response_side(&self) -> bool {
        true
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        if let Some(value) = self.value(exchange) {
            answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::STRICT_TRANSPORT_SECURITY;

    use crate::directive::testing::{findings, pass, secure};
    use crate::http::exchange::Exchange;

    fn told(site: &str, exchange: &mut Exchange) -> Option<String> {
        let answer = pass(site, exchange);
        answer.headers().get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn t07_every_answer_over_tls_has_it_and_no_other() {
        let over_tls = |site: &str| told(site, &mut secure("/", "example.com")).unwrap();
        assert_eq!(over_tls("hsts\nrespond ok"), "max-age=31536000");
        assert_eq!(over_tls("hsts\nroute /none { respond ok }"), "max-age=31536000", "errors, too");
        assert_eq!(over_tls("hsts 5m subdomains\nrespond ok"), "max-age=300; includeSubDomains");
        assert_eq!(over_tls("hsts 0s\nrespond ok"), "max-age=0");
        assert_eq!(
            over_tls("hsts 730d subdomains preload\nrespond ok"),
            "max-age=63072000; includeSubDomains; preload"
        );
        let sent = "header set Strict-Transport-Security max-age=1";
        assert_eq!(over_tls(&format!("{sent}\nhsts\nrespond ok")), "max-age=31536000");
        assert_eq!(told("hsts\nrespond ok", &mut Exchange::sample("/", &[])), None);
        for host in ["localhost", "app.localhost"] {
            assert_eq!(told("hsts\nrespond ok", &mut secure("/", host)), None);
        }
    }

    #[test]
    fn what_no_list_would_take_is_refused() {
        for statement in ["hsts preload", "hsts 365d preload", "hsts 364d subdomains preload"] {
            let said = findings(&format!("{statement}\nrespond ok"));
            assert!(said[0].starts_with("E0028 no list takes"), "{statement}: {said:?}");
        }
        assert!(findings("hsts 31536000\nrespond ok")[0].contains("has no unit"));
        assert!(findings("hsts on\nrespond ok")[0].starts_with("E0023"));
    }
}
