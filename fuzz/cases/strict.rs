//! HTTP/1.1 as RFC 9112 has it and nothing beside that, read by code that shares nothing with what it is to judge.

/// A request, its field names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: Vec<u8>,
    pub minor: u8,
    pub fields: Vec<(String, Vec<u8>)>,
    /// As much of it as there is.
    pub body: Vec<u8>,
    pub whole: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// All of it, and its length.
    Whole(Request, usize),
    /// A head, and a body of which some is missing.
    Begun(Request),
    /// No head yet.
    Starved,
    Refused(&'static str),
}

impl Request {
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// Whether a field's list has this token.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| {
            value.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }
}

/// Requests from the beginning on, up to what is none.
pub fn requests(mut bytes: &[u8]) -> Vec<Request> {
    let mut found = Vec::new();
    loop {
        // RFC 9112, section 2.2: empty lines before a request line are ignored.
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        match request(bytes) {
            Read::Whole(request, length) => {
                // Who asks for any other goes on in this one, unless told otherwise (RFC 9110, section 7.8).
                let websocket = |value: &[u8]| value.windows(9).any(|word| word.eq_ignore_ascii_case(b"websocket"));
                let other_protocol = request.values("upgrade").any(websocket);
                found.push(request);
                bytes = &bytes[length..];
                if other_protocol {
                    return found;
                }
            }
            Read::Begun(request) => {
                found.push(request);
                return found;
            }
            Read::Starved | Read::Refused(_) => return found,
        }
    }
}

pub fn request(bytes: &[u8]) -> Read {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Read::Starved };
    let mut lines = split(&bytes[..end]);
    let Some((method, target, minor)) = lines.next().and_then(request_line) else {
        return Read::Refused("a request line that is none");
    };
    let mut fields = Vec::new();
    for line in lines {
        match field(line) {
            Some(field) => fields.push(field),
            None => return Read::Refused("a field that is none"),
        }
    }
    let request = Request { method, target, minor, fields, body: Vec::new(), whole: false };
    body(request, &bytes[end + 4..], end + 4)
}

fn body(mut request: Request, rest: &[u8], head: usize) -> Read {
    let lengths: Vec<&[u8]> = request.values("content-length").collect();
    let codings: Vec<&[u8]> = request.values("transfer-encoding").collect();
    let (body, used, whole) = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => (Vec::new(), 0, true),
        ([length], []) => {
            let Some(length) = decimal(length) else { return Read::Refused("a length that is none") };
            let used = length.min(rest.len());
            (rest[..used].to_vec(), used, used == length)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && request.minor == 1 => match chunks(rest) {
            Chunks::Done { body, length, .. } => (body, length, true),
            Chunks::Starved { body } | Chunks::Refused { body } => (body, 0, false),
        },
        _ => return Read::Refused("framing of two minds"),
    };
    (request.body, request.whole) = (body, whole);
    if whole { Read::Whole(request, head + used) } else { Read::Begun(request) }
}

fn request_line(line: &[u8]) -> Option<(String, Vec<u8>, u8)> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        _ => return None,
    };
    let sound = words.next().is_none()
        && !method.is_empty()
        && method.iter().all(|byte| is_token(*byte))
        && !target.is_empty()
        && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#');
    sound.then(|| (String::from_utf8_lossy(method).into_owned(), target.to_vec(), minor))
}

fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], blanks(&line[colon + 1..]));
    let sound = !name.is_empty()
        && name.iter().all(|byte| is_token(*byte))
        && value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    sound.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
}

fn blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(digits).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = plain.then(|| digits.parse().ok())??;
    Some(usize::try_from(value).unwrap_or(usize::MAX))
}

/// Lines that end in CR LF; a line feed by itself ends none, and is no character of a line either.
fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match find(bytes, b"\r\n") {
            Some(end) => {
                rest = Some(&bytes[end + 2..]);
                Some(&bytes[..end])
            }
            None => rest.take(),
        }
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A body in chunks.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunks {
    Done {
        body: Vec<u8>,
        /// Of it all, with the line that ends it.
        length: usize,
        /// There are trailers, which who reads on may judge.
        odd: bool,
    },
    Starved {
        body: Vec<u8>,
    },
    Refused {
        body: Vec<u8>,
    },
}

/// Limits that both readers of rp share.
const EXTENSION: usize = 256;
const EXTENSIONS: usize = 16 * 1024;

pub fn chunks(bytes: &[u8]) -> Chunks {
    let (mut at, mut body, mut extensions) = (0, Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\n") else { return Chunks::Starved { body } };
        let Some((size, extension)) = size_line(&bytes[at..at + end]) else { return Chunks::Refused { body } };
        extensions += extension.len();
        let control = extension.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
        if extension.len() > EXTENSION || extensions > EXTENSIONS || control {
            return Chunks::Refused { body };
        }
        at += end + 1;
        if size == 0 {
            return trailers(bytes, at, body);
        }
        let data = &bytes[at..];
        let Some(chunk) = usize::try_from(size).ok().and_then(|size| data.get(..size)) else {
            body.extend_from_slice(data);
            return Chunks::Starved { body };
        };
        body.extend_from_slice(chunk);
        match &data[chunk.len()..] {
            [b'\r', b'\n', ..] => at += chunk.len() + 2,
            [] | [b'\r'] => return Chunks::Starved { body },
            _ => return Chunks::Refused { body },
        }
    }
}

/// `1*16HEXDIG [ ";" anything ] CR`.
fn size_line(line: &[u8]) -> Option<(u64, &[u8])> {
    let line = line.strip_suffix(b"\r")?;
    let digits = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let (size, extension) = line.split_at(digits);
    let plain = (1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
    let size = plain.then(|| u64::from_str_radix(str::from_utf8(size).ok()?, 16).ok())??;
    Some((size, extension))
}

fn trailers(bytes: &[u8], mut at: usize, body: Vec<u8>) -> Chunks {
    let mut odd = false;
    loop {
        let Some(end) = find(&bytes[at..], b"\n") else { return Chunks::Starved { body } };
        let line = &bytes[at..at + end];
        at += end + 1;
        match line {
            b"\r" => return Chunks::Done { body, length: at, odd },
            [.., b'\r'] => odd = true,
            _ => return Chunks::Refused { body },
        }
    }
}

/// Answers one behind another, to requests of these methods: the status of each, or what is wrong with them.
pub fn answers<'m>(mut bytes: &[u8], mut methods: impl Iterator<Item = &'m str>) -> Result<Vec<u16>, &'static str> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = find(bytes, b"\r\n\r\n").ok_or("a head that does not end")?;
        let mut lines = split(&bytes[..end]);
        let status = lines.next().and_then(status_line).ok_or("a status line that is none")?;
        let fields: Option<Vec<_>> = lines.map(field).collect();
        let fields = fields.ok_or("a field that is none")?;
        bytes = &bytes[end + 4..];
        found.push(status);
        match status {
            101 => return Ok(found),
            100..200 => continue,
            _ => {}
        }
        let head = methods.next() == Some("HEAD");
        let request =
            Request { method: String::new(), target: Vec::new(), minor: 1, fields, body: Vec::new(), whole: false };
        if head || status == 204 || status == 304 {
            continue;
        }
        if request.count("content-length") + request.count("transfer-encoding") == 0 {
            // It ends with the connection.
            return Ok(found);
        }
        match body(request, bytes, 0) {
            Read::Whole(_, length) => bytes = &bytes[length..],
            _ => return Err("a body that does not end"),
        }
    }
    Ok(found)
}

fn status_line(line: &[u8]) -> Option<u16> {
    let (version, rest) = line.split_at_checked(9)?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let sound = matches!(version, b"HTTP/1.1 " | b"HTTP/1.0 ")
        && digits.iter().all(u8::is_ascii_digit)
        && rest.first().is_none_or(|byte| *byte == b' ');
    sound.then(|| str::from_utf8(digits).ok()?.parse().ok())?
}
