//! `chain` in `acme`: which chain is taken, where an authority offers several to one certificate.

use crate::check::value::Text;
use crate::check::{Arguments, Check, Opt, Reported};
use crate::diagnostic::{Code, Mistake};
use crate::tls::acme::Preference;

pub const OPTION: Opt = Opt::once(
    "chain",
    "chain shortest|ROOT …",
    "which of several chains to one certificate, by the name of the root that it leads to; where none leads to the first, the next is looked for (the one that the authority sends first)",
)
.kinds(KINDS);

pub const OF_ONE: Opt = Opt::once("chain", "chain shortest|ROOT …", "the same for this authority alone").kinds(KINDS);

const KINDS: &[(&str, &str)] = &[("shortest", "the one with the fewest certificates")];

pub(super) fn read(args: &mut Arguments<'_>, cx: &mut Check) -> Result<Vec<Preference>, Reported> {
    let mut preferences: Vec<Preference> = Vec::new();
    let first = args.expect_word("`shortest`, or the name of a root", cx)?;
    for word in std::iter::once(first).chain(std::iter::from_fn(|| args.word())) {
        let text = cx.value::<Text>(word)?.0;
        let mistake = |code, what: String| Mistake::new(code, word.span, what);
        if preferences.contains(&Preference::Shortest) {
            let mistake =
                mistake(Code::E0028, format!("there always is a shortest one, so `{text}` is never looked for"));
            return Err(cx.report(mistake.help("put `shortest` last, or remove it")));
        }
        let preference = match text.trim() {
            "" => {
                let mistake = mistake(Code::E0020, "no root is called nothing".to_owned());
                return Err(cx.report(mistake.help("write: chain \"ISRG Root X1\"")));
            }
            "shortest" => Preference::Shortest,
            name => Preference::Under(name.to_owned()),
        };
        if preferences.contains(&preference) {
            let mistake = mistake(Code::E0024, format!("`{text}` is said twice"));
            return Err(cx.report(mistake.help("remove one of them")));
        }
        preferences.push(preference);
    }
    Ok(preferences)
}
