//! HTTP/1 messages, read without mercy: what a lenient parser would forgive is a failed test.

use super::pipe::Pipe;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    Length(usize),
    /// The sizes of the chunks, without the last.
    Chunked(Vec<usize>),
    /// The body ends with the connection.
    Close,
    /// It ends with its stream, of HTTP/2 or HTTP/3.
    Stream,
}

/// A request or a response, whole.
#[derive(Debug, Clone)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// As they came; bytes above ASCII as Latin-1.
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Responses of class 1xx that came before it.
    pub interim: Vec<Message>,
}

impl Message {
    /// The next request; `None` where the connection ends in good order before its first byte.
    pub fn request(pipe: &mut Pipe) -> Result<Option<Self>, String> {
        let Some(mut message) = Self::head(pipe)? else { return Ok(None) };
        let words: Vec<&str> = message.start.split(' ').collect();
        if words.len() != 3 || words.iter().any(|word| word.is_empty()) || words[2] != "HTTP/1.1" {
            return Err(format!("no request line: {:?}", message.start));
        }
        if message.all("host").len() != 1 {
            return Err(format!("not one Host: {message:?}"));
        }
        match message.declared()? {
            Some(framing) => message.read_body(pipe, framing)?,
            None => message.framing = Framing::None,
        }
        Ok(Some(message))
    }

    /// The final response to a request of this method; `None` where the connection ends before its first byte.
    pub fn response(pipe: &mut Pipe, method: &str) -> Result<Option<Self>, String> {
        let Some(mut message) = Self::response_head(pipe, method)? else { return Ok(None) };
        let framing = message.framing.clone();
        message.read_body(pipe, framing)?;
        Ok(Some(message))
    }

    /// The same without its body: how that ends is said by `framing`.
    pub fn response_head(pipe: &mut Pipe, method: &str) -> Result<Option<Self>, String> {
        let mut interim = Vec::new();
        loop {
            let Some(mut message) = Self::head(pipe)? else { return Ok(None) };
            let status = message.checked_status()?;
            let declared = message.declared()?;
            if (100..200).contains(&status) {
                if declared.is_some() {
                    return Err(format!("a {status} with a body: {message:?}"));
                }
                if status == 101 {
                    return Ok(Some(message));
                }
                interim.push(message);
                continue;
            }
            message.interim = interim;
            if method == "HEAD" || status == 204 || status == 304 {
                if status == 204 && declared.is_some() {
                    return Err(format!("a 204 with framing fields: {message:?}"));
                }
                return Ok(Some(message));
            }
            message.framing = declared.unwrap_or(Framing::Close);
            return Ok(Some(message));
        }
    }

    /// The next piece of a body of which so much is left; none where it has ended well.
    pub fn response_piece(
        pipe: &mut Pipe,
        left: &mut Framing,
        trailers: &mut Vec<(String, String)>,
    ) -> Result<Option<Vec<u8>>, String> {
        match left {
            Framing::None | Framing::Length(0) => Ok(None),
            Framing::Length(length) => {
                if pipe.buffer.is_empty() && !matches!(pipe.fill(), Ok(1..)) {
                    return Err(format!("{length} bytes are missing"));
                }
                let piece: Vec<u8> = pipe.buffer.drain(..pipe.buffer.len().min(*length)).collect();
                *length -= piece.len();
                Ok(Some(piece))
            }
            Framing::Chunked(sizes) => {
                let Some(chunk) = read_chunk(pipe)? else {
                    *trailers = read_trailers(pipe)?;
                    *left = Framing::None;
                    return Ok(None);
                };
                sizes.push(chunk.len());
                Ok(Some(chunk))
            }
            Framing::Close | Framing::Stream => match pipe.buffer.is_empty().then(|| pipe.fill()) {
                Some(Ok(0)) => Ok(None),
                Some(Err(error)) => Err(error.to_string()),
                _ => Ok(Some(std::mem::take(&mut pipe.buffer))),
            },
        }
    }

    fn head(pipe: &mut Pipe) -> Result<Option<Self>, String> {
        let Some(bytes) = pipe.until(b"\r\n\r\n") else {
            return if pipe.buffer.is_empty() { Ok(None) } else { Err(format!("half a head: {:?}", pipe.text())) };
        };
        let text: String = bytes[..bytes.len() - 4].iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        if start.contains(['\r', '\n', '\0']) {
            return Err(format!("a first line with controls: {start:?}"));
        }
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        let (body, trailers, interim) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Some(Self { start, fields, framing: Framing::None, body, trailers, interim }))
    }

    fn checked_status(&self) -> Result<u16, String> {
        let mut words = self.start.splitn(3, ' ');
        let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let fits = matches!(version, "HTTP/1.1" | "HTTP/1.0") && status.len() == 3 && words.next().is_some();
        match status.parse() {
            Ok(status) if fits => Ok(status),
            _ => Err(format!("no status line: {:?}", self.start)),
        }
    }

    /// What the fields say of the body.
    fn declared(&self) -> Result<Option<Framing>, String> {
        let (codings, lengths) = (self.all("transfer-encoding"), self.all("content-length"));
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            (["chunked"], []) => Ok(Some(Framing::Chunked(Vec::new()))),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(|length| Some(Framing::Length(length))).map_err(|error| error.to_string())
            }
            _ => Err(format!("framing that cannot be trusted: {codings:?} {lengths:?}")),
        }
    }

    fn read_body(&mut self, pipe: &mut Pipe, framing: Framing) -> Result<(), String> {
        match &framing {
            Framing::None | Framing::Stream => {}
            Framing::Length(length) => {
                self.body = pipe.exactly(*length).ok_or_else(|| format!("a short body: {:?}", pipe.text()))?;
            }
            Framing::Chunked(_) => return self.read_chunks(pipe),
            Framing::Close => {
                let (body, orderly) = pipe.drain();
                if !orderly {
                    return Err("the connection was reset within the body".to_owned());
                }
                self.body = body;
            }
        }
        self.framing = framing;
        Ok(())
    }

    fn read_chunks(&mut self, pipe: &mut Pipe) -> Result<(), String> {
        let mut sizes = Vec::new();
        while let Some(chunk) = read_chunk(pipe)? {
            sizes.push(chunk.len());
            self.body.extend_from_slice(&chunk);
        }
        self.trailers = read_trailers(pipe)?;
        self.framing = Framing::Chunked(sizes);
        Ok(())
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    /// The value of a field that may stand only once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` stands {} times: {:?}", all.len(), self.fields);
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
    }

    /// Names of all fields, lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}

/// None at the last one.
fn read_chunk(pipe: &mut Pipe) -> Result<Option<Vec<u8>>, String> {
    let line = pipe.until(b"\r\n").ok_or("broken off between chunks")?;
    let digits = std::str::from_utf8(&line[..line.len() - 2]).map_err(|error| error.to_string())?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("no size of a chunk: {digits:?}"));
    }
    let size = usize::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = pipe.exactly(size + 2).ok_or("broken off within a chunk")?;
    if !chunk.ends_with(b"\r\n") {
        return Err("a chunk is longer than its size".to_owned());
    }
    chunk.truncate(size);
    Ok(Some(chunk))
}

fn read_trailers(pipe: &mut Pipe) -> Result<Vec<(String, String)>, String> {
    let mut trailers = Vec::new();
    loop {
        let line = pipe.until(b"\r\n").ok_or("broken off in the trailers")?;
        if line == b"\r\n" {
            return Ok(trailers);
        }
        let text: String = line[..line.len() - 2].iter().map(|byte| char::from(*byte)).collect();
        trailers.push(field(&text)?);
    }
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no field line: {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
        return Err(format!("no field line: {line:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}
