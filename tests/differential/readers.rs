//! Readers of HTTP/1 requests, from one that forgives nothing (RFC 9112) to those that read as servers in use have been
//! seen to read. Where all of them find the same, there is nothing to be stepped through between two servers.

/// Of two framings, which one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefers {
    Neither,
    Chunks,
    Length,
}

#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // Each is one liberty, and any of them may go with any other.
pub struct Reader {
    pub name: &'static str,
    /// Takes LF alone, CR alone, for the end of a line.
    line_feed: bool,
    carriage_return: bool,
    /// Names of fields: white space around them is cut off, `_` is `-`, what is no letter is left out.
    loose_names: bool,
    /// Lines that begin with white space go on the line above.
    folds: bool,
    prefers: Prefers,
    /// Of several fields of one name, the last one counts, not the first.
    last: bool,
    /// Takes what can be read as a number for a length or a size: signs, `0x`, white space, what stands behind it.
    loose_numbers: bool,
}

const STRICT: Reader = Reader {
    name: "strict",
    line_feed: false,
    carriage_return: false,
    loose_names: false,
    folds: false,
    prefers: Prefers::Neither,
    last: false,
    loose_numbers: false,
};

pub const READERS: [Reader; 7] = [
    STRICT,
    Reader { name: "lenient", line_feed: true, loose_names: true, folds: true, prefers: Prefers::Chunks, ..STRICT },
    Reader { name: "chunks over length", prefers: Prefers::Chunks, loose_numbers: true, line_feed: true, ..STRICT },
    Reader { name: "length over chunks", prefers: Prefers::Length, loose_numbers: true, line_feed: true, ..STRICT },
    Reader { name: "last of several", prefers: Prefers::Length, last: true, line_feed: true, ..STRICT },
    Reader { name: "first of several", prefers: Prefers::Chunks, loose_names: true, ..STRICT },
    Reader { name: "CR ends lines", line_feed: true, carriage_return: true, prefers: Prefers::Chunks, ..STRICT },
];

/// What has two readings, to try the readers on.
pub const AMBIGUOUS: [(&str, &str); 9] = [
    (
        "a length and chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"),
    ("a bare LF", "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\nhello"),
    ("a bare CR", "GET / HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 5\r\n\r\nhello"),
    ("a name with a space", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"),
    ("a name with an underscore", "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhello"),
    ("a length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (
        "a size in C's spelling",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    ),
];

/// What a reader took for a request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub host: String,
    /// Lines of the head, without the first.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Where it ends; `None` where the connection does before.
    pub end: Option<usize>,
}

type Read<T> = Result<Option<T>, String>;

/// What the readers say of these bytes, where they do not all say the same.
pub fn doubts(bytes: &[u8]) -> Vec<String> {
    let all: Vec<_> = READERS.iter().map(|reader| (reader.name, reader.read(bytes))).collect();
    let (_, strict) = &all[0];
    let mut doubts: Vec<String> = strict.iter().filter_map(|request| request.as_ref().err().cloned()).collect();
    for (name, found) in &all[1..] {
        if meaning(found) != meaning(strict) {
            doubts.push(format!("{name}: {} against {}", tell(found), tell(strict)));
        }
    }
    doubts
}

/// Method, target, host, body and end.
type Meaning<'r> = (&'r str, &'r str, &'r str, &'r [u8], Option<usize>);

/// What two readers must agree on: how many there are, where they end, and what each asks for.
fn meaning(found: &[Result<Request, String>]) -> Vec<Result<Meaning<'_>, &str>> {
    let each = found.iter().map(|request| match request {
        Ok(request) => Ok((&*request.method, &*request.target, &*request.host, &*request.body, request.end)),
        Err(why) => Err(&**why),
    });
    each.collect()
}

fn tell(found: &[Result<Request, String>]) -> String {
    let each = found.iter().map(|request| match request {
        Ok(request) => format!("{} {} at {} to {:?}", request.method, request.target, request.host, request.end),
        Err(why) => why.clone(),
    });
    each.collect::<Vec<_>>().join(", ")
}

impl Reader {
    /// All requests, up to the end or to what it can't read. A half one at the end is one whose end is not known.
    pub fn read(&self, bytes: &[u8]) -> Vec<Result<Request, String>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match self.request(bytes, at) {
                Ok(Some(request)) => {
                    let end = request.end;
                    found.push(Ok(request));
                    match end {
                        Some(end) => at = end,
                        None => break,
                    }
                }
                Ok(None) => {
                    found.push(Err("half a head".to_owned()));
                    break;
                }
                Err(why) => {
                    found.push(Err(format!("{} cannot read: {why}", self.name)));
                    break;
                }
            }
        }
        found
    }

    fn request(&self, bytes: &[u8], mut at: usize) -> Read<Request> {
        let Some(start) = self.line(bytes, &mut at)? else { return Ok(None) };
        let words: Vec<&str> = start.split(' ').collect();
        let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else {
            return Err(format!("no request line: {start:?}"));
        };
        let Some(fields) = self.fields(bytes, &mut at)? else { return Ok(None) };
        let host = self.one(&fields, "host")?.unwrap_or_default().to_owned();
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut request = Request { method, target, host, fields, body: Vec::new(), end: None };
        request.end = self.body(bytes, at, &mut request)?;
        Ok(Some(request))
    }

    /// The next line without its end.
    fn line(&self, bytes: &[u8], at: &mut usize) -> Read<String> {
        let mut end = *at;
        loop {
            let rest = &bytes[end..];
            let taken = match rest {
                [] | [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => 2,
                [b'\r', ..] if self.carriage_return => 1,
                [b'\n', ..] if self.line_feed => 1,
                [b'\r' | b'\n' | 0, ..] => return Err("half a line break, or NUL".to_owned()),
                _ => {
                    end += 1;
                    continue;
                }
            };
            let line = bytes[*at..end].iter().map(|byte| char::from(*byte)).collect();
            *at = end + taken;
            return Ok(Some(line));
        }
    }

    fn fields(&self, bytes: &[u8], at: &mut usize) -> Read<Vec<(String, String)>> {
        let mut fields: Vec<(String, String)> = Vec::new();
        loop {
            let Some(line) = self.line(bytes, at)? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(fields));
            }
            if line.starts_with([' ', '\t']) && self.folds {
                let Some((_, value)) = fields.last_mut() else { return Err("a fold of nothing".to_owned()) };
                value.push_str(line.trim());
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { return Err(format!("no field: {line:?}")) };
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let name = if self.loose_names {
                name.replace('_', "-").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
            } else if name.is_empty() || !name.chars().all(token) {
                return Err(format!("no name: {name:?}"));
            } else {
                name.to_owned()
            };
            fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// The value of a field that may stand only once.
    fn one<'f>(&self, fields: &'f [(String, String)], name: &str) -> Read<&'f str> {
        let all: Vec<&str> = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value).collect();
        match all[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            [.., last] if self.last => Ok(Some(last)),
            _ if self.prefers == Prefers::Neither => Err(format!("`{name}` stands {} times", all.len())),
            [first, ..] => Ok(Some(first)),
        }
    }

    fn body(&self, bytes: &[u8], at: usize, request: &mut Request) -> Read<usize> {
        let coding = self.one(&request.fields, "transfer-encoding")?;
        let length = self.one(&request.fields, "content-length")?;
        let is_chunked = coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        match (coding, length) {
            (None, None) => Ok(Some(at)),
            (Some(_), Some(_)) if self.prefers == Prefers::Neither => Err("a length and chunks".to_owned()),
            (Some(coding), _) if !is_chunked && self.prefers == Prefers::Neither => Err(format!("coded as {coding:?}")),
            (_, Some(length)) if self.prefers == Prefers::Length || !is_chunked => {
                let end = usize::try_from(self.number(length, 10)?).ok().and_then(|length| length.checked_add(at));
                let Some(end) = end.filter(|end| *end <= bytes.len()) else { return Ok(None) };
                request.body = bytes[at..end].to_vec();
                Ok(Some(end))
            }
            _ if is_chunked => self.chunks(bytes, at, &mut request.body),
            _ => Ok(Some(at)),
        }
    }

    fn chunks(&self, bytes: &[u8], mut at: usize, body: &mut Vec<u8>) -> Read<usize> {
        loop {
            let Some(line) = self.line(bytes, &mut at)? else { return Ok(None) };
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::try_from(self.number(size, 16)?).map_err(|_| "a size beyond all".to_owned())?;
            if size == 0 {
                return Ok(self.fields(bytes, &mut at)?.map(|_| at));
            }
            let end = at.checked_add(size).filter(|end| *end <= bytes.len());
            let Some(end) = end else { return Ok(None) };
            body.extend_from_slice(&bytes[at..end]);
            at = end;
            match self.line(bytes, &mut at)? {
                None => return Ok(None),
                Some(rest) if rest.is_empty() => {}
                Some(rest) => return Err(format!("behind a chunk: {rest:?}")),
            }
        }
    }

    fn number(&self, text: &str, base: u32) -> Result<u64, String> {
        let wrong = || format!("no number: {text:?}");
        if !self.loose_numbers {
            let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(base));
            return plain.then(|| u64::from_str_radix(text, base).ok()).flatten().ok_or_else(wrong);
        }
        let text = text.trim().trim_start_matches('+').trim_start_matches("0x");
        let digits: String = text.chars().take_while(|c| c.is_digit(base)).collect();
        if digits.is_empty() { Ok(0) } else { u64::from_str_radix(&digits, base).map_err(|_| wrong()) }
    }
}
