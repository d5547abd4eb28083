//! Takes the requests of a test through the configuration, and holds what came of them against what is expected.

use std::path::Path;

use http::HeaderName;

use super::script::{Asked, Case, Expect, Expectation, Side, Step, Wanted};
use crate::cli::explain::play;
use crate::diagnostic::{Code, Mistake, Span};
use crate::server::rehearse::{Event, Played, Scene, Stage};

/// What is not as expected. An error is that of a configuration that cannot be built.
pub fn run(stage: &Stage, case: &Case, config: &Path) -> Result<Vec<Mistake>, Vec<Mistake>> {
    let scene = stage.scene()?;
    let mut wrong = Vec::new();
    let mut last: Option<(&Asked, Played)> = None;
    for step in &case.steps {
        match step {
            Step::Request(asked) => match ask(&scene, asked) {
                Ok(played) => last = Some((asked, played)),
                Err(mistake) => {
                    wrong.push(mistake);
                    break;
                }
            },
            Step::Expect(expectation) => {
                let Some((asked, played)) = &last else { break };
                let judge = Judge { stage, played };
                wrong.extend(judge.unmet(expectation).map(|mistake| mistake.help(command(asked, config))));
            }
        }
    }
    Ok(wrong)
}

fn ask(scene: &Scene<'_>, asked: &Asked) -> Result<Played, Mistake> {
    let mut played = None;
    for _ in 0..asked.times {
        let outcome = play(scene, &asked.request, &asked.reply);
        played = Some(outcome.map_err(|why| Mistake::new(Code::E0060, asked.at, why.to_string()))?);
    }
    played.ok_or_else(|| Mistake::new(Code::E0060, asked.at, "nothing is asked"))
}

/// What shows the way of the request, to be pasted.
fn command(asked: &Asked, config: &Path) -> String {
    let request = &asked.request;
    let mut command = format!("see its way: rp explain {} '{}'", request.method, request.uri);
    for (name, value) in &request.headers {
        command.push_str(&format!(" -H '{name}: {}'", String::from_utf8_lossy(value.as_bytes())));
    }
    if request.from != std::net::IpAddr::from([192, 0, 2, 1]) {
        command.push_str(&format!(" --from {}", request.from));
    }
    if config != Path::new("Proxyfile") {
        command.push_str(&format!(" --config {}", config.display()));
    }
    command
}

struct Judge<'j> {
    stage: &'j Stage,
    played: &'j Played,
}

impl Judge<'_> {
    fn unmet(&self, expectation: &Expectation) -> Option<Mistake> {
        let (sentence, decided) = match &expectation.what {
            Expect::Status(wanted) if wanted.holds(self.played.status) => return None,
            Expect::Status(_) => (format!("the status is {}", self.played.status), self.decided()),
            Expect::Site(wanted) => self.site(wanted)?,
            Expect::Route(wanted) => self.route(wanted)?,
            Expect::Upstream(wanted) => self.upstream(wanted)?,
            Expect::Server(wanted) => self.server(wanted)?,
            Expect::Uri(wanted) => {
                let sentence = differs("the URI", &self.played.target, wanted)?;
                (sentence, self.changed(|what| what == "path" || what == "query"))
            }
            Expect::Error(wanted) => self.error(wanted)?,
            Expect::Body(wanted) => {
                let body = String::from_utf8_lossy(&self.played.body);
                (differs("the body", &body, wanted)?, self.decided())
            }
            Expect::Field(side, name, wanted) => self.field(*side, name, wanted)?,
            Expect::NoField(side, name) => {
                let value = self.value(*side, name)?;
                (format!("there is a field `{name}`: `{value}`"), self.changed(|what| what == name.as_str()))
            }
        };
        let mistake = Mistake::new(Code::E0060, expectation.at, sentence);
        Some(match decided {
            Some((at, why)) => mistake.other(at, why),
            None => mistake,
        })
    }

    fn site(&self, wanted: &str) -> Option<Unmet> {
        match &self.played.site {
            Some((name, at)) if **name != *wanted => {
                // A site goes by each of its addresses.
                let site = self.stage.model.sites.iter().find(|site| site.at == *at);
                let known = site.is_some_and(|site| site.addresses.iter().any(|address| address.text == wanted));
                (!known).then(|| (format!("the site is `{name}`"), Some((*at, "this site has the host".to_owned()))))
            }
            Some(_) => None,
            None => Some(("no site has this host".to_owned(), None)),
        }
    }

    /// The last `route` that took the request.
    fn route(&self, wanted: &str) -> Option<Unmet> {
        let taken = self.played.events.iter().rev().find_map(|event| match event {
            Event::Asked { at, holds: true, .. } => Some((*at, self.stage.text(*at).strip_prefix("route")?)),
            _ => None,
        });
        let Some((at, text)) = taken else { return Some(("no route takes it".to_owned(), self.decided())) };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (text != wanted).then(|| (format!("the route is `{text}`"), Some((at, "this one takes it".to_owned()))))
    }

    fn upstream(&self, wanted: &str) -> Option<Unmet> {
        let Some(forward) = &self.played.forward else { return Some(self.nobody()) };
        let name = if forward.upstream.is_empty() { "one without a name" } else { &forward.upstream };
        (*name != *wanted).then(|| (format!("the upstream is `{name}`"), self.decided()))
    }

    fn server(&self, wanted: &str) -> Option<Unmet> {
        let Some(forward) = &self.played.forward else { return Some(self.nobody()) };
        let Some(server) = forward.server.and_then(|at| forward.servers.get(at)) else {
            return Some(("none of the servers can be asked".to_owned(), self.decided()));
        };
        let address = server.address.strip_prefix("http://").unwrap_or(&server.address);
        (*address != *wanted && *server.address != *wanted)
            .then(|| (format!("the server is `{}`", server.address), self.decided()))
    }

    fn nobody(&self) -> Unmet {
        ("no server is asked".to_owned(), self.decided())
    }

    fn error(&self, wanted: &str) -> Option<Unmet> {
        match &self.played.fault {
            Some(fault) if fault.cause.code() == wanted => None,
            Some(fault) => Some((format!("the error is `{}`", fault.cause.code()), self.decided())),
            None => Some(("there is no error".to_owned(), self.decided())),
        }
    }

    fn field(&self, side: Side, name: &HeaderName, wanted: &Wanted) -> Option<Unmet> {
        match self.value(side, name) {
            Some(value) => {
                let sentence = differs(&format!("`{name}`"), &value, wanted)?;
                Some((sentence, self.changed(|what| what == name.as_str())))
            }
            None if side == Side::Request && self.played.forward.is_none() => Some(self.nobody()),
            None => Some((format!("there is no field `{name}`"), self.changed(|what| what == name.as_str()))),
        }
    }

    fn value(&self, side: Side, name: &HeaderName) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let values: Vec<String> = match side {
            Side::Answer => self.played.headers.get_all(name).iter().map(|value| text(value.as_bytes())).collect(),
            Side::Request => {
                let head = text(&self.played.forward.as_ref()?.head);
                let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
                fields.filter(|(known, _)| *known == name.as_str()).map(|(_, value)| value.to_owned()).collect()
            }
        };
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The statement that answered or failed.
    fn decided(&self) -> Option<(Span, String)> {
        self.played.events.iter().rev().find_map(|event| match event {
            Event::Answers { at } => Some((*at, "this gives the answer".to_owned())),
            Event::Failed { at, fault, .. } if self.stage.statement(*at).is_some() => {
                Some((*at, format!("this fails: {}", fault.cause.code())))
            }
            Event::Failed { at, .. } => Some((*at, "nothing in this site answers".to_owned())),
            _ => None,
        })
    }

    /// The statement that changed this last, else that which answered.
    fn changed(&self, is_it: impl Fn(&str) -> bool) -> Option<(Span, String)> {
        let by = self.played.events.iter().rev().find_map(|event| match event {
            Event::Passed { at, changes } | Event::Returned { at, changes } => {
                changes.iter().any(|change| is_it(&change.what)).then(|| (*at, "this changes it".to_owned()))
            }
            _ => None,
        });
        by.or_else(|| self.decided())
    }
}

/// What is the case, and which statement made it so.
type Unmet = (String, Option<(Span, String)>);

fn differs(what: &str, found: &str, wanted: &Wanted) -> Option<String> {
    let met = match wanted {
        Wanted::Some => !found.is_empty(),
        Wanted::Text(text) => text == found,
        Wanted::Matching(pattern) => pattern.0.is_match(found),
    };
    // A message is one sentence, whatever it speaks of.
    (!met).then(|| format!("{what} is `{}`", found.escape_debug().to_string().replace("\\\"", "\"")))
}
