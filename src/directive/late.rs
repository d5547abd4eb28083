//! What stands below all that answers in a block that requests do not leave.

use super::{Body, Statement};
use crate::check::Check;
use crate::diagnostic::{Code, Mistake};

/// Warns of changes that no answer of the block shows: those that stand below everything that may answer. Only for a
/// block that nothing comes out of, since what does come out may be answered behind it.
pub fn late(body: &Body, cx: &mut Check) {
    // An error page of the block's own may be what is to be changed.
    if body.incomplete || body.statements.iter().any(|statement| statement.directive.runs_on_failure()) {
        return;
    }
    let Some(last) = body.statements.iter().rposition(|statement| statement.directive.may_answer()) else { return };
    let (answers, below) = (&body.statements[last], &body.statements[last + 1..]);
    let passes =
        |statement: &Statement| statement.directive.front().is_some() || statement.directive.effect().lets_all_pass();
    if answers.directive.always_answers() || !below.iter().all(passes) {
        return;
    }
    // What a snippet brings is of use where it is used rightly.
    let own = |statement: &&Statement| statement.used_at.0.is_none() && statement.directive.front().is_none();
    for statement in below.iter().filter(own) {
        cx.report(stands_too_low(statement, answers));
    }
}

fn stands_too_low(statement: &Statement, answers: &Statement) -> Mistake {
    let name = statement.room.name;
    let sentence = format!("this `{name}` stands below all that answers here: it is met only by what gets a 404");
    Mistake::new(Code::W0018, statement.at, sentence)
        .other(answers.at, "the last that answers")
        .help(format!("move it above what it is for; if that is the 404, say so below it: {name} …; respond 404"))
}
