//! `security_headers`: fields that every answer should have.

use http::{HeaderName, HeaderValue};

use super::hsts::Hsts;
use super::{Directive, Room};
use crate::check::value::Text;
use crate::check::{Arguments, Check, Opt, Reported, near, one_of};
use crate::diagnostic::{Code, Mistake};
use crate::http::exchange::Exchange;
use crate::http::step::{Answer, Filter};
use crate::site::Building;
use crate::syntax::tree::{Node, Word};

pub static ROOM: Room = Room {
    name: "security_headers",
    syntax: "security_headers [strict] [{ … }]",
    summary: "adds the fields that keep browsers from helping an attacker",
    doc: "Adds to every answer given below it in its block, errors included, what it lacks of these: `Strict-Transport-Security: max-age=31536000` (over TLS only), `X-Content-Type-Options: nosniff`, `Referrer-Policy: strict-origin-when-cross-origin`, `X-Frame-Options: SAMEORIGIN` and `Permissions-Policy: camera=(), geolocation=(), microphone=()`. A field that the server sent stays as it is, since the application knows better; so does one that `header set` or `hsts` writes.\n\n\
          `strict` is for a site that loads nothing from elsewhere and is shown in no frame. It adds a `Content-Security-Policy` that lets a page load and send within this site only (`default-src 'self'`, `form-action 'self'`, and `'none'` for `base-uri`, `frame-ancestors` and `object-src`), `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Resource-Policy: same-origin`, has `X-Frame-Options: DENY`, and sends no `Referer` elsewhere at all (`same-origin`). Scripts and styles inside a page don't run under it. Try it out on a copy first.\n\n\
          Each option replaces one of these values, or leaves the field out by `off`. `X-XSS-Protection` is not among them: what it switched on is gone from browsers, and was an attack surface of its own.",
    options: OPTIONS,
    examples: &[
        "security_headers",
        "security_headers strict { content_security_policy \"default-src 'self'; img-src *\" }",
        "security_headers { frame_options off; hsts 730d subdomains }",
    ],
    related: &["hsts", "header", "cors"],
    check,
};

static OPTIONS: &[Opt] = &[
    Opt::once(
        "hsts",
        "hsts DURATION [subdomains] [preload], or hsts off",
        "`Strict-Transport-Security`, as `hsts` has it (365d)",
    )
    .by_default(&["365d"]),
    Opt::once("content_type_options", "content_type_options nosniff|off", "`X-Content-Type-Options` (nosniff)")
        .by_default(&["nosniff"]),
    Opt::once(
        "referrer_policy",
        "referrer_policy VALUE|off",
        "`Referrer-Policy` (strict-origin-when-cross-origin; with `strict`, same-origin)",
    )
    .by_default(&["strict-origin-when-cross-origin"]),
    Opt::once(
        "frame_options",
        "frame_options deny|sameorigin|off",
        "`X-Frame-Options` (sameorigin; with `strict`, deny)",
    )
    .by_default(&["sameorigin"]),
    Opt::once(
        "permissions_policy",
        "permissions_policy VALUE|off",
        "`Permissions-Policy` (no camera, no place, no microphone)",
    )
    .by_default(&["\"camera=(), geolocation=(), microphone=()\""]),
    Opt::once(
        "content_security_policy",
        "content_security_policy VALUE|off",
        "`Content-Security-Policy` (off; with `strict`, what comes from this site only)",
    )
    .by_default(&["off"]),
    Opt::once(
        "opener_policy",
        "opener_policy VALUE|off",
        "`Cross-Origin-Opener-Policy` (off; with `strict`, same-origin)",
    )
    .by_default(&["off"]),
    Opt::once(
        "resource_policy",
        "resource_policy VALUE|off",
        "`Cross-Origin-Resource-Policy` (off; with `strict`, same-origin)",
    )
    .by_default(&["off"]),
];

/// A field, by the option that changes it.
struct Field {
    option: &'static str,
    /// In lower case.
    name: &'static str,
    usual: Option<&'static str>,
    strict: Option<&'static str>,
    /// All that it may be; empty where that is a language of its own.
    choices: &'static [&'static str],
}

const REFERRER: &[&str] = &[
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

/// All but HSTS, which depends on the connection.
static FIELDS: &[Field] = &[
    Field {
        option: "content_type_options",
        name: "x-content-type-options",
        usual: Some("nosniff"),
        strict: Some("nosniff"),
        choices: &["nosniff"],
    },
    Field {
        option: "referrer_policy",
        name: "referrer-policy",
        usual: Some("strict-origin-when-cross-origin"),
        strict: Some("same-origin"),
        choices: REFERRER,
    },
    Field {
        option: "frame_options",
        name: "x-frame-options",
        usual: Some("SAMEORIGIN"),
        strict: Some("DENY"),
        choices: &["deny", "sameorigin"],
    },
    Field {
        option: "permissions_policy",
        name: "permissions-policy",
        usual: Some("camera=(), geolocation=(), microphone=()"),
        strict: Some("camera=(), geolocation=(), microphone=()"),
        choices: &[],
    },
    Field {
        option: "content_security_policy",
        name: "content-security-policy",
        usual: None,
        strict: Some(
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
        choices: &[],
    },
    Field {
        option: "opener_policy",
        name: "cross-origin-opener-policy",
        usual: None,
        strict: Some("same-origin"),
        choices: &["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"],
    },
    Field {
        option: "resource_policy",
        name: "cross-origin-resource-policy",
        usual: None,
        strict: Some("same-origin"),
        choices: &["same-origin", "same-site", "cross-origin"],
    },
];

/// What answers are given where they lack it.
#[derive(Debug, Clone)]
struct SecurityHeaders {
    hsts: Option<Hsts>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

fn check(node: &Node, cx: &mut Check) -> Result<Box<dyn Directive>, Reported> {
    let mut args = Arguments::of(node, ROOM.syntax);
    let strict = args.keyword("strict");
    args.done(cx)?;
    by_field(node, cx)?;
    let mut hsts = Some(Hsts::default());
    let preset = |field: &Field| if strict { field.strict } else { field.usual };
    let mut values: Vec<Option<HeaderValue>> =
        FIELDS.iter().map(|field| preset(field).map(HeaderValue::from_static)).collect();
    cx.options(node, OPTIONS, |option, inner, cx| {
        let mut args = Arguments::of(inner, option.syntax);
        let field = FIELDS.iter().zip(&mut values).find(|(field, _)| field.option == option.name);
        let word = args.peek();
        if args.keyword("off") {
            field.map_or_else(|| hsts = None, |(_, value)| *value = None);
        } else if let Some((field, value)) = field {
            *value = Some(read(field, args.expect_word("a value", cx)?, cx)?);
        } else if word.is_none() {
            return Err(args.missing("a duration", cx));
        } else {
            hsts = Some(Hsts::read(&mut args, cx)?);
        }
        args.done_without_block(cx)
    })?;
    let fields = FIELDS
        .iter()
        .zip(values)
        .filter_map(|(field, value)| Some((HeaderName::from_static(field.name), value?)))
        .collect();
    Ok(Box::new(SecurityHeaders { hsts, fields }))
}

/// An option by the name of its field.
fn by_field(node: &Node, cx: &mut Check) -> Result<(), Reported> {
    let lines = node.block.iter().flat_map(|block| &block.nodes);
    let misnamed = lines.filter_map(|line| {
        let known = FIELDS.iter().find(|field| line.name().eq_ignore_ascii_case(field.name))?;
        let rest: String = line.words[1..].iter().map(|word| format!(" {}", word.written())).collect();
        let name = line.name();
        Some(Err(cx.report(
            Mistake::new(Code::E0011, line.words[0].span, format!("`{name}` is set by `{}` here", known.option))
                .help(format!("write: {}{rest}", known.option)),
        )))
    });
    misnamed.fold(Ok(()), Result::and)
}

fn read(field: &Field, word: &Word, cx: &mut Check) -> Result<HeaderValue, Reported> {
    let text = cx.value::<Text>(word)?.0;
    let known = field.choices.iter().find(|choice| choice.eq_ignore_ascii_case(&text));
    if known.is_none() && !field.choices.is_empty() {
        let mistake = Mistake::new(Code::E0020, word.span, format!("`{}` knows no `{text}`", field.option));
        return Err(cx.report(match near::nearest(&text, field.choices.iter().copied()) {
            Some(near) => mistake.meant(&text, near).help(format!("write `{near}`, or `off`")),
            None => mistake.help(format!("write {}", one_of(field.choices.iter().copied().chain(["off"])))),
        }));
    }
    // This one is known by its capitals.
    let text = match known {
        Some(known) if field.option == "frame_options" => known.to_ascii_uppercase(),
        Some(known) => (*known).to_owned(),
        None => text,
    };
    HeaderValue::try_from(text).map_err(|_| {
        cx.report(
            Mistake::new(Code::E0020, word.span, "a field value can't hold line breaks or other control characters")
                .help("write it on one line"),
        )
    })
}

impl Directive for SecurityHeaders {
    fn compile(&self, site: &mut Building<'_>) -> Result<(), Mistake> {
        site.filter(self.clone());
        Ok(())
    }
}

impl Filter for SecurityHeaders {
    fn has_response_side(&self) -> bool {
        true
    }

    fn changes_fields_only(&self) -> bool {
        true
    }

    fn response(&self, exchange: &mut Exchange, answer: &mut Answer) {
        let headers = answer.headers_mut();
        let hsts = self.hsts.as_ref().and_then(|hsts| hsts.value(exchange));
        let hsts = hsts.map(|value| (&http::header::STRICT_TRANSPORT_SECURITY, value));
        for (name, value) in self.fields.iter().map(|(name, value)| (name, value)).chain(hsts) {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::testing::{findings, pass, secure};

    /// All fields but those of the content, over TLS.
    fn told(site: &str) -> Vec<String> {
        let answer = pass(site, &mut secure("/", "example.com"));
        let mut told: Vec<String> = answer
            .headers()
            .iter()
            .filter(|(name, _)| !name.as_str().starts_with("content-type") && *name != "content-length")
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        told.sort();
        told
    }

    #[test]
    fn s09_every_answer_has_them() {
        let usual = [
            "permissions-policy: camera=(), geolocation=(), microphone=()",
            "referrer-policy: strict-origin-when-cross-origin",
            "strict-transport-security: max-age=31536000",
            "x-content-type-options: nosniff",
            "x-frame-options: SAMEORIGIN",
        ];
        assert_eq!(told("security_headers\nrespond ok"), usual);
        let error = told("security_headers\nroute /none { respond ok }");
        assert!(usual.iter().all(|field| error.iter().any(|told| told == field)), "{error:?}");
        let mut plain = Exchange::sample("/", &[]);
        assert!(!pass("security_headers\nrespond ok", &mut plain).headers().contains_key("strict-transport-security"));
    }

    #[test]
    fn strict_is_for_sites_that_need_nobody_else() {
        assert_eq!(
            told("security_headers strict { permissions_policy off }\nrespond ok"),
            [
                "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'self'; \
                 frame-ancestors 'none'; object-src 'none'",
                "cross-origin-opener-policy: same-origin",
                "cross-origin-resource-policy: same-origin",
                "referrer-policy: same-origin",
                "strict-transport-security: max-age=31536000",
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
            ]
        );
    }

    #[test]
    fn each_can_be_replaced_or_left_out() {
        let all_off: Vec<String> = OPTIONS.iter().map(|option| format!("{} off", option.name)).collect();
        assert_eq!(told(&format!("security_headers strict {{ {} }}\nrespond ok", all_off.join("; "))), [""; 0]);
        let rest = "content_type_options off; permissions_policy off; referrer_policy no-referrer";
        assert_eq!(
            told(&format!("security_headers {{ {rest}; frame_options DENY; hsts 5m subdomains }}\nrespond ok")),
            [
                "referrer-policy: no-referrer",
                "strict-transport-security: max-age=300; includeSubDomains",
                "x-frame-options: DENY"
            ]
        );
    }

    #[test]
    fn m09_who_knows_better_wins() {
        for site in [
            "header set X-Frame-Options ALLOW\nsecurity_headers\nrespond ok",
            "security_headers\nheader set X-Frame-Options ALLOW\nrespond ok",
        ] {
            assert!(told(site).contains(&"x-frame-options: ALLOW".to_owned()), "{site}");
        }
        for site in ["hsts 5m\nsecurity_headers\nrespond ok", "security_headers\nhsts 5m\nrespond ok"] {
            assert!(told(site).contains(&"strict-transport-security: max-age=300".to_owned()), "{site}");
        }
    }

    #[test]
    fn what_browsers_would_not_know_is_refused() {
        let said = |options: &str| findings(&format!("security_headers {{ {options} }}\nrespond ok")).join("\n");
        assert!(said("frame_options allow").contains("write `deny`, `sameorigin` or `off`"));
        assert!(said("referrer_policy strict-orgin").contains("write `strict-origin`, or `off`"));
        assert!(said("content_type_options on").starts_with("E0020"));
        assert!(said("hsts").starts_with("E0022"));
        assert!(said("hsts 31536000").contains("has no unit"));
        assert!(findings("security_headers lax\nrespond ok")[0].starts_with("E0023"));
    }
}
