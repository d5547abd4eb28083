//! What the room reads, and whom it lets in.

use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use crate::directive::testing::findings;
use crate::http::exchange::Exchange;
use crate::http::fault::Cause;
use crate::http::step::Answer;
use crate::site::{Building, Program, Supplies};

/// Of `open sesame` and of `abracadabra`, at the lowest cost.
const OPEN_SESAME: &str = "$2y$04$yE7U3IHiNGJ2OZbQbFLfaOFxyvkY2b73YpkiAuVDO/flMPE/rVgYS";
const ALADDIN: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

fn program(statements: &str, supplies: &mut Supplies) -> Program {
    let mut cx = crate::check::Check::default();
    let (tree, mistakes) = crate::syntax::parse(crate::diagnostic::FileId::default(), statements);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let body = crate::directive::check_nodes(&tree.nodes, &mut cx);
    let found = cx.finish().sorted();
    assert!(found.is_empty(), "{found:?}");
    let mut building = Building::new(supplies);
    body.compile(&mut building).unwrap();
    building.finish()
}

fn ask(program: &Program, fields: &[(&str, &str)]) -> (Answer, Exchange) {
    let mut exchange = Exchange::sample("/", fields);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(program.run(&mut exchange));
    (answer, exchange)
}

fn login(program: &Program, authorization: &str) -> (u16, Option<Cause>) {
    let (answer, exchange) = ask(program, &[("authorization", authorization)]);
    (answer.status().as_u16(), exchange.notes.error.map(|fault| fault.cause))
}

fn site(options: &str) -> Program {
    program(
        &format!("basic_auth {{\n user Aladdin {OPEN_SESAME}\n {options}\n}}\nrespond \"{{auth.user}}\""),
        &mut Supplies::default(),
    )
}

const REFUSED: (u16, Option<Cause>) = (401, Some(Cause::Unauthorized));

#[test]
fn a05_only_who_proves_a_name_comes_in() {
    let program = site("");
    assert_eq!(login(&program, ALADDIN), (200, None));
    assert_eq!(login(&program, ALADDIN), (200, None), "what is remembered holds, too");
    // `Aladdin:open sesam`, `aladdin:open sesame`, `nobody:open sesame`, another scheme, nothing.
    for wrong in ["Basic QWxhZGRpbjpvcGVuIHNlc2Ft", "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Bearer x", "Basic", ""] {
        assert_eq!(login(&program, wrong), REFUSED, "{wrong}");
    }
    assert_eq!(login(&program, "Basic bm9ib2R5Om9wZW4gc2VzYW1l"), REFUSED, "nobody has the decoy's password, either");
    let (answer, _) = ask(&program, &[]);
    let challenge = answer.headers().get(WWW_AUTHENTICATE).unwrap();
    assert_eq!(challenge, "Basic realm=\"restricted\", charset=\"UTF-8\"");
}

#[test]
fn a05_two_proofs_are_none() {
    let (answer, _) = ask(&site(""), &[("authorization", ALADDIN), ("authorization", ALADDIN)]);
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
}

#[test]
fn the_name_is_known_from_there_on_and_the_field_goes_on_unless_told_otherwise() {
    for (options, forwarded) in [("", true), ("forward on", true), ("forward off", false)] {
        let (answer, exchange) = ask(&site(options), &[("authorization", ALADDIN)]);
        assert_eq!(exchange.user(), Some("Aladdin"));
        assert_eq!(exchange.headers.contains_key(AUTHORIZATION), forwarded, "{options}");
        assert!(matches!(answer.body(), crate::http::body::Body::Full(text) if text == "Aladdin"));
    }
}

#[test]
fn a_page_of_ones_own_asks_for_the_password_and_a_redirect_does_not() {
    let with = |page: &str| {
        let statements = format!("basic_auth \"The cave\" {{ user a {OPEN_SESAME} }}\nrespond ok\n{page}");
        ask(&program(&statements, &mut Supplies::default()), &[]).0
    };
    let page = with("handle_errors 401 { respond \"who is there?\" }");
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(page.headers()[WWW_AUTHENTICATE], "Basic realm=\"The cave\", charset=\"UTF-8\"");
    let elsewhere = with("handle_errors 401 { redirect /login }");
    assert!(elsewhere.status().is_redirection() && !elsewhere.headers().contains_key(WWW_AUTHENTICATE));
}

#[test]
fn a_file_names_users() {
    let file = std::env::temp_dir().join(format!("rp-users-{}", std::process::id()));
    let statements = format!("basic_auth {{ file {} }}\nrespond ok", file.display());
    std::fs::write(&file, format!("# staff\n\nAladdin:{OPEN_SESAME}\n")).unwrap();
    let mut supplies = Supplies::default();
    let program = program(&statements, &mut supplies);
    assert_eq!(supplies.files, std::slice::from_ref(&file), "it is watched");
    assert_eq!(login(&program, ALADDIN), (200, None));
    for (content, why) in [
        ("a\n", "in line 1 of `FILE`, there is no `NAME:HASH`"),
        ("\na:$apr1$x$y\n", "in line 2 of `FILE`, a hash by MD5 is broken in no time, and not taken"),
        (&format!("a:{OPEN_SESAME}\na:{OPEN_SESAME}\n"), "in line 2 of `FILE`, the user is named a second time"),
        ("# nobody\n", "`FILE` names no user"),
    ] {
        std::fs::write(&file, content).unwrap();
        assert_eq!(unbuilt(&statements), why.replace("FILE", &file.display().to_string()));
    }
    std::fs::remove_file(&file).unwrap();
    assert!(unbuilt(&statements).ends_with("no such file or directory"));
}

/// Why these statements can't be built.
fn unbuilt(statements: &str) -> String {
    let (tree, _) = crate::syntax::parse(crate::diagnostic::FileId::default(), statements);
    let body = crate::directive::check_nodes(&tree.nodes, &mut crate::check::Check::default());
    let mut supplies = Supplies::default();
    body.compile(&mut Building::new(&mut supplies)).unwrap_err().text
}

#[test]
fn what_is_wrong_is_said() {
    let user = |rest: &str| findings(&format!("basic_auth {{ user alice {rest} }}\nrespond ok"));
    assert_eq!(
        user("hunter2"),
        ["E0020 this is neither an argon2id nor a bcrypt hash, and passwords are not written in plain text; \
          hash the password with `rp hash`, and write what it prints"]
    );
    assert!(findings("basic_auth\nrespond ok")[0].starts_with("E0022 `basic_auth` lets nobody in"));
    assert!(findings("basic_auth { forward off }\nrespond ok")[0].starts_with("E0022"));
    assert!(
        findings(&format!("basic_auth {{ user a:b {OPEN_SESAME} }}\nrespond ok"))[0].contains("a name holds no colon")
    );
    assert!(
        findings(&format!("basic_auth \"a \\\" b\" {{ user a {OPEN_SESAME} }}\nrespond ok"))[0].starts_with("E0020")
    );
    let twice = findings(&format!("basic_auth {{ user a {OPEN_SESAME}; user a {OPEN_SESAME} }}\nrespond ok"));
    assert!(twice[0].starts_with("E0024 user `a` is named twice"), "{twice:?}");
}
