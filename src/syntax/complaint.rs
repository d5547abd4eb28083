//! The words of the syntax's mistakes: each says what is wrong, and what to write instead.

use super::DEEPEST;
use super::tree::{Node, Style, Word};
use crate::diagnostic::{Code, Mistake, Span};

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    File,
    Block,
}

pub(super) fn stray(at: Span, before: Option<&Node>, text: &str) -> Mistake {
    let mistake = Mistake::new(Code::E0001, at, "this `}` closes nothing").label("no block is open here");
    match before.and_then(|node| node.block.as_ref().map(|block| (node, block))) {
        Some((node, block)) => mistake
            .other(Span { start: block.span.end - 1, ..block.span }, format!("{} was closed here", head(node, text)))
            .help("remove it, or find the `}` above it that is one too many"),
        None => mistake.help("remove it"),
    }
}

pub(super) fn open_string(at: Span, text: &str) -> Mistake {
    let inside = text[1..].trim_end();
    if text.starts_with('`') {
        return Mistake::new(Code::E0003, at, "this raw string is never closed")
            .label("no other backtick follows in this file")
            .help(if fits(inside) {
                format!("write `{inside}` with a backtick at both ends")
            } else {
                "write a backtick where it ends".into()
            });
    }
    let help =
        "write its closing `\"` on the same line; text of several lines goes between backticks or into a heredoc";
    let mistake =
        Mistake::new(Code::E0003, at, "this string is never closed").label("it has no closing `\"` on its line");
    if fits(inside) && !inside.is_empty() && !inside.contains(['`', '\\', '{']) {
        mistake.help(format!("write `\"{inside}\"`; text of several lines goes between backticks or into a heredoc"))
    } else {
        mistake.help(help)
    }
}

/// A string of several lines has been found: its closing quote stands at the end of a word further down.
pub(super) fn string_over_lines(mistake: &mut Mistake, quote: Span) {
    mistake.others.push((quote, "was it meant to end here?".into()));
    mistake.help = Some("put text of several lines between backticks, or into a heredoc".into());
}

pub(super) fn escape(at: Span, text: &str, word: Span) -> Mistake {
    let escape = slice(text, at);
    let mistake = Mistake::new(Code::E0004, at, format!("{} is not an escape", quote(escape)));
    if escape.starts_with("\\u") {
        return mistake
            .label("no character has this number")
            .help("write the character's number in hexadecimal between braces, such as `\\u{e9}` for é");
    }
    let raw = raw_form(slice(text, word));
    let raw = raw.map_or(String::new(), |raw| format!("; or, for a pattern, put the text between backticks: {raw}"));
    mistake
        .label("known are `\\\"` `\\\\` `\\n` `\\t` `\\r` `\\{` `\\}` and `\\u{…}`")
        .help(format!("write `\\{escape}` for a backslash{raw}"))
}

/// A `{` in a string that begins no placeholder.
pub(super) fn brace(at: Span, text: &str, word: Span) -> Mistake {
    let mistake = Mistake::new(Code::E0005, at, "this `{` begins no placeholder")
        .label("in a string, `{` is for placeholders such as `{host}`");
    // JSON without escapes: its own quotes end the string, and the text goes on to the last quote of the line.
    let line = text[word.start as usize..].lines().next().unwrap_or("");
    let end = line.rfind('"').map_or(line.len(), |quote| quote + 1);
    let whole = if is_space_or_end(text, word.end) { slice(text, word) } else { &line[..end] };
    match raw_form(whole) {
        Some(raw) => mistake.help(format!("write `\\{{`, or put the text between backticks: {raw}")),
        None => mistake.help("write `\\{`, or put the text between backticks"),
    }
}

pub(super) fn placeholder(at: Span, text: &str, word: Span, style: Style) -> Mistake {
    let written = slice(text, at);
    let inside = &written[1..written.len() - 1];
    let mistake = Mistake::new(Code::E0005, at, format!("{} is not a placeholder", quote(written)));
    if inside.starts_with('$') {
        return mistake
            .label("a variable's name is letters, digits and `_`")
            .help("write `{$NAME}`, or `{$NAME:default}` for one that need not be set");
    }
    if let "file." | "lines." = inside {
        return mistake.label("a path is missing").help(format!("write `{{{inside}/path/to/file}}`"));
    }
    let shell = text[..at.start as usize].ends_with('$');
    if shell && inside.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'_') {
        return mistake
            .label("the `$` stands inside the braces")
            .help(format!("for a variable of the environment, write `{{${inside}}}`"));
    }
    let lower = inside.to_ascii_lowercase();
    if super::word::placeholder(&lower, at).is_some() {
        return mistake.label("names are lower case").instead(&format!("{{{inside}}}"), format!("{{{lower}}}"));
    }
    let mistake = mistake.label("a placeholder looks like `{host}` or `{header.X-Name}`");
    let raw = raw_form(slice(text, word)).map_or(String::new(), |raw| format!(": {raw}"));
    match style {
        Style::Quoted => {
            mistake.help(format!("for a literal brace, write `\\{{`, or put the text between backticks{raw}"))
        }
        _ => mistake.help(format!("for a literal brace, put the word between backticks{raw}")),
    }
}

/// Whether this block is `{{name}}`, as templates of other programs have placeholders.
pub(super) fn is_doubled(block: &str) -> bool {
    let inside = block.strip_prefix("{{").and_then(|block| block.strip_suffix("}}"));
    inside.is_some_and(|inside| {
        let name = inside.trim();
        !name.is_empty() && name.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"._-".contains(&sign))
    })
}

pub(super) fn doubled(at: Span, inside: &str) -> Mistake {
    Mistake::new(Code::E0005, at, "a placeholder has one brace at each end")
        .help(format!("write `{{{}}}`", inside.trim()))
}

/// A `{` that is followed by neither white space nor the rest of a placeholder.
pub(super) fn loose_brace(open: Span, text: &str) -> Mistake {
    let behind = &text[open.end as usize..];
    let line = behind.lines().next().unwrap_or("").trim_end();
    let mistake = Mistake::new(Code::E0005, open, "this `{` opens neither a block nor a placeholder")
        .label("a block's `{` is followed by a space");
    match line.find(['{', '}']) {
        Some(end) if line[end..].starts_with('}') && fits(&line[..end]) && !line.contains('`') => {
            let at = Span { end: open.end + Span::new(0, 0, end + 1).end, ..open };
            Mistake { at, ..mistake }.help(format!("write `{{ {} }}`", line[..end].trim()))
        }
        _ => mistake.help(
            "for a block, write a space behind it; for a brace that means itself, put the word between backticks",
        ),
    }
}

pub(super) fn open_heredoc(at: Span, text: &str) -> Mistake {
    let first = text.lines().next().unwrap_or("").trim_end();
    let tag = &first[2..];
    let opening = Span { end: at.start + Span::new(0, 0, first.len()).end, ..at };
    let mistake = Mistake::new(Code::E0006, opening, format!("the heredoc `{first}` is never closed"))
        .label(format!("no line below begins with `{tag}`"))
        .help(format!("write `{tag}` on a line of its own, behind the text"));
    let near =
        lines_with_offsets(text).skip(1).find(|(_, line)| line.trim().eq_ignore_ascii_case(tag) || line.contains(tag));
    match near {
        Some((offset, line)) => {
            let indent = line.len() - line.trim_start().len();
            let start = at.start as usize + offset + indent;
            let near = Span::new(at.file, start, start + line.trim().len());
            let found = line.trim_start().strip_prefix(tag);
            let why =
                if found.is_some() { "other text stands behind the tag" } else { "this does not begin with the tag" };
            mistake.label("").other(near, format!("{why}, so it belongs to the text"))
        }
        None => mistake,
    }
}

pub(super) fn heredoc_opening(at: Span, text: &str) -> Mistake {
    let tag: String = text[2..].chars().take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_').collect();
    Mistake::new(Code::E0006, at, format!("{} does not begin a heredoc", quote(text)))
        .label("a heredoc's tag is in capitals, and ends its line")
        .help(format!("write `<<{}` at the end of the line, and the text below it", tag.to_ascii_uppercase()))
}

pub(super) fn touching(last: &Word, word: &Word, text: &str) -> Mistake {
    let (one, other) = (slice(text, last.span), slice(text, word.span));
    let mistake = Mistake::new(Code::E0007, word.span, format!("{} and {} touch", quote(one), quote(other)))
        .label("a space is missing before this");
    if !fits(one) || !fits(other) || one.contains('`') || other.contains('`') {
        return mistake.help("write a space between them, or put both into one string");
    }
    let inside = format!("{}{}", one.trim_matches('"'), other.trim_matches('"'));
    mistake.help(format!("write `{one} {other}` if these are two words, `\"{inside}\"` if they are one"))
}

pub(super) fn glued_brace(word: &Word, open: Span, text: &str) -> Mistake {
    let written = slice(text, word.span);
    let mistake = Mistake::new(Code::E0007, open, format!("{} and the `{{` of its block touch", quote(written)))
        .label("a space is missing before this");
    if word.style == Style::Punctuation || !fits(written) || written.contains('`') {
        return mistake.help("write a space before it");
    }
    mistake.help(format!("write `{written} {{`"))
}

pub(super) fn too_deep(open: Span) -> Mistake {
    Mistake::new(Code::E0008, open, format!("blocks are nested deeper than {DEEPEST}"))
        .label("nothing behind this has been read")
        .help("close the blocks above it, or put some of them into a `snippet`")
}

pub(super) fn semicolon(at: Span, others: usize) -> Mistake {
    let more = match others {
        0 => String::new(),
        1 => ", and so does one more below".to_owned(),
        _ => format!(", and so do {others} more below"),
    };
    Mistake::new(Code::E0016, at, format!("this `;` ends a line{more}"))
        .label("a statement ends with its line")
        .help("remove it: `;` stands only between the statements of a one-line block, as in `{ a; b }`")
        .fix(";", "")
}

pub(super) fn headless(block: Span, above: Option<&Node>, place: Place, text: &str) -> Mistake {
    let open = Span { end: block.start + 1, ..block };
    let mistake = Mistake::new(Code::E0017, open, "this block belongs to no statement");
    match (above, place) {
        (Some(node), _) => mistake
            .label("a block begins on the line of its statement")
            .help(format!("write {}", quote(&format!("{} {{", words(node, text))))),
        (None, Place::File) => mistake
            .label("what is it for?")
            .help("write what it is for before it: `global {` for the process, or an address such as `example.com {`"),
        (None, Place::Block) => mistake
            .label("what is it for?")
            .help("write a statement before it, such as `route /api/* {`, or remove its braces"),
    }
}

/// A sign in a bare word that looks like a space, or like nothing at all.
pub(super) fn invisible(at: Span, sign: char) -> Mistake {
    if sign.is_whitespace() && !sign.is_control() {
        return Mistake::new(Code::E0018, at, format!("{} is not a space here", describe(sign)))
            .label("it looks like a space, but belongs to the word")
            .help("write a plain space instead")
            .fix(sign.encode_utf8(&mut [0; 4]), " ");
    }
    Mistake::new(Code::E0018, at, format!("{} stands in a word, where nobody sees it", describe(sign)))
        .help(format!("remove it; if it is meant, write it in a string as `\"\\u{{{:x}}}\"`", u32::from(sign)))
        .fix(sign.encode_utf8(&mut [0; 4]), "")
}

pub(super) fn carriage_return(at: Span, others: usize) -> Mistake {
    let mistake = Mistake::new(Code::E0018, at, "a carriage return (U+000D) that does not end a line")
        .help("save the file with ordinary line ends; in a string, write `\\r`");
    match others {
        0 => mistake,
        1 => mistake.label("and there is another one below"),
        _ => mistake.label(format!("and there are {others} more below")),
    }
}

pub(super) fn first_sign(words: &[Word]) -> Mistake {
    let sign = words[0].plain().unwrap_or("");
    let mistake = Mistake::new(Code::E0018, words[0].span, format!("a statement does not begin with `{sign}`"));
    if let [_, name, close] = words
        && sign == "("
        && close.is_punctuation(")")
    {
        return mistake.help(format!("for statements by name, write: snippet {} {{ … }}", name.written()));
    }
    match sign {
        "," => mistake.help("write the `,` at the end of the line above: the list then goes on here"),
        _ => mistake.help("keep what is in parentheses on one line, or end the line above with `\\`"),
    }
}

/// A bare word that ends with a sign which is punctuation elsewhere.
pub(super) fn last_sign(at: Span, text: &str) -> Mistake {
    let (word, sign) = text.split_at(text.len() - 1);
    let sign_at = Span { start: at.end - 1, ..at };
    let mistake = Mistake::new(Code::E0018, sign_at, format!("{} ends with `{sign}`", quote(text)));
    match sign {
        "\\" => mistake
            .label("at the end of a line, `\\` goes on with the next")
            .help("write a space before it, or the word between backticks if the `\\` belongs to it"),
        _ if fits(word) && !word.is_empty() => mistake
            .label("neither a separator nor clearly a part of the word")
            .help(format!("remove it, or write `\"{text}\"` if it belongs to the word")),
        _ => mistake.label("neither a separator nor clearly a part of the word").help("remove it"),
    }
}

pub(super) fn last_comma(word: &Word) -> Mistake {
    Mistake::new(Code::E0022, word.span, "nothing follows this `,`")
        .label("a comma says that the list goes on")
        .help("write what is missing, or remove the `,`")
}

pub(super) fn behind_block(at: Span, text: &str) -> Mistake {
    Mistake::new(Code::E0019, at, format!("{} stands behind a block, on its line", quote(slice(text, at))))
        .label("a new statement, or a word in the wrong place?")
        .help("begin a new line, or write `;` before it; a word of the statement before belongs in front of its `{`")
}

fn slice(text: &str, at: Span) -> &str {
    &text[at.start as usize..at.end as usize]
}

/// A statement as far as its block, as the user wrote it.
fn words<'a>(node: &Node, text: &'a str) -> &'a str {
    let last = node.words[node.words.len() - 1].span;
    slice(text, node.words[0].span.to(last))
}

pub(super) fn head(node: &Node, text: &str) -> String {
    quote(words(node, text))
}

/// In backticks, where it has none of its own; shortened where it would fill the line.
fn quote(words: &str) -> String {
    if words.contains('`') && words.len() <= 40 && !words.contains('\n') {
        return words.to_owned();
    }
    let line = words.lines().next().unwrap_or("");
    if line.len() == words.len() && line.chars().count() <= 40 {
        return format!("`{line}`");
    }
    let short: String = line.chars().take(38).collect();
    format!("`{}…`", short.trim_end())
}

/// Short enough to be written again in a help.
fn fits(words: &str) -> bool {
    words.chars().count() <= 60 && !words.contains('\n')
}

fn is_space_or_end(text: &str, at: u32) -> bool {
    text[at as usize..].chars().next().is_none_or(char::is_whitespace)
}

/// The word as a raw string, where it can be one.
fn raw_form(word: &str) -> Option<String> {
    let inside = word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word);
    let inside = inside.replace("\\\"", "\"");
    (fits(&inside) && !inside.contains('`')).then(|| format!("`{inside}`"))
}

fn describe(sign: char) -> String {
    let name = match sign {
        '\u{a0}' => "a no-break space",
        '\u{202f}' => "a narrow no-break space",
        '\u{3000}' => "an ideographic space",
        '\u{2028}' | '\u{2029}' => "a Unicode line separator",
        '\u{b}' | '\u{c}' => "a page break",
        '\u{200b}' => "a zero-width space",
        '\u{feff}' => "a byte order mark",
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a sign that reorders the text around it",
        '\u{ad}' => "a soft hyphen",
        sign if sign.is_control() => "a control character",
        '\u{200b}'..='\u{206f}' => "an invisible sign",
        _ => "a Unicode space",
    };
    format!("{name} (U+{:04X})", u32::from(sign))
}

fn lines_with_offsets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = offset;
        offset += line.len();
        (start, line)
    })
}
